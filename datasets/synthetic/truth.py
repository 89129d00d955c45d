"""What is true of a synthetic scene: the format of `<video_id>_truth.json`, which holds one SceneTruth.

Definitions, for every object (an annotated row t is video frame 4t):

- place: the third of the frame, across and down, that holds the object's centre in the row with its largest mask.
- a row is clear for an object if at least CLEAR of its whole area can be seen.
- motion: displacement of its centre from its first to its last clear row, on the screen. Below STILL of the frame's
  diagonal the direction is "still"; else it is the nearest of eight, sectors of 45 degrees around the axes and the
  diagonals. World motion is the same with the camera's own way added.
- occlusion: what nearer objects cover of the part that lies within the frame.
- visible_enough: for people and programs alike, judged from the masks alone: the largest mask covers at least
  LARGE_ENOUGH of the frame and CLEAR of the object, and at least a quarter of the rows are clear.

A scene is used only if these words fit its visible objects whichever way one measures (`ambiguity` below).
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
Kind = Literal["colour", "shape", "colour and shape", "size", "place", "motion"]

CLEAR = 0.6
LARGE_ENOUGH = 0.003
STILL = 0.05


class _Truth(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Place(_Truth):
    """Where the object is in the row in which its mask is largest (the first of equals)."""

    row: int
    across: Across
    down: Down
    margin: float = Field(description="Distance of the centre to the nearest border of a third, as share of the side.")


class Motion(_Truth):
    """Displacement of the centre between two rows."""

    first_row: int
    last_row: int
    displacement_px: tuple[float, float] = Field(description="(x, y), x right and y down.")
    distance: float = Field(description="Its length, as share of the frame's diagonal.")
    direction: Direction


class Occlusion(_Truth):
    """How much of the object is hidden, and when."""

    hidden_share: float = Field(description="Share of the rows in which nothing of it can be seen.")
    max_covered: float = Field(description="Largest share of its part within the frame that nearer objects cover.")
    comes_late: bool = Field(description="Not visible in row 0.")
    leaves: bool = Field(description="Not visible in the last row.")


class ShortExpression(_Truth):
    """A phrase that fits this object of the video and no other."""

    kind: Kind
    text: str


class ObjectTruth(_Truth):
    """One object. Lists hold one entry per annotated row."""

    source: Source = Field(description="manual or auto: the annotation file that it is in.")
    masklet_id: int = Field(description="Its id there, which equals its column.")
    colour: str
    rgb: tuple[int, int, int] = Field(description="Before light and texture.")
    shape: str
    size: str = Field(description="small, medium or large, from sqrt(whole area) over the frame's shorter side.")
    depth: int = Field(description="0 is nearest to the camera.")
    centres_px: list[tuple[float, float]] = Field(description="Centre (x, y) of the whole object, seen or not.")
    seen_centres_px: list[tuple[float, float]] = Field(description="Centroid of the mask; (-1, -1) where hidden.")
    areas_px: list[int] = Field(description="Area of the mask.")
    visible_fraction: list[float] = Field(description="Mask over the whole object, also outside of the frame, 0-1.")
    covered_fraction: list[float] = Field(description="Share of its part in the frame covered by nearer objects, 0-1.")
    place: Place
    motion: Motion
    world_motion: Motion
    occlusion: Occlusion
    visible_enough: bool
    expressions: list[ShortExpression] = Field(description="All that are unambiguous; colour and shape always is.")


class SceneTruth(_Truth):
    """One video; the file `<video_id>_truth.json`."""

    version: Literal[1] = 1
    video_id: str
    seed: tuple[int, int, int]
    height: int
    width: int
    frame_count: int
    frame_step: int = FRAME_STEP
    ground: Ground
    camera: CameraKind
    camera_px: list[tuple[float, float]] = Field(description="Way (x, y) of the frame through the world, per row.")
    camera_motion: Motion
    objects: list[ObjectTruth]


def read_truth(path: Path) -> SceneTruth:
    """Read a truth file.

    Raises:
        RecordError: If it is missing or not one.
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
    """Name a displacement (x right, y down)."""
    x, y = displacement_px
    if np.hypot(x, y) < STILL * diagonal_px:
        return "still"
    return DIRECTIONS[round(float(np.degrees(np.arctan2(y, x))) / 45) % 8]


def place_of(centre_px: tuple[float, float], height: int, width: int) -> tuple[Across, Down, float]:
    """Thirds that hold a point, across and down, and its distance to the nearest border between thirds (share)."""
    across: tuple[Across, ...] = ("left", "centre", "right")
    down: tuple[Down, ...] = ("top", "middle", "bottom")
    x, y = (min(max(share, 0.0), 0.999999) for share in ((centre_px[0] + 0.5) / width, (centre_px[1] + 0.5) / height))
    margin = min(abs(share - border) for share in (x, y) for border in (1 / 3, 2 / 3))
    return across[int(3 * x)], down[int(3 * y)], margin


def ambiguity(truth: SceneTruth) -> str:
    """Say what is not well defined about the objects that are visible enough; empty for a scene that can be used.

    Whether one follows whole centres or masks, over clear rows or over all rows with a fair part of the mask, the
    direction must be the same, and not near a border of its sector or of "still"; the place likewise.
    """
    diagonal = float(np.hypot(truth.height, truth.width))
    for thing in truth.objects:
        if max(thing.areas_px) == 0:
            return f"the {thing.colour} {thing.shape} is never seen"
        if thing.source == "auto" and thing.occlusion.comes_late:
            return f"the {thing.colour} {thing.shape} comes late, and SA-V's automatic masklets start in the first row"
        if not thing.visible_enough:
            continue
        fair = [row for row, area in enumerate(thing.areas_px) if area > 0.1 * max(thing.areas_px)]
        ends = {(thing.motion.first_row, thing.motion.last_row), (fair[0], fair[-1])}
        for centres in (np.array(thing.centres_px), np.array(thing.seen_centres_px)):
            for first, last in ends:
                if not _decided(centres[last] - centres[first], thing.motion.direction, diagonal):
                    return f"the {thing.colour} {thing.shape} moves in no clear direction"
            row = thing.place.row
            across, down, margin = place_of(tuple(centres[row]), truth.height, truth.width)
            if (across, down) != (thing.place.across, thing.place.down) or margin < 0.015:
                return f"the {thing.colour} {thing.shape} lies between two thirds of the frame"
    return ""


def _decided(displacement: Floats, direction: Direction, diagonal_px: float) -> bool:
    length = float(np.hypot(*displacement)) / diagonal_px
    if direction == "still":
        return length < 0.04
    sector_deg = float(np.degrees(np.arctan2(displacement[1], displacement[0]))) - 45 * DIRECTIONS.index(direction)
    return length > 0.08 and abs((sector_deg + 180) % 360 - 180) < 19
