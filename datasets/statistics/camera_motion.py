"""The camera's motion, seen in pairs of neighbouring annotated frames: the background is followed between the two."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from refsav.datasets.frames import Image
from refsav.datasets.masks import decode as decode_mask
from refsav.datasets.records import ObjectTrack

Gray = npt.NDArray[np.uint8]
"""uint8 [h, w]."""

FEWEST_CORNERS = 12
FEWEST_AGREEING = 0.3
"""Share of followed corners that must move as one for the background to be known."""
WINDOW_PX = (15, 15)
PYRAMID_LEVELS = 4


def pair_rows(row_count: int, pairs: int) -> tuple[int, ...]:
    """Annotated frames that `camera_motion` needs: pairs of neighbours, spread uniformly over the video."""
    if row_count < 2:
        return ()
    starts = {int(start) for start in np.round(np.linspace(0, row_count - 2, pairs))}
    return tuple(sorted(starts | {start + 1 for start in starts}))


def background_shifts(
    frames: Iterable[tuple[int, Image]], tracks: Sequence[ObjectTrack], longest_side_px: int
) -> Iterator[float]:
    """Yield how far the background moves wherever two neighbours come, as share of the frame's diagonal.

    Pairs whose background has nothing to follow (a white wall, moving water) are left out.

    Args:
        frames: (annotated row, uint8 RGB [H, W, 3]), rows increasing.
        tracks: Objects of the video: where they are is no background.
        longest_side_px: Size at which to look.
    """
    before: tuple[int, Gray] | None = None
    for row, image in frames:
        gray = _small_gray(image, longest_side_px)
        if before is not None and before[0] == row - 1:
            height, width = gray.shape
            shift = _shift(before[1], gray, _background(tracks, row - 1, (height, width)))
            if shift is not None:
                yield shift
        before = (row, gray)


def _small_gray(image: Image, longest_side_px: int) -> Gray:
    scale = min(1.0, longest_side_px / max(image.shape[:2]))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _background(tracks: Sequence[ObjectTrack], row: int, shape: tuple[int, int]) -> Gray:
    """uint8 [h, w], 255 where no object is, with some room around each."""
    objects = np.zeros(shape, dtype=np.uint8)
    for track in tracks:
        rle = track.masks[row] if row < len(track.masks) else None
        if rle is not None:
            mask = decode_mask(rle).view(np.uint8)
            small = cv2.resize(mask, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST)
            objects[small > 0] = 1
    return np.asarray((1 - cv2.dilate(objects, np.ones((7, 7), np.uint8))) * 255, dtype=np.uint8)


def _shift(before: Gray, after: Gray, background: Gray) -> float | None:
    """Mean displacement over the frame, as share of its diagonal: corners followed, one similarity fitted."""
    corners = cv2.goodFeaturesToTrack(before, maxCorners=200, qualityLevel=0.01, minDistance=6, mask=background)
    if corners is None or len(corners) < FEWEST_CORNERS:
        return None
    there, found = _follow(before, after, np.asarray(corners, np.float32))
    back, returned = _follow(after, before, there)
    kept = found & returned & (np.abs(back - corners).max(axis=(1, 2)) < 0.5)
    if np.count_nonzero(kept) < FEWEST_CORNERS:
        return None
    fitted, agreeing = cv2.estimateAffinePartial2D(corners[kept], there[kept], ransacReprojThreshold=1.0)
    if fitted is None or np.mean(agreeing) < FEWEST_AGREEING:
        return None
    height, width = before.shape
    x, y = np.meshgrid(np.linspace(0, width, 5), np.linspace(0, height, 5))
    grid = np.stack([x.ravel(), y.ravel(), np.ones(25)])
    return float(np.hypot(*(fitted @ grid - grid[:2])).mean() / math.hypot(height, width))


def _follow(before: Gray, after: Gray, points: npt.NDArray[np.float32]) -> tuple[Any, npt.NDArray[np.bool_]]:
    """Points [N, 1, 2] in the next frame, and which of them were found [N]."""
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        before, after, points, np.empty_like(points), winSize=WINDOW_PX, maxLevel=PYRAMID_LEVELS
    )
    return there, np.asarray(found).ravel() > 0
