"""The ground truth of a synthetic scene: the format of `<video_id>_truth.json`, which holds one SceneTruth.

Definitions, for every object (annotated row t is video frame 4t):

- place: the third of the frame, across and down, that contains the object's centre in the row with its largest mask.
- a row is clear for an object if at least CLEAR of its full area is visible.
- motion: displacement of its centre on the screen from its first to its last clear row. Below STILL of the frame's
  diagonal the direction is "still"; otherwise it is the nearest of eight, in sectors of 45 degrees around the axes and
  the diagonals. World motion is the same with the camera's displacement added.
- occlusion: the share of the object's part within the frame that nearer objects cover.
- visible_enough: computed from the masks alone: the largest mask covers at least LARGE_ENOUGH of the frame and CLEAR of
  the object, and at least a quarter of the rows are clear.

A scene is used only if these values are the same for every way to measure its visible objects (see `ambiguity`).
"""

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from refsav.datasets.records import Source
from refsav.datasets.synthetic.scene import FRAME_STEP, CameraKind, Floats, Ground
from refsav.errors import RecordError

Direction = Literal["still", "right", "down-right", "down", "down-left", "left", "up-left", "up", "up-right"]
DIRECTIONS: tuple[Direction, ...] = (
    "right", "down-right", "down", "down-left", "left", "up-left", "up", "up-right"
)  # fmt: skip
"""In steps of 45 degrees from the x axis; y points down."""
Across = Literal["left", "centre", "right"]
Down = Literal["top", "middle", "bottom"]
ExpressionKind = Literal["colour", "shape", "colour and shape", "size", "place", "motion"]

CLEAR = 0.6
LARGE_ENOUGH = 0.003
STILL = 0.05


class _Truth(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FramePosition(_Truth):
    """The object's position in the row in which its mask is largest (the first if several are equal)."""

    row: int
    across: Across
    down: Down
    margin: float = Field(description="Distance of the centre to the nearest border of a third, as share of the side.")


class Motion(_Truth):
    """Displacement of the centre between two rows."""

    first_row: int
    last_row: int
    displacement_px: tuple[float, float] = Field(description="(x, y), x right and y down.")
    distance: float = Field(description="Length of the displacement, as share of the frame's diagonal.")
    direction: Direction


class Occlusion(_Truth):
    """How much of the object is hidden, and when."""

    hidden_share: float = Field(description="Share of the rows in which no part of the object is visible.")
    max_covered: float = Field(description="Largest share of its part within the frame that nearer objects cover.")
    comes_late: bool = Field(description="Not visible in row 0.")
    leaves: bool = Field(description="Not visible in the last row.")


class ShortExpression(_Truth):
    """A phrase that fits exactly this object of the video."""

    kind: ExpressionKind
    text: str


class ObjectTruth(_Truth):
    """One object. Lists hold one entry per annotated row."""

    source: Source = Field(description="manual or auto: the annotation file that lists it.")
    masklet_id: int = Field(description="Its id in that file, which equals its column.")
    colour: str
    rgb: tuple[int, int, int] = Field(description="Colour before light and texture.")
    shape: str
    size: str = Field(description="small, medium or large, by sqrt(full area) / (the frame's shorter side).")
    depth: int = Field(description="0 is nearest to the camera.")
    centres_px: list[tuple[float, float]] = Field(description="Centre (x, y) of the full object, visible or not.")
    seen_centres_px: list[tuple[float, float]] = Field(description="Centroid of the mask; (-1, -1) where hidden.")
    areas_px: list[int] = Field(description="Area of the mask, in pixels.")
    visible_fraction: list[float] = Field(description="Mask area / full area, which includes parts off screen, 0-1.")
    covered_fraction: list[float] = Field(description="Share of its part in the frame covered by nearer objects, 0-1.")
    place: FramePosition
    motion: Motion
    world_motion: Motion
    occlusion: Occlusion
    visible_enough: bool
    expressions: list[ShortExpression] = Field(description="All unambiguous phrases; colour and shape is always one.")


class SceneTruth(_Truth):
    """The ground truth of one video; the content of `<video_id>_truth.json`."""

    version: Literal[1] = 1
    video_id: str
    seed: tuple[int, int, int]
    height: int
    width: int
    frame_count: int
    frame_step: int = FRAME_STEP
    ground: Ground
    camera: CameraKind
    camera_px: list[tuple[float, float]] = Field(description="Position (x, y) of the frame in the world, per row.")
    camera_motion: Motion
    objects: list[ObjectTruth]


def read_truth(path: Path) -> SceneTruth:
    """Read a `<video_id>_truth.json`.

    Raises:
        RecordError: If it is missing, cannot be read, or has another format.
    """
    try:
        return SceneTruth.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RecordError(path, "", f"cannot be read: {error.strerror}", "run refsav synth again") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RecordError(path, where, first["msg"], "delete the file and run refsav synth again") from None


def direction_of(displacement_px: tuple[float, float], diagonal_px: float) -> Direction:
    """Return the direction of a displacement (x right, y down); "still" if it is short compared with the diagonal."""
    x, y = displacement_px
    if np.hypot(x, y) < STILL * diagonal_px:
        return "still"
    return DIRECTIONS[round(float(np.degrees(np.arctan2(y, x))) / 45) % 8]


def thirds_of(centre_px: tuple[float, float], height: int, width: int) -> tuple[Across, Down, float]:
    """Return the thirds of the frame that contain a point, and its distance to the nearest border between thirds.

    Args:
        centre_px: The point (x, y).
        height: Of the frame, in pixels.
        width: Of the frame, in pixels.

    Returns:
        The third across, the third down, and the distance as share of the frame's side.
    """
    across: tuple[Across, ...] = ("left", "centre", "right")
    down: tuple[Down, ...] = ("top", "middle", "bottom")
    x, y = (min(max(share, 0.0), 0.999999) for share in ((centre_px[0] + 0.5) / width, (centre_px[1] + 0.5) / height))
    margin = min(abs(share - border) for share in (x, y) for border in (1 / 3, 2 / 3))
    return across[int(3 * x)], down[int(3 * y)], margin


def ambiguity(truth: SceneTruth) -> str:
    """Return what is ambiguous about the objects that are visible enough; "" for a scene that can be used.

    Direction and place must not depend on how they are measured: from the centres of full objects or of masks, over
    clear rows or over all rows with a fair part of the mask. They must also not be close to a border: of a direction's
    sector, of "still", or of a third of the frame.
    """
    diagonal = float(np.hypot(truth.height, truth.width))
    for thing in truth.objects:
        if max(thing.areas_px) == 0:
            return f"the {thing.colour} {thing.shape} is never visible"
        if thing.source == "auto" and thing.occlusion.comes_late:
            return f"the {thing.colour} {thing.shape} enters late, but SA-V's automatic masklets start in the first row"
        if not thing.visible_enough:
            continue
        fair = [row for row, area in enumerate(thing.areas_px) if area > 0.1 * max(thing.areas_px)]
        ends = {(thing.motion.first_row, thing.motion.last_row), (fair[0], fair[-1])}
        for centres in (np.array(thing.centres_px), np.array(thing.seen_centres_px)):
            for first, last in ends:
                if not _is_clear(centres[last] - centres[first], thing.motion.direction, diagonal):
                    return f"the {thing.colour} {thing.shape} moves in no clear direction"
            row = thing.place.row
            across, down, margin = thirds_of(tuple(centres[row]), truth.height, truth.width)
            if (across, down) != (thing.place.across, thing.place.down) or margin < 0.015:
                return f"the {thing.colour} {thing.shape} lies between two thirds of the frame"
    return ""


def _is_clear(displacement: Floats, direction: Direction, diagonal_px: float) -> bool:
    length = float(np.hypot(*displacement)) / diagonal_px
    if direction == "still":
        return length < 0.04
    sector_deg = float(np.degrees(np.arctan2(displacement[1], displacement[0]))) - 45 * DIRECTIONS.index(direction)
    return length > 0.08 and abs((sector_deg + 180) % 360 - 180) < 19
