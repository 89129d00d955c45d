"""The tables in the head of the gallery: this run's statistics next to the published figures."""

from collections.abc import Sequence
from typing import TypedDict

from refsav.datasets.statistics.published_tables import PublishedFigures
from refsav.datasets.statistics.review_summary import ReviewCounts
from refsav.datasets.statistics.run_statistics import Statistics
from refsav.datasets.statistics.tally import Figures

NAMES = {"all": "This run", "train": "train", "val": "val"}


class Table(TypedDict):
    """A table as the page draws it: text only; the first cell of a row is its heading."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str


def tables_of(statistics: Statistics) -> list[Table]:
    """Make the tables of a run: Table 4's columns, Table 3's properties, the review, the cost of each stage."""
    reviewed = [_review(statistics.review)] if statistics.review.answered else []
    return [_figures(statistics), _properties(statistics), *reviewed, _cost(statistics)]


def _figures(statistics: Statistics) -> Table:
    rows = [_row(NAMES.get(name, name), split.figures) for name, split in statistics.splits.items()]
    rows += [_row(f"{one.dataset}, published", one) for one in statistics.published]
    head = ("", "Videos", "Objects", "Expressions", "Masks", "Words")
    return Table(
        title="Next to published data sets", head=head, rows=rows, note=f"Published: {statistics.published_source}."
    )


def _row(name: str, figures: Figures | PublishedFigures) -> tuple[str, ...]:
    numbers = (figures.videos, figures.objects, figures.expressions, figures.masks)
    return name, *(f"{number:,}" for number in numbers), f"{figures.words_mean:.1f}"


def _properties(statistics: Statistics) -> Table:
    splits = statistics.splits
    names = {one.name: one.of for split in splits.values() for one in split.properties}
    share = {(name, one.name): one.share for name, split in splits.items() for one in split.properties}
    rows = [
        (f"{name} (of {of})", *(f"{100 * share[split, name]:.1f} %" for split in splits)) for name, of in names.items()
    ]
    head = ("", *(NAMES.get(name, name) for name in splits))
    return Table(title="How hard it is", head=head, rows=rows, note="")


def _review(counts: ReviewCounts) -> Table:
    cells = (counts.accepted, counts.edited, counts.rejected, counts.candidates, counts.contested, counts.short)
    head = ("", "Accepted", "Edited", "Rejected", "Waiting", "Contested", "Short")
    note = "Validation objects; contested ones are among those that wait."
    row = ("Validation", *(f"{count:,}" for count in cells))
    return Table(title="What people say", head=head, rows=[row], note=note)


def _cost(statistics: Statistics) -> Table:
    rows = [
        (
            cost.use.stage.capitalize(),
            f"{cost.use.requests:,}",
            f"{cost.use.prompt_tokens:,}",
            f"{cost.use.completion_tokens:,}",
            f"{cost.use.seconds:,.1f}",
            f"{cost.gpu_hours:,.2f}",
        )
        for cost in statistics.stages
    ]
    head = ("Stage", "Requests", "Prompt tokens", "Reply tokens", "Seconds", "GPU-hours")
    note = "Seconds of all requests added up; GPU-hours are an estimate."
    return Table(title="What it cost", head=head, rows=rows, note=note)
