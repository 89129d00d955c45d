"""Where an outlined object is in the frame, and what colours are around it."""

from dataclasses import dataclass

import cv2
import numpy as np

from refsav.annotators.attributes.appearance import listed
from refsav.annotators.attributes.colours import NAMES, colour_shares, name_pixels
from refsav.annotators.attributes.outline import Outlined
from refsav.datasets.frames import Image

PLACES = {
    ("left", "top"): "at the top left",
    ("centre", "top"): "at the top",
    ("right", "top"): "at the top right",
    ("left", "middle"): "on the left",
    ("centre", "middle"): "in the centre",
    ("right", "middle"): "on the right",
    ("left", "bottom"): "at the bottom left",
    ("centre", "bottom"): "at the bottom",
    ("right", "bottom"): "at the bottom right",
}
"""Thirds of the frame, across and down, to words."""

SIDES = {"left": "just to its left", "right": "just to its right", "above": "just above it", "below": "just below it"}

REACH = 0.5
"""How far the surroundings reach, as share of the longer side of the object's box."""

LEAST_REACH_PX = 12

BACKGROUND_SHARE = 0.25
"""A colour that fills this share of the surroundings is background, fraction 0-1."""

NEIGHBOUR_SHARE = 0.22
"""A colour that fills this share of one side, and is no background, is a thing next to the object, fraction 0-1."""

BARE_SHARE = 0.04
"""Up to this share of another colour on every side, nothing else is close by, fraction 0-1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What is around an object in one frame."""

    background: tuple[str, ...]
    """Names of the colours that lie behind it, the largest first."""
    neighbours: tuple[tuple[str, str], ...]
    """(colour, one of `SIDES`) of things close to it, the largest first."""
    is_bare: bool
    """Whether no side shows any other colour than the background's."""


def place_words(centre: tuple[float, float]) -> str:
    """Words for the third of the frame that holds a point (x, y), fractions 0-1."""
    across = ("left", "centre", "right")[min(2, int(3 * centre[0]))]
    down = ("top", "middle", "bottom")[min(2, int(3 * centre[1]))]
    return PLACES[across, down]


def look_around(picture: Image, outlined: Outlined) -> Surroundings:
    """Name the colours around an object in an RGB image [H, W, 3]."""
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = outlined.box
    reach = max(LEAST_REACH_PX, round(REACH * max(x1 - x0, y1 - y0)))
    left, top, right, bottom = max(0, x0 - reach), max(0, y0 - reach), min(width, x1 + reach), min(height, y1 + reach)
    around = np.s_[top:bottom, left:right]
    covered = (outlined.region[around] | outlined.line[around]).view(np.uint8)
    free = cv2.dilate(covered, np.ones((5, 5), np.uint8)) == 0  # JPEG lets the line's yellow run
    if np.count_nonzero(free) < 16:
        return Surroundings(background=(), neighbours=(), is_bare=False)
    shares = colour_shares(picture[around], free)
    background = tuple(entry.name for entry in shares[:2] if entry.share >= BACKGROUND_SHARE) or (shares[0].name,)
    names = name_pixels(picture[around])
    inner_y, inner_x = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
    windows = {
        "left": np.s_[inner_y, : x0 - left],
        "right": np.s_[inner_y, x1 - left :],
        "above": np.s_[: y0 - top, inner_x],
        "below": np.s_[y1 - top :, inner_x],
    }
    found: list[tuple[float, str, str]] = []
    for side, window in windows.items():
        seen = names[window][free[window]]
        if seen.size < 16:
            continue
        counts = np.bincount(seen, minlength=len(NAMES)) / seen.size
        best = max((name for name in NAMES if name not in background), key=lambda name: counts[NAMES.index(name)])
        found.append((float(counts[NAMES.index(best)]), best, side))
    found.sort(reverse=True)
    return Surroundings(
        background=background,
        neighbours=tuple((colour, side) for share, colour, side in found if share >= NEIGHBOUR_SHARE),
        is_bare=all(share < BARE_SHARE for share, _, _ in found),
    )


def background_words(surroundings: Surroundings) -> str:
    """Describe the background: "against a grey and brown background"; empty if it is not visible."""
    if not surroundings.background:
        return ""
    colours = listed(surroundings.background)
    return f"against {'an' if colours[0] in 'aeiou' else 'a'} {colours} background"


def neighbour_words(surroundings: Surroundings, most: int) -> str:
    """Describe neighbours: "with something blue just to its left and something white just above it"; may be empty."""
    if surroundings.is_bare:
        return "with nothing of another colour close by"
    places: dict[str, list[str]] = {}
    for colour, side in surroundings.neighbours[:most]:
        places.setdefault(colour, []).append(SIDES[side])
    parts = [f"something {colour} {' and '.join(sides)}" for colour, sides in places.items()]
    return f"with {' and '.join(parts)}" if parts else ""
