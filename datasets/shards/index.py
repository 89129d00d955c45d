"""What shards hold: an entry next to each shard, which marks it as finished, and an index.json for each set."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from refsav.datasets.media import media_unchanged
from refsav.datasets.run.run_directory import RunDirectory
from refsav.disk.files import write_text
from refsav.errors import RecordError

INDEX = "index.json"

ShardSet = Literal["train", "val-long", "val-short"]
"""A folder of shards. People write short expressions: val-short exists once there are any."""

SHARD_SETS: tuple[ShardSet, ...] = ("train", "val-long", "val-short")


@dataclass(frozen=True, kw_only=True, slots=True)
class SkippedVideo:
    """A video that a shard or an export had to leave out."""

    video_id: str
    error: str
    """The reason, on one line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardEntry:
    """What one shard holds; stored next to it and in the index."""

    shards: ShardSet
    name: str
    samples: int
    """Videos; a shard with none has no tar."""
    objects: int
    expressions: int
    size_bytes: int
    sha256: str
    inputs: str
    """Digest of everything that the shard was made from except the media."""
    media: Mapping[str, int]
    """Size in bytes of each video's media when the shard was written; -1 if it was gone."""
    skipped: tuple[SkippedVideo, ...]
    """Videos whose frames could not be read when the shard was written."""
    kept: tuple[str, ...]
    """Videos in the shard whose media the source had lost when the build last looked."""


def write_entry(shard: Path, entry: ShardEntry) -> None:
    """Write the entry of a finished shard next to it. Raises DiskError."""
    write_text(_entry_path(shard), json.dumps(asdict(entry), indent=1, sort_keys=True) + "\n")


def finished_entry(shard: Path, inputs: str, media: Mapping[str, int]) -> ShardEntry | None:
    """Return the entry of a shard that exists and was made from these inputs; None if it has to be written.

    Args:
        shard: Path of the tar.
        inputs: Digest of everything that it is made from except the media.
        media: Present size in bytes of each video's media; a video that is gone is no reason to write the shard again.
    """
    try:
        entry = _ENTRY.validate_json(_entry_path(shard).read_bytes())
    except (OSError, ValidationError):
        return None
    if entry.inputs != inputs or not media_unchanged(entry.media, media):
        return None
    complete = not entry.samples or (shard.is_file() and shard.stat().st_size == entry.size_bytes)
    return entry if complete else None


def read_entries(run: RunDirectory) -> Iterator[ShardEntry]:
    """Read the entry of every shard of the last build; an unreadable one is skipped: the next build writes it again."""
    for path in sorted(run.shards.glob("*/.ref-sav-*.tar.json")):
        with suppress(OSError, ValidationError):
            yield _ENTRY.validate_json(path.read_bytes())


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexedShard:
    """What index.json lists for one shard."""

    name: str
    samples: int
    """Videos."""
    objects: int
    size_bytes: int
    sha256: str


def read_index(folder: Path) -> list[IndexedShard]:
    """Read the index.json of a folder of shards.

    Raises:
        RecordError: If it does not exist or is not what `write_index` writes.
    """
    path = folder / INDEX
    fix = "give a run directory, or a folder of its shards with their index.json; `refsav build` writes both"
    try:
        shards = _INDEX.validate_json(path.read_bytes()).shards
    except OSError as error:
        raise RecordError(path, "", f"cannot be read: {error.strerror}", fix) from error
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise RecordError(path, where, error.errors()[0]["msg"], fix) from error
    for shard in shards:
        if Path(shard.name).name != shard.name:
            raise RecordError(path, shard.name, "names a shard outside its folder", fix)
    return shards


def write_index(run: RunDirectory, entries: Iterable[ShardEntry]) -> None:
    """Write index.json for every set of shards, and delete shards that no entry names. Raises DiskError."""
    by_set: dict[ShardSet, list[ShardEntry]] = {shards: [] for shards in SHARD_SETS}
    for entry in entries:
        by_set[entry.shards].append(entry)
    for shards, members in by_set.items():
        folder = run.shards / shards
        written = sorted((entry for entry in members if entry.samples), key=lambda entry: entry.name)
        kept = {entry.name for entry in written} | {_entry_path(folder / entry.name).name for entry in members}
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


def _entry_path(shard: Path) -> Path:
    """Hidden file next to the shard, so that a glob pattern over the folder finds only shards."""
    return shard.with_name(f".{shard.name}.json")


@dataclass(frozen=True, slots=True)
class _Index:
    """The keys of index.json that are read; other keys are ignored."""

    shards: list[IndexedShard]


_ENTRY = TypeAdapter(ShardEntry)
_INDEX = TypeAdapter(_Index)
