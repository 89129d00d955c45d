"""Marks of objects as the page edits them: as text, one line per object, and drawn over the shown frame.

The text (see `point_prompt_syntax`) is the only state: clicks add to it, and it can be typed instead.
"""

from collections.abc import Iterator, Sequence

from refsav.model.input_errors import InputError
from refsav.model.output.palette import colours, is_light
from refsav.model.sam.point_prompt_syntax import read_object
from refsav.model.sam.point_prompts import Mark

Point = tuple[float, float]
"""(x, y) in pixels."""


def lines_of(text: str) -> list[str]:
    """Return the lines that mark an object."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def objects_in(text: str) -> list[list[Mark]]:
    """Parse the marks of each object.

    Raises:
        InputError: If a line is not a list of marks; it names the object.
    """
    objects = []
    for number, line in enumerate(lines_of(text), 1):
        try:
            objects.append(read_object(line))
        except InputError as error:
            raise InputError(f"object {number}: {error.problem}", error.fix) from None
    return objects


def with_point(text: str, number: int, at: Point, *, on_object: bool, frame: int) -> str:
    """Return the text with another point.

    Args:
        text: The marks so far.
        number: The object's number, from 1; a number without a line starts a new object.
        at: The point.
        on_object: Whether the point is on the object (a positive click) or outside it (a negative click).
        frame: Which frame it is in, from 0.
    """
    return _append(text, number, _format_point(at) + ("" if on_object else ",0") + _format_frame(frame))


def with_box(text: str, number: int, corner: Point, other: Point, frame: int) -> str:
    """Return the text with a box, which replaces the object's previous box in this frame.

    Args:
        text: The marks so far.
        number: The object's number, from 1; a number without a line starts a new object.
        corner: One corner.
        other: The opposite corner.
        frame: Which frame the box is in, from 0.
    """
    lines = lines_of(text)
    if number <= len(lines):
        kept = [mark for mark in lines[number - 1].split() if not _is_box_in(mark, frame)]
        lines[number - 1] = " ".join(kept)
    (x0, x1), (y0, y1) = (sorted(pair) for pair in zip(corner, other, strict=True))
    box = _format_point((x0, y0)) + "," + _format_point((x1, y1)) + _format_frame(frame)
    if number <= len(lines):
        lines[number - 1] = f"{lines[number - 1]} {box}".strip()
        return "\n".join(lines)
    return _append("\n".join(lines), number, box)


def without_last(text: str, number: int) -> str:
    """Return the text without the last mark of object `number`; an object without marks is removed."""
    lines = lines_of(text)
    if number <= len(lines):
        lines[number - 1] = " ".join(lines[number - 1].split()[:-1])
    return "\n".join(line for line in lines if line)


def _append(text: str, number: int, mark: str) -> str:
    lines = lines_of(text)
    if number > len(lines):
        return "\n".join([*lines, mark])
    lines[number - 1] += f" {mark}"
    return "\n".join(lines)


def _is_box_in(mark: str, frame: int) -> bool:
    numbers, _, mark_frame = mark.partition("@")
    return numbers.count(",") == 3 and int(mark_frame or 0) == frame


def _format_point(at: Point) -> str:
    return ",".join(f"{round(number, 1):g}" for number in at)


def _format_frame(frame: int) -> str:
    return f"@{frame}" if frame else ""


def overlay(objects: Sequence[Sequence[Mark]], frame: int, size: tuple[int, int], corner: Point | None = None) -> str:
    """Draw the marks of a frame as HTML that lies over the image: numbers, crosses for points outside, boxes.

    As HTML, marks keep their size when the image is displayed smaller, and the image is not sent again for each mark.

    Args:
        objects: The marks of each object.
        frame: The shown frame, from 0.
        size: (height, width) of the frame, in pixels.
        corner: The first corner of a box whose second corner is missing.

    Returns:
        HTML; empty if the frame has no marks.
    """
    parts = [
        part
        for number, marks in enumerate(objects, 1)
        for mark in marks
        if mark.frame == frame
        for part in _elements(number, mark, size)
    ]
    if corner:
        parts.append(f'<i class="corner" style="{_position(corner, size)}"></i>')
    height, width = size
    return f'<div class="marks" style="--width: {width}; --height: {height}">{"".join(parts)}</div>' if parts else ""


def _elements(number: int, mark: Mark, size: tuple[int, int]) -> Iterator[str]:
    colour = colours(number)[number - 1]
    tint = f"--tint: rgb{colour}; --ink: {'#0e1014' if is_light(colour) else '#fff'}"
    if mark.box:
        x0, y0, x1, y1 = mark.box
        width, height = 100 * abs(x1 - x0) / size[1], 100 * abs(y1 - y0) / size[0]
        area = f"{_position((min(x0, x1), min(y0, y1)), size)}; width: {width:.2f}%; height: {height:.2f}%"
        yield f'<i class="box" style="{area}; {tint}"><i class="dot">{number}</i></i>'
    for at, on_object in zip(mark.points, mark.on_object or (True,) * len(mark.points), strict=True):
        css_class, text = ("dot", str(number)) if on_object else ("dot outside", "×")
        yield f'<i class="{css_class}" style="{_position(at, size)}; {tint}">{text}</i>'


def _position(point: Point, size: tuple[int, int]) -> str:
    return f"left: {100 * point[0] / size[1]:.2f}%; top: {100 * point[1] / size[0]:.2f}%"
