"""A chunk of the gallery: the script with the details of one bundle's objects, one line each.

It is a script because a page that is opened as a file can load scripts, but cannot fetch data.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from refsav.annotators.gallery.entries import Pictures
from refsav.datasets.media import media_unchanged
from refsav.datasets.records import ObjectKey
from refsav.datasets.run.run_directory import RunDirectory
from refsav.disk.files import appearing
from refsav.errors import RecordError

FORMAT = 2
"""Raised when the format changes, so that older chunks are rewritten."""

CALL, OBJECTS, LAST_LINE = "refsav.chunk(", ',"objects":[\n', "]});\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class ChunkHead:
    """The first line of a chunk: what it was made from."""

    name: str
    """The bundle."""
    inputs: str
    """Digest of parts, settings and chosen objects."""
    media: Mapping[str, int]
    """Size in bytes of each video's media; -1 if it was missing."""
    format: int = FORMAT


def chunk_path(run: RunDirectory, bundle: str) -> Path:
    """Path of the script with the details of one bundle."""
    return run.report / "data" / f"{bundle}.js"


def is_current(path: Path, head: ChunkHead) -> bool:
    """Return whether a chunk exists and has the same inputs; media that are missing now do not make it outdated."""
    try:
        with path.open(encoding="ascii") as stream:
            line = stream.readline()
        there = _HEAD.validate_json(line.removeprefix(CALL).removesuffix(OBJECTS) + "}")
    except (OSError, ValueError):
        return False
    same = (there.name, there.inputs, there.format) == (head.name, head.inputs, head.format)
    return same and media_unchanged(there.media, head.media)


def write_chunk(path: Path, head: ChunkHead, entries: Iterable[Mapping[str, Any]]) -> None:
    """Write a chunk, one entry in memory. Raises DiskError."""
    with appearing(path) as temporary, temporary.open("w", encoding="ascii") as stream:
        stream.write(CALL + _dumps(asdict(head)).removesuffix("}") + OBJECTS)
        for entry in entries:
            stream.write(_dumps(entry) + ",\n")
        stream.write(LAST_LINE)


def read_chunk(path: Path) -> Iterator[dict[str, Any]]:
    """Read the entries of a chunk, one at a time. Raises RecordError."""
    try:
        with path.open(encoding="ascii") as stream:
            next(stream, "")
            for line in stream:
                if line == LAST_LINE:
                    return
                yield json.loads(line.removesuffix(",\n"))
        problem = "it ends too early"
    except (OSError, ValueError) as error:
        problem = str(error)
    raise RecordError(path, "", f"is damaged: {problem}", "delete it and run `refsav report` again")


def pictures_in(path: Path) -> Iterator[tuple[ObjectKey, Pictures]]:
    """Yield the images that a chunk names; nothing if it is missing, those before the damage if it is damaged."""
    try:
        for entry in read_chunk(path):
            if shown := entry.get("pictures"):
                yield ObjectKey(entry["video"], entry["source"], entry["masklet"]), Pictures.from_json(shown)
    except RecordError:
        return


def _dumps(content: Mapping[str, Any]) -> str:
    return json.dumps(content, allow_nan=False, separators=(",", ":"))


_HEAD = TypeAdapter(ChunkHead)
