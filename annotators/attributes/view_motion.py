"""Whether the camera moves between frames, measured on the background by phase correlation.

The shift that phase correlation finds is accepted only if the background then fits much better than without a shift; if
neither fits, the motion is unknown. datasets/statistics/camera_motion.py measures it on the frames of a video.
"""

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from refsav.annotators.attributes.movement import STILL, direction_words
from refsav.annotators.attributes.outline import Outlined
from refsav.datasets.frames import Image

Plane = npt.NDArray[np.float32]
"""float32 [h, w]."""

WORKING_SIDE_PX = 160
"""Frames are compared in this size."""

LEAST_SIDE_PX = 48
"""The camera is not measured on smaller frames."""

CONTRAST_FLOOR = 3.0
"""Local contrast, of 255, under which a spot counts as without texture."""

BETTER_FIT = 0.85
"""A way is believed if the background differs by at most this share of what it differs otherwise, fraction 0-1."""

NUDGES = ((2, 0), (-2, 0), (0, 2), (0, -2))
"""Shifts in pixels that must fit worse than none before the camera is said to keep still."""

STEADY = 0.012
"""Way from one frame to the next, as share of the diagonal, up to which the camera is steady."""

Way = tuple[float, float]
"""(x, y) as shares of the frame's diagonal."""


def camera_words(pictures: Sequence[Image], outlines: Sequence[Outlined | None]) -> str:
    """Describe what the camera does: "keeps nearly still", "moves", "moves to the right"; empty if unknown.

    Args:
        pictures: uint8 RGB [H, W, 3], all of one size, in order.
        outlines: The object in each, which is left out.
    """
    if len(pictures) < 2 or min(min(picture.shape[:2]) for picture in pictures) < LEAST_SIDE_PX:
        return ""
    views = [_view(picture, outlined) for picture, outlined in zip(pictures, outlines, strict=True)]
    ways = [_background_way(before, after) for before, after in pairwise(views)]
    known = [way for way in ways if way is not None]
    if len(known) < max(2, 0.7 * len(ways)):
        return ""
    lengths = [float(np.hypot(*way)) for way in known]
    if max(lengths) <= STEADY:
        return "keeps nearly still" if len(known) == len(ways) else ""
    if sum(length > STEADY for length in lengths) < 2:
        return ""
    # The background goes left when the camera turns right.
    x, y = (-sum(way[axis] for way in known) for axis in (0, 1))
    if len(known) >= len(ways) - 1 and np.hypot(x, y) >= max(2 * STILL, 0.7 * sum(lengths)):
        return f"moves {direction_words(x, y)}"
    return "moves"


def _view(picture: Image, outlined: Outlined | None) -> tuple[Plane, Plane]:
    """A small copy of the background with all textures brought to one strength, and the same faded out at its edges."""
    # A whole factor makes the averaging several times faster.
    factor = max(1, round(max(picture.shape[:2]) / WORKING_SIDE_PX))
    height, width = (max(1, side // factor) for side in picture.shape[:2])
    part = np.s_[: height * factor, : width * factor]
    whole = cv2.cvtColor(picture[part], cv2.COLOR_RGB2GRAY)
    grey = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    fine = grey - cv2.GaussianBlur(grey, (0, 0), 4)
    even = fine / (cv2.GaussianBlur(np.abs(fine), (0, 0), 6) + CONTRAST_FLOOR)
    seen = even.astype(np.float32)
    if outlined is not None:
        covered = (outlined.region[part] | outlined.line[part])[::factor, ::factor]
        hidden = cv2.dilate(covered.view(np.uint8), np.ones((5, 5), np.uint8)) > 0
        even[hidden] = 0
        seen[hidden] = np.nan
    return seen, np.asarray(even * cv2.createHanningWindow((width, height), cv2.CV_32F), dtype=np.float32)


def _background_way(before: tuple[Plane, Plane], after: tuple[Plane, Plane]) -> Way | None:
    """Way of the background from one frame to the next; None if it cannot be measured."""
    # phaseCorrelate may write into what it is given.
    (x, y), _ = cv2.phaseCorrelate(before[1].copy(), after[1].copy())
    height, width = before[0].shape
    if max(abs(x) / width, abs(y) / height) > 0.5:
        return None
    step_x, step_y = round(x), round(y)
    unmoved = _difference(before[0], after[0], 0, 0)
    if not (step_x or step_y) or _difference(before[0], after[0], step_x, step_y) >= BETTER_FIT * unmoved:
        shaken = min(_difference(before[0], after[0], *nudge) for nudge in NUDGES)
        return (0.0, 0.0) if unmoved < BETTER_FIT * shaken else None
    diagonal = float(np.hypot(width, height))
    return x / diagonal, y / diagonal


def _difference(before: Plane, after: Plane, x: int, y: int) -> float:
    """Median difference of texture when the second frame is shifted back by (x, y) pixels."""
    height, width = before.shape
    first = before[max(0, -y) : height - max(0, y), max(0, -x) : width - max(0, x)]
    second = after[max(0, y) : height - max(0, -y), max(0, x) : width - max(0, -x)]
    apart = np.abs(first[::2] - second[::2])  # every other row is enough
    apart = apart[~np.isnan(apart)]
    return float(np.median(apart)) if apart.size else 255.0
