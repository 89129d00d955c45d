"""The gallery's entry of one object: plain JSON values, made from the record of its outcome."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from refsav.datasets.records import Dropped, Expression, Failed, ObjectKey, ObjectTrack
from refsav.datasets.statistics.loss_reasons import cause_of

Record = Expression | Dropped | Failed

LEAD_CHARACTERS = 120
"""The index has the start of every text, for cards that wait for the rest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pictures:
    """The images of one object in a folder of the report."""

    folder: str
    """Relative to the report."""
    crop_size: tuple[int, int]
    """(height, width) of the crop, in pixels."""
    rows: tuple[int, ...]
    """Annotated frame of each image of the video stage."""
    visible: tuple[bool, ...]
    """Whether the object is visible in each image of the video stage."""
    preview: bool
    """Whether there is a preview video."""

    def to_json(self) -> dict[str, Any]:
        """Make plain JSON values, as an entry has them."""
        return {
            "folder": self.folder,
            "crop": self.crop_size,
            "rows": self.rows,
            "visible": self.visible,
            "preview": self.preview,
        }

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> "Pictures":
        """Read what `to_json` made."""
        height, width = values["crop"]
        return Pictures(
            folder=values["folder"],
            crop_size=(height, width),
            rows=tuple(values["rows"]),
            visible=tuple(values["visible"]),
            preview=values["preview"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One object in the index: what filters, search and a waiting card need."""

    masklet_id: int
    source: str
    status: str
    stage: str
    why: str
    """Kind of reason, without names and numbers: the same for many objects; empty for kept ones."""
    pictured: bool
    lead: str
    search: str
    """Lower-case text that is searched."""


def key_of(record: Record) -> ObjectKey:
    """The object's name in the dataset."""
    return record.key if isinstance(record, Failed) else record.track.key


def chosen_for_pictures(keys: Iterable[ObjectKey], limit: int) -> frozenset[ObjectKey]:
    """Choose at most `limit` objects by a hash of their names, so that the next run chooses the same."""
    return frozenset(sorted(keys, key=lambda key: hashlib.sha256(str(key).encode()).digest())[:limit])


def entry_of(record: Record, track: ObjectTrack | None, pictures: Pictures | None, note: str) -> dict[str, Any]:
    """Make the gallery's entry of one object.

    Args:
        record: Its outcome.
        track: Its masks, if known.
        pictures: Its images, if they were drawn.
        note: Why there are no images; "" if there are, or if the record has the reason.
    """
    key = key_of(record)
    entry: dict[str, Any] = {"video": key.video_id, "source": key.source, "masklet": key.masklet_id, "note": note}
    if track:
        entry |= _track_fields(track)
    if pictures:
        entry["pictures"] = pictures.to_json()
    match record:
        case Expression():
            entry |= {"status": "kept", "stage": "video", "why": "", "expression": record.text}
            entry |= {"crop": record.captions.crop, "masked": record.captions.masked, "scene": record.scene.text}
            entry["verdict"] = {"consistent": True, "confidence": _fraction(record.verdict.confidence), "reason": ""}
            made_by = record.provenance
            entry["provenance"] = {"vlm": made_by.vlm, "judge": made_by.judge, "prompts": made_by.prompts}
        case Dropped():
            entry |= {"status": "dropped", "stage": record.stage, "why": cause_of(record), "reason": record.reason}
            if record.stage == "judge":
                entry |= {"crop": record.crop_caption, "masked": record.masked_caption}
                confidence = _fraction(record.confidence)
                entry["verdict"] = {"consistent": False, "confidence": confidence, "reason": record.reason}
        case Failed():
            entry |= {"status": "failed", "stage": record.stage, "why": cause_of(record), "error": record.error}
            entry |= {"column": record.column, "request": record.request_digest, "round": record.round}
    return entry


def line_of(entry: dict[str, Any]) -> Line:
    """Make the index line of an entry."""
    text = " ".join(str(entry.get(name, "")) for name in ("expression", "reason", "error", "crop", "masked"))
    if entry["status"] == "kept":
        text = entry["expression"]
    name = f"{entry['video']}/{entry['source']}/{entry['masklet']}"
    return Line(
        masklet_id=entry["masklet"],
        source=entry["source"],
        status=entry["status"],
        stage=entry["stage"],
        why=entry["why"],
        pictured="pictures" in entry,
        lead=" ".join(text.split())[:LEAD_CHARACTERS],
        search=f"{name} {' '.join(text.split())}".lower(),
    )


def jpeg_size(jpeg: bytes) -> tuple[int, int]:
    """Read (height, width) in pixels from a JPEG file's header."""
    at = 2
    while not 0xC0 <= jpeg[at + 1] <= 0xC3:  # until the frame header, from segment to segment
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4])
    return int.from_bytes(jpeg[at + 5 : at + 7]), int.from_bytes(jpeg[at + 7 : at + 9])


def _track_fields(track: ObjectTrack) -> dict[str, Any]:
    largest = max(track.areas_px, default=0)
    return {
        "column": track.column,
        "size": track.size,
        "rate": track.rate_hz,
        "largest": {"row": track.largest_row if track.areas_px else 0, "px": largest},
        "areas": [-(-100 * area // largest) if largest else 0 for area in track.areas_px],
    }


def _fraction(value: float) -> float:
    return min(1.0, max(0.0, value))  # in this order NaN becomes 0: JSON has no NaN
