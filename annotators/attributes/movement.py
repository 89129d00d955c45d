"""Following an outlined object from frame to frame, and saying how it moves on the screen."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

DIRECTIONS = (
    "to the right",
    "down and to the right",
    "down",
    "down and to the left",
    "to the left",
    "up and to the left",
    "up",
    "up and to the right",
)
"""In steps of 45 degrees from the x axis; y points down."""

STILL = 0.05
"""Way on the screen, as share of the frame's diagonal, below which an object stays where it is."""

ROAMING = 0.12
"""Distance from its start at which an object has moved, even if it ends where it started; same unit."""

FULL_VIEW = 0.2
"""Frames in which less than this share of its largest area shows do not say where an object is, fraction 0-1."""

DETOUR = 2.5
"""Length of the way over the straight one from which an object moves about."""

GROWN = 2.0
"""Factor of growth or shrinkage from which it is mentioned."""

SAME_PROPORTIONS = 1.25
"""Ratio of its proportions within which it is larger or smaller, not more or less hidden."""


class Sighting(NamedTuple):
    """Where an object is in one frame."""

    centre_px: tuple[float, float]
    """Centroid (x, y), in pixels."""
    area_px: int
    height_over_width: float
    """Of its box."""
    meets_edge: bool
    """Whether the frame's edge may cut it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Movement:
    """How an object moves on the screen."""

    displacement: tuple[float, float]
    """(x, y) from where it is first in view to where it is last, as shares of the frame's diagonal."""
    direction: str
    """One of `DIRECTIONS`; empty if it stays where it is."""
    roams: bool
    """Whether it goes far out of the straight way from where it is first to where it is last."""
    growth: float
    """Area at the end over area at the start; 1 if it is not known."""
    seen: tuple[bool, ...]
    """Whether it is visible, for each frame."""


def movement_of(sightings: Sequence[Sighting | None], diagonal_px: float) -> Movement | None:
    """Summarize the movement of an object in evenly spaced frames; None if it is never visible."""
    largest = max((sighting.area_px for sighting in sightings if sighting), default=0)
    clear = [sighting for sighting in sightings if sighting and sighting.area_px >= FULL_VIEW * largest]
    if not clear:
        return None
    points = np.array([sighting.centre_px for sighting in clear]) / diagonal_px
    x, y = (float(value) for value in points[-1] - points[0])
    length = float(np.hypot(x, y))
    farthest = float(np.hypot(*(points - points[0]).T).max())
    way = float(np.hypot(*np.diff(points, axis=0).T).sum())
    moves = length >= STILL
    return Movement(
        displacement=(x, y),
        direction=direction_words(x, y) if moves else "",
        roams=way >= DETOUR * length if moves else farthest >= ROAMING,
        growth=_growth([sighting for sighting in clear if not sighting.meets_edge]),
        seen=tuple(sighting is not None for sighting in sightings),
    )


def _growth(whole: Sequence[Sighting]) -> float:
    """Last area over first, if it changes steadily and the object keeps its proportions; else 1."""
    if len(whole) < 3:
        return 1.0
    ratios = [after.area_px / before.area_px for before, after in pairwise(whole)]
    proportions = whole[-1].height_over_width / whole[0].height_over_width
    steady = all(ratio > 0.95 for ratio in ratios) or all(ratio < 1.05 for ratio in ratios)
    if not steady or not 1 / SAME_PROPORTIONS < proportions < SAME_PROPORTIONS:
        return 1.0
    return whole[-1].area_px / whole[0].area_px


def direction_words(x: float, y: float) -> str:
    """Words for a way on the screen, x to the right and y down."""
    return DIRECTIONS[round(float(np.degrees(np.arctan2(y, x))) / 45) % 8]


def movement_words(movement: Movement) -> str:
    """Say how it moves: "moves up and to the left", "moves about and ends farther to the right"."""
    if movement.direction and movement.roams:
        return f"moves about and ends farther {movement.direction}"
    if movement.direction:
        return f"moves {movement.direction}"
    if movement.roams:
        return "moves about and ends close to where it started"
    return "stays in nearly the same place"


def growth_words(movement: Movement) -> str:
    """State whether it becomes larger or smaller; may be empty."""
    if movement.growth >= GROWN:
        return "growing larger"
    return "growing smaller" if movement.growth <= 1 / GROWN else ""


def visibility_words(seen: Sequence[bool]) -> tuple[str, ...]:
    """State when it is not visible: "comes into view only later", "is hidden for a while"; empty if it always is."""
    if all(seen) or not any(seen):
        return ()
    phrases = []
    first, last = list(seen).index(True), len(seen) - 1 - list(reversed(seen)).index(True)
    if first > 0:
        phrases.append("comes into view only later")
    gaps = sum(before and not after for before, after in pairwise(seen[first : last + 1]))
    if gaps:
        phrases.append("is hidden for a while" if gaps == 1 else "is hidden more than once")
    if last < len(seen) - 1:
        phrases.append("is out of sight at the end")
    return tuple(phrases)
