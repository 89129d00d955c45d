"""Compares runs with the published scores: as Markdown, and as a table for the terminal."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich.markup import escape
from rich.table import Table

from refsav.benchmarks.published_figures import published_rows
from refsav.benchmarks.result import BenchmarkResult

FAILED_SHOWN = 10

OURS, OURS_IN_PART = "this run", "this run, incomplete"


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """A table of one suite's scores."""

    title: str
    columns: tuple[tuple[str, str], ...]
    """(group, figure)."""
    rows: tuple[tuple[str, ...], ...]
    """Name, one cell per column, source. Published scores are followed by the first run's difference to them."""
    notes: tuple[str, ...]


def compare(results: Mapping[str, BenchmarkResult]) -> Comparison:
    """Compare runs of one suite, by name, with the published scores.

    Raises:
        ValueError: If there is no run, or the runs are of several suites.
    """
    suites = {result.setup.suite for result in results.values()}
    if len(suites) != 1:
        raise ValueError(f"figures of {sorted(suites)} cannot stand in one table")
    first = next(iter(results.values()))
    published = published_rows(first.setup.suite)
    scored = [(group, figure) for group, figures in first.scores.items() for figure in figures]
    columns = tuple(scored or dict.fromkeys(column for row in published for column in row.figures))
    published = [row for row in published if row.figures.keys() & set(columns)]
    ours = [
        (name, *(_cell(_figure(result, column)) for column in columns), OURS if result.is_whole else OURS_IN_PART)
        for name, result in results.items()
    ]
    theirs = [
        (
            row.model,
            *(_with_difference(row.figures.get(column), _figure(first, column)) for column in columns),
            row.source,
        )
        for row in published
    ]
    return Comparison(
        title=f"{first.setup.suite} on {first.setup.dataset}",
        columns=columns,
        rows=(*ours, *theirs),
        notes=(*_notes(results), *dict.fromkeys(note for row in published for note in row.notes)),
    )


def as_markdown(comparison: Comparison) -> str:
    """Write a comparison as a Markdown document."""
    head = ["model", *(_named(column) for column in comparison.columns), "source"]
    ruler = ["---", *("---:" for _ in comparison.columns), "---"]
    lines = [f"| {' | '.join(cells)} |" for cells in (head, ruler, *comparison.rows)]
    notes = [f"- {note}" for note in comparison.notes]
    return "\n".join([f"# {comparison.title}", "", *lines, "", *notes, ""])


def as_table(comparison: Comparison) -> Table:
    """Lay a comparison out for the terminal."""
    table = Table(title=escape(comparison.title), title_justify="left", caption_justify="left")
    table.add_column("model")
    for column in comparison.columns:
        table.add_column(escape(_named(column)), justify="right")
    table.add_column("source")
    for row in comparison.rows:
        table.add_row(*map(escape, row), style="bold" if row[-1].startswith(OURS) else None)
    return table


def _figure(result: BenchmarkResult, column: tuple[str, str]) -> float | None:
    return result.scores.get(column[0], {}).get(column[1])


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _with_difference(published: float | None, ours: float | None) -> str:
    """A published figure, and how far ours lies above or below."""
    if published is None or ours is None:
        return _cell(published)
    return f"{published:.1f} ({ours - published:+.1f})"


def _named(column: tuple[str, str]) -> str:
    return column[1] if column[0] == "overall" else f"{column[0]} {column[1]}"


def _notes(results: Mapping[str, BenchmarkResult]) -> Iterator[str]:
    first = next(iter(results.values()))
    yield f"protocol: {first.setup.protocol}"
    yield "in brackets: the score of the first run minus the published score"
    for name, result in results.items():
        setup = result.setup
        settings = ", ".join(f"{key} {value}" for key, value in setup.settings.items())
        yield (
            f"{name}: {result.rows} prompts in {setup.items - len(result.failed)} of {setup.dataset_items} items, "
            f"{result.without_mask} answers without a mask; checkpoint {setup.checkpoint} "
            f"({setup.checkpoint_digest[:12]}), data {setup.dataset_digest[:12]}; {settings}"
        )
        if result.not_scored:
            yield f"{name}: {result.not_scored} of them not scored: their video has no expression of another object"
        yield from (f"{name}: not scored: {line}" for line in result.failed[:FAILED_SHOWN])
        if len(result.failed) > FAILED_SHOWN:
            yield f"{name}: and {len(result.failed) - FAILED_SHOWN} more, listed in result.json"
