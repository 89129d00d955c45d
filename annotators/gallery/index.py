"""The gallery's page and its index: one line for each object for filters and search, and the figures of the run."""

import html
import json
import string
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any

from refsav.annotators.gallery.bundle_pages import ReportConfig
from refsav.annotators.gallery.chunk import read_chunk
from refsav.annotators.gallery.entries import Line, line_of
from refsav.annotators.gallery.tables import tables_of
from refsav.datasets.run.parts import read_unreadable
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.shards.splits import read_splits
from refsav.datasets.statistics.run_statistics import read_statistics
from refsav.disk.files import appearing, write_bytes, write_text
from refsav.disk.json_stream import JsonArray, JsonLayout

PAGE = Path(__file__).with_name("page")
SCRIPTS_AND_STYLE = ("data.js", "elements.js", "cards.js", "detail.js", "figures.js", "gallery.js", "gallery.css")
STATUSES = ("kept", "dropped", "failed")
SOURCES = ("manual", "auto")
STAGE_ROWS = (
    ("source", "Read the annotations"),
    ("filter", "Filter"),
    ("views", "Draw the views"),
    ("object", "Object: two descriptions"),
    ("judge", "Judge: do they agree?"),
    ("scene", "Scene"),
    ("video", "Video"),
)
SEARCH_OBJECTS = 5_000
"""Objects in one search script; search scripts are loaded at the first search."""
UNREADABLE_SHOWN = 200


def write_index(run: RunDirectory, title: str, config: ReportConfig) -> Path:
    """Write report/index.html, its index and its search text from the chunks that `write_bundle` wrote.

    Args:
        run: The run.
        title: Heading of the page, for example the run's name.
        config: What the gallery shows.

    Returns:
        The page to open.

    Raises:
        RecordError: If a chunk, the splits or the statistics are damaged.
        DiskError: If the report cannot be written.
    """
    chunks = sorted((run.report / "data").glob("bundle-*.js"))
    splits = {video: one.split for video, one in read_splits(run.splits).items()} if run.splits.is_file() else {}
    tally = _Tally()
    with appearing(run.report / "data" / "index.js") as temporary, temporary.open("w", encoding="ascii") as stream:
        stream.write('refsav.index({"videos":')
        videos = JsonArray(stream, SCRIPT)
        with _SearchText(run.report / "data") as search:
            for number, chunk in enumerate(chunks):
                _write_videos(videos, chunk, number, splits, tally, search)
        summary = {
            "title": title,
            "page": config.page_objects,
            "chunks": [chunk.stem for chunk in chunks],
            "search": search.files,
            **tally.summary(),
            "unreadable": _unreadable(run),
            "tables": tables_of(read_statistics(run)) if run.stats.is_file() else [],
        }
        videos.close()
        stream.write(",\n" + _dumps(summary)[1:] + ");\n")
    for name in SCRIPTS_AND_STYLE:
        write_bytes(run.report / name, (PAGE / name).read_bytes())
    page = string.Template((PAGE / "index.html").read_text(encoding="utf-8"))
    write_text(run.report / "index.html", page.substitute(title=html.escape(title)))
    return run.report / "index.html"


@dataclass(kw_only=True, slots=True)
class _Tally:
    """Counts that are collected while the index is written."""

    at: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Objects by (stage, status)."""
    whys: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """Index of each (status, stage, kind of reason) in the list of reasons."""
    authors: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def add(self, line: Line, entry: Mapping[str, Any]) -> int:
        """Count an object; return the index of its reason, -1 for a kept one."""
        self.at[line.stage, line.status] += 1
        if line.status == "kept":
            made_by = entry["provenance"]
            self.authors.setdefault(_dumps(made_by), made_by)
            return -1
        return self.whys.setdefault((line.status, line.stage, line.why), len(self.whys))

    def summary(self) -> dict[str, object]:
        """The figures at the top of the page."""
        statuses = {status: sum(n for (_, at), n in self.at.items() if at == status) for status in STATUSES}
        left = sum(statuses.values())
        stages = []
        for stage, name in STAGE_ROWS:
            dropped, failed = self.at[stage, "dropped"], self.at[stage, "failed"]
            stages.append({"name": name, "in": left, "dropped": dropped, "failed": failed})
            left -= dropped + failed
        whys = [{"status": status, "stage": stage, "why": why} for status, stage, why in self.whys]
        return {"counts": statuses, "stages": stages, "whys": whys, "provenance": list(self.authors.values())}


class _SearchText:
    """Writes the search text in files of some thousand objects, in the order of the index."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._count = 0
        self._texts: JsonArray | None = None
        self.files: list[str] = []

    def __enter__(self) -> "_SearchText":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._stack.__exit__(kind, error, trace)
            return
        self._finish()
        for stale in set(self._folder.glob("search-*.js")) - {self._folder / f"{name}.js" for name in self.files}:
            stale.unlink()

    def add(self, text: str) -> None:
        if self._texts is None or self._count % SEARCH_OBJECTS == 0:
            self._finish()
            name = f"search-{len(self.files):04d}"
            self.files.append(name)
            temporary = self._stack.enter_context(appearing(self._folder / f"{name}.js"))
            stream = self._stack.enter_context(temporary.open("w", encoding="ascii"))
            stream.write(f'refsav.text("{name}",')
            self._texts = JsonArray(stream, SCRIPT)
        self._texts.append(text)
        self._count += 1

    def _finish(self) -> None:
        if self._texts is not None:
            self._texts.close()
            self._texts.stream.write(");\n")
        self._stack.close()
        self._texts = None


def _write_videos(
    index: JsonArray, chunk: Path, number: int, splits: Mapping[str, str], tally: _Tally, search: _SearchText
) -> None:
    for video_id, entries in groupby(read_chunk(chunk), key=lambda entry: str(entry["video"])):
        objects = []
        upright = False
        for entry in entries:
            height, width = entry.get("size", (0, 0))
            upright = upright or height > width
            line = line_of(entry)
            why = tally.add(line, entry)
            search.add(line.search)
            status, source = STATUSES.index(line.status), SOURCES.index(line.source)
            objects.append([source, line.masklet_id, status, why, int(line.pictured), line.lead])
        video = {"id": video_id, "split": splits.get(video_id, ""), "chunk": number, "upright": upright}
        index.append({**video, "objects": objects})


def _unreadable(run: RunDirectory) -> dict[str, object]:
    shown: list[tuple[str, str]] = []
    count = 0
    for entry in read_unreadable(run):
        count += 1
        if len(shown) < UNREADABLE_SHOWN:
            shown.append((entry.path, entry.error))
    return {"count": count, "entries": shown}


def _dumps(value: object) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


SCRIPT = JsonLayout(end=",\n", empty="\n", dumps=_dumps)
"""A script may have a comma after the last entry, so that every entry is one complete line."""
