"""Masks drawn over a picture: translucent, with crisp outlines, numbers, and a legend that tells the phrases."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from refsav.datasets.frames import Image
from refsav.datasets.masks import Mask
from refsav.model.output import legend as legends
from refsav.model.output.legend import CORNERS, Corner
from refsav.model.output.palette import Rgb, colours

FILL_OPACITY = 0.42
LINE_SHARE = 0.0036
"""Width of an outline as a share of the picture's mean side; never under `MIN_LINE_PX`."""
MIN_LINE_PX = 2.0
HALO_RGB: Rgb = (0, 0, 0)
HALO_OPACITY = 0.5
"""A dark seam around the outline keeps it visible on a background of its own colour."""

STRIPES_SHARE = 0.009
"""Width of the stripes where objects overlap, as a share of the picture's mean side; never under 4 pixels."""

SMOOTHING_PX = 1.0
"""Outlines follow a mask's edge without its steps."""

HIDDEN_SHARE = 0.01
"""A corner is free if the legend hides no more of the objects there, as a share of each, all added up."""


class _Window(NamedTuple):
    """The part of a picture that an object and its outline lie in."""

    rows: slice
    columns: slice

    @classmethod
    def around(cls, mask: Mask, room_px: int) -> "_Window":
        x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
        return cls(slice(max(0, y - room_px), y + height + room_px), slice(max(0, x - room_px), x + width + room_px))


def draw_masks(
    frame: Image,
    masks: Sequence[Mask],
    phrases: Sequence[str],
    palette: Sequence[Rgb] | None = None,
    *,
    corner: Corner | None = None,
    legend: bool = True,
) -> Image:
    """Draw the masks of some objects over a picture.

    Args:
        frame: uint8 RGB [h, w, 3]; is not changed.
        masks: bool [h, w] for each object; an empty one where the object cannot be seen.
        phrases: What each object is called; "" for one without a name.
        palette: Colour of each object; None for `palette.colours`.
        corner: Where the legend stands; None for the first corner that no object is in.
        legend: Whether there is one.

    Returns:
        uint8 RGB [h, w, 3].

    Raises:
        ValueError: If there is not one phrase (and colour) for each mask, or a mask has another size than the frame.
    """
    palette = colours(len(masks)) if palette is None else palette
    _check(frame, masks, phrases, palette)
    drawn = np.array(frame, order="C")  # OpenCV writes into no other
    size = (frame.shape[0], frame.shape[1])
    places = [place for place, mask in enumerate(masks) if mask.any()]
    # Large ones first: the outline of what lies on or in front of them is drawn whole.
    places.sort(key=lambda place: -int(np.count_nonzero(masks[place])))
    _fill(drawn, [(masks[place], palette[place]) for place in places])
    for place in places:
        _outline(drawn, masks[place], palette[place])
    panel = legends.plan(tuple(phrases), size) if legend else None
    taken: list[tuple[int, int, int, int]] = []
    if panel:
        y, x = legends.place(panel, size, corner or free_corner(masks, phrases))
        legends.paint(drawn, panel, (y, x), palette, [place in places for place in range(len(masks))])
        taken.append((y, x, y + panel.size[0], x + panel.size[1]))
    if len(masks) > 1:
        taken += _small_boxes([masks[place] for place in places], 2 * legends.disc_px(legends.font_px(size)))
        for place in sorted(places):
            _number(drawn, masks[place], str(place + 1), palette[place], taken)
    return drawn


def free_corner(masks: Sequence[Mask], phrases: Sequence[str]) -> Corner:
    """Find the corner in which the legend hides least of the objects; a video keeps that of its first frame.

    Args:
        masks: bool [h, w] for each object.
        phrases: What each object is called.
    """
    size = (masks[0].shape[0], masks[0].shape[1]) if masks else (0, 0)
    panel = legends.plan(tuple(phrases), size)
    if panel is None:
        return CORNERS[0]
    areas = [max(1, int(np.count_nonzero(mask))) for mask in masks]
    hidden: dict[Corner, float] = {}
    for corner in CORNERS:
        y, x = legends.place(panel, size, corner)
        below = np.s_[y : y + panel.size[0], x : x + panel.size[1]]
        hidden[corner] = sum(np.count_nonzero(mask[below]) / area for mask, area in zip(masks, areas, strict=True))
    return min(CORNERS, key=lambda corner: max(hidden[corner], HIDDEN_SHARE))  # the first of equals


def _check(frame: Image, masks: Sequence[Mask], phrases: Sequence[str], palette: Sequence[Rgb]) -> None:
    if len(phrases) != len(masks) or len(palette) < len(masks):
        raise ValueError(f"{len(masks)} masks, {len(phrases)} phrases and {len(palette)} colours do not go together")
    for place, mask in enumerate(masks):
        if mask.shape != frame.shape[:2] or mask.dtype != np.bool_:
            raise ValueError(f"mask {place} is {mask.dtype} {mask.shape}, the frame needs bool {frame.shape[:2]}")


def _mean_side_px(picture: Image) -> float:
    return float((picture.shape[0] * picture.shape[1]) ** 0.5)


def _fill(picture: Image, objects: Sequence[tuple[Mask, Rgb]]) -> None:
    """Tint every object; where several overlap, their colours take turns in slanting stripes."""
    if not objects:
        return
    count = np.zeros(picture.shape[:2], np.uint8)
    for mask, _ in objects:
        count += mask
    turn: npt.NDArray[np.int32] | None = None
    if count.max() > 1:
        step = max(4, round(STRIPES_SHARE * _mean_side_px(picture)))
        turn = np.indices(count.shape, dtype=np.int32).sum(axis=0, dtype=np.int32) // step % np.maximum(count, 1)
    before = np.zeros_like(count)
    for mask, colour in objects:
        window = _Window.around(mask, 0)
        chosen = mask[window] if turn is None else mask[window] & (turn[window] == before[window])
        before[window] += mask[window]
        part = picture[window]
        tint = np.empty_like(part)
        tint[:] = colour
        cv2.copyTo(cv2.addWeighted(part, 1 - FILL_OPACITY, tint, FILL_OPACITY, 0), chosen.view(np.uint8), part)


def _outline(picture: Image, mask: Mask, colour: Rgb) -> None:
    """Draw around an object, outside of it: no pixel of it is hidden, and the smallest one can be seen."""
    line_px = max(MIN_LINE_PX, LINE_SHARE * _mean_side_px(picture))
    halo_px = line_px + max(1.5, 0.6 * line_px)
    window = _Window.around(mask, int(halo_px) + 4)
    inside = mask[window].view(np.uint8)
    distance = cv2.distanceTransform(1 - inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    distance = cv2.GaussianBlur(cv2.subtract(distance, depth), (0, 0), SMOOTHING_PX)
    near = np.nonzero((inside == 0) & (distance < halo_px + 1))
    away = distance[near]
    part = picture[window]
    pixels = part[near].astype(np.float32)
    for reach_px, shade, opacity in ((halo_px, HALO_RGB, HALO_OPACITY), (line_px, colour, 1.0)):
        share = opacity * np.clip(reach_px + 0.5 - away, 0, 1)[:, None]
        pixels += (np.array(shade, np.float32) - pixels) * share
    part[near] = np.rint(pixels).astype(np.uint8)


def _number(picture: Image, mask: Mask, number: str, colour: Rgb, taken: list[tuple[int, int, int, int]]) -> None:
    """Put an object's number on it, or beside it if it is small; not over the legend or another number."""
    font = legends.font_px((picture.shape[0], picture.shape[1]))
    across = legends.disc_px(font) + 2
    height, width = mask.shape
    if min(height, width) < 2 * across:
        return
    y, x = _middle(mask, across)
    steps = (0, 1, -1, 2, -2, 3, -3)
    tries = sorted(((dy, dx) for dy in steps for dx in steps), key=lambda step: step[0] ** 2 + step[1] ** 2)
    for dy, dx in tries:
        top = min(max(y + dy * across - across // 2, 0), height - across)
        left = min(max(x + dx * across - across // 2, 0), width - across)
        box = (top, left, top + across, left + across)
        if not any(_meet(box, other) for other in taken):
            break
    else:
        return
    taken.append(box)
    centre = (top + across // 2, left + across // 2)
    legends.paint_disc(picture, centre, font + 2, "", HALO_RGB, HALO_OPACITY)
    legends.paint_disc(picture, centre, font, number, colour)


def _middle(mask: Mask, across: int) -> tuple[int, int]:
    """Where an object's number goes, (y, x): well inside of it and near its centre, or above one that is small."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    part = np.pad(mask[y : y + height, x : x + width].view(np.uint8), 1)
    depth = cv2.distanceTransform(part, cv2.DIST_L2, cv2.DIST_MASK_3)[1:-1, 1:-1]
    if depth.max() < 0.6 * across or np.count_nonzero(part) < 5 * across**2:
        away = round(0.9 * across)
        return y - away if y >= 2 * away else y + height + away, x + width // 2
    ys, xs = np.nonzero(depth >= 0.8 * depth.max())
    moments = cv2.moments(part, binaryImage=True)
    middle_y, middle_x = moments["m01"] / moments["m00"] - 1, moments["m10"] / moments["m00"] - 1
    nearest = int(np.argmin((ys - middle_y) ** 2 + (xs - middle_x) ** 2))
    return y + int(ys[nearest]), x + int(xs[nearest])


def _small_boxes(masks: Sequence[Mask], side_px: int) -> list[tuple[int, int, int, int]]:
    """Boxes (y0, x0, y1, x1) of the objects that a number would hide."""
    boxes = [cv2.boundingRect(mask.view(np.uint8)) for mask in masks]
    return [(y, x, y + height, x + width) for x, y, width, height in boxes if max(height, width) < side_px]


def _meet(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
