"""What Table 3 of the paper names without defining: long text, object motion, camera motion, occlusion, measured.

Object motion and occlusion come from masks alone; camera motion needs frames, so it is measured once per video and
kept in parts (`measures/`). Lengths are shares of the frame's diagonal. docs/formats.md gives the definitions.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from refsav.config import Config
from refsav.datasets.frames import Image
from refsav.datasets.masks import box
from refsav.datasets.records import ObjectTrack
from refsav.datasets.run.part_schemas import PartKind, text
from refsav.datasets.run.parts import read_part, write_part
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.statistics.camera_motion import background_shifts

COLLAPSED = 0.25
"""A mask under a quarter of what it was and will be again: most of the object is covered."""
COLLAPSE_WINDOW_S = 2.0
"""Before and after are looked for this near; a slow change of size is not a collapse."""


class MeasureConfig(Config):
    """From where on a property of Table 3 holds. Each is a convention; the measured values are kept beside it."""

    long_text_words: int = Field(
        20, ge=1, description="Words of a long text: twice the mean of other sets (7 to 10.5), a quarter of Ref-SAV's."
    )
    object_span: float = Field(
        0.25, gt=0, description="Large object motion: its centre wanders over this share of the frame's diagonal …"
    )
    object_speed: float = Field(
        0.5, gt=0, description="… or moves this share of the diagonal a second (DAVIS' fast motion, 20 px a frame)."
    )
    camera_speed: float = Field(
        0.1, gt=0, description="Large camera motion: the background moves this share of the diagonal a second."
    )
    occluded_share: float = Field(
        0.1, gt=0, le=1, description="Heavy occlusion: share of the time between first and last sight."
    )
    frame_pairs: int = Field(
        8, ge=1, description="Pairs of neighbouring annotated frames that show the camera's motion."
    )
    longest_side_px: int = Field(320, ge=64, description="Size at which the background is followed.")


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectMotion:
    """How an object moves in the image (not in the world: a camera that follows it makes it small)."""

    span: float
    """Diagonal of the box that its centres fill, as share of the frame's diagonal."""
    speed: float
    """Mean path of its centre per second while visible, as share of the frame's diagonal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Occlusion:
    """How much of an object's time it is hidden, between its first and its last appearance."""

    share: float
    """Share of annotated frames in which it is hidden or collapsed, fraction 0-1."""
    disappearances: int
    """How often it goes and comes back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoMeasures:
    """What was counted and measured in one video."""

    video_id: str
    objects: int
    """Objects that its annotations list, whatever became of them; all objects of a run are counted by these."""
    camera_speed: float | None
    """Share of the frame's diagonal per second; None where the background has nothing to follow."""
    pairs: int
    """Pairs of frames in which the background could be followed."""
    note: str
    """Why it is not known; empty where it is."""


def word_count(expression: str) -> int:
    """Count words as Table 4 does: what white space separates."""
    return len(expression.split())


def object_motion(track: ObjectTrack) -> ObjectMotion:
    """Measure the way of the centre of an object's box."""
    diagonal = math.hypot(*track.size)
    centres = [None if mask is None else _centre(box(mask)) for mask in track.masks]
    seen = np.array([centre for centre in centres if centre is not None])
    steps = [math.dist(a, b) for a, b in pairwise(centres) if a is not None and b is not None]
    return ObjectMotion(
        span=float(np.hypot(*np.ptp(seen, axis=0)) / diagonal) if len(seen) else 0.0,
        speed=float(np.mean(steps) * track.rate_hz / diagonal) if steps else 0.0,
    )


def occlusion(track: ObjectTrack) -> Occlusion:
    """Measure how long an object is hidden, or covered to less than a quarter, before it is seen again."""
    areas = np.array(track.areas_px, dtype=np.int64)
    visible = np.flatnonzero(areas)
    if not len(visible):
        return Occlusion(share=0.0, disappearances=0)
    areas = areas[visible[0] : visible[-1] + 1]
    window = max(1, round(COLLAPSE_WINDOW_S * track.rate_hz))
    hidden = areas == 0
    collapsed = [
        area < COLLAPSED * min(areas[max(0, row - window) : row + 1].max(), areas[row : row + window + 1].max())
        for row, area in enumerate(areas)
    ]
    gone = int(np.count_nonzero(hidden[1:] & ~hidden[:-1]))
    return Occlusion(share=float(np.mean(hidden | np.array(collapsed))), disappearances=gone)


def measure_video(
    video_id: str,
    objects: int,
    frames: Iterable[tuple[int, Image]],
    tracks: Sequence[ObjectTrack],
    config: MeasureConfig,
) -> VideoMeasures:
    """Measure the camera's motion in pairs of frames.

    Args:
        video_id: The video.
        objects: Objects that its annotations list.
        frames: (annotated row, uint8 RGB [H, W, 3]) for the rows of `pair_rows`, increasing; of any size.
        tracks: Its objects: where they are is no background.
        config: At what size to look.
    """
    shifts = list(background_shifts(frames, tracks, config.longest_side_px)) if tracks else []
    if not shifts:
        note = "no pair of frames has a background that can be followed" if tracks else "no object was read"
        return VideoMeasures(video_id=video_id, objects=objects, camera_speed=None, pairs=0, note=note)
    speed = float(np.mean(shifts)) * tracks[0].rate_hz
    return VideoMeasures(video_id=video_id, objects=objects, camera_speed=speed, pairs=len(shifts), note="")


def write_measures(run: RunDirectory, bundle: str, measures: Iterable[VideoMeasures]) -> None:
    """Write what was measured in a bundle's videos. Raises DiskError."""
    write_part(run.measures / f"{bundle}.parquet", MEASURES, measures)


def read_measures(run: RunDirectory) -> Iterator[VideoMeasures]:
    """Read what was measured, part by part. Raises RecordError."""
    for part in sorted(run.measures.glob("*.parquet")):
        yield from read_part(part, MEASURES)


def _centre(box_px: tuple[int, int, int, int]) -> tuple[float, float]:
    return (box_px[0] + box_px[2]) / 2, (box_px[1] + box_px[3]) / 2


def _row(measures: VideoMeasures) -> dict[str, object]:
    return {
        "video_id": text(measures.video_id),
        "objects": measures.objects,
        "camera_speed": measures.camera_speed,
        "pairs": measures.pairs,
        "note": text(measures.note),
    }


def _measures(row: Mapping[str, Any]) -> VideoMeasures:
    return VideoMeasures(
        video_id=row["video_id"],
        objects=row["objects"],
        camera_speed=row["camera_speed"],
        pairs=row["pairs"],
        note=row["note"],
    )


MEASURES = PartKind(
    pa.schema(
        [
            pa.field("video_id", pa.string(), nullable=False),
            pa.field("objects", pa.int64(), nullable=False),
            pa.field("camera_speed", pa.float64(), nullable=True),
            pa.field("pairs", pa.int64(), nullable=False),
            pa.field("note", pa.string(), nullable=False),
        ]
    ),
    _row,
    _measures,
    ("video_id",),
)
