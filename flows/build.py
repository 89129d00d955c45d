"""The build of Ref-SAV, from raw videos to shards, in the order of section 3.3 of the Sa2VA paper."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from prefect import flow, task
from prefect.runtime import task_run

from refsav.annotators.bundles.bundle_task import annotate_to_parts, mark_for_retry, needs_work
from refsav.annotators.bundles.plan import extend_plan, read_plan
from refsav.annotators.bundles.source_changes import reopen_changed
from refsav.annotators.engines.engine import ServersDownError
from refsav.annotators.gallery import index as gallery_index
from refsav.datasets.official import evaluation_export as official_evaluation
from refsav.datasets.official import export_report as official_report
from refsav.datasets.official import training_export as official
from refsav.datasets.records import VideoFile
from refsav.datasets.run.part_schemas import UNREADABLE
from refsav.datasets.run.parts import write_part
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.sav.source import discover
from refsav.datasets.shards import index as shard_index
from refsav.datasets.shards import splits
from refsav.datasets.shards import writer as shards
from refsav.datasets.shards.plan import ShardConfig, ShardPlan, plan_shards
from refsav.datasets.statistics.run_statistics import Statistics
from refsav.disk.digests import Digests
from refsav.disk.files import remove_unfinished
from refsav.flows.build_checks import require_videos, with_served_models
from refsav.flows.config.build import BuildConfig, keep_settings, mark_finished
from refsav.flows.gallery_tasks import draw_gallery
from refsav.flows.reporting.artifacts import publish_summary
from refsav.flows.reporting.progress import annotation_progress, print_line, task_progress
from refsav.flows.reporting.progress_bars import progress_of
from refsav.flows.running.fan_out import fan_out
from refsav.flows.running.open_run import open_run
from refsav.flows.running.run_storage import download, remote_storage, task_directory, upload
from refsav.flows.running.task_files import BUNDLE_OUTPUTS, bundle_files, shard_files
from refsav.flows.running.task_runner import for_each_process
from refsav.flows.statistics_task import write_statistics
from refsav.logs import json_lines
from refsav.plural import plural

RETRY_DELAYS_S: list[float] = [20, 120]
"""Seconds before each retry of a bundle that stopped because its servers were down."""


@flow(name="build-ref-sav")
def build_ref_sav(
    source: Path, run: Path, config: BuildConfig | None = None, *, retry_failed: bool = False
) -> Statistics:
    """Section 3.3: object, scene and video expressions; contradictions dropped; shards, exports and gallery out.

    Args:
        source: Folder with videos and masklets in one of SA-V's layouts.
        run: Run directory; an incomplete build in it is resumed.
        config: All settings; the defaults run anywhere, without a model.
        retry_failed: Retry the objects that have failed in an earlier build of this run.
    """
    config = config or BuildConfig()
    require_videos(source, config)
    with open_run(run, config.runner):
        settled = prepare_run(source, run, config)
        if retry_failed:
            reopen_failed(run)
        bundles = plan_bundles(source, run, settled)
        annotate(bundles, source, run, settled)  # object → judge → scene → video for each object
        assignments = split_by_video(run, settled)  # train and val never share a video
        write_shards(source, run, settled, assignments)
        export_official(source, run, assignments)
        draw_gallery(bundles, source, run, settled)
        statistics = publish_report(run, settled)
        finish_run(run, config)
        return statistics


@task
def prepare_run(source: Path, run: Path, config: BuildConfig) -> BuildConfig:
    """Check the models, record the settings in the run, and remove files that an interrupted build left incomplete.

    Returns:
        The configuration with the names of the models that the servers serve.
    """
    directory, settled = RunDirectory(run), with_served_models(config)
    keep_settings(directory, source, settled)
    directory.finished.unlink(missing_ok=True)
    remove_unfinished(run)
    return settled


@task
def reopen_failed(run: Path) -> None:
    """Mark the bundles with failed objects, so that they are annotated again; replies in their journals are reused."""
    failed = mark_for_retry(RunDirectory(run))
    print_line(f"retrying {failed} failed {plural(failed, 'object')}")


@task
def plan_bundles(source: Path, run: Path, config: BuildConfig) -> list[str]:
    """Assign new videos to bundles, reopen the bundles of changed ones, and return the names of all bundles."""
    directory = RunDirectory(run)
    listing = list(discover(source, config.source))
    if changed := reopen_changed(directory, source, listing):
        print_line(f"{changed} changed {plural(changed, 'video')}")
    unreadable = list(extend_plan(directory, source, listing, config.runner.bundle_videos))
    write_part(directory.unreadable / "listing.parquet", UNREADABLE, unreadable)
    return [path.stem for path in sorted(directory.bundles.glob("bundle-*.json"))]


def annotate(bundles: Sequence[str], source: Path, run: Path, config: BuildConfig) -> None:
    """Annotate the bundles that are not done, several at a time."""
    upload(run)  # tasks on other machines read the plan
    waiting = [bundle for bundle in bundles if needs_work(RunDirectory(run), bundle)]
    shared, storage = for_each_process(config), remote_storage(run, config.runner)
    with annotation_progress(waiting, source, run, config.runner) as on_progress:
        fan_out(
            lambda bundle: annotate_bundle.submit(bundle, source, run, shared, storage),
            waiting,
            at_once=config.runner.bundles_at_once,
            on_progress=on_progress,
        )
    download(run, BUNDLE_OUTPUTS)


@task(
    retries=len(RETRY_DELAYS_S),
    retry_delay_seconds=RETRY_DELAYS_S,
    retry_jitter_factor=0.5,
    retry_condition_fn=lambda _task, _run, state: isinstance(state.result(raise_on_failure=False), ServersDownError),
    task_run_name="annotate {bundle}",
)
def annotate_bundle(bundle: str, source: Path, run: Path, config: BuildConfig, storage: str) -> None:
    """Generate and check the expressions of a bundle's objects, and write its parts."""
    try:
        with (
            task_directory(run, storage, bundle_files(bundle)) as directory,
            json_lines(directory.logs / f"{bundle}.jsonl", bundle) if config.runner.json_logs else nullcontext(),
        ):
            annotate_to_parts(directory, source, bundle, config, progress_of(run), config.runner.bundle_timeout_s)
    except ServersDownError as error:
        if task_run.run_count <= len(RETRY_DELAYS_S):
            delay_s = RETRY_DELAYS_S[task_run.run_count - 1]
            print_line(f"{bundle} is retried in about {delay_s:.0f} s: {error}".partition("\n")[0])
        raise


@task
def split_by_video(run: Path, config: BuildConfig) -> dict[str, splits.Assignment]:
    """Assign every video to train or val."""
    return splits.split_by_video(RunDirectory(run), config.split)


def write_shards(source: Path, run: Path, config: BuildConfig, assignments: dict[str, splits.Assignment]) -> None:
    """Write the shards that are missing or outdated, several at a time, then the index."""
    directory = RunDirectory(run)
    plans = plan_shards(directory, assignments, videos_of(directory, source), config.shards)
    digests = Digests(directory.part_digests, run)
    finished = [entry for plan in plans if (entry := shards.finished(directory, plan, config.shards, digests.of))]
    digests.keep()
    waiting = [plan for plan in plans if plan.name not in {entry.name for entry in finished}]
    storage = remote_storage(run, config.runner)
    with task_progress("shards", f"shards of {run.name} written", len(waiting)) as on_progress:
        written = fan_out(
            lambda plan: write_shard.submit(plan, run, config.shards, storage),
            waiting,
            at_once=config.runner.bundles_at_once,
            on_progress=on_progress,
        )
    download(run, ("shards/",))
    shard_index.write_index(directory, [*finished, *written])


@task(task_run_name="write {plan.name}")
def write_shard(plan: ShardPlan, run: Path, config: ShardConfig, storage: str) -> shard_index.ShardEntry:
    """Write one shard."""
    with task_directory(run, storage, shard_files(plan, run)) as directory:
        parts = tuple(directory.root / part.relative_to(run) for part in plan.parts)
        return shards.write_shard(directory, replace(plan, parts=parts), config)


@task
def export_official(source: Path, run: Path, assignments: dict[str, splits.Assignment]) -> None:
    """Write Ref-SAV.json, the official evaluation layout, and a report of what these layouts cannot hold."""
    directory = RunDirectory(run)
    videos = videos_of(directory, source)
    training = official.export_training(directory, assignments, videos)
    evaluation = official_evaluation.export_evaluation(directory, assignments, videos)
    official_report.write_reports(directory, (training, evaluation))


@task
def publish_report(run: Path, config: BuildConfig) -> Statistics:
    """Write the statistics and the gallery's index, and publish a summary as an artifact."""
    directory = RunDirectory(run)
    statistics = write_statistics(directory, config)
    gallery_index.write_index(directory, run.name, config.report)
    publish_summary(directory, statistics, config.report.address)
    return statistics


def finish_run(run: Path, config: BuildConfig) -> None:
    """Record that the build is complete; in a storage the record must not appear before the files that it covers."""
    upload(run)
    mark_finished(RunDirectory(run), config)


def videos_of(run: RunDirectory, source: Path) -> dict[str, VideoFile]:
    """All videos of a run by id."""
    return {video.video_id: video for bundle in read_plan(run, source) for video in bundle.videos}
