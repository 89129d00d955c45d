"""What the official exports hold and what they have no place for: exports/report.json, for those who come later."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.shards.index import SkippedVideo
from refsav.disk.files import write_bytes
from refsav.errors import RecordError

REPORT_FILE = "report.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportReport:
    """What an export holds, and which videos the layout has no place for."""

    path: Path
    """The export's file or folder; below exports/ in report.json."""
    videos: int
    objects: int
    skipped: tuple[SkippedVideo, ...]
    kept: tuple[str, ...] = ()
    """Videos of which it has the frames and the source has lost the media."""


def write_reports(run: RunDirectory, reports: Iterable[ExportReport]) -> None:
    """Write exports/report.json. Raises DiskError."""
    told = tuple(replace(report, path=report.path.relative_to(run.exports)) for report in reports)
    write_bytes(run.exports / REPORT_FILE, _REPORTS.dump_json(told, indent=1) + b"\n")


def read_reports(run: RunDirectory) -> tuple[ExportReport, ...]:
    """Read what `write_reports` wrote; none if the run has no exports. Raises RecordError."""
    path = run.exports / REPORT_FILE
    try:
        told = _REPORTS.validate_json(path.read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, ValidationError) as error:
        raise RecordError(
            path, "", f"is damaged: {str(error).splitlines()[0]}", "delete it and run the build again"
        ) from None
    return tuple(replace(report, path=run.exports / report.path) for report in told)


_REPORTS = TypeAdapter(tuple[ExportReport, ...])
