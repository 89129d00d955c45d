"""The build of Ref-SAV, as section 3.3 of the Sa2VA paper tells it: from raw video to shards."""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from prefect import flow, task
from prefect.runtime import task_run

from refsav.annotators.bundles.bundle_task import annotate_to_parts, mark_for_retry, needs_work, settle_engines
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
from refsav.datasets.sav.source import discover, read_ids
from refsav.datasets.shards import index as shard_index
from refsav.datasets.shards import splits
from refsav.datasets.shards import writer as shards
from refsav.datasets.shards.plan import ShardConfig, ShardPlan, plan_shards
from refsav.datasets.statistics.run_statistics import Statistics
from refsav.digests import Digests
from refsav.errors import RecordError
from refsav.files import remove_unfinished
from refsav.flows.config.build import BuildConfig, keep_settings, mark_finished, refuse_changes
from refsav.flows.gallery_tasks import draw_gallery
from refsav.flows.reporting.artifacts import publish_summary
from refsav.flows.reporting.progress import counted, described, say
from refsav.flows.reporting.progress_bars import progress_of
from refsav.flows.running.fan_out import fan_out
from refsav.flows.running.run_storage import at_hand, away, held_in_storage, leave, refuse_storage, take_up
from refsav.flows.running.task_files import OF_BUNDLES, of_bundle, of_shard
from refsav.flows.running.task_runner import for_each_process, refuse_runner, tasks_on
from refsav.flows.statistics_task import write_statistics
from refsav.lock import exclusive
from refsav.logs import json_lines
from refsav.plural import plural

TRIED_AGAIN_AFTER_S: list[float] = [20, 120]
"""When a bundle is tried again that stopped because its servers were down."""


@flow(name="build-ref-sav")
def build_ref_sav(
    source: Path, run: Path, config: BuildConfig | None = None, *, retry_failed: bool = False
) -> Statistics:
    """Section 3.3: object, scene and video expressions; contradictions dropped; shards, exports and gallery out.

    Args:
        source: Folder with videos and masklets in one of SA-V's layouts.
        run: Run directory; one that holds a part of the build is completed.
        config: All settings; the defaults run anywhere, without a model.
        retry_failed: Take up objects again that have failed in an earlier build of this run.
    """
    config = config or BuildConfig()
    require_videos(source, config)
    with exclusive(run), held_in_storage(run, config.runner), tasks_on(config.runner):
        asked, config = config, settle(source, run, config)
        if retry_failed:
            take_up_failed(run)
        bundles = plan_bundles(source, run, config)
        leave(run)
        annotate(bundles, source, run, config)  # object → judge → scene → video for each object
        assignments = split_by_video(run, config)  # train and val never share a video
        write_shards(source, run, config, assignments)
        export_official(source, run, assignments)
        draw_gallery(bundles, source, run, config)
        statistics = publish_report(run, config)
        leave(run)
        mark_finished(RunDirectory(run), asked)
        leave(run)
        return statistics


def require_videos(source: Path, config: BuildConfig) -> None:
    """Stop before any work if there is nothing to work on. Raises RecordError."""
    entries = discover(source, config.source)
    if config.source.videos:
        if not any(isinstance(entry, VideoFile) for entry in entries):
            ids = sorted(read_ids(Path(config.source.videos)))
            shown = ", ".join(ids[:3]) + (", …" if len(ids) > 3 else "")
            problem = f"names no video of {source} that can be used ({shown or 'it holds no id'})"
            fix = "list video ids without folder and ending, one a line, or leave source.videos empty"
            raise RecordError(Path(config.source.videos), "", problem, fix)
    elif next(entries, None) is None:
        fix = "give the folder that holds <id>.mp4 and <id>_manual.json, or JPEGImages_24fps and Annotations_6fps"
        raise RecordError(source, "", "holds no videos in either of SA-V's layouts", fix)


@task
def settle(source: Path, run: Path, config: BuildConfig) -> BuildConfig:
    """Make sure that the models answer, take off what a kill left half-written, keep the settings in the run."""
    directory, settled = RunDirectory(run), with_models(config)
    keep_settings(directory, source, settled)
    directory.finished.unlink(missing_ok=True)
    remove_unfinished(run)
    return settled


@task
def take_up_failed(run: Path) -> None:
    """Open the bundles again that have failed objects."""
    failed = mark_for_retry(RunDirectory(run))
    say(f"{failed} failed object{'' if failed == 1 else 's'} are taken up again")


@task
def plan_bundles(source: Path, run: Path, config: BuildConfig) -> list[str]:
    """Give new videos to bundles, open those with changed ones, name all bundles."""
    directory = RunDirectory(run)
    listing = list(discover(source, config.source))
    if changed := reopen_changed(directory, source, listing):
        say(f"{changed} changed {plural(changed, 'video')}")
    unreadable = list(extend_plan(directory, source, listing, config.runner.bundle_videos))
    write_part(directory.unreadable / "listing.parquet", UNREADABLE, unreadable)
    return [path.stem for path in sorted(directory.bundles.glob("bundle-*.json"))]


def annotate(bundles: Sequence[str], source: Path, run: Path, config: BuildConfig) -> None:
    """Work on the bundles that are not done, some at a time, and show how it gets on."""
    waiting = [bundle for bundle in bundles if needs_work(RunDirectory(run), bundle)]
    shared, storage = for_each_process(config), away(run, config.runner)
    with described(waiting, source, run, config.runner) as told:
        fan_out(
            lambda bundle: annotate_bundle.submit(bundle, source, run, shared, storage),
            waiting,
            at_once=config.runner.bundles_at_once,
            told=told,
        )
    take_up(run, OF_BUNDLES)


@task(
    retries=len(TRIED_AGAIN_AFTER_S),
    retry_delay_seconds=TRIED_AGAIN_AFTER_S,
    retry_jitter_factor=0.5,
    retry_condition_fn=lambda _task, _run, state: isinstance(state.result(raise_on_failure=False), ServersDownError),
    task_run_name="annotate {bundle}",
)
def annotate_bundle(bundle: str, source: Path, run: Path, config: BuildConfig, storage: str) -> None:
    """Describe a bundle's objects and leave its parts."""
    try:
        with (
            at_hand(run, storage, of_bundle(bundle)) as directory,
            json_lines(directory.logs / f"{bundle}.jsonl", bundle) if config.runner.json_logs else nullcontext(),
        ):
            annotate_to_parts(directory, source, bundle, config, progress_of(run), config.runner.bundle_timeout_s)
    except ServersDownError as error:
        if task_run.run_count <= len(TRIED_AGAIN_AFTER_S):
            wait_s = TRIED_AGAIN_AFTER_S[task_run.run_count - 1]
            say(f"{bundle} waits some {wait_s:.0f} s: {error}".partition("\n")[0])
        raise


@task
def split_by_video(run: Path, config: BuildConfig) -> dict[str, splits.Assignment]:
    """Put every video into train or val."""
    return splits.split_by_video(RunDirectory(run), config.split)


def write_shards(source: Path, run: Path, config: BuildConfig, assignments: dict[str, splits.Assignment]) -> None:
    """Write the shards, some at a time, then their index."""
    directory = RunDirectory(run)
    plans = plan_shards(directory, assignments, videos_of(directory, source), config.shards)
    digests = Digests(directory.part_digests, run)
    there = [entry for plan in plans if (entry := shards.finished(directory, plan, config.shards, digests.of))]
    digests.keep()
    waiting = [plan for plan in plans if plan.name not in {entry.name for entry in there}]
    storage = away(run, config.runner)
    with counted("shards", f"shards of {run.name} written", len(waiting)) as told:
        written = fan_out(
            lambda plan: write_shard.submit(plan, run, config.shards, storage),
            waiting,
            at_once=config.runner.bundles_at_once,
            told=told,
        )
    take_up(run, ("shards/",))
    shard_index.write_index(directory, [*there, *written])


@task(task_run_name="write {plan.name}")
def write_shard(plan: ShardPlan, run: Path, config: ShardConfig, storage: str) -> shard_index.ShardEntry:
    """Write one shard."""
    with at_hand(run, storage, of_shard(plan, run)) as directory:
        parts = tuple(directory.root / part.relative_to(run) for part in plan.parts)
        return shards.write_shard(directory, replace(plan, parts=parts), config)


@task
def export_official(source: Path, run: Path, assignments: dict[str, splits.Assignment]) -> None:
    """Write the official training file, the official evaluation layout, and what they have no place for."""
    directory = RunDirectory(run)
    videos = videos_of(directory, source)
    training = official.export_training(directory, assignments, videos)
    evaluation = official_evaluation.export_evaluation(directory, assignments, videos)
    official_report.write_reports(directory, (training, evaluation))


@task
def publish_report(run: Path, config: BuildConfig) -> Statistics:
    """Count, measure, and put the result before people."""
    directory = RunDirectory(run)
    statistics = write_statistics(directory, config)
    gallery_index.write_index(directory, run.name, config.report)
    publish_summary(directory, statistics, config.report.address)
    return statistics


def refuse_early(source: Path, run: Path, config: BuildConfig) -> None:
    """Raise at once what would stop a build after Prefect has taken its seconds to start.

    Raises:
        RecordError: If there is nothing to work on, or a prompt cannot be used.
        MissingExtraError: If tasks are to run on Ray, or the run is kept in a bucket, and a package for it is missing.
        StorageError: If the storage does not answer, or refuses.
        LockedError: If another process works on the run.
        DiskError: If the run directory cannot be written.
        ConfigError: If the run was begun with other settings, or a model is not served.
        ServersDownError: If a server does not answer.
    """
    require_videos(source, config)
    config.stages.load_prompts()
    refuse_runner(config.runner)
    refuse_storage(config.runner)
    with exclusive(run):
        refuse_changes(RunDirectory(run), source, with_models(config))


def with_models(config: BuildConfig) -> BuildConfig:
    """Ask the servers which models they serve. Raises ServersDownError, ConfigError."""
    vlm, judge = asyncio.run(settle_engines(config.vlm, config.judge))
    return config.model_copy(update={"vlm": vlm, "judge": judge})


def videos_of(run: RunDirectory, source: Path) -> dict[str, VideoFile]:
    """All videos of a run by id."""
    return {video.video_id: video for bundle in read_plan(run, source) for video in bundle.videos}
