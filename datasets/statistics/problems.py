"""Every problem of a run, one per line, to read and search: problems.txt, next to stats.json."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from refsav.datasets.official.export_report import read_reports
from refsav.datasets.run.parts import read_failed, read_unreadable
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.shards.index import read_entries
from refsav.disk.files import write_text

VIDEOS_SHOWN = 3
"""Videos that one line names; index.json of the shards and report.json of the exports list all of them."""

LOST_BY_THE_SOURCE = "the video is not in the source any more; fix: restore it, or keep what was made from it"
LEFT_OUT, STILL_IN = "left out of", "still in"


class _VideoProblem(NamedTuple):
    """A video that an output lacks, or keeps although the source has lost it."""

    video_id: str
    error: str
    effect: str
    output: str


def write_problems(run: RunDirectory) -> None:
    """Write each problem once, sorted, with the number of objects or videos that it affects.

    Videos with the same problem share a line. A run without problems has no problems.txt.

    Raises:
        RecordError: If a part or the exports' report cannot be read.
        DiskError: If the file cannot be written.
    """
    lines = sorted(_lines(run))
    if lines:
        write_text(run.problems, "".join(f"{line}\n" for line in lines))
    else:
        run.problems.unlink(missing_ok=True)


def read_problems(run: RunDirectory) -> list[str]:
    """Return the lines of problems.txt; an empty list if the run has no problems."""
    if not run.problems.is_file():
        return []
    return run.problems.read_text(encoding="utf-8").splitlines()


def _lines(run: RunDirectory) -> Iterator[str]:
    for lost in read_unreadable(run):
        yield lost.error
    for error, count in Counter(failed.error for failed in read_failed(run)).items():
        yield f"{error} ({count} object{'' if count == 1 else 's'})"
    yield from _lines_of_videos(run)


def _lines_of_videos(run: RunDirectory) -> Iterator[str]:
    """Yield one line per problem of videos, however many videos and outputs it affects."""
    outputs_of: dict[tuple[str, str, str], list[str]] = {}
    for lost in _videos(run):
        outputs_of.setdefault((lost.error, lost.effect, lost.video_id), []).append(lost.output)
    videos_of: dict[tuple[str, str, str], list[str]] = {}
    for (error, effect, video_id), outputs in outputs_of.items():
        videos_of.setdefault((error, effect, " and ".join(outputs)), []).append(video_id)
    for (error, effect, where), video_ids in videos_of.items():
        count, shown = len(video_ids), ", ".join(video_ids[:VIDEOS_SHOWN])
        more = ", …" if count > VIDEOS_SHOWN else ""
        yield f"{error} ({count} video{'' if count == 1 else 's'} {effect} {where}: {shown}{more})"


def _videos(run: RunDirectory) -> Iterator[_VideoProblem]:
    """Yield the videos that shards or exports have left out, and those that the source has lost."""
    shards = ((f"shards/{entry.shards}", entry.skipped, entry.kept) for entry in read_entries(run))
    exports = ((f"exports/{report.path.name}", report.skipped, report.kept) for report in read_reports(run))
    for output, skipped, kept in chain(shards, exports):
        for video in skipped:
            yield _VideoProblem(video.video_id, video.error, LEFT_OUT, output)
        for video_id in kept:
            yield _VideoProblem(video_id, LOST_BY_THE_SOURCE, STILL_IN, output)
