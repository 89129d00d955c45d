"""exports/report.json: what the official exports hold, and which videos their layouts cannot represent."""

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
    """What an export holds, and which videos were skipped."""

    path: Path
    """The export's file or folder; in report.json, relative to exports/."""
    videos: int
    """Number of videos exported."""
    objects: int
    """Number of objects exported."""
    skipped: tuple[SkippedVideo, ...]
    """Videos that the layout cannot represent, or that cannot be read."""
    kept: tuple[str, ...] = ()
    """Videos whose existing frames were kept because the source has lost the media."""


def write_reports(run: RunDirectory, reports: Iterable[ExportReport]) -> None:
    """Write exports/report.json. Raises DiskError."""
    relative = tuple(replace(report, path=report.path.relative_to(run.exports)) for report in reports)
    write_bytes(run.exports / REPORT_FILE, _REPORTS.dump_json(relative, indent=1) + b"\n")


def read_reports(run: RunDirectory) -> tuple[ExportReport, ...]:
    """Read exports/report.json; empty if the run has no exports. Raises RecordError."""
    path = run.exports / REPORT_FILE
    try:
        reports = _REPORTS.validate_json(path.read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, ValidationError) as error:
        raise RecordError(
            path, "", f"is damaged: {str(error).splitlines()[0]}", "delete it and run the build again"
        ) from None
    return tuple(replace(report, path=run.exports / report.path) for report in reports)


_REPORTS = TypeAdapter(tuple[ExportReport, ...])
