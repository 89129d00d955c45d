"""What shards hold: an entry beside each shard, which marks it as finished, and an index for each set of them."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from refsav.datasets.media import still_made_from
from refsav.datasets.run.run_directory import RunDirectory
from refsav.disk.files import write_text
from refsav.errors import RecordError

INDEX = "index.json"

ShardSet = Literal["train", "val-long", "val-short"]
"""A folder of shards. Short expressions are written by people; their folder is there once there are any."""

SHARD_SETS: tuple[ShardSet, ...] = ("train", "val-long", "val-short")


@dataclass(frozen=True, kw_only=True, slots=True)
class SkippedVideo:
    """A video that a shard or an export had to be written without."""

    video_id: str
    error: str
    """One line: why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardEntry:
    """What one shard holds; kept beside it, and in the index."""

    shards: ShardSet
    name: str
    samples: int
    """Videos; a shard with none has no tar."""
    objects: int
    expressions: int
    size_bytes: int
    sha256: str
    inputs: str
    """Digest of all that the shard was made from, but the media."""
    media: Mapping[str, int]
    """Size in bytes of each video's media when the shard was written; -1 if it was gone."""
    skipped: tuple[SkippedVideo, ...]
    """Videos whose frames could not be read when the shard was written."""
    kept: tuple[str, ...]
    """Videos in the shard whose media the source had lost when the build last looked."""


def write_entry(shard: Path, entry: ShardEntry) -> None:
    """Write the entry of a finished shard beside it. Raises DiskError."""
    write_text(_beside(shard), json.dumps(asdict(entry), indent=1, sort_keys=True) + "\n")


def finished_entry(shard: Path, inputs: str, media: Mapping[str, int]) -> ShardEntry | None:
    """Give the entry of a shard that is there and was made from these inputs; None if it has to be written.

    Args:
        shard: The tar.
        inputs: Digest of all that it is made from, but the media.
        media: Size of each video's media now; one that is gone is no reason to write the shard without it.
    """
    try:
        entry = _ENTRY.validate_json(_beside(shard).read_bytes())
    except (OSError, ValidationError):
        return None
    if entry.inputs != inputs or not still_made_from(entry.media, media):
        return None
    whole = not entry.samples or (shard.is_file() and shard.stat().st_size == entry.size_bytes)
    return entry if whole else None


def read_entries(run: RunDirectory) -> Iterator[ShardEntry]:
    """Read the entry of every shard that the last build has left; one that cannot be read is written anew then."""
    for path in sorted(run.shards.glob("*/.ref-sav-*.tar.json")):
        with suppress(OSError, ValidationError):
            yield _ENTRY.validate_json(path.read_bytes())


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexedShard:
    """What index.json says of one shard to those who read it."""

    name: str
    samples: int
    """Videos."""
    objects: int
    size_bytes: int
    sha256: str


def read_index(folder: Path) -> list[IndexedShard]:
    """Read the index.json of a folder of shards.

    Raises:
        RecordError: If there is none, or it is not what `write_index` writes.
    """
    path = folder / INDEX
    fix = "give a run directory, or a folder of its shards with their index.json; `refsav build` writes both"
    try:
        shards = _INDEX.validate_json(path.read_bytes()).shards
    except OSError as error:
        raise RecordError(path, "", f"cannot be read: {error.strerror}", fix) from error
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise RecordError(path, place, error.errors()[0]["msg"], fix) from error
    for shard in shards:
        if Path(shard.name).name != shard.name:
            raise RecordError(path, shard.name, "names a shard outside its folder", fix)
    return shards


def write_index(run: RunDirectory, entries: Iterable[ShardEntry]) -> None:
    """Write index.json for every set of shards, and remove shards that no entry names any more. Raises DiskError."""
    by_set: dict[ShardSet, list[ShardEntry]] = {shards: [] for shards in SHARD_SETS}
    for entry in entries:
        by_set[entry.shards].append(entry)
    for shards, members in by_set.items():
        folder = run.shards / shards
        written = sorted((entry for entry in members if entry.samples), key=lambda entry: entry.name)
        kept = {entry.name for entry in written} | {_beside(folder / entry.name).name for entry in members}
        for old in [*folder.glob("ref-sav-*.tar"), *folder.glob(".ref-sav-*.tar.json")]:
            if old.name not in kept:
                old.unlink()
        if not members:
            (folder / INDEX).unlink(missing_ok=True)
            continue
        index = {
            "samples": sum(entry.samples for entry in written),
            "objects": sum(entry.objects for entry in written),
            "expressions": sum(entry.expressions for entry in written),
            "shards": [
                {
                    name: value
                    for name, value in asdict(entry).items()
                    if name not in ("shards", "media", "skipped", "kept")
                }
                for entry in written
            ],
            "skipped": [asdict(skipped) for entry in members for skipped in entry.skipped],
        }
        write_text(folder / INDEX, json.dumps(index, indent=1, sort_keys=True) + "\n")


def _beside(shard: Path) -> Path:
    """Hidden, so that a pattern over the folder finds shards only."""
    return shard.with_name(f".{shard.name}.json")


@dataclass(frozen=True, slots=True)
class _Index:
    """The part of index.json that is read back; other keys are passed over."""

    shards: list[IndexedShard]


_ENTRY = TypeAdapter(ShardEntry)
_INDEX = TypeAdapter(_Index)
