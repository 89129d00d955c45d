"""Split the videos of a run into train and val (Sa2VA, section 3.3); a video stays in its split as the run grows."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field

from refsav.config import Config
from refsav.datasets.run.part_schemas import PartKind, schema
from refsav.datasets.run.parts import expression_parts, read_part, videos_in, write_part
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.sav.source import read_ids
from refsav.errors import ConfigError

Split = Literal["train", "val"]
SPLITS: tuple[Split, ...] = ("train", "val")


class SplitConfig(Config):
    """Which videos are held out for validation."""

    val_share: float = Field(
        0.03,
        ge=0,
        le=1,
        description="Share of videos held out, fraction 0-1, drawn by a hash of the id. The paper: 1,147 of 38,458.",
    )
    salt: str = Field("ref-sav", description="Salt of the hash: another value draws other videos.")
    val_list: str = Field(
        "", description="Text file with one video id per line: exactly these are held out. Empty: hash."
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """The split of one video, and how it was chosen."""

    video_id: str
    split: Split
    how: Literal["hash", "list", "only"]
    """ "only": the hash drew no video of a small run, so one was held out."""


def assign(
    video_ids: Iterable[str], config: SplitConfig, earlier: Mapping[str, Assignment] | None = None
) -> dict[str, Assignment]:
    """Put every video into train or val.

    The hash depends on the id alone, so a video never changes its split when others are added or removed. A small run
    may get no val video that way; if it has at least two videos, the one with the smallest hash is held out ("only").
    A rule that uses only the present videos would move that video when more arrive, so the `earlier` splits are read:
    a video that was held out this way stays held out.

    Args:
        video_ids: All videos that have expressions.
        config: How to choose.
        earlier: The previous splits from `read_splits`, if the run has been split before.

    Raises:
        ConfigError: If the list names none of the videos.
        RecordError: If the list cannot be read.
    """
    ids = sorted(set(video_ids))
    if config.val_list:
        return _by_list(ids, config)
    drawn = {video_id: _fraction(video_id, config.salt) for video_id in ids}
    held = {video_id: "hash" for video_id in ids if drawn[video_id] < config.val_share}
    held |= {
        video_id: "only"
        for video_id, before in (earlier or {}).items()
        if before.how == "only" and video_id in drawn and video_id not in held
    }
    if not held and len(ids) > 1 and config.val_share > 0:
        held = {min(ids, key=drawn.__getitem__): "only"}
    return {
        video_id: Assignment(
            video_id=video_id,
            split="val" if video_id in held else "train",
            how="only" if held.get(video_id) == "only" else "hash",
        )
        for video_id in ids
    }


def split_by_video(run: RunDirectory, config: SplitConfig) -> dict[str, Assignment]:
    """Assign every video of a run that has expressions, and write splits.parquet.

    Raises:
        ConfigError: If the list of `val_list` names none of the videos.
        RecordError: If the list, a part or the previous splits cannot be read.
    """
    ids = (video_id for part in expression_parts(run) for video_id in videos_in(part))
    assignments = assign(ids, config, read_splits(run.splits) if run.splits.exists() else None)
    write_splits(run.splits, assignments)
    return assignments


def write_splits(path: Path, assignments: Mapping[str, Assignment]) -> None:
    """Write splits.parquet, sorted by video. Raises DiskError."""
    write_part(path, _ASSIGNMENTS, assignments.values())


def read_splits(path: Path) -> dict[str, Assignment]:
    """Read splits.parquet. Raises RecordError."""
    return {assignment.video_id: assignment for assignment in read_part(path, _ASSIGNMENTS)}


def _by_list(ids: list[str], config: SplitConfig) -> dict[str, Assignment]:
    listed = read_ids(Path(config.val_list))
    if ids and listed.isdisjoint(ids):
        raise ConfigError(
            f"names none of this run's {len(ids)} videos (such as {ids[0]})",
            fix="list video ids without folder and ending, one per line, or leave split.val_list empty",
            path=config.val_list,
        )
    return {
        video_id: Assignment(video_id=video_id, split="val" if video_id in listed else "train", how="list")
        for video_id in ids
    }


def _fraction(video_id: str, salt: str) -> float:
    digest = hashlib.sha256(f"{salt}\0{video_id}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _row(assignment: Assignment) -> dict[str, object]:
    return {"video_id": assignment.video_id, "split": assignment.split, "how": assignment.how}


def _assignment(row: Mapping[str, Any]) -> Assignment:
    return Assignment(video_id=row["video_id"], split=row["split"], how=row["how"])


_ASSIGNMENTS = PartKind(
    schema(("video_id", pa.string()), ("split", pa.string()), ("how", pa.string())), _row, _assignment, ("video_id",)
)
