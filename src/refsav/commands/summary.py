"""What the terminal shows of a finished run: counts, tables, and where everything lies."""

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from refsav.annotators.bundles.estimate import SourceSample, StageEstimate
from refsav.annotators.bundles.plan import Remaining
from refsav.annotators.gallery.tables import Table, tables_of
from refsav.datasets.official.evaluation_export import EVALUATION_FOLDER
from refsav.datasets.official.export_report import read_reports
from refsav.datasets.official.training_export import TRAINING_FILE
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.statistics.problems import read_problems
from refsav.datasets.statistics.review_summary import ReviewSummary
from refsav.datasets.statistics.run_statistics import Statistics
from refsav.plural import plural

PROBLEMS_SHOWN = 10
"""Lines of problems.txt that the terminal shows; a build of 50,000 videos may have many."""

CENTS_BELOW_EUROS = 10


def print_outcome(console: Console, run: Path, statistics: Statistics, again: str) -> None:
    """Report what a build made, what was lost and why, what to open, and how failed objects are retried (`again`)."""
    print_counts(console, statistics)
    directory = RunDirectory(run)
    print_problems(console, read_problems(directory))
    places = {
        "problems": directory.problems,
        "gallery": directory.report / "index.html",
        "shards": directory.shards,
        "statistics": directory.stats,
        "training": directory.exports / TRAINING_FILE,
        "evaluation": directory.exports / EVALUATION_FOLDER,
        "failed": directory.failed,
    }
    empty = {report.path for report in read_reports(directory) if not report.videos}
    for name, path in places.items():
        if name == "failed" and not statistics.failed:
            continue
        if path.exists() and path not in empty:
            note = f"   to retry: {escape(again)}" if name == "failed" else ""
            console.print(f"  {name:<11}{escape(str(path))}{note}")


def print_problems(console: Console, problems: Sequence[str]) -> None:
    """Print the first problems, and how many more there are."""
    for line in problems[:PROBLEMS_SHOWN]:
        console.print(f"  [red]problem[/]    {escape(line)}")
    if len(problems) > PROBLEMS_SHOWN:
        console.print(f"  … and {len(problems) - PROBLEMS_SHOWN} more problems")


def print_review(console: Console, summary: ReviewSummary, problems: Sequence[str]) -> None:
    """Report the result of a review, how far annotators agree, and what needs attention."""
    counts, agreed = summary.counts, summary.agreement
    console.print(
        f"  [green]{counts.accepted} accepted[/], {counts.edited} edited, {_red(counts.rejected)} rejected,"
        f" {counts.candidates} waiting; {counts.short} short expressions"
    )
    if agreed.objects:
        kappa = "" if agreed.kappa is None else f", {agreed.measure.capitalize()}'s kappa {agreed.kappa:.2f}"
        console.print(
            f"  {agreed.annotators} annotators agree on {100 * agreed.share:.0f} % of"
            f" {agreed.objects} {plural(agreed.objects, 'object')}{kappa}"
        )
    if summary.reasons:
        reasons = ", ".join(f"{escape(reason)} {count}" for reason, count in summary.reasons.items())
        console.print(f"  reasons: {reasons}")
    attention = {
        "annotators contradict each other, so it waits; fix: ask one more, or --rule latest": summary.contested,
        "its expression has changed since it was judged; fix: export and push again": summary.outdated,
        "is not in the run any more; its answers are kept": summary.gone,
    }
    print_problems(console, [*(f"{name}: {what}" for what, names in attention.items() for name in names), *problems])


def print_statistics(console: Console, statistics: Statistics) -> None:
    """Show the size and properties of a run next to the published figures, and its cost."""
    print_counts(console, statistics)
    for table in tables_of(statistics):
        console.print(_as_rich(table))


def print_counts(console: Console, statistics: Statistics) -> None:
    """One line of counts that add up, and a line for every cause of a loss."""
    console.print(
        f"[bold]{statistics.objects_read} objects[/] = [green]{statistics.expressions} expressions[/]"
        f" + {statistics.dropped} dropped + {_red(statistics.failed)} failed"
    )
    for what, losses in (("dropped", statistics.dropped_by), ("failed", statistics.failed_by)):
        for loss in losses:
            console.print(f"  {loss.count:>6} {what} at {loss.stage}: {escape(loss.reason)}")
    if statistics.unreadable_files:
        console.print(
            f"  {statistics.unreadable_files:>6} {plural(statistics.unreadable_files, 'file')}"
            " of which no object could be listed"
        )


def print_remaining(console: Console, left: Remaining) -> None:
    """Report what a stopped build still has to do; print nothing for a finished one."""
    if left.bundles:
        console.print(
            f"[yellow]not finished:[/] {left.videos} of {left.of_videos} videos"
            f" ({left.bundles} of {left.of_bundles} bundles) are not done yet; the same build resumes"
        )


def as_typed(program: str) -> str:
    """Give this command as it can be typed again: by its path where no environment is activated."""
    found = shutil.which("refsav") or Path(program).name != "refsav"
    return "refsav" if found else shlex.quote(program)


def print_estimate(
    console: Console, sample: SourceSample, stages: Sequence[StageEstimate], device: str, counted_with: str
) -> None:
    """Show what a build will need.

    Args:
        console: Where to.
        sample: What was read of the source.
        stages: What each stage will use.
        device: What the models run on, as their profile calls it.
        counted_with: The models, and where the expectations of them come from.
    """
    read = "all read" if sample.read == sample.videos else f"{sample.read:,} read"
    objects, videos, unread = (
        round(count * sample.scale) for count in (len(sample.tracks), sample.videos_to_describe, sample.unreadable)
    )
    unreadable = f", {unread:,} that cannot be read" if unread else ""
    console.print(
        f"[bold]{sample.videos:,} {plural(sample.videos, 'video')}[/] ({read}): "
        f"[bold]{objects:,} {plural(objects, 'object')}[/] to describe in {videos:,} of them{unreadable}"
    )
    hours = "CPU-hours" if device == "CPU" else "GPU-hours"
    table = RichTable(caption=escape(counted_with), caption_justify="left")
    for number, heading in enumerate(("Stage", "Requests", "Images", "Prompt tokens", "Reply tokens", hours)):
        table.add_column(heading, justify="left" if number == 0 else "right")
    numbers = {
        stage.stage: (stage.requests, stage.images, stage.prompt_tokens, stage.reply_tokens, stage.device_hours)
        for stage in stages
    }
    for name, row in numbers.items():
        table.add_row(name, *_estimate_cells(row))
    table.add_section()
    table.add_row("all", *_estimate_cells([sum(column) for column in zip(*numbers.values(), strict=True)]))
    console.print(table)


def print_capacity(console: Console, stages: Sequence[StageEstimate], gpus: int, euros: float) -> None:
    """Report time and cost on `gpus` devices, divided between the two models in proportion to their work.

    Args:
        console: Where to.
        stages: What each stage will use.
        gpus: Devices of both models together.
        euros: Price of a device's hour; 0 leaves money out.
    """
    hours = sum(stage.device_hours for stage in stages)
    judge = sum(stage.device_hours for stage in stages if stage.stage == "judge")
    cost = hours * euros
    money = f", {cost:,.{0 if cost >= CENTS_BELOW_EUROS else 2}f} euros at {euros:,.2f} an hour" if euros else ""
    share = f"{judge / hours:.0%}" if hours else "none"
    console.print(f"on {gpus:,} of them, {share} for the judge: [bold]{_span(hours / gpus)}[/]{money}")


def _span(hours: float) -> str:
    """Name a duration in hours, minutes or seconds, whichever suits its size."""
    if hours >= 1:
        return f"{hours:,.1f} hours"
    return f"{hours * 60:.0f} minutes" if hours * 60 >= 1 else f"{hours * 3600:.0f} seconds"


def _estimate_cells(numbers: Sequence[float]) -> list[str]:
    *counts, hours = numbers
    return [*(f"{count:,.0f}" for count in counts), f"{hours:,.2f}" if hours >= 0.1 else f"{hours:.4f}"]


def _red(count: int) -> str:
    return f"[red]{count}[/]" if count else "0"


def _as_rich(table: Table) -> RichTable:
    drawn = RichTable(title=table["title"], caption=table["note"] or None, title_justify="left", caption_justify="left")
    for number, heading in enumerate(table["head"]):
        drawn.add_column(heading, justify="left" if number == 0 else "right")
    for row in table["rows"]:
        drawn.add_row(*row)
    return drawn
