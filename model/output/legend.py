"""The legend: a dark panel in a corner of the image, with a coloured disc and a phrase for each object."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import cv2
import numpy as np

from refsav.datasets.frames import Image
from refsav.model.output.palette import Rgb, is_light
from refsav.model.output.text_drawing import Coverage, drawable_text, line_height_px, render_line, width_px, wrap_text

Corner = Literal["bottom left", "top left", "bottom right", "top right"]
CORNERS: tuple[Corner, ...] = ("bottom left", "top left", "bottom right", "top right")
"""In order of preference."""

PANEL_RGB = (14, 16, 20)
PANEL_OPACITY = 0.68
WHITE: Rgb = (255, 255, 255)
INK: Rgb = (14, 16, 20)
HIDDEN_OPACITY = 0.45
"""Opacity of the row of an object that is not in this frame."""

FONT_SHARE = 0.024
"""Font size as a share of the image's mean side (the square root of its area)."""
MIN_FONT_PX = 11
"""Smaller text is illegible."""

MAX_LINES_PER_PHRASE = 2
MAX_HEIGHT_SHARE, MAX_WIDTH_SHARE = 0.42, 0.5
"""Largest shares of the image's height and width for the panel, unless one row needs more."""
FULL_WIDTH_EM, MIN_TEXT_EM = 24, 4
"""The panel may take the full width of an image up to FULL_WIDTH_EM font sizes; if fewer than MIN_TEXT_EM remain for
text, there is no legend."""

REDUCED_FONT = 0.8
"""Factor of the font size if otherwise not all objects fit."""

MAX_CHARACTERS = 1000
"""No image has room for longer phrases; the rest is not measured."""


class Row(NamedTuple):
    """One object in the legend."""

    object_index: int
    """The object's index, from 0."""
    lines: tuple[str, ...]
    """Its phrase; empty if it cannot be drawn: the row is then the disc alone."""


class Legend(NamedTuple):
    """The layout of the panel; the same for every frame of a video."""

    rows: tuple[Row, ...]
    omitted: int
    """Number of objects for which there is no room; the last line shows it."""
    numbered: bool
    font_px: int
    size: tuple[int, int]
    """(height, width) of the panel, in pixels."""


def font_px(size: tuple[int, int]) -> int:
    """Return the font size for an image of (height, width) pixels."""
    height, width = size
    return max(MIN_FONT_PX, min(round(FONT_SHARE * math.sqrt(height * width)), height // 10))


def disc_px(font: int) -> int:
    """Return the diameter of the disc for a font size, in pixels; it is odd."""
    return round(1.25 * font) | 1


@lru_cache(maxsize=16)
def plan(
    phrases: tuple[str, ...],
    size: tuple[int, int],
    max_shares: tuple[float, float] = (MAX_HEIGHT_SHARE, MAX_WIDTH_SHARE),
) -> Legend | None:
    """Lay out the legend.

    Args:
        phrases: The phrase of each object; for one that cannot be drawn, the legend shows the number alone.
        size: (height, width) of the image, in pixels.
        max_shares: Largest shares of the image's height and width for the panel, 0-1.

    Returns:
        The layout; None if no phrase can be drawn or there is no room.
    """
    texts = [drawable_text(phrase[:MAX_CHARACTERS]) for phrase in phrases]
    font = font_px(size)
    legend = _lay_out(texts, size, max_shares, font) if any(texts) else None
    if legend and legend.omitted:
        return _lay_out(texts, size, max_shares, max(MIN_FONT_PX, round(REDUCED_FONT * font)))
    return legend


def _lay_out(texts: list[str], size: tuple[int, int], max_shares: tuple[float, float], font: int) -> Legend | None:
    height, width = size
    margin, pad = _margin_px(font), _pad_px(font)
    room_y = height - 2 * margin - 2 * pad
    widest = min(width - 2 * margin, max(round(max_shares[1] * width), FULL_WIDTH_EM * font))
    room_x = widest - 2 * pad - _indent_px(font) - font // 4
    if room_y < line_height_px(font) or room_x < MIN_TEXT_EM * font:
        return None
    rows_fit = max(1, min(round(max_shares[0] * height), room_y) // _row_px(font, 1))
    lines_each = max(1, min(MAX_LINES_PER_PHRASE, rows_fit // len(texts)))
    shown = len(texts) if len(texts) <= rows_fit else max(1, rows_fit - 1)
    rows = tuple(
        Row(index, wrap_text(text, font, room_x, lines_each) if text else ())
        for index, text in enumerate(texts[:shown])
    )
    omitted = len(texts) - shown if rows_fit > 1 else 0
    longest = max([width_px(line, font) for row in rows for line in row.lines] + [_more_px(omitted, font)])
    tall = sum(_row_px(font, len(row.lines)) for row in rows) + (_row_px(font, 1) if omitted else 0)
    panel = (tall - _gap_px(font) + 2 * pad, longest + _indent_px(font) + 2 * pad + font // 4)
    return Legend(rows, omitted, len(texts) > 1, font, panel)


def _more_px(omitted: int, font: int) -> int:
    return width_px(f"+ {omitted}", font) if omitted else 0


def _margin_px(font: int) -> int:
    return max(3, round(0.7 * font))


def _pad_px(font: int) -> int:
    return max(3, round(0.5 * font))


def _gap_px(font: int) -> int:
    return max(1, round(0.25 * font))


def _indent_px(font: int) -> int:
    return disc_px(font) + max(3, round(0.5 * font))


def _row_px(font: int, lines: int) -> int:
    return max(1, lines) * line_height_px(font) + _gap_px(font)


def origin(legend: Legend, size: tuple[int, int], corner: Corner) -> tuple[int, int]:
    """Return the top left pixel (y, x) of the panel in an image of (height, width) pixels."""
    margin = _margin_px(legend.font_px)
    y = margin if corner.startswith("top") else size[0] - margin - legend.size[0]
    x = margin if corner.endswith("left") else size[1] - margin - legend.size[1]
    return y, x


def paint(image: Image, legend: Legend, at: tuple[int, int], palette: Sequence[Rgb], visible: Sequence[bool]) -> None:
    """Draw the panel into an image.

    Args:
        image: uint8 RGB [h, w, 3]; changed in place.
        legend: From `plan`.
        at: Top left pixel (y, x) of the panel.
        palette: Colour of each object.
        visible: Whether each object is in this image; the rows of the others are faint.
    """
    font, pad = legend.font_px, _pad_px(legend.font_px)
    blend(image, at, _rounded(legend.size, pad), PANEL_RGB, PANEL_OPACITY)
    y, x = at[0] + pad, at[1] + pad
    for row in legend.rows:
        opacity = 1.0 if visible[row.object_index] else HIDDEN_OPACITY
        number = str(row.object_index + 1) if legend.numbered else ""
        centre = (y + line_height_px(font) // 2, x + disc_px(font) // 2)
        paint_disc(image, centre, font, number, palette[row.object_index], opacity)
        for step, line in enumerate(row.lines):
            blend(
                image,
                (y + step * line_height_px(font), x + _indent_px(font)),
                render_line(line, font),
                WHITE,
                opacity,
            )
        y += _row_px(font, len(row.lines))
    if legend.omitted:
        more = render_line(f"+ {legend.omitted}", font)
        blend(image, (y, x + _indent_px(font)), more, WHITE, HIDDEN_OPACITY)


def paint_disc(
    image: Image, centre: tuple[int, int], font: int, number: str, colour: Rgb, opacity: float = 1.0
) -> None:
    """Draw a disc in an object's colour, with its number.

    Args:
        image: uint8 RGB [h, w, 3]; changed in place.
        centre: Pixel (y, x).
        font: Font size in pixels; it determines the disc's size.
        number: Text in the disc; empty for none.
        colour: Colour of the disc.
        opacity: Of disc and number, 0-1.
    """
    across = disc_px(font)
    corner = (centre[0] - across // 2, centre[1] - across // 2)
    blend(image, corner, _rounded((across, across), across / 2), colour, opacity)
    if number:
        digits = render_line(number, max(6, round((0.88, 0.72, 0.55)[min(len(number), 3) - 1] * font)))
        ink = cv2.boundingRect(digits)
        digits = digits[ink[1] : ink[1] + ink[3], ink[0] : ink[0] + ink[2]]
        start = (centre[0] - digits.shape[0] // 2, centre[1] - digits.shape[1] // 2)
        blend(image, start, digits, INK if is_light(colour) else WHITE, opacity)


def blend(image: Image, at: tuple[int, int], coverage: Coverage, colour: Rgb, opacity: float = 1.0) -> None:
    """Blend a colour into an image, weighted by a coverage mask; the part outside the image is cut off.

    Args:
        image: uint8 RGB [h, w, 3]; changed in place.
        at: Top left pixel (y, x) of the coverage; may be negative.
        coverage: uint8 [h, w], 0-255.
        colour: The colour.
        opacity: Of a fully covered pixel, 0-1.
    """
    y, x = at
    coverage = coverage[max(0, -y) :, max(0, -x) :]
    y, x = max(0, y), max(0, x)
    part = image[y : y + coverage.shape[0], x : x + coverage.shape[1]]
    if part.size == 0:
        return
    share = coverage[: part.shape[0], : part.shape[1], None] * np.float32(opacity / 255)
    part[:] = np.rint(part + (np.array(colour, np.float32) - part) * share).astype(np.uint8)


@lru_cache(maxsize=32)
def _rounded(size: tuple[int, int], radius: float) -> Coverage:
    """Return the coverage, uint8 [h, w], of a rectangle of (height, width) pixels with rounded corners, antialiased."""
    y, x = (np.abs(np.arange(side) - (side - 1) / 2) for side in size)
    past_y = np.maximum(y - (size[0] / 2 - radius), 0)[:, None]
    past_x = np.maximum(x - (size[1] / 2 - radius), 0)[None, :]
    outside = np.hypot(past_y, past_x) - radius
    coverage: Coverage = np.rint(255 * np.clip(0.5 - outside, 0, 1)).astype(np.uint8)
    coverage.flags.writeable = False
    return coverage
