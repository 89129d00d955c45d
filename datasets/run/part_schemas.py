"""The Parquet form of records: one flat, explicit schema per type of record, and the conversion in both directions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pyarrow as pa

from refsav.datasets.records import (
    Dropped,
    Expression,
    Failed,
    ObjectCaptions,
    ObjectKey,
    ObjectTrack,
    Provenance,
    Rle,
    SceneCaption,
    Unreadable,
    Verdict,
    VideoCaption,
)

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class PartKind(Generic[Record]):
    """How one type of record is stored in a part."""

    schema: pa.Schema
    to_row: Callable[[Record], dict[str, object]]
    from_row: Callable[[Mapping[str, Any]], Record]
    sort_by: tuple[str, ...]
    """Columns by which the rows of a part are sorted."""


def schema(*fields: tuple[str, pa.DataType]) -> pa.Schema:
    """Make a schema whose columns are not nullable; only the elements of a list may be null."""
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in fields])


_KEY = (("video_id", pa.string()), ("source", pa.string()), ("masklet_id", pa.int64()), ("column", pa.int64()))
KEY_NAMES = ("video_id", "source", "masklet_id")
_TRACK = (
    *_KEY,
    ("height", pa.int32()),
    ("width", pa.int32()),
    ("frame_step", pa.int32()),
    ("rate_hz", pa.float64()),
    ("masks", pa.list_(pa.string())),
    ("areas_px", pa.list_(pa.int64())),
)


def text(value: str) -> str:
    """Escape what UTF-8 cannot encode: a lone surrogate, or a file name in another encoding."""
    return value.encode("utf-8", "backslashreplace").decode()


def object_key(row: Mapping[str, Any]) -> ObjectKey:
    """Read an object's key from its columns."""
    return ObjectKey(row["video_id"], row["source"], row["masklet_id"])


def _track_row(track: ObjectTrack) -> dict[str, object]:
    if any(mask is not None and mask.size != track.size for mask in track.masks):
        raise ValueError(f"{track.key}: a mask's size differs from the track's {track.size}")
    height, width = track.size
    return {
        "video_id": text(track.video_id),
        "source": track.source,
        "masklet_id": track.masklet_id,
        "column": track.column,
        "height": height,
        "width": width,
        "frame_step": track.frame_step,
        "rate_hz": track.rate_hz,
        "masks": [None if mask is None else mask.counts for mask in track.masks],
        "areas_px": list(track.areas_px),
    }


def _track(row: Mapping[str, Any]) -> ObjectTrack:
    size = (row["height"], row["width"])
    return ObjectTrack(
        video_id=row["video_id"],
        source=row["source"],
        masklet_id=row["masklet_id"],
        column=row["column"],
        size=size,
        masks=tuple(None if counts is None else Rle(size, counts) for counts in row["masks"]),
        areas_px=tuple(row["areas_px"]),
        frame_step=row["frame_step"],
        rate_hz=row["rate_hz"],
    )


def _expression_row(expression: Expression) -> dict[str, object]:
    return _track_row(expression.track) | {
        "crop_caption": text(expression.captions.crop),
        "masked_caption": text(expression.captions.masked),
        "consistent": expression.verdict.consistent,
        "confidence": expression.verdict.confidence,
        "reason": text(expression.verdict.reason),
        "scene_caption": text(expression.scene.text),
        "expression": text(expression.video.text),
        "vlm": text(expression.provenance.vlm),
        "judge": text(expression.provenance.judge),
        "prompts": text(expression.provenance.prompts),
    }


def _expression(row: Mapping[str, Any]) -> Expression:
    return Expression(
        track=_track(row),
        captions=ObjectCaptions(crop=row["crop_caption"], masked=row["masked_caption"]),
        verdict=Verdict(consistent=row["consistent"], confidence=row["confidence"], reason=row["reason"]),
        scene=SceneCaption(text=row["scene_caption"]),
        video=VideoCaption(text=row["expression"]),
        provenance=Provenance(vlm=row["vlm"], judge=row["judge"], prompts=row["prompts"]),
    )


def _dropped_row(dropped: Dropped) -> dict[str, object]:
    return _track_row(dropped.track) | {
        "stage": dropped.stage,
        "reason": text(dropped.reason),
        "crop_caption": text(dropped.crop_caption),
        "masked_caption": text(dropped.masked_caption),
        "confidence": dropped.confidence,
    }


def _dropped(row: Mapping[str, Any]) -> Dropped:
    return Dropped(
        track=_track(row),
        stage=row["stage"],
        reason=row["reason"],
        crop_caption=row["crop_caption"],
        masked_caption=row["masked_caption"],
        confidence=row["confidence"],
    )


def _failed_row(failed: Failed) -> dict[str, object]:
    return {
        "video_id": text(failed.key.video_id),
        "source": failed.key.source,
        "masklet_id": failed.key.masklet_id,
        "column": failed.column,
        "stage": failed.stage,
        "error": text(failed.error),
        "request_digest": failed.request_digest,
        "round": failed.round,
    }


def _failed(row: Mapping[str, Any]) -> Failed:
    return Failed(
        key=object_key(row),
        column=row["column"],
        stage=row["stage"],
        error=row["error"],
        request_digest=row["request_digest"],
        round=row["round"],
    )


def _unreadable_row(unreadable: Unreadable) -> dict[str, object]:
    return {"path": text(unreadable.path), "error": text(unreadable.error)}


def _unreadable(row: Mapping[str, Any]) -> Unreadable:
    return Unreadable(path=row["path"], error=row["error"])


EXPRESSIONS = PartKind(
    schema(
        *_TRACK,
        ("crop_caption", pa.string()),
        ("masked_caption", pa.string()),
        ("consistent", pa.bool_()),
        ("confidence", pa.float64()),
        ("reason", pa.string()),
        ("scene_caption", pa.string()),
        ("expression", pa.string()),
        ("vlm", pa.string()),
        ("judge", pa.string()),
        ("prompts", pa.string()),
    ),
    _expression_row,
    _expression,
    KEY_NAMES,
)
DROPPED = PartKind(
    schema(
        *_TRACK,
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("crop_caption", pa.string()),
        ("masked_caption", pa.string()),
        ("confidence", pa.float64()),
    ),
    _dropped_row,
    _dropped,
    KEY_NAMES,
)
FAILED = PartKind(
    schema(
        *_KEY, ("stage", pa.string()), ("error", pa.string()), ("request_digest", pa.string()), ("round", pa.int64())
    ),
    _failed_row,
    _failed,
    (*KEY_NAMES, "column", "stage", "error"),
)
UNREADABLE = PartKind(
    schema(("path", pa.string()), ("error", pa.string())), _unreadable_row, _unreadable, ("path", "error")
)
