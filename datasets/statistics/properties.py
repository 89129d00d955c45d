"""Measure the properties that Table 3 of Sa2VA names without definition: long text, motion, camera motion, occlusion.

Object motion and occlusion are computed from masks; camera motion needs frames, so it is measured once per video and
stored in parts (`measures/`). Lengths are shares of the frame's diagonal. docs/formats.md gives the definitions.
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
"""An area below this share of the largest areas before and after: most of the object is covered."""
COLLAPSE_WINDOW_S = 2.0
"""Seconds before and after in which these areas are searched; a slow change of size is not a collapse."""


class MeasureConfig(Config):
    """Thresholds for the properties of Table 3. They are conventions; stats.json stores them with the results."""

    long_text_words: int = Field(
        20, ge=1, description="Words of a long text: twice the mean of other sets (7 to 10.5), a quarter of Ref-SAV's."
    )
    object_span: float = Field(
        0.25, gt=0, description="Large object motion: its centre covers this share of the frame's diagonal …"
    )
    object_speed: float = Field(
        0.5, gt=0, description="… or moves this share of the diagonal per second (DAVIS' fast motion: 20 px per frame)."
    )
    camera_speed: float = Field(
        0.1, gt=0, description="Large camera motion: the background moves this share of the diagonal per second."
    )
    occluded_share: float = Field(
        0.1,
        gt=0,
        le=1,
        description="Heavy occlusion: hidden for this share of the time between first and last appearance.",
    )
    frame_pairs: int = Field(
        8, ge=1, description="Pairs of neighbouring annotated frames in which camera motion is measured."
    )
    longest_side_px: int = Field(320, ge=64, description="Longest side in pixels at which the background is tracked.")


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectMotion:
    """Motion of an object in the image; a camera that follows the object makes it small."""

    span: float
    """Diagonal of the box around all its centres, as a share of the frame's diagonal."""
    speed: float
    """Mean distance that its centre moves per second while visible, as a share of the frame's diagonal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Occlusion:
    """How long an object is hidden between its first and last appearance."""

    share: float
    """Share of annotated frames in which it is hidden or collapsed, fraction 0-1."""
    disappearances: int
    """How often it disappears and reappears."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoMeasures:
    """Counts and measurements of one video."""

    video_id: str
    objects: int
    """Objects in its annotations, including lost ones; their sum is the number of objects that a run has read."""
    camera_speed: float | None
    """Share of the frame's diagonal per second; None where the background cannot be tracked."""
    pairs: int
    """Pairs of frames in which the background was tracked."""
    note: str
    """Why `camera_speed` is None; otherwise empty."""


def word_count(expression: str) -> int:
    """Count words separated by white space."""
    return len(expression.split())


def object_motion(track: ObjectTrack) -> ObjectMotion:
    """Measure the motion of the centre of an object's bounding box."""
    diagonal = math.hypot(*track.size)
    centres = [None if mask is None else _centre(box(mask)) for mask in track.masks]
    seen = np.array([centre for centre in centres if centre is not None])
    steps = [math.dist(a, b) for a, b in pairwise(centres) if a is not None and b is not None]
    return ObjectMotion(
        span=float(np.hypot(*np.ptp(seen, axis=0)) / diagonal) if len(seen) else 0.0,
        speed=float(np.mean(steps) * track.rate_hz / diagonal) if steps else 0.0,
    )


def occlusion(track: ObjectTrack) -> Occlusion:
    """Measure how long an object is hidden, or mostly covered (`COLLAPSED`), before it appears again."""
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
    """Measure camera motion in pairs of frames.

    Args:
        video_id: The video.
        objects: Number of objects in its annotations.
        frames: (annotated row, uint8 RGB [H, W, 3]) for the rows of `pair_rows`, increasing; of any size.
        tracks: Its objects, which are masked out of the background.
        config: Size at which the background is tracked.
    """
    shifts = list(background_shifts(frames, tracks, config.longest_side_px)) if tracks else []
    if not shifts:
        note = "no pair of frames has a background that can be followed" if tracks else "no object was read"
        return VideoMeasures(video_id=video_id, objects=objects, camera_speed=None, pairs=0, note=note)
    speed = float(np.mean(shifts)) * tracks[0].rate_hz
    return VideoMeasures(video_id=video_id, objects=objects, camera_speed=speed, pairs=len(shifts), note="")


def write_measures(run: RunDirectory, bundle: str, measures: Iterable[VideoMeasures]) -> None:
    """Write the measurements of a bundle's videos. Raises DiskError."""
    write_part(run.measures / f"{bundle}.parquet", MEASURES, measures)


def read_measures(run: RunDirectory) -> Iterator[VideoMeasures]:
    """Read all measurements of a run, part by part. Raises RecordError."""
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
