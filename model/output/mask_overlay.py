"""Draw masks over an image: translucent fills, outlines, numbers, and a legend with the phrases."""

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
"""Width of an outline as a share of the image's mean side; at least `MIN_LINE_PX`."""
MIN_LINE_PX = 2.0
HALO_RGB: Rgb = (0, 0, 0)
HALO_OPACITY = 0.5
"""A dark halo around the outline keeps it visible on a background of the same colour."""

STRIPES_SHARE = 0.009
"""Width of the stripes where objects overlap, as a share of the image's mean side; at least 4 pixels."""

SMOOTHING_PX = 1.0
"""Standard deviation of the blur that removes the pixel steps of a mask's edge from its outline."""

HIDDEN_SHARE = 0.01
"""A corner is free if the legend hides no more than this there: the sum of the hidden shares of all objects."""


class _Window(NamedTuple):
    """The part of an image that contains an object and its outline."""

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
    """Draw the masks of objects over a frame.

    Args:
        frame: uint8 RGB [h, w, 3]; not changed.
        masks: bool [h, w] for each object; all False if the object is not visible.
        phrases: The phrase of each object; "" for one without a phrase.
        palette: Colour of each object; None for `palette.colours`.
        corner: Corner of the legend; None for the one in which it hides least.
        legend: Whether to draw a legend.

    Returns:
        uint8 RGB [h, w, 3].

    Raises:
        ValueError: If the numbers of masks, phrases and colours differ, or a mask's size differs from the frame's.
    """
    palette = colours(len(masks)) if palette is None else palette
    _check(frame, masks, phrases, palette)
    drawn = np.array(frame, order="C")  # the only memory layout that OpenCV writes to
    size = (frame.shape[0], frame.shape[1])
    visible = [index for index, mask in enumerate(masks) if mask.any()]
    # Largest first, so that the outlines of smaller objects in front of them stay complete.
    visible.sort(key=lambda index: -int(np.count_nonzero(masks[index])))
    _fill(drawn, [(masks[index], palette[index]) for index in visible])
    for index in visible:
        _outline(drawn, masks[index], palette[index])
    panel = legends.plan(tuple(phrases), size) if legend else None
    occupied: list[tuple[int, int, int, int]] = []
    if panel:
        y, x = legends.origin(panel, size, corner or free_corner(masks, phrases))
        legends.paint(drawn, panel, (y, x), palette, [index in visible for index in range(len(masks))])
        occupied.append((y, x, y + panel.size[0], x + panel.size[1]))
    if len(masks) > 1:
        occupied += _small_boxes([masks[index] for index in visible], 2 * legends.disc_px(legends.font_px(size)))
        for index in sorted(visible):
            _draw_number(drawn, masks[index], str(index + 1), palette[index], occupied)
    return drawn


def free_corner(masks: Sequence[Mask], phrases: Sequence[str]) -> Corner:
    """Find the corner in which the legend hides least of the objects; a video keeps the corner of its first frame.

    Args:
        masks: bool [h, w] for each object.
        phrases: The phrase of each object.
    """
    size = (masks[0].shape[0], masks[0].shape[1]) if masks else (0, 0)
    panel = legends.plan(tuple(phrases), size)
    if panel is None:
        return CORNERS[0]
    areas = [max(1, int(np.count_nonzero(mask))) for mask in masks]
    hidden: dict[Corner, float] = {}
    for corner in CORNERS:
        y, x = legends.origin(panel, size, corner)
        below = np.s_[y : y + panel.size[0], x : x + panel.size[1]]
        hidden[corner] = sum(np.count_nonzero(mask[below]) / area for mask, area in zip(masks, areas, strict=True))
    return min(CORNERS, key=lambda corner: max(hidden[corner], HIDDEN_SHARE))  # the first one if several are equal


def _check(frame: Image, masks: Sequence[Mask], phrases: Sequence[str], palette: Sequence[Rgb]) -> None:
    if len(phrases) != len(masks) or len(palette) < len(masks):
        raise ValueError(f"{len(masks)} masks, {len(phrases)} phrases and {len(palette)} colours do not match")
    for index, mask in enumerate(masks):
        if mask.shape != frame.shape[:2] or mask.dtype != np.bool_:
            raise ValueError(f"mask {index} is {mask.dtype} {mask.shape}, the frame needs bool {frame.shape[:2]}")


def _mean_side_px(image: Image) -> float:
    return float((image.shape[0] * image.shape[1]) ** 0.5)


def _fill(image: Image, objects: Sequence[tuple[Mask, Rgb]]) -> None:
    """Tint every object; where objects overlap, their colours alternate in diagonal stripes."""
    if not objects:
        return
    count = np.zeros(image.shape[:2], np.uint8)
    for mask, _ in objects:
        count += mask
    turn: npt.NDArray[np.int32] | None = None
    if count.max() > 1:
        step = max(4, round(STRIPES_SHARE * _mean_side_px(image)))
        turn = np.indices(count.shape, dtype=np.int32).sum(axis=0, dtype=np.int32) // step % np.maximum(count, 1)
    before = np.zeros_like(count)
    for mask, colour in objects:
        window = _Window.around(mask, 0)
        chosen = mask[window] if turn is None else mask[window] & (turn[window] == before[window])
        before[window] += mask[window]
        part = image[window]
        tint = np.empty_like(part)
        tint[:] = colour
        cv2.copyTo(cv2.addWeighted(part, 1 - FILL_OPACITY, tint, FILL_OPACITY, 0), chosen.view(np.uint8), part)


def _outline(image: Image, mask: Mask, colour: Rgb) -> None:
    """Draw the outline outside the object: it hides no pixel of the object, and the smallest object is visible."""
    line_px = max(MIN_LINE_PX, LINE_SHARE * _mean_side_px(image))
    halo_px = line_px + max(1.5, 0.6 * line_px)
    window = _Window.around(mask, int(halo_px) + 4)
    inside = mask[window].view(np.uint8)
    distance = cv2.distanceTransform(1 - inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    distance = cv2.GaussianBlur(cv2.subtract(distance, depth), (0, 0), SMOOTHING_PX)
    near = np.nonzero((inside == 0) & (distance < halo_px + 1))
    away = distance[near]
    part = image[window]
    pixels = part[near].astype(np.float32)
    for reach_px, shade, opacity in ((halo_px, HALO_RGB, HALO_OPACITY), (line_px, colour, 1.0)):
        share = opacity * np.clip(reach_px + 0.5 - away, 0, 1)[:, None]
        pixels += (np.array(shade, np.float32) - pixels) * share
    part[near] = np.rint(pixels).astype(np.uint8)


def _draw_number(image: Image, mask: Mask, number: str, colour: Rgb, occupied: list[tuple[int, int, int, int]]) -> None:
    """Draw an object's number on it, or next to it if it is small, without covering the legend or another number."""
    font = legends.font_px((image.shape[0], image.shape[1]))
    across = legends.disc_px(font) + 2
    height, width = mask.shape
    if min(height, width) < 2 * across:
        return
    y, x = _number_position(mask, across)
    steps = (0, 1, -1, 2, -2, 3, -3)
    offsets = sorted(((dy, dx) for dy in steps for dx in steps), key=lambda step: step[0] ** 2 + step[1] ** 2)
    for dy, dx in offsets:
        top = min(max(y + dy * across - across // 2, 0), height - across)
        left = min(max(x + dx * across - across // 2, 0), width - across)
        box = (top, left, top + across, left + across)
        if not any(_overlap(box, other) for other in occupied):
            break
    else:
        return
    occupied.append(box)
    centre = (top + across // 2, left + across // 2)
    legends.paint_disc(image, centre, font + 2, "", HALO_RGB, HALO_OPACITY)
    legends.paint_disc(image, centre, font, number, colour)


def _number_position(mask: Mask, across: int) -> tuple[int, int]:
    """Return where an object's number goes, (y, x): well inside it and near its centre; above a small object."""
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
    """Return the boxes (y0, x0, y1, x1) of the objects that a number would hide."""
    boxes = [cv2.boundingRect(mask.view(np.uint8)) for mask in masks]
    return [(y, x, y + height, x + width) for x, y, width, height in boxes if max(height, width) < side_px]


def _overlap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
