"""Synthetic scenes: coloured objects that move over a textured ground.

These are pure, frozen records. `sample_scene` samples them from a seed, `render` makes frames and masks, `measure`
measures the ground truth, `write_scenes` writes SA-V files. Positions are pixels of the first frame (x right, y down):
world and screen coordinates are equal at frame 0, and later differ by the camera's motion.
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
"""Name to RGB before light and texture. None is like the grounds; yellow differs from the outline's (255, 255, 0)."""

SHAPES = ("circle", "square", "triangle", "star", "ring", "cross", "ellipse", "bar")

EXTENTS: dict[str, tuple[float, float]] = {"small": (0.105, 0.13), "medium": (0.17, 0.205), "large": (0.265, 0.31)}
"""Size class to the range of sqrt(full area) / (the frame's shorter side), halfway through the video."""

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
    """The settings of synthetic scenes. Shares are probabilities, 0-1."""

    videos: int = Field(20, ge=1, le=1_000_000, description="Videos in the folder; increase it later to add more.")
    seed: int = Field(0, ge=0, description="The same seed and settings give the same bytes.")
    height: int = Field(480, ge=64, le=2160, multiple_of=2, description="Height of the videos, in pixels.")
    width: int = Field(640, ge=64, le=3840, multiple_of=2, description="Width of the videos, in pixels.")
    frames: int = Field(96, ge=16, le=2400, description="Frames in each video, at 24 per second.")
    min_objects: int = Field(2, ge=1, le=8, description="Smallest number of objects in a video.")
    max_objects: int = Field(5, ge=1, le=8, description="Largest number of objects in a video.")
    distractor_share: float = Field(
        0.5, ge=0, le=1, description="Share of objects that have the colour or the shape of another."
    )
    moving_share: float = Field(0.7, ge=0, le=1, description="Share of objects that move on their own.")
    late_share: float = Field(
        0.12, ge=0, le=1, description="Share of objects that enter the frame after the video has started."
    )
    leaving_share: float = Field(0.1, ge=0, le=1, description="Share of objects that leave the frame.")
    occlusion_share: float = Field(
        0.3, ge=0, le=1, description="Share of objects that cross another one, in front of it or behind it."
    )
    camera_share: float = Field(
        0.4, ge=0, le=1, description="Share of videos with a moving camera: a pan, a shake, or both."
    )
    auto_share: float = Field(
        0.2, ge=0, le=1, description="Share of objects annotated in _auto.json instead of _manual.json."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_objects > self.max_objects:
            raise ValueError(f"min_objects is {self.min_objects}, more than max_objects, {self.max_objects}")
        if self.late_share + self.leaving_share > 1:
            raise ValueError("late_share and leaving_share add up to more than 1")
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class Camera:
    """The camera's motion: the position of the frame's corner in the world; (0, 0) at the first frame."""

    kind: CameraKind
    pan_px: tuple[float, float]
    """Displacement (x, y) from the first to the last frame."""
    shake_px: float
    """Amplitude of the shake of a hand-held camera."""
    phases: tuple[float, ...]
    """Phase of each oscillation of the shake, in radians."""
    duration_s: float

    def at(self, share: Floats) -> Floats:
        """Return positions, float64 [N, 2] in pixels, at shares [N] of the video: 0 is its first frame, 1 its last."""
        position: Floats = _eased(share, 0.6)[:, None] * np.array(self.pan_px)
        for number, phase in enumerate(self.phases):
            angle = 2 * np.pi * (0.55 + 0.6 * (number // 2)) * self.duration_s * share + phase
            position[:, number % 2] += self.shake_px / (1 + number // 2) * (np.sin(angle) - np.sin(phase))
        return position


@dataclass(frozen=True, kw_only=True, slots=True)
class Trajectory:
    """An object's motion in the world: almost straight, slightly bent, slowly growing and rotating."""

    start_px: tuple[float, float]
    end_px: tuple[float, float]
    bow_px: float
    """Distance of the trajectory's midpoint from the straight line."""
    ease: float
    """0 for constant speed, 1 for a start and an end at rest."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Size at the first and the last frame, relative to the middle."""
    angle_deg: tuple[float, float] = (0.0, 0.0)

    def at(self, share: Floats) -> Floats:
        """Return centres, float64 [N, 2] in world pixels, at shares [N] of the video, 0-1."""
        start, end = np.array(self.start_px), np.array(self.end_px)
        line = end - start
        length = float(np.hypot(*line)) or 1.0
        bow = np.array([-line[1], line[0]]) / length * self.bow_px
        centres: Floats = start + _eased(share, self.ease)[:, None] * line + np.sin(np.pi * share)[:, None] * bow
        return centres


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneObject:
    """One object of a scene."""

    colour: str
    shape: str
    size: str
    finish: Finish
    extent_px: float
    """sqrt of its full area at scale 1, so shapes of equal extent have equal areas."""
    trajectory: Trajectory
    depth: int
    """0 is nearest to the camera; nearer objects occlude farther ones."""
    source: Source
    """The annotation file that it is listed in."""


class Pose(NamedTuple):
    """An object's centre, scale and rotation on the screen in one frame."""

    x_px: float
    y_px: float
    scale: float
    angle_deg: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """The complete description of a video."""

    video_id: str
    seed: tuple[int, int, int]
    """Configured seed, the video's number, and the draw, which increases until the ground truth is well defined."""
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
        """Return a frame's position in the video, from 0 (first frame) to 1 (last)."""
        return frame / (self.frame_count - 1)

    def row_shares(self) -> Floats:
        """Return the position in the video of each annotated frame, float64 [rows], 0-1."""
        return np.arange(self.row_count, dtype=np.float64) * (FRAME_STEP / (self.frame_count - 1))

    def pose(self, number: int, frame: int) -> Pose:
        """Return the pose of object `number` on the screen in a frame."""
        share = self.share(frame)
        trajectory, at = self.objects[number].trajectory, np.array([share])
        x, y = (trajectory.at(at) - self.camera.at(at))[0]
        scale = trajectory.scale[0] + (trajectory.scale[1] - trajectory.scale[0]) * share
        angle = trajectory.angle_deg[0] + (trajectory.angle_deg[1] - trajectory.angle_deg[0]) * share
        return Pose(float(x), float(y), scale, angle)

    def with_objects(self, *more: SceneObject) -> "Scene":
        """Return the same scene with more objects."""
        return replace(self, objects=(*self.objects, *more))


def _eased(share: Floats, ease: float) -> Floats:
    return (1 - ease) * share + ease * share * share * (3 - 2 * share)
