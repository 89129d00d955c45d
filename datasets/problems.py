"""Everything that went wrong in a run, one line each, to read and to search: problems.txt beside the statistics."""

from collections import Counter
from collections.abc import Iterator

from refsav.datasets.parts import read_failed, read_unreadable
from refsav.datasets.run import RunDirectory
from refsav.files import write_text


def write_problems(run: RunDirectory) -> None:
    """Write each problem once, sorted, with how many objects it cost; a run without any has no such file.

    Raises:
        RecordError: If a part cannot be read.
        DiskError: If the file cannot be written.
    """
    lines = sorted(_lines(run))
    if lines:
        write_text(run.problems, "".join(f"{line}\n" for line in lines))
    else:
        run.problems.unlink(missing_ok=True)


def read_problems(run: RunDirectory) -> list[str]:
    """Give the lines of problems.txt; none if the run has no problems."""
    if not run.problems.is_file():
        return []
    return run.problems.read_text(encoding="utf-8").splitlines()


def _lines(run: RunDirectory) -> Iterator[str]:
    for lost in read_unreadable(run):
        yield lost.error
    for error, count in Counter(failed.error for failed in read_failed(run)).items():
        yield f"{error} ({count} object{'' if count == 1 else 's'})"
