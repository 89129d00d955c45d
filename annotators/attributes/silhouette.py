"""Which pixels of a still view are the object: in a crop with context around it, or in a frame that is painted over.

The crop carries no marking. What is known is that the object's box lies inside an even margin, so colours that fill the
middle and hardly occur in the margin are taken for the object's.
"""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from refsav.annotators.stages.views import PAINTED_OVER_RGB
from refsav.datasets.frames import Image
from refsav.datasets.masks import Mask

Plane = npt.NDArray[np.float32]
"""float32 [H, W]."""
Bins = npt.NDArray[np.int32]
"""int32 [H, W], or those of some pixels."""

WORKING_SIDE_PX = 96
"""Crops are analysed at this size: fine enough for a shape, coarse enough to be fast."""

MARGIN_SHARE = 0.2 / 1.4
"""Margin around the object's box as share of the crop's longer side, with the default `crop_margin`."""

GREY_TOLERANCE = 14
"""How far JPEG may push painted-over pixels away from the flat grey, of 255."""

HISTOGRAM_BITS = 4
"""Bits of each CIELAB channel by which colours of middle and margin are compared."""

CLEAR_LIKENESS = 0.25
"""Objects that share less of their colours with their surroundings stand out clearly, fraction 0-1."""

ROUNDS = 3
"""How often the split into object and rest is made again from its own result."""


class Silhouette(NamedTuple):
    """An object in an image, which may be a smaller copy of its view."""

    picture: Image
    """uint8 RGB [h, w, 3]."""
    region: Mask
    """bool [h, w], True on the object; never empty."""
    is_clear: bool
    """Whether its colours differ clearly from its surroundings."""
    is_whole: bool
    """Whether its shape can be trusted: it is clear, and no edge of the view cuts it."""


def find_in_masked(view: Image) -> Silhouette | None:
    """Find what is not painted over; None if nothing stands out from the grey."""
    low, high = (tuple(value + sign * GREY_TOLERANCE for value in PAINTED_OVER_RGB) for sign in (-1, 1))
    stands_out = np.asarray(cv2.bitwise_not(cv2.inRange(view, np.array(low), np.array(high))), dtype=np.uint8)
    left, top, width, height = cv2.boundingRect(stands_out)
    if width == 0:
        return None
    window = np.s_[top : top + height, left : left + width]
    found = cv2.morphologyEx(_padded(stands_out[window]), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))[4:-4, 4:-4]
    if min(width, height) > 8:
        found = cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    region = np.zeros(view.shape[:2], dtype=np.bool_)
    region[window] = _without_crumbs(_without_pinholes(np.asarray(found, dtype=np.uint8)))
    if not region.any():
        region[window] = stands_out[window] > 0
    return Silhouette(view, region, is_clear=True, is_whole=not _meets_edge(region))


def find_in_crop(view: Image) -> Silhouette:
    """Separate the object in the middle of a crop from its surroundings."""
    scale = WORKING_SIDE_PX / max(view.shape[:2])
    picture = view
    if scale < 1:
        size = (max(1, round(view.shape[1] * scale)), max(1, round(view.shape[0] * scale)))
        picture = np.asarray(cv2.resize(view, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    height, width = picture.shape[:2]
    margin = max(1, round(MARGIN_SHARE * max(height, width)))
    if min(height, width) <= 2 * margin + 2:
        return Silhouette(picture, np.ones((height, width), dtype=np.bool_), is_clear=False, is_whole=False)
    box = np.zeros((height, width), dtype=np.bool_)
    box[margin:-margin, margin:-margin] = True
    region, likeness = _split(_bins(picture), box)
    if np.count_nonzero(region) < 0.06 * np.count_nonzero(box):
        return Silhouette(picture, box, is_clear=False, is_whole=False)
    is_clear = likeness < CLEAR_LIKENESS
    is_whole = is_clear and _fills(region, margin) and not _meets_edge(region)
    return Silhouette(picture, region, is_clear, is_whole)


def _split(bins: Bins, box: Mask) -> tuple[Mask, float]:
    """Find the pixels whose colour speaks for the object, in some rounds.

    Returns:
        The object, bool [h, w], and how much its colours are also those of the rest, fraction 0-1.
    """
    place = 3.0 * (cv2.GaussianBlur(box.astype(np.float32), (0, 0), max(1.0, 0.05 * max(box.shape))) - 0.75)
    region, rest = box, ~box
    for _ in range(ROUNDS):
        inside, outside = _histogram(bins[region]), _histogram(bins[rest])
        odds = np.clip(np.log((inside + 1e-4) / (outside + 1e-4)), -3, 3).astype(np.float32)[bins]
        found = (cv2.GaussianBlur(odds, (0, 0), 0.8) + place > 0).astype(np.uint8)
        opened = cv2.morphologyEx(_padded(found), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))[4:-4, 4:-4]
        region = _without_crumbs(_without_pinholes(np.asarray(opened, dtype=np.uint8)))
        rest = ~region
        if not region.any() or region.all():
            return region, 1.0
    # The seam between the two is left out: there every object is like its surroundings.
    inner = cv2.erode(region.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    outer = cv2.dilate(region.astype(np.uint8), np.ones((5, 5), np.uint8)) == 0
    if not inner.any() or not outer.any():
        return region, 1.0
    return region, float(np.minimum(_histogram(bins[inner]), _histogram(bins[outer])).sum())


def _bins(picture: Image) -> Bins:
    """Place of each pixel in the colour histogram, int32 [h, w]."""
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB).astype(np.int32)
    # The a and b channels of 8-bit CIELAB seldom leave 64-192: doubling their fineness uses the bins that exist.
    chroma = np.clip(2 * lab[..., 1:] - 128, 0, 255) >> (8 - HISTOGRAM_BITS)
    light = lab[..., 0] >> (8 - HISTOGRAM_BITS)
    return np.asarray((light << 2 * HISTOGRAM_BITS) + (chroma[..., 0] << HISTOGRAM_BITS) + chroma[..., 1], np.int32)


def _histogram(bins: Bins) -> Plane:
    """Smoothed share of each bin, float32 [bins]."""
    side = 2**HISTOGRAM_BITS
    cube = np.bincount(bins, minlength=side**3).astype(np.float32).reshape(side, side, side)
    for axis in range(3):
        rolled = np.moveaxis(cube, axis, 0)
        blurred = 2 * rolled
        blurred[1:] += rolled[:-1]
        blurred[:-1] += rolled[1:]
        cube = np.moveaxis(blurred, 0, axis)
    return np.asarray(cube.ravel() / max(float(cube.sum()), 1.0), dtype=np.float32)


def _without_crumbs(found: npt.NDArray[np.uint8]) -> Mask:
    """Leave out parts of less than an eighth of the largest one."""
    count, labels, figures, _ = cv2.connectedComponentsWithStats(found, connectivity=8)
    if count <= 2:
        return found > 0
    areas = figures[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    return np.asarray((areas >= areas.max() / 8)[labels], dtype=np.bool_)


def _without_pinholes(found: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Fill holes of less than a fortieth of the object: dents of texture, not openings."""
    count, labels, figures, _ = cv2.connectedComponentsWithStats(1 - np.minimum(found, 1), connectivity=4)
    if count <= 1:
        return found
    height, width = found.shape
    left, top = figures[:, cv2.CC_STAT_LEFT], figures[:, cv2.CC_STAT_TOP]
    right, bottom = left + figures[:, cv2.CC_STAT_WIDTH], top + figures[:, cv2.CC_STAT_HEIGHT]
    inner = (left > 0) & (top > 0) & (right < width) & (bottom < height)
    small = inner & (figures[:, cv2.CC_STAT_AREA] < np.count_nonzero(found) / 40)
    small[0] = False
    return np.where(small[labels], np.uint8(1), np.minimum(found, 1)).astype(np.uint8)


def _padded(found: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.copyMakeBorder(found, 4, 4, 4, 4, cv2.BORDER_CONSTANT), dtype=np.uint8)


def _fills(region: Mask, margin: int) -> bool:
    """Whether the region reaches all four sides of the box inside the margin, as the object does."""
    height, width = region.shape
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    slack = max(2.0, 0.4 * margin)
    ends = ((rows[0], height - 1 - rows[-1]), (columns[0], width - 1 - columns[-1]))
    # Less room than the margin is left where the frame ends near the object.
    return all(end <= margin + slack for pair in ends for end in pair)


def _meets_edge(region: Mask) -> bool:
    return bool(region[0].any() or region[-1].any() or region[:, 0].any() or region[:, -1].any())
