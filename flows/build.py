"""The build of Ref-SAV, as section 3.3 of the Sa2VA paper tells it: from raw video to shards."""

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from prefect import flow, task, unmapped
from prefect.futures import PrefectFuture, as_completed
from prefect.runtime import task_run
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from rich.console import Console

from refsav.annotators import gallery, gallery_index
from refsav.annotators.annotation import annotate_to_parts, settle_engines
from refsav.annotators.engine import ServersDownError
from refsav.annotators.plan import extend_plan, read_bundle, read_plan
from refsav.datasets import official, shard_index, shards, splits
from refsav.datasets.part_kinds import UNREADABLE
from refsav.datasets.parts import write_part
from refsav.datasets.records import VideoFile
from refsav.datasets.run import RunDirectory
from refsav.datasets.sav import discover, read_ids
from refsav.datasets.statistics import Statistics
from refsav.errors import RecordError, RefSavError
from refsav.files import remove_unfinished
from refsav.flows.artifacts import ProgressArtifact, publish_summary
from refsav.flows.build_config import BuildConfig, RunnerConfig, keep_settings, read_settings
from refsav.flows.live_progress import progress_of, shown, watched
from refsav.flows.measure import write_statistics
from refsav.lock import exclusive

CONSOLE = Console(stderr=True, highlight=False, soft_wrap=True)
TRIED_AGAIN_AFTER_S: list[float] = [20, 120]
"""When a bundle is tried again that stopped because its servers were down."""

Result = TypeVar("Result")


class IncompleteBuildError(RefSavError):
    """Some bundles did not finish; the same command goes on where this one stopped."""


def local_runner(bundles_at_once: int) -> TaskRunner[PrefectFuture[Any]]:
    """Threads of this process: the work is in the servers, or in libraries that let other threads go on."""
    return cast("TaskRunner[PrefectFuture[Any]]", ThreadPoolTaskRunner[Any](max_workers=bundles_at_once))


@flow(name="build-ref-sav", task_runner=local_runner(RunnerConfig().bundles_at_once))
def build_ref_sav(source: Path, run: Path, config: BuildConfig | None = None) -> Statistics:
    """Section 3.3: object, scene and video expressions; contradictions dropped; shards, exports and gallery out.

    Args:
        source: Folder with videos and masklets in one of SA-V's layouts.
        run: Run directory; one that holds a part of the build is completed.
        config: All settings; the defaults run anywhere, without a model.
    """
    config = config or BuildConfig()
    require_videos(source, config)
    with exclusive(run):
        config = settle(source, run, config)
        bundles = plan_bundles(source, run, config)
        annotate(bundles, source, run, config)  # object → judge → scene → video for each object
        assignments = split_by_video(run, config)  # train and val never share a video
        write_shards(source, run, config, assignments)
        export_official(source, run, assignments)
        draw_gallery(bundles, source, run, config)
        return publish_report(run, config)


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
    vlm, judge = asyncio.run(settle_engines(config.vlm, config.judge))
    settled = config.model_copy(update={"vlm": vlm, "judge": judge})
    keep_settings(RunDirectory(run), source, settled)
    remove_unfinished(run)
    return settled


@task
def plan_bundles(source: Path, run: Path, config: BuildConfig) -> list[str]:
    """Give every video that is not in the run yet to a bundle; name all bundles."""
    directory = RunDirectory(run)
    listing = discover(source, config.source)
    unreadable = list(extend_plan(directory, source, listing, config.runner.bundle_videos))
    write_part(directory.unreadable / "listing.parquet", UNREADABLE, unreadable)
    return [path.stem for path in sorted(directory.bundles.glob("bundle-*.json"))]


def annotate(bundles: Sequence[str], source: Path, run: Path, config: BuildConfig) -> None:
    """Work on all bundles, some at a time, and show how it gets on."""
    directory = RunDirectory(run)
    videos = sum(len(bundle.videos) for bundle in read_plan(directory, source))
    with watched(run, CONSOLE, videos):
        futures = annotate_bundle.map(list(bundles), unmapped(source), unmapped(run), unmapped(config))
        finish(futures, as_completed(list(futures)), ProgressArtifact(f"bundles of {run.name} described"))


@task(
    retries=len(TRIED_AGAIN_AFTER_S),
    retry_delay_seconds=TRIED_AGAIN_AFTER_S,
    retry_jitter_factor=0.5,
    retry_condition_fn=lambda _task, _run, state: isinstance(state.result(raise_on_failure=False), ServersDownError),
    task_run_name="annotate {bundle}",
)
def annotate_bundle(bundle: str, source: Path, run: Path, config: BuildConfig) -> None:
    """Describe a bundle's objects and leave its parts."""
    try:
        annotate_to_parts(RunDirectory(run), source, bundle, config, progress_of(run))
    except ServersDownError as error:
        if task_run.run_count <= len(TRIED_AGAIN_AFTER_S):
            wait_s = TRIED_AGAIN_AFTER_S[task_run.run_count - 1]
            CONSOLE.print(f"{bundle} waits some {wait_s:.0f} s: {error}".partition("\n")[0], markup=False)
        raise


@task
def split_by_video(run: Path, config: BuildConfig) -> dict[str, splits.Assignment]:
    """Put every video into train or val."""
    return splits.split_by_video(RunDirectory(run), config.split)


def write_shards(source: Path, run: Path, config: BuildConfig, assignments: dict[str, splits.Assignment]) -> None:
    """Write the shards, some at a time, then their index."""
    directory = RunDirectory(run)
    plans = shards.plan_shards(directory, assignments, videos_of(directory, source), config.shards)
    futures = write_shard.map(plans, unmapped(run), unmapped(config.shards))
    ended = shown(as_completed(list(futures)), "shards", len(futures), CONSOLE)
    entries = finish(futures, ended, ProgressArtifact(f"shards of {run.name} written"))
    shard_index.write_index(directory, entries)


@task(task_run_name="write {plan.name}")
def write_shard(plan: shards.ShardPlan, run: Path, config: shards.ShardConfig) -> shard_index.ShardEntry:
    """Write one shard."""
    return shards.write_shard(RunDirectory(run), plan, config)


@task
def export_official(source: Path, run: Path, assignments: dict[str, splits.Assignment]) -> None:
    """Write the official training file and the official evaluation layout."""
    directory = RunDirectory(run)
    videos = videos_of(directory, source)
    official.export_training(directory, assignments, videos)
    official.export_evaluation(directory, assignments, videos)


def draw_gallery(bundles: Sequence[str], source: Path, run: Path, config: BuildConfig) -> None:
    """Draw the gallery's pictures, some bundles at a time."""
    futures = draw_bundle.map(list(bundles), unmapped(source), unmapped(run), unmapped(config))
    ended = shown(as_completed(list(futures)), "gallery", len(futures), CONSOLE)
    finish(futures, ended, ProgressArtifact(f"pictures of {run.name} drawn"))


@task(task_run_name="draw {bundle}")
def draw_bundle(bundle: str, source: Path, run: Path, config: BuildConfig) -> None:
    """Draw what the gallery shows of one bundle."""
    directory = RunDirectory(run)
    content = read_bundle(directory.bundles / f"{bundle}.json", source)
    gallery.write_bundle(directory, content, config.views, config.source, config.report)


@task
def publish_report(run: Path, config: BuildConfig) -> Statistics:
    """Count, measure, and put the result before people."""
    directory = RunDirectory(run)
    statistics = write_statistics(directory, config)
    gallery_index.write_index(directory, run.name, config.report)
    publish_summary(directory, statistics)
    return statistics


def refuse_early(source: Path, run: Path, config: BuildConfig) -> None:
    """Raise at once what would stop a build after Prefect has taken its seconds to start.

    Raises:
        RecordError: If there is nothing to work on, or a prompt cannot be used.
        LockedError: If another process works on the run.
        DiskError: If the run directory cannot be written.
    """
    require_videos(source, config)
    config.stages.load_prompts()
    with exclusive(run):
        pass


def build_on_this_machine(source: Path, run: Path, config: BuildConfig) -> Statistics:
    """Run the build with as many bundles at once as the configuration says."""
    runner = local_runner(config.runner.bundles_at_once)
    return build_ref_sav.with_options(task_runner=runner)(source, run, config)


@flow(name="redraw-gallery")
def redraw_gallery(run: Path) -> Path:
    """Draw the gallery of a finished run again."""
    directory = RunDirectory(run)
    source, config = read_settings(directory)
    with exclusive(run):
        draw_gallery([bundle.name for bundle in read_plan(directory, source)], source, run, config)
        return gallery_index.write_index(directory, run.name, config.report)


def finish(
    futures: Sequence[PrefectFuture[Result]], ended: Iterable[PrefectFuture[Result]], progress: ProgressArtifact
) -> list[Result]:
    """Wait for all tasks, which come by as they end; raise what the first of the failed ones raised."""
    for done, _ in enumerate(ended, start=1):
        progress.update(done / len(futures))
    results = [future.result(raise_on_failure=False) for future in futures]
    failures = [result for result in results if isinstance(result, BaseException)]
    if failures:
        first = failures[0]
        told = f"{first}" if isinstance(first, RefSavError) else f"{type(first).__name__}: {first}"
        fix = "" if "\n  fix: " in told else "\n  fix: run the same command again, it goes on from here"
        raise IncompleteBuildError(f"{len(failures)} of {len(results)} tasks did not finish: {told}{fix}") from first
    return results


def videos_of(run: RunDirectory, source: Path) -> dict[str, VideoFile]:
    """All videos of a run by id."""
    return {video.video_id: video for bundle in read_plan(run, source) for video in bundle.videos}
