"""One sample of a shard, a video: its annotated frames as one media file, its objects, masks and texts as JSON."""

import json
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from refsav.datasets.frames import Image, decode
from refsav.datasets.image_files import encode_jpeg
from refsav.datasets.records import ObjectKey, Provenance, Rle, Source
from refsav.errors import RecordError

MediaKind = Literal["mjpeg", "mp4"]
"""mjpeg: the annotated frames as concatenated JPEG files; mp4: the source's own file."""

TextKind = Literal["long", "short"]
TextStatus = Literal["generated", "candidate", "accepted", "edited"]
"""generated: for training, not reviewed; candidate: for validation, not reviewed yet; then accepted, or edited."""

NOT_AS_WRITTEN = (AttributeError, KeyError, TypeError, ValueError)
"""Errors that a description raises when it is not what `to_members` writes."""


@dataclass(frozen=True, slots=True)
class FrameEntry:
    """Position of one annotated frame in the media."""

    index: int
    """Frame number in the source video."""
    offset: int = 0
    """First byte in the .mjpeg member; 0 for mp4."""
    length: int = 0
    """Number of bytes; 0 for mp4."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleText:
    """One expression for one object."""

    text: str
    kind: TextKind
    status: TextStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleObject:
    """One object of a sample."""

    source: Source
    masklet_id: int
    column: int
    masks: tuple[Rle | None, ...]
    """One mask per entry of the sample's frames, None where the object is hidden."""
    texts: tuple[SampleText, ...]
    provenance: Provenance

    def mask_at(self, row: int) -> Rle | None:
        """Return its mask in a row; None past its last row, as annotation files of one video may differ in length."""
        return self.masks[row] if row < len(self.masks) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class DescribedVideo:
    """The description of one video in a shard: everything but its frames."""

    video_id: str
    size: tuple[int, int]
    """(height, width) of frames and masks, in pixels."""
    rate_hz: float
    """Annotated frames per second."""
    frames: tuple[FrameEntry, ...]
    objects: tuple[SampleObject, ...]
    media_kind: MediaKind

    def keys(self) -> list[ObjectKey]:
        """Return the key of every object."""
        return [ObjectKey(self.video_id, entry.source, entry.masklet_id) for entry in self.objects]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample(DescribedVideo):
    """One video of a shard, with its media."""

    media: bytes
    """The .mjpeg or .mp4 member."""


def to_members(sample: Sample) -> dict[str, str | bytes]:
    """Return the sample's tar members with the keys that webdataset expects."""
    description = {
        "video_id": sample.video_id,
        "size": list(sample.size),
        "rate_hz": float(sample.rate_hz),
        "media": sample.media_kind,
        "frames": [_frame_json(entry, sample.media_kind) for entry in sample.frames],
        "objects": [_object_json(entry) for entry in sample.objects],
    }
    text = json.dumps(description, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return {"__key__": sample.video_id, "json": text.encode(), sample.media_kind: sample.media}


def encode_frame(image: Image, quality: int) -> bytes:
    """Encode a video frame, uint8 RGB [H, W, 3], as a JPEG with 4:2:0 chroma subsampling, which the video has too.

    The same image gives the same bytes.
    """
    return encode_jpeg(image, quality)


def iterate(shards: Iterable[Path]) -> Iterator[Sample]:
    """Read shards sequentially, with one sample in memory.

    Raises:
        RecordError: If a shard cannot be read or does not hold what `write_shard` writes.
    """
    for shard in shards:
        try:
            yield from _samples_of(shard)
        except (OSError, tarfile.TarError, *NOT_AS_WRITTEN) as error:
            fix = "delete it and write the shards again; index.json lists its SHA-256"
            raise RecordError(shard, "", f"is not a readable shard: {error!r}", fix) from error


def read_frames(sample: Sample, rows: Sequence[int]) -> Iterator[Image]:
    """Decode some annotated frames of a sample, in the order of `rows`, as uint8 RGB [H, W, 3].

    An mp4 is decoded from its start, so rows must increase; JPEG frames can be read in any order.

    Raises:
        RecordError: If a frame cannot be decoded.
    """
    if sample.media_kind == "mp4":
        with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
            file.write(sample.media)
            file.flush()
            yield from (image for _, image in decode(Path(file.name), [sample.frames[row].index for row in rows]))
        return
    for row in rows:
        entry = sample.frames[row]
        image = decode_frame(sample.media[entry.offset : entry.offset + entry.length])
        if image is None:
            fix = "delete the shard and write it again"
            raise RecordError(Path(f"{sample.video_id}.mjpeg"), f"frame {entry.index}", "is not a readable JPEG", fix)
        yield image


def decode_frame(content: bytes) -> Image | None:
    """Decode a JPEG to uint8 RGB [H, W, 3]; None if it cannot be decoded."""
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error:  # empty content, or a header with more pixels than OpenCV accepts
        return None
    return None if image is None else image.astype(np.uint8, copy=False)


def described(content: bytes) -> DescribedVideo:
    """Parse the JSON member of a sample.

    Raises:
        NOT_AS_WRITTEN: If it is not what `to_members` writes.
    """
    description = json.loads(content)
    height, width = description["size"]
    return DescribedVideo(
        video_id=description["video_id"],
        size=(height, width),
        rate_hz=description["rate_hz"],
        frames=tuple(
            FrameEntry(**{name: int(value) for name, value in entry.items()}) for entry in description["frames"]
        ),
        objects=tuple(_object(entry) for entry in description["objects"]),
        media_kind=description["media"],
    )


def _samples_of(shard: Path) -> Iterator[Sample]:
    with tarfile.open(shard, "r|") as archive:
        description = b""
        for member in archive:
            stream = archive.extractfile(member)
            if stream is None:
                continue
            content = stream.read()
            if member.name.endswith(".json"):
                description = content
            else:
                video = described(description)
                yield Sample(**{name: getattr(video, name) for name in DescribedVideo.__slots__}, media=content)


def _object(entry: Mapping[str, Any]) -> SampleObject:
    return SampleObject(
        source=entry["source"],
        masklet_id=entry["masklet_id"],
        column=entry["column"],
        masks=tuple(None if mask is None else _rle(mask) for mask in entry["masks"]),
        texts=tuple(SampleText(**text) for text in entry["expressions"]),
        provenance=Provenance(**entry["provenance"]),
    )


def _rle(mask: Mapping[str, Any]) -> Rle:
    height, width = mask["size"]
    return Rle((height, width), str(mask["counts"]))


def _frame_json(entry: FrameEntry, media_kind: MediaKind) -> dict[str, int]:
    if media_kind == "mp4":
        return {"index": entry.index}
    return {"index": entry.index, "offset": entry.offset, "length": entry.length}


def _object_json(entry: SampleObject) -> dict[str, object]:
    made = entry.provenance
    return {
        "source": entry.source,
        "masklet_id": entry.masklet_id,
        "column": entry.column,
        "masks": [None if mask is None else {"size": list(mask.size), "counts": mask.counts} for mask in entry.masks],
        "expressions": [{"text": text.text, "kind": text.kind, "status": text.status} for text in entry.texts],
        "provenance": {"vlm": made.vlm, "judge": made.judge, "prompts": made.prompts},
    }
