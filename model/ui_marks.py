"""Marks as the page edits them: a line of text for each object (`mark_text`), and drawn on the frame that is shown.

The text is all there is: clicks add to it, and whoever cannot click types it.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from refsav.datasets.frames import Image
from refsav.model import legend as legends
from refsav.model.errors import InputError
from refsav.model.mark_text import read_object
from refsav.model.marks import Mark
from refsav.model.palette import Rgb, colours

Point = tuple[float, float]
"""(x, y) in pixels."""

DISC_SHARE, SMALLEST_DISC_PX = 0.03, 9
"""Height of a mark's number as a share of the picture's mean side, and the least that can be read."""

DARK: Rgb = (14, 16, 20)


def lines_of(text: str) -> list[str]:
    """The lines that mark an object."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def objects_in(text: str) -> list[list[Mark]]:
    """The marks of each object.

    Raises:
        InputError: If a line cannot be read; it says which.
    """
    objects = []
    for number, line in enumerate(lines_of(text), 1):
        try:
            objects.append(read_object(line))
        except InputError as error:
            raise InputError(f"object {number}: {error.problem}", error.fix) from None
    return objects


def with_point(text: str, number: int, at: Point, *, on_object: bool, frame: int) -> str:
    """The text with one more point, for object `number` from 1; a number without a line begins a new object."""
    return _with(text, number, _told(at) + ("" if on_object else ",0") + _told_frame(frame))


def with_box(text: str, number: int, corner: Point, other: Point, frame: int) -> str:
    """The text with a box between two corners, in place of the one that the object may have in this frame."""
    lines = lines_of(text)
    if number <= len(lines):
        kept = [piece for piece in lines[number - 1].split() if not _is_box_in(piece, frame)]
        lines[number - 1] = " ".join(kept)
    (x0, x1), (y0, y1) = (sorted(pair) for pair in zip(corner, other, strict=True))
    box = _told((x0, y0)) + "," + _told((x1, y1)) + _told_frame(frame)
    if number <= len(lines):
        lines[number - 1] = f"{lines[number - 1]} {box}".strip()
        return "\n".join(lines)
    return _with("\n".join(lines), number, box)


def without_last(text: str, number: int) -> str:
    """The text without the mark that object `number` got last; an object without marks is no more."""
    lines = lines_of(text)
    if number <= len(lines):
        lines[number - 1] = " ".join(lines[number - 1].split()[:-1])
    return "\n".join(line for line in lines if line)


def _with(text: str, number: int, piece: str) -> str:
    lines = lines_of(text)
    if number > len(lines):
        return "\n".join([*lines, piece])
    lines[number - 1] += f" {piece}"
    return "\n".join(lines)


def _is_box_in(piece: str, frame: int) -> bool:
    numbers, _, told = piece.partition("@")
    return numbers.count(",") == 3 and int(told or 0) == frame


def _told(at: Point) -> str:
    return ",".join(f"{round(number, 1):g}" for number in at)


def _told_frame(frame: int) -> str:
    return f"@{frame}" if frame else ""


def draw_marks(
    picture: Image, objects: Sequence[Sequence[Mark]], frame: int, scale: float, corner: Point | None = None
) -> Image:
    """Draw the marks that lie in a frame: discs with the object's number on it, crossed ones beside it, boxes.

    Args:
        picture: uint8 RGB [h, w, 3]; is not changed.
        objects: Marks of each object, in pixels of the frame's full size.
        frame: Which frame this is.
        scale: Pixels of the picture for one of the frame.
        corner: The first corner of a box that waits for its second, in pixels of the full size.
    """
    drawn = np.array(picture, order="C")
    font = max(SMALLEST_DISC_PX, round(DISC_SHARE * float((drawn.shape[0] * drawn.shape[1]) ** 0.5)))
    palette = colours(len(objects) + 1)
    for number, (marks, colour) in enumerate(zip(objects, palette, strict=False), 1):
        for mark in (mark for mark in marks if mark.frame == frame):
            if mark.box:
                _box(drawn, [round(scale * side) for side in mark.box], font, str(number), colour)
            on_object = mark.on_object or (True,) * len(mark.points)
            for (x, y), on in zip(mark.points, on_object, strict=True):
                _disc(drawn, (round(scale * y), round(scale * x)), font, str(number), colour, on=on)
    if corner:
        at = (round(scale * corner[0]), round(scale * corner[1]))
        for shade, thick in ((DARK, font // 3 + 2), (legends.WHITE, max(1, font // 5))):
            cv2.drawMarker(drawn, at, shade, cv2.MARKER_CROSS, 3 * font, thick)
    return drawn


def _disc(picture: Image, centre: tuple[int, int], font: int, number: str, colour: Rgb, *, on: bool) -> None:
    legends.paint_disc(picture, centre, round(1.35 * font) + 1, "", DARK if on else colour, 0.6 if on else 1.0)
    legends.paint_disc(picture, centre, font + 2, "", legends.WHITE if on else DARK)
    if on:
        legends.paint_disc(picture, centre, font, number, colour)
        return
    reach = max(2, font // 3)
    y, x = centre
    for dy in (-reach, reach):
        cv2.line(picture, (x - reach, y - dy), (x + reach, y + dy), legends.WHITE, max(2, font // 5), cv2.LINE_AA)


def _box(picture: Image, box: Sequence[int], font: int, number: str, colour: Rgb) -> None:
    x0, y0, x1, y1 = box
    for shade, thick in ((DARK, font // 4 + 3), (colour, max(2, font // 4))):
        cv2.rectangle(picture, (x0, y0), (x1, y1), shade, thick)
    _disc(picture, (min(y0, y1), min(x0, x1)), font, number, colour, on=True)
