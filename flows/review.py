"""People check the validation set: what they are asked goes out, their answers come back into shards and exports."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.client.schemas.objects import State
from prefect.states import Completed

from refsav.annotators.review.label_studio import LabelStudio
from refsav.annotators.review.project import Pushed, push
from refsav.annotators.review.pull import location_of, pull
from refsav.annotators.review.queue import AskedVideo, DrawnVideo, choose_videos, draw_video, write_queue
from refsav.annotators.review.spreadsheet import read_sheet
from refsav.datasets.records import VideoFile
from refsav.datasets.review.answer_log import keep_answers
from refsav.datasets.review.config import ReviewConfig, keep_review_config, read_review_config
from refsav.datasets.review.decisions import Gathered, timestamp
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.statistics.review_summary import ReviewSummary, write_summary
from refsav.flows.build import export_official, publish_report, split_by_video, videos_of, write_shards
from refsav.flows.config.build import BuildConfig, read_settings
from refsav.flows.reporting.artifacts import publish_markdown
from refsav.flows.reporting.notifications import BUSY, announced
from refsav.flows.reporting.progress import counted
from refsav.flows.running.fan_out import fan_out
from refsav.lock import LockedError, exclusive


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """What the queue holds."""

    tasks: int
    problems: tuple[str, ...]
    """Videos that could not be drawn, one line each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What has come of the answers."""

    added: int
    """Answers that were not known before."""
    summary: ReviewSummary
    problems: tuple[str, ...]
    """What was no answer, one line each."""


@announced
@flow(name="export-review")
def export_review(run: Path, config: ReviewConfig | None = None, *, push_tasks: bool = False) -> Exported | State[Any]:
    """Make the queue of a run: which objects people are asked about, with a film and a strip of each.

    While another process works on the run it ends as Busy.

    Args:
        run: A run that was built to its end.
        config: All settings of the review; none takes those of before.
        push_tasks: Send it to Label Studio too.
    """
    directory = RunDirectory(run)
    source, build = read_settings(directory)
    try:
        with exclusive(run):
            config = settle(run, config)
            asked = choose(run, config, build.measures.occluded_share)
            drawn = draw_media(asked, run, config, build, videos_of(directory, source))
            write_queue(directory, [one for video in drawn for one in video.tasks])
            pushed = push_queue(run, config) if push_tasks else None
    except LockedError as error:
        return Completed(name=BUSY, message=str(error).partition("\n")[0])
    problems = tuple(video.problem for video in drawn if video.problem)
    exported = Exported(tasks=sum(len(video.tasks) for video in drawn), problems=problems)
    publish_markdown(f"{run.name} review queue", queue_as_markdown(exported, pushed))
    return exported


@announced
@flow(name="import-review")
def import_review(run: Path, config: ReviewConfig | None = None, *, sheet: Path | None = None) -> Imported | State[Any]:
    """Take answers in, and make validation shards, exports, statistics and the report of a run anew.

    While another process works on the run it ends as Busy.

    Args:
        run: A run whose queue was exported.
        config: All settings of the review; none takes those of before.
        sheet: CSV or JSONL file with answers; without one they are pulled from Label Studio.
    """
    source, build = read_settings(RunDirectory(run))
    try:
        with exclusive(run):
            settle(run, config)
            gathered = gather(run, sheet)
            added = keep_answers(RunDirectory(run), gathered.answers, timestamp(datetime.now(UTC)))
            summary = remake(source, run, build)
    except LockedError as error:
        return Completed(name=BUSY, message=str(error).partition("\n")[0])
    publish_markdown(f"{run.name} review", as_markdown(summary, gathered.problems))
    return Imported(added=added, summary=summary, problems=gathered.problems)


def refuse_early(run: Path, sheet: Path | None) -> None:
    """Raise at once what would stop an import after Prefect has taken its seconds to start.

    Raises:
        ConfigError: If the directory is no run, or there is no token.
        RecordError: If the sheet cannot be used, or nothing was pushed.
        LabelStudioError: If the server does not answer, or refuses the token.
        LockedError: If another process works on the run.
    """
    read_settings(RunDirectory(run))
    with exclusive(run):
        if sheet:
            read_sheet(sheet)
            return
        with LabelStudio(location_of(RunDirectory(run)).address):
            pass


@task
def settle(run: Path, config: ReviewConfig | None) -> ReviewConfig:
    """Keep the settings in the run, or take those of before."""
    settled = config or read_review_config(RunDirectory(run))
    keep_review_config(RunDirectory(run), settled)
    return settled


@task
def choose(run: Path, config: ReviewConfig, occluded_share: float) -> list[AskedVideo]:
    """Draw the objects that are asked about."""
    return choose_videos(RunDirectory(run), config, occluded_share)


def draw_media(
    asked: list[AskedVideo], run: Path, config: ReviewConfig, build: BuildConfig, videos: dict[str, VideoFile]
) -> list[DrawnVideo]:
    """Draw what annotators see, some videos at a time."""
    with counted("review", f"videos of {run.name} drawn", len(asked)) as told:
        return fan_out(
            lambda one: draw_asked.submit(run, one, videos[one.video_id], config),
            asked,
            at_once=build.runner.bundles_at_once,
            told=told,
        )


@task(task_run_name="draw {asked.video_id}")
def draw_asked(run: Path, asked: AskedVideo, video: VideoFile, config: ReviewConfig) -> DrawnVideo:
    """Draw one video."""
    return draw_video(RunDirectory(run), asked, video, config)


@task
def push_queue(run: Path, config: ReviewConfig) -> Pushed:
    """Send to Label Studio what it lacks."""
    return push(RunDirectory(run), config)


@task
def gather(run: Path, sheet: Path | None) -> Gathered:
    """Read a sheet, or all annotations of the run's project."""
    return read_sheet(sheet) if sheet else pull(RunDirectory(run))


def remake(source: Path, run: Path, build: BuildConfig) -> ReviewSummary:
    """Make anew all that hangs on what people say; what did not change is not written again."""
    directory = RunDirectory(run)
    assignments = split_by_video(run, build)
    write_shards(source, run, build, assignments)
    if directory.exports.exists():  # a run of an existing Ref-SAV.json has none
        export_official(source, run, assignments)
    return write_summary(directory, publish_report(run, build).review)


def queue_as_markdown(exported: Exported, pushed: Pushed | None) -> str:
    """Tell on Prefect's page what people are asked, and where."""
    lines = [f"{exported.tasks} tasks in the queue"]
    if pushed:
        place = f"{pushed.location.address}/projects/{pushed.location.project}/data"
        lines.append(f"{pushed.added} sent, {pushed.there} were there already: [label them]({place})")
    return "\n\n".join([*lines, *(f"- {problem}" for problem in exported.problems)])


def as_markdown(summary: ReviewSummary, problems: tuple[str, ...]) -> str:
    """Tell on Prefect's page what came of a review."""
    counts, agreed = summary.counts, summary.agreement
    kappa = "not defined" if agreed.kappa is None else f"{agreed.kappa:.2f}"
    lines = [
        "| accepted | edited | rejected | waiting | contested | short |",
        "| --- | --- | --- | --- | --- | --- |",
        f"| {counts.accepted} | {counts.edited} | {counts.rejected} | {counts.candidates} | {counts.contested} "
        f"| {counts.short} |",
        "",
        f"{agreed.annotators} annotators, {agreed.objects} objects judged by several of them: "
        f"{100 * agreed.share:.0f} % agree, {agreed.measure.capitalize()}'s kappa {kappa}",
    ]
    if summary.reasons:
        lines += ["", "reasons: " + ", ".join(f"{reason} {count}" for reason, count in summary.reasons.items())]
    told = {"contested": summary.contested, "expression has changed": summary.outdated, "no longer here": summary.gone}
    lines += [f"\n{what}: {', '.join(names)}" for what, names in told.items() if names]
    return "\n".join([*lines, *(f"\n- {problem}" for problem in problems)])
