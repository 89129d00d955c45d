"""The legend: a dark panel in a corner of the picture, with a coloured disc and a phrase for each object."""

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
"""The first that is free is taken."""

PANEL_RGB = (14, 16, 20)
PANEL_OPACITY = 0.68
WHITE: Rgb = (255, 255, 255)
INK: Rgb = (14, 16, 20)
HIDDEN_OPACITY = 0.45
"""Of the row of an object that is not in this picture."""

FONT_SHARE = 0.024
"""Height of the letters as a share of the picture's mean side."""
MIN_FONT_PX = 11
"""Below this nobody can read."""

MAX_LINES_PER_PHRASE = 2
MAX_HEIGHT_SHARE, MAX_WIDTH_SHARE = 0.42, 0.5
"""Of the picture's height and width that the panel may take, unless one row needs more."""
WIDEST_FONTS, NARROWEST_FONTS = 24, 4
"""A narrow picture gives the panel its whole width up to this many times the font; below the least, there is none."""

SMALLER = 0.8
"""Of the usual font, where that would leave objects out."""

MAX_CHARACTERS = 1000
"""No picture has room for more characters; the rest need not be measured."""


class Row(NamedTuple):
    """One object in the legend."""

    place: int
    """The object's place among all, from 0."""
    lines: tuple[str, ...]
    """Its phrase; no line if it cannot be drawn, then the disc and its number stand alone."""


class Legend(NamedTuple):
    """What stands in the panel, and how large it is; the same for every frame of a video."""

    rows: tuple[Row, ...]
    left_out: int
    """Objects that there is no room for; a last line tells how many."""
    numbered: bool
    font_px: int
    size: tuple[int, int]
    """(height, width) of the panel, in pixels."""


def font_px(size: tuple[int, int]) -> int:
    """Height of the letters for a picture of (height, width) pixels."""
    height, width = size
    return max(MIN_FONT_PX, min(round(FONT_SHARE * math.sqrt(height * width)), height // 10))


def disc_px(font: int) -> int:
    """Diameter of the disc that goes with letters of a height."""
    return round(1.25 * font) | 1


@lru_cache(maxsize=16)
def plan(
    phrases: tuple[str, ...], size: tuple[int, int], most: tuple[float, float] = (MAX_HEIGHT_SHARE, MAX_WIDTH_SHARE)
) -> Legend | None:
    """Lay the legend out; None if there is nothing to say or no room to say it.

    Args:
        phrases: What each object is called; one that cannot be drawn leaves its number standing alone.
        size: (height, width) of the picture, in pixels.
        most: Shares of the height and width that the panel may take, 0-1.
    """
    texts = [drawable_text(phrase[:MAX_CHARACTERS]) for phrase in phrases]
    font = font_px(size)
    legend = _laid_out(texts, size, most, font) if any(texts) else None
    if legend and legend.left_out:
        return _laid_out(texts, size, most, max(MIN_FONT_PX, round(SMALLER * font)))
    return legend


def _laid_out(texts: list[str], size: tuple[int, int], most: tuple[float, float], font: int) -> Legend | None:
    height, width = size
    margin, pad = _margin_px(font), _pad_px(font)
    room_y = height - 2 * margin - 2 * pad
    widest = min(width - 2 * margin, max(round(most[1] * width), WIDEST_FONTS * font))
    room_x = widest - 2 * pad - _indent_px(font) - font // 4
    if room_y < line_height_px(font) or room_x < NARROWEST_FONTS * font:
        return None
    rows_fit = max(1, min(round(most[0] * height), room_y) // _row_px(font, 1))
    lines_each = max(1, min(MAX_LINES_PER_PHRASE, rows_fit // len(texts)))
    shown = len(texts) if len(texts) <= rows_fit else max(1, rows_fit - 1)
    rows = tuple(
        Row(place, wrap_text(text, font, room_x, lines_each) if text else ())
        for place, text in enumerate(texts[:shown])
    )
    left_out = len(texts) - shown if rows_fit > 1 else 0
    longest = max([width_px(line, font) for row in rows for line in row.lines] + [_more_px(left_out, font)])
    tall = sum(_row_px(font, len(row.lines)) for row in rows) + (_row_px(font, 1) if left_out else 0)
    panel = (tall - _gap_px(font) + 2 * pad, longest + _indent_px(font) + 2 * pad + font // 4)
    return Legend(rows, left_out, len(texts) > 1, font, panel)


def _more_px(left_out: int, font: int) -> int:
    return width_px(f"+ {left_out}", font) if left_out else 0


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


def place(legend: Legend, size: tuple[int, int], corner: Corner) -> tuple[int, int]:
    """Top left pixel (y, x) of the panel in a picture of (height, width) pixels."""
    margin = _margin_px(legend.font_px)
    y = margin if corner.startswith("top") else size[0] - margin - legend.size[0]
    x = margin if corner.endswith("left") else size[1] - margin - legend.size[1]
    return y, x


def paint(picture: Image, legend: Legend, at: tuple[int, int], palette: Sequence[Rgb], visible: Sequence[bool]) -> None:
    """Paint the panel into a picture, uint8 RGB [h, w, 3].

    Args:
        picture: Is changed.
        legend: From `plan`.
        at: Top left pixel (y, x) of the panel.
        palette: Colour of each object.
        visible: Whether each object is in this picture; the rows of the others are faint.
    """
    font, pad = legend.font_px, _pad_px(legend.font_px)
    blend(picture, at, _rounded(legend.size, pad), PANEL_RGB, PANEL_OPACITY)
    y, x = at[0] + pad, at[1] + pad
    for row in legend.rows:
        opacity = 1.0 if visible[row.place] else HIDDEN_OPACITY
        number = str(row.place + 1) if legend.numbered else ""
        centre = (y + line_height_px(font) // 2, x + disc_px(font) // 2)
        paint_disc(picture, centre, font, number, palette[row.place], opacity)
        for step, line in enumerate(row.lines):
            blend(
                picture,
                (y + step * line_height_px(font), x + _indent_px(font)),
                render_line(line, font),
                WHITE,
                opacity,
            )
        y += _row_px(font, len(row.lines))
    if legend.left_out:
        more = render_line(f"+ {legend.left_out}", font)
        blend(picture, (y, x + _indent_px(font)), more, WHITE, HIDDEN_OPACITY)


def paint_disc(
    picture: Image, centre: tuple[int, int], font: int, number: str, colour: Rgb, opacity: float = 1.0
) -> None:
    """Paint a disc in an object's colour, with its number if it has one, around a pixel (y, x)."""
    across = disc_px(font)
    corner = (centre[0] - across // 2, centre[1] - across // 2)
    blend(picture, corner, _rounded((across, across), across / 2), colour, opacity)
    if number:
        digits = render_line(number, max(6, round((0.88, 0.72, 0.55)[min(len(number), 3) - 1] * font)))
        ink = cv2.boundingRect(digits)
        digits = digits[ink[1] : ink[1] + ink[3], ink[0] : ink[0] + ink[2]]
        start = (centre[0] - digits.shape[0] // 2, centre[1] - digits.shape[1] // 2)
        blend(picture, start, digits, INK if is_light(colour) else WHITE, opacity)


def blend(picture: Image, at: tuple[int, int], coverage: Coverage, colour: Rgb, opacity: float = 1.0) -> None:
    """Lay a colour over a part of a picture, as far as each pixel is covered; what lies outside is cut off.

    Args:
        picture: uint8 RGB [h, w, 3]; is changed.
        at: Where the coverage begins, (y, x); may be negative.
        coverage: uint8, 0-255.
        colour: What is laid over.
        opacity: Share of the colour where a pixel is covered fully, 0-1.
    """
    y, x = at
    coverage = coverage[max(0, -y) :, max(0, -x) :]
    y, x = max(0, y), max(0, x)
    part = picture[y : y + coverage.shape[0], x : x + coverage.shape[1]]
    if part.size == 0:
        return
    share = coverage[: part.shape[0], : part.shape[1], None] * np.float32(opacity / 255)
    part[:] = np.rint(part + (np.array(colour, np.float32) - part) * share).astype(np.uint8)


@lru_cache(maxsize=32)
def _rounded(size: tuple[int, int], radius: float) -> Coverage:
    """Coverage of a rectangle of (height, width) pixels with round corners."""
    y, x = (np.abs(np.arange(side) - (side - 1) / 2) for side in size)
    past_y = np.maximum(y - (size[0] / 2 - radius), 0)[:, None]
    past_x = np.maximum(x - (size[1] / 2 - radius), 0)[None, :]
    outside = np.hypot(past_y, past_x) - radius
    coverage: Coverage = np.rint(255 * np.clip(0.5 - outside, 0, 1)).astype(np.uint8)
    coverage.flags.writeable = False
    return coverage
