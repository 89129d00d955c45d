"""Camera motion, measured on frames: corners of the background are tracked between neighbouring annotated frames.

annotators/attributes/view_motion.py estimates motion between views for the embedded engine, by phase correlation.
"""

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
"""Tracked corners that a pair of frames needs."""
FEWEST_AGREEING = 0.3
"""Share of tracked corners that one similarity transform must explain, fraction 0-1."""
WINDOW_PX = (15, 15)
PYRAMID_LEVELS = 4


def pair_rows(row_count: int, pairs: int) -> tuple[int, ...]:
    """Return the annotated rows that `background_shifts` needs: pairs of neighbours, spread evenly over the video."""
    if row_count < 2:
        return ()
    starts = {int(start) for start in np.round(np.linspace(0, row_count - 2, pairs))}
    return tuple(sorted(starts | {start + 1 for start in starts}))


def background_shifts(
    frames: Iterable[tuple[int, Image]], tracks: Sequence[ObjectTrack], longest_side_px: int
) -> Iterator[float]:
    """Yield the displacement of the background between neighbouring rows, as a share of the frame's diagonal.

    Pairs without a background that can be tracked (a white wall, moving water) are left out.

    Args:
        frames: (annotated row, uint8 RGB [H, W, 3]), rows increasing.
        tracks: Objects of the video, which are masked out of the background.
        longest_side_px: Longest side in pixels that frames are reduced to.
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
    """Mask of the background, uint8 [h, w]: 255 outside all objects, which are dilated by 3 pixels."""
    objects = np.zeros(shape, dtype=np.uint8)
    for track in tracks:
        rle = track.masks[row] if row < len(track.masks) else None
        if rle is not None:
            mask = decode_mask(rle).view(np.uint8)
            small = cv2.resize(mask, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST)
            objects[small > 0] = 1
    return np.asarray((1 - cv2.dilate(objects, np.ones((7, 7), np.uint8))) * 255, dtype=np.uint8)


def _shift(before: Gray, after: Gray, background: Gray) -> float | None:
    """Mean displacement over the frame as a share of its diagonal, or None if the background cannot be tracked.

    Corners (Shi-Tomasi) are tracked forwards and backwards (pyramidal Lucas-Kanade), then one similarity transform is
    fitted to them (RANSAC).
    """
    corners = cv2.goodFeaturesToTrack(before, maxCorners=200, qualityLevel=0.01, minDistance=6, mask=background)
    if corners is None or len(corners) < FEWEST_CORNERS:
        return None
    there, found = _track(before, after, np.asarray(corners, np.float32))
    back, returned = _track(after, before, there)
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


def _track(before: Gray, after: Gray, points: npt.NDArray[np.float32]) -> tuple[Any, npt.NDArray[np.bool_]]:
    """Track points, float32 [N, 1, 2] (x, y) in pixels; return their new positions, and bool [N]: which were found."""
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        before, after, points, np.empty_like(points), winSize=WINDOW_PX, maxLevel=PYRAMID_LEVELS
    )
    return there, np.asarray(found).ravel() > 0
