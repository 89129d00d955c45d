"""Runs a suite item by item. The rows of each item are stored in a part, so that a killed run can be resumed.

run.json              what is evaluated, on which data and how
parts/000000.parquet  rows of one image or video, masks included
scores.parquet        all rows, without masks
result.json           scores, counts, digests; written last
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from refsav.benchmarks.result import BenchmarkResult, Setup, write_result, write_setup
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
    """More items of a dataset failed than are allowed."""


@dataclass(frozen=True, slots=True)
class BenchmarkDirectory:
    """Paths of one benchmark run."""

    root: Path

    def part(self, index: int) -> Path:
        """Path of the rows of one item."""
        return self.root / PARTS / f"{index:06d}.parquet"

    @property
    def parts(self) -> list[Path]:
        """Paths of the existing parts, in order."""
        return sorted((self.root / PARTS).glob("*.parquet"))


def run_suite(
    suite: AnySuite,
    answerer: Answerer,
    folder: Path,
    setup: Setup,
    *,
    failed_share: float = 0.0,
    on_progress: Callable[[int], None] = lambda _: None,
) -> BenchmarkResult:
    """Run a suite, or resume an earlier run of it, and write its result.

    Args:
        suite: The suite, opened on its dataset.
        answerer: The model that answers the prompts.
        folder: Folder of the run, created if it is missing. A run with an equal setup is resumed.
        setup: Description of the run.
        failed_share: Share of the items that may fail, fraction 0-1. The result lists them; no score includes them.
        on_progress: Called with the number of items that are done.

    Returns:
        Scores, counts and failed items.

    Raises:
        ConfigError: If the folder holds another run.
        LockedError: If another process uses the folder.
        TooManyFailedError: If too many items fail; finished items are kept.
        DiskError: If the folder cannot be written.
        StoppedError: If this thread is asked to stop; finished items are kept.
    """
    run = BenchmarkDirectory(folder)
    with exclusive(folder):
        remove_unfinished(folder)
        write_setup(folder, setup)
        failed = _measure(suite, answerer, run, setup.items, failed_share, on_progress)
        if not run.parts:
            raise _too_many(failed, setup.items, "nothing is left to score")
        summary = suite.summarize(rows_of(run, suite))
        row_count, without_mask = _write_scores(run, suite, summary)
        result = BenchmarkResult(
            setup=setup,
            scores=summary.scores,
            rows=row_count,
            without_mask=without_mask,
            not_scored=summary.not_scored,
            failed=tuple(failed),
        )
        write_result(folder, result)
    return result


def _measure(
    suite: AnySuite,
    answerer: Answerer,
    run: BenchmarkDirectory,
    items: int,
    failed_share: float,
    on_progress: Callable[[int], None],
) -> list[str]:
    """Write a part for each item that has none; return one line for each item that cannot be used."""
    failed: list[str] = []
    for index in range(items):
        look()
        if not run.part(index).is_file():
            try:
                rows = suite.measure(answerer, suite.dataset.read(index))
            except (RecordError, InputError) as error:
                failed.append(_line(error, suite))
                if len(failed) > failed_share * items:
                    raise _too_many(failed, items, f"at most {failed_share:.0%} may fail") from error
            else:
                write_part(run.part(index), suite.rows, rows)
        on_progress(index + 1)
    return failed


def rows_of(run: BenchmarkDirectory, suite: AnySuite) -> Iterator[Any]:
    """Iterate over all rows of a run, with one part in memory. Raises RecordError if a part is damaged."""
    for part in run.parts:
        yield from read_part(part, suite.rows)


def _write_scores(run: BenchmarkDirectory, suite: AnySuite, summary: Summary) -> tuple[int, int]:
    """Write scores.parquet; return the number of rows, and of those that lack a mask."""
    columns = [name for name in suite.rows.schema.names if name not in suite.bulky]
    table = pa.concat_tables([pq.read_table(part, columns=columns) for part in run.parts])
    for name, values in summary.per_row.items():
        table = table.append_column(name, pa.array(values, pa.float64()))
    with appearing(run.root / SCORES) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    without_mask = table["has_mask"].to_pylist().count(False) if "has_mask" in columns else 0
    return len(table), without_mask


def _line(error: RecordError | InputError, suite: AnySuite) -> str:
    """Return the error on one line, with its path relative to the dataset."""
    if isinstance(error, InputError):
        return error.line
    for root in (file.parent for file in suite.dataset.files):
        with suppress(ValueError):
            return RecordError(error.path.relative_to(root), error.where, error.problem, error.fix).line
    return RecordError(Path(*error.path.parts[-2:]), error.where, error.problem, error.fix).line


def _too_many(failed: list[str], items: int, limit: str) -> TooManyFailedError:
    shown = "".join(f"\n  {line}" for line in failed[:FAILED_SHOWN])
    more = f"\n  … and {len(failed) - FAILED_SHOWN} more" if len(failed) > FAILED_SHOWN else ""
    fix = "repair them and run the same command again, or allow more with --failed-share"
    return TooManyFailedError(f"{len(failed)} of {items} items cannot be used, {limit}:{shown}{more}", fix=fix)
