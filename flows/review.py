"""Human review of the validation set: the queue goes out, and the answers come back into shards and exports."""

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
from refsav.datasets.review.answer_log import append_answers
from refsav.datasets.review.config import ReviewConfig, read_review_config, write_review_config
from refsav.datasets.review.decisions import CollectedAnswers, timestamp
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.statistics.review_summary import ReviewSummary, write_summary
from refsav.disk.lock import LockedError, exclusive
from refsav.flows.build import export_official, publish_report, split_by_video, videos_of, write_shards
from refsav.flows.config.build import BuildConfig, read_settings
from refsav.flows.reporting.artifacts import publish_markdown
from refsav.flows.reporting.notifications import BUSY, notifies
from refsav.flows.reporting.progress import task_progress
from refsav.flows.running.fan_out import fan_out


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """What a review queue holds."""

    tasks: int
    problems: tuple[str, ...]
    """Videos that could not be drawn, one line each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """The effect of the answers of a review."""

    added: int
    """Answers that were new."""
    summary: ReviewSummary
    problems: tuple[str, ...]
    """Entries that are not answers, one line each."""


@notifies
@flow(name="export-review")
def export_review(run: Path, config: ReviewConfig | None = None, *, push_tasks: bool = False) -> Exported | State[Any]:
    """Write the review queue of a run: the objects that people check, with a video and a contact sheet of each.

    Ends in the state Busy while another process works on the run.

    Args:
        run: Run directory of a complete build.
        config: All settings of the review; None for the previous ones.
        push_tasks: Also send the queue to Label Studio.
    """
    directory = RunDirectory(run)
    source, build = read_settings(directory)
    try:
        with exclusive(run):
            config = keep_config(run, config)
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


@notifies
@flow(name="import-review")
def import_review(run: Path, config: ReviewConfig | None = None, *, sheet: Path | None = None) -> Imported | State[Any]:
    """Import answers, and rebuild the validation shards, exports, statistics and report of a run.

    Ends in the state Busy while another process works on the run.

    Args:
        run: Run directory whose queue was exported.
        config: All settings of the review; None for the previous ones.
        sheet: CSV or JSONL file with answers; None to pull them from Label Studio.
    """
    source, build = read_settings(RunDirectory(run))
    try:
        with exclusive(run):
            keep_config(run, config)
            gathered = gather(run, sheet)
            added = append_answers(RunDirectory(run), gathered.answers, timestamp(datetime.now(UTC)))
            summary = rebuild(source, run, build)
    except LockedError as error:
        return Completed(name=BUSY, message=str(error).partition("\n")[0])
    publish_markdown(f"{run.name} review", as_markdown(summary, gathered.problems))
    return Imported(added=added, summary=summary, problems=gathered.problems)


def check_review_import(run: Path, sheet: Path | None) -> None:
    """Check everything that would stop an import of answers, before Prefect takes its seconds to start.

    Raises:
        ConfigError: If the directory is not a run, or there is no token.
        RecordError: If the sheet cannot be used, or no queue was pushed.
        LabelStudioError: If the server does not answer, or rejects the token.
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
def keep_config(run: Path, config: ReviewConfig | None) -> ReviewConfig:
    """Record the settings in the run, or read the previous ones."""
    settled = config or read_review_config(RunDirectory(run))
    write_review_config(RunDirectory(run), settled)
    return settled


@task
def choose(run: Path, config: ReviewConfig, occluded_share: float) -> list[AskedVideo]:
    """Choose the objects to review."""
    return choose_videos(RunDirectory(run), config, occluded_share)


def draw_media(
    asked: list[AskedVideo], run: Path, config: ReviewConfig, build: BuildConfig, videos: dict[str, VideoFile]
) -> list[DrawnVideo]:
    """Draw what annotators see, several videos at a time."""
    with task_progress("review", f"videos of {run.name} drawn", len(asked)) as on_progress:
        return fan_out(
            lambda one: draw_asked.submit(run, one, videos[one.video_id], config),
            asked,
            at_once=build.runner.bundles_at_once,
            on_progress=on_progress,
        )


@task(task_run_name="draw {asked.video_id}")
def draw_asked(run: Path, asked: AskedVideo, video: VideoFile, config: ReviewConfig) -> DrawnVideo:
    """Draw the media of one video."""
    return draw_video(RunDirectory(run), asked, video, config)


@task
def push_queue(run: Path, config: ReviewConfig) -> Pushed:
    """Send the tasks to Label Studio that it lacks."""
    return push(RunDirectory(run), config)


@task
def gather(run: Path, sheet: Path | None) -> CollectedAnswers:
    """Read the answers of a sheet, or all annotations of the run's project."""
    return read_sheet(sheet) if sheet else pull(RunDirectory(run))


def rebuild(source: Path, run: Path, build: BuildConfig) -> ReviewSummary:
    """Rebuild everything that depends on the answers; files that would not change are not rewritten."""
    directory = RunDirectory(run)
    assignments = split_by_video(run, build)
    write_shards(source, run, build, assignments)
    if directory.exports.exists():  # an imported Ref-SAV.json has no exports
        export_official(source, run, assignments)
    return write_summary(directory, publish_report(run, build).review)


def queue_as_markdown(exported: Exported, pushed: Pushed | None) -> str:
    """Describe a queue for Prefect's page: its number of tasks, and the link to label them."""
    lines = [f"{exported.tasks} tasks in the queue"]
    if pushed:
        link = f"{pushed.location.address}/projects/{pushed.location.project}/data"
        lines.append(f"{pushed.added} sent, {pushed.there} existed already: [label them]({link})")
    return "\n\n".join([*lines, *(f"- {problem}" for problem in exported.problems)])


def as_markdown(summary: ReviewSummary, problems: tuple[str, ...]) -> str:
    """Describe the results of a review for Prefect's page."""
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
    listed = {
        "contested": summary.contested,
        "expression has changed": summary.outdated,
        "no longer here": summary.gone,
    }
    lines += [f"\n{heading}: {', '.join(names)}" for heading, names in listed.items() if names]
    return "\n".join([*lines, *(f"\n- {problem}" for problem in problems)])
