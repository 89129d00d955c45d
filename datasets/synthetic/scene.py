"""Scenes that never were: coloured things that move over a textured ground, all drawn from one seed.

Pure: numbers in, frozen records out. `synthetic_paint` makes pictures and masks of them, `synthetic_truth` measures
what the pictures show, `synthetic` writes them as SA-V. Positions are pixels of the first frame (x right, y down): the
world and the screen agree at frame 0, and later differ by where the camera has gone.
"""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from refsav.config import Config
from refsav.datasets.records import Source

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (206, 38, 38),
    "orange": (243, 128, 22),
    "yellow": (236, 200, 48),
    "green": (44, 150, 62),
    "cyan": (40, 184, 200),
    "blue": (38, 78, 204),
    "purple": (126, 58, 178),
    "pink": (242, 136, 186),
    "white": (240, 240, 236),
    "black": (34, 34, 38),
}
"""Name to RGB before light and texture. None is like the grounds, and yellow keeps off the outline's (255, 255, 0)."""

SHAPES = ("circle", "square", "triangle", "star", "ring", "cross", "ellipse", "bar")

EXTENTS: dict[str, tuple[float, float]] = {"small": (0.105, 0.13), "medium": (0.17, 0.205), "large": (0.265, 0.31)}
"""Size class to the range of sqrt(whole area) over the frame's shorter side, halfway through the video."""

RATE_HZ = 24
FRAME_STEP = 4
"""Video frames from one annotated frame to the next, as in SA-V."""

Ground = Literal["concrete", "wood", "grass", "carpet", "sand", "tiles"]
GROUNDS: tuple[Ground, ...] = ("concrete", "wood", "grass", "carpet", "sand", "tiles")
Finish = Literal["plain", "grain", "stripes", "speckle"]
FINISHES: tuple[Finish, ...] = ("plain", "grain", "stripes", "speckle")
CameraKind = Literal["static", "pan", "shake", "pan and shake"]
Floats = npt.NDArray[np.float64]


class SynthConfig(Config):
    """What synthetic scenes are made of. Shares are probabilities, 0-1."""

    videos: int = Field(20, ge=1, le=1_000_000, description="Videos in the folder; raise it later to add more.")
    seed: int = Field(0, ge=0, description="Same seed and settings: same bytes.")
    height: int = Field(480, ge=64, le=2160, multiple_of=2, description="Height of the videos, in pixels.")
    width: int = Field(640, ge=64, le=3840, multiple_of=2, description="Width of the videos, in pixels.")
    frames: int = Field(96, ge=16, le=2400, description="Frames of each video, at 24 a second.")
    min_objects: int = Field(2, ge=1, le=8, description="Fewest objects in a video.")
    max_objects: int = Field(5, ge=1, le=8, description="Most objects in a video.")
    distractor_share: float = Field(0.5, ge=0, le=1, description="Objects that share colour or shape with another.")
    moving_share: float = Field(0.7, ge=0, le=1, description="Objects that move by themselves.")
    late_share: float = Field(0.12, ge=0, le=1, description="Objects that come into the frame after it has begun.")
    leaving_share: float = Field(0.1, ge=0, le=1, description="Objects that leave the frame.")
    occlusion_share: float = Field(0.3, ge=0, le=1, description="Objects led across another, before or behind it.")
    camera_share: float = Field(0.4, ge=0, le=1, description="Videos with a moving camera: a pan, a shake, or both.")
    auto_share: float = Field(0.2, ge=0, le=1, description="Objects annotated in _auto.json instead of _manual.json.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_objects > self.max_objects:
            raise ValueError(f"min_objects is {self.min_objects}, more than max_objects, {self.max_objects}")
        if self.late_share + self.leaving_share > 1:
            raise ValueError("late_share and leaving_share add up to more than 1")
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class Camera:
    """Where the frame's corner is in the world; (0, 0) at the first frame."""

    kind: CameraKind
    pan_px: tuple[float, float]
    """How far it goes from the first to the last frame."""
    shake_px: float
    """Amplitude of a hand's tremble."""
    phases: tuple[float, ...]
    """Start of each tremble, in radians."""
    duration_s: float

    def at(self, share: Floats) -> Floats:
        """Positions [N, 2] in pixels at shares of the video, 0 at its first frame and 1 at its last."""
        position: Floats = _eased(share, 0.6)[:, None] * np.array(self.pan_px)
        for number, phase in enumerate(self.phases):
            angle = 2 * np.pi * (0.55 + 0.6 * (number // 2)) * self.duration_s * share + phase
            position[:, number % 2] += self.shake_px / (1 + number // 2) * (np.sin(angle) - np.sin(phase))
        return position


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """How an object goes through the world: almost straight, softly bent, slowly growing and turning."""

    start_px: tuple[float, float]
    end_px: tuple[float, float]
    bow_px: float
    """How far the middle of the way lies off the straight line."""
    ease: float
    """0 for steady speed, 1 for a start and an end at rest."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Size at the first and the last frame, relative to the middle."""
    angle_deg: tuple[float, float] = (0.0, 0.0)

    def at(self, share: Floats) -> Floats:
        """Centres [N, 2] in world pixels at shares of the video, 0-1."""
        start, end = np.array(self.start_px), np.array(self.end_px)
        way = end - start
        length = float(np.hypot(*way)) or 1.0
        aside = np.array([-way[1], way[0]]) / length * self.bow_px
        centres: Floats = start + _eased(share, self.ease)[:, None] * way + np.sin(np.pi * share)[:, None] * aside
        return centres


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneObject:
    """One thing of a scene."""

    colour: str
    shape: str
    size: str
    finish: Finish
    extent_px: float
    """sqrt of its whole area at scale 1: equal for all shapes of one area."""
    course: Course
    depth: int
    """0 is nearest to the camera; nearer things hide farther ones."""
    source: Source
    """The annotation file that it is listed in."""


class Pose(NamedTuple):
    """Where an object is on the screen in one frame."""

    x_px: float
    y_px: float
    scale: float
    angle_deg: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """All that a video is made of."""

    video_id: str
    seed: tuple[int, int, int]
    """Configured seed, number of the video, draw: drawn again until its truth is well defined."""
    size: tuple[int, int]
    """(height, width) in pixels."""
    frame_count: int
    ground: Ground
    camera: Camera
    objects: tuple[SceneObject, ...]

    @property
    def row_count(self) -> int:
        """Number of annotated frames: every fourth, the first included."""
        return -(-self.frame_count // FRAME_STEP)

    @property
    def diagonal_px(self) -> float:
        """Length of the frame's diagonal, in pixels."""
        return float(np.hypot(*self.size))

    def share(self, frame: int) -> float:
        """How far through the video a frame is, 0-1."""
        return frame / (self.frame_count - 1)

    def row_shares(self) -> Floats:
        """Share of the video at each annotated frame, [rows]."""
        return np.arange(self.row_count, dtype=np.float64) * (FRAME_STEP / (self.frame_count - 1))

    def pose(self, number: int, frame: int) -> Pose:
        """Where object `number` stands on the screen in a frame."""
        share = self.share(frame)
        course, at = self.objects[number].course, np.array([share])
        x, y = (course.at(at) - self.camera.at(at))[0]
        scale = course.scale[0] + (course.scale[1] - course.scale[0]) * share
        angle = course.angle_deg[0] + (course.angle_deg[1] - course.angle_deg[0]) * share
        return Pose(float(x), float(y), scale, angle)

    def with_objects(self, *more: SceneObject) -> "Scene":
        """The same scene with more things in it."""
        return replace(self, objects=(*self.objects, *more))


def _eased(share: Floats, ease: float) -> Floats:
    return (1 - ease) * share + ease * share * share * (3 - 2 * share)
