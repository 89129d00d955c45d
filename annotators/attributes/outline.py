"""Finding the yellow outline in a JPEG, and the region that it encloses.

The outline runs just outside the object: around it, around its holes, around each of its parts, and it is open where
the object meets the frame's edge. So the areas between the
lines lie in turn outside and inside, at any nesting.
"""

from collections.abc import Collection
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from refsav.annotators.attributes.colours import NAMES, name_pixels
from refsav.datasets.frames import Image
from refsav.datasets.masks import Mask

YELLOWS = ((225, 50), (205, 110))
"""Least red and green, most blue of 255: pure yellow after good JPEG, then after poor JPEG where that finds none."""

SMALLEST_LINE_PX = 8
"""Fewer yellow pixels in one piece than this are no outline."""

SAMPLE_STEP_PX = 4
FAR_MORE = 0.4
"""By how much more of the other side must have the object's colours for it to be the object, fraction 0-1."""

_BLOCK = np.ones((3, 3), np.uint8)

Bytes = npt.NDArray[np.uint8]
"""uint8 [H, W], 1 or 255 for yes."""
Labels = npt.NDArray[np.int32]
"""int32 [H, W]."""


class Outlined(NamedTuple):
    """What an outline encloses."""

    region: Mask
    """bool [H, W], True inside; never empty."""
    line: Mask
    """bool [H, W], True on the outline and on the JPEG blur next to it."""

    @property
    def meets_edge(self) -> bool:
        """Whether the region reaches an edge of the image."""
        region = self.region
        return bool(region[0].any() or region[-1].any() or region[:, 0].any() or region[:, -1].any())

    @property
    def area_share(self) -> float:
        """Share of the image inside the outline, fraction 0-1."""
        return float(np.count_nonzero(self.region) / self.region.size)

    @property
    def centre(self) -> tuple[float, float]:
        """Centroid (x, y) as shares of width and height, fractions 0-1."""
        x0, y0, x1, y1 = self.box
        moments = cv2.moments(self.region[y0:y1, x0:x1].view(np.uint8), binaryImage=True)
        height, width = self.region.shape
        x, y = x0 + moments["m10"] / moments["m00"], y0 + moments["m01"] / moments["m00"]
        return (x + 0.5) / width, (y + 0.5) / height

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Smallest box around the region, half-open: (x0, y0, x1, y1) in pixels."""
        x, y, width, height = cv2.boundingRect(self.region.view(np.uint8))
        return x, y, x + width, y + height


def find_outline(picture: Image, colours: Collection[str] = ()) -> Outlined | None:
    """Find the outline in an RGB image [H, W, 3]; None if there is no outline.

    A line does not show which of its sides is the object. That is the one with less of the frame's edge, unless the
    object is known to have colours (names as in `colours.NAMES`) that the other side shows far more of: so it is for
    a floor or a sky that fills most of the picture.
    """
    for least_red_green, most_blue in YELLOWS:
        low, high = np.array([least_red_green, least_red_green, 0]), np.array([255, 255, most_blue])
        found = _enclosed(np.asarray(cv2.inRange(picture, low, high), dtype=np.uint8))
        if found is not None:
            return _turned_over(found, picture, colours)
    return None


def _turned_over(found: Outlined, picture: Image, colours: Collection[str]) -> Outlined:
    other = ~(found.region | found.line)
    sample = np.s_[::SAMPLE_STEP_PX, ::SAMPLE_STEP_PX]
    wanted = np.isin(name_pixels(picture[sample]), [NAMES.index(name) for name in colours])
    inside, outside = wanted[found.region[sample]], wanted[other[sample]]
    if inside.size < 4 or outside.size < 4 or outside.mean() < inside.mean() + FAR_MORE:
        return found
    return Outlined(other, found.line)


def _enclosed(yellow: Bytes) -> Outlined | None:
    left, top, width, height = cv2.boundingRect(yellow)
    if width == 0:
        return None
    # Only the part with yellow in it is looked at, with a rim outside; the whole frame if its edge may cut the object.
    y0, x0, y1, x1 = top - 2, left - 2, top + height + 2, left + width + 2
    if min(y0, x0) <= 0 or y1 >= yellow.shape[0] or x1 >= yellow.shape[1]:
        y0, x0, (y1, x1) = 0, 0, yellow.shape
    line = _without_specks(np.asarray(cv2.morphologyEx(yellow[y0:y1, x0:x1], cv2.MORPH_CLOSE, _BLOCK), np.uint8))
    if not line.any():
        return None
    region, around = np.zeros(yellow.shape, dtype=np.bool_), np.zeros(yellow.shape, dtype=np.bool_)
    region[y0:y1, x0:x1], around[y0:y1, x0:x1] = _inside(line), cv2.dilate(line, _BLOCK) > 0
    return Outlined(region, around) if region.any() else None


def _without_specks(line: Bytes) -> Bytes:
    """Keep the pieces of line that are not tiny compared with the longest one: the scene may have yellow parts too."""
    count, labels, figures, _ = cv2.connectedComponentsWithStats(line, connectivity=8)
    reach = np.maximum(figures[:, cv2.CC_STAT_WIDTH], figures[:, cv2.CC_STAT_HEIGHT])
    reach[0] = 0
    kept = (figures[:, cv2.CC_STAT_AREA] >= SMALLEST_LINE_PX) & (reach >= 0.08 * reach.max())
    kept[0] = False
    return kept[labels].astype(np.uint8) if count > 1 else np.zeros_like(line)


def _inside(line: Bytes) -> Mask:
    """Areas on the inner side of the line, bool [h, w]."""
    count, labels, figures, _ = cv2.connectedComponentsWithStats(1 - line, connectivity=4)
    if count <= 2:
        return np.zeros(line.shape, dtype=np.bool_)
    _, nearest = cv2.distanceTransformWithLabels(line, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_CCOMP)
    # The transform numbers the areas in its own way: bring its numbers back to ours.
    ours = np.zeros(int(nearest.max()) + 1, dtype=np.int32)
    off_line = line == 0
    ours[nearest[off_line]] = labels[off_line]
    rims = np.bincount(np.concatenate((labels[0], labels[-1], labels[:, 0], labels[:, -1])), minlength=count)
    rims[0] = 0
    inside = _alternate(_meetings(ours[nearest]), rims)
    inside &= figures[:, cv2.CC_STAT_AREA] >= max(4, line.size // 20000)
    inside[0] = False
    return np.asarray(inside[labels], dtype=np.bool_)


def _meetings(areas: Labels) -> list[tuple[int, int]]:
    """Pairs of areas that meet in the middle of a line; `areas` holds the nearest area of every pixel."""
    pairs: set[tuple[int, int]] = set()
    for one, other in ((areas[:, :-1], areas[:, 1:]), (areas[:-1], areas[1:])):
        meets = one != other
        pairs |= set(zip(one[meets].tolist(), other[meets].tolist(), strict=True))
    return sorted(pairs)


def _alternate(meetings: list[tuple[int, int]], rims: npt.NDArray[np.int64]) -> Mask:
    """Decide which areas are inside, bool [areas]: those that meet across a line are on different sides of it.

    Args:
        meetings: Pairs of areas.
        rims: How far each area runs along the rim; the outside has most of it.
    """
    neighbours: dict[int, list[int]] = {}
    for one, other in meetings:
        neighbours.setdefault(one, []).append(other)
        neighbours.setdefault(other, []).append(one)
    inside = np.zeros(len(rims), dtype=np.bool_)
    waiting = [int(np.argmax(rims))]
    seen = set(waiting)
    for area in waiting:
        for neighbour in neighbours.get(area, []):
            if neighbour not in seen:
                seen.add(neighbour)
                inside[neighbour] = not inside[area]
                waiting.append(neighbour)
    return inside
