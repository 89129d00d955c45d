"""Runs a suite: item by item, each kept in a part of its own, so that a killed run goes on where it stopped.

run.json              what is run on what, and how
parts/000000.parquet  rows of one image or video, its masks included
scores.parquet        rows of all, without masks
result.json           figures, counts, digests; written last
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from refsav.benchmarks.result import Result, Setup, write_result, write_setup
from refsav.benchmarks.suites.answerer import Answerer
from refsav.benchmarks.suites.suite import AnySuite, Summary
from refsav.datasets.run.parts import read_part, write_part
from refsav.disk.files import appearing, remove_unfinished
from refsav.disk.lock import exclusive
from refsav.errors import RecordError, RefSavError
from refsav.model.input_errors import InputError
from refsav.processes.cancellation import look

PARTS, SCORES = "parts", "scores.parquet"

FAILED_SHOWN = 3


class TooManyFailedError(RefSavError):
    """More of a dataset cannot be used than was said to be bearable."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where everything of one run lies."""

    root: Path

    def part(self, index: int) -> Path:
        """Rows of one item."""
        return self.root / PARTS / f"{index:06d}.parquet"

    @property
    def parts(self) -> list[Path]:
        """Parts that there are, in order."""
        return sorted((self.root / PARTS).glob("*.parquet"))


def run_suite(
    suite: AnySuite,
    answerer: Answerer,
    folder: Path,
    setup: Setup,
    *,
    failed_share: float = 0.0,
    progress: Callable[[int], None] = lambda _: None,
) -> Result:
    """Run a suite, or the rest of it, and write its result.

    Args:
        suite: What is run.
        answerer: Who is asked.
        folder: Made if it is not there; an earlier run with the same setup goes on.
        setup: What has to be the same for that.
        failed_share: Part of the items that may fail, fraction 0-1; they are told and not in the figures.
        progress: Called with the number of items done.

    Raises:
        ConfigError: If the folder holds another run.
        LockedError: If another process works on it.
        TooManyFailedError: If too many items cannot be used; what has been done is kept.
        DiskError: If the folder cannot be written.
        StoppedError: If this thread is to end; what has been done is kept.
    """
    run = RunFolder(folder)
    with exclusive(folder):
        remove_unfinished(folder)
        write_setup(folder, setup)
        failed = _measure(suite, answerer, run, setup.items, failed_share, progress)
        if not run.parts:
            raise TooManyFailedError(_told(failed, setup.items, "nothing is left to be scored"))
        summary = suite.summarize(rows_of(run, suite))
        asked, without_mask = _write_scores(run, suite, summary)
        result = Result(
            setup=setup,
            scores=summary.scores,
            rows=asked,
            without_mask=without_mask,
            not_scored=summary.not_scored,
            failed=tuple(failed),
        )
        write_result(folder, result)
    return result


def _measure(
    suite: AnySuite,
    answerer: Answerer,
    run: RunFolder,
    items: int,
    failed_share: float,
    progress: Callable[[int], None],
) -> list[str]:
    """Leave a part of every item that has none; give a line for each that cannot be used."""
    failed: list[str] = []
    for index in range(items):
        look()
        if not run.part(index).is_file():
            try:
                rows = suite.measure(answerer, suite.dataset.read(index))
            except (RecordError, InputError) as error:
                failed.append(_line(error, suite))
                if len(failed) > failed_share * items:
                    raise TooManyFailedError(_told(failed, items, f"{failed_share:.0%} may")) from error
            else:
                write_part(run.part(index), suite.rows, rows)
        progress(index + 1)
    return failed


def rows_of(run: RunFolder, suite: AnySuite) -> Iterator[Any]:
    """Go through all rows of a run, one part in memory. Raises RecordError if a part is damaged."""
    for part in run.parts:
        yield from read_part(part, suite.rows)


def _write_scores(run: RunFolder, suite: AnySuite, summary: Summary) -> tuple[int, int]:
    """Write scores.parquet; give the number of rows, and of those that lack a mask."""
    columns = [name for name in suite.rows.schema.names if name not in suite.bulky]
    table = pa.concat_tables([pq.read_table(part, columns=columns) for part in run.parts])
    for name, values in summary.per_row.items():
        table = table.append_column(name, pa.array(values, pa.float64()))
    with appearing(run.root / SCORES) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    without_mask = table["has_mask"].to_pylist().count(False) if "has_mask" in columns else 0
    return len(table), without_mask


def _line(error: RecordError | InputError, suite: AnySuite) -> str:
    """One line without the place where the dataset lies."""
    if isinstance(error, InputError):
        return error.line
    for root in (file.parent for file in suite.dataset.files):
        with suppress(ValueError):
            return RecordError(error.path.relative_to(root), error.where, error.problem, error.fix).line
    return RecordError(Path(*error.path.parts[-2:]), error.where, error.problem, error.fix).line


def _told(failed: list[str], items: int, limit: str) -> str:
    shown = "".join(f"\n  {line}" for line in failed[:FAILED_SHOWN])
    more = f"\n  … and {len(failed) - FAILED_SHOWN} more" if len(failed) > FAILED_SHOWN else ""
    fix = "mend them and run the same command again, or allow more with --failed-share"
    return f"{len(failed)} of {items} cannot be used, {limit}:{shown}{more}\n  fix: {fix}"
