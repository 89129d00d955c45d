"""Marks as the page edits them: a line of text for each object (`mark_text`), and drawn over the frame that is shown.

The text is all there is: clicks add to it, and whoever cannot click types it.
"""

from collections.abc import Iterator, Sequence

from refsav.model.input_errors import InputError
from refsav.model.output.palette import colours, is_light
from refsav.model.sam.point_prompt_syntax import read_object
from refsav.model.sam.point_prompts import Mark

Point = tuple[float, float]
"""(x, y) in pixels."""


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


def drawn(objects: Sequence[Sequence[Mark]], frame: int, size: tuple[int, int], corner: Point | None = None) -> str:
    """The marks that lie in a frame, as HTML to be laid over it: numbers on objects, crosses beside them, boxes.

    They keep their size where the picture is small, and the picture itself need not be sent again for each.

    Args:
        objects: Marks of each object.
        frame: Which frame is shown.
        size: (height, width) of the frame, in pixels.
        corner: The first corner of a box that waits for its second.
    """
    parts = [
        part
        for number, marks in enumerate(objects, 1)
        for mark in marks
        if mark.frame == frame
        for part in _parts(number, mark, size)
    ]
    if corner:
        parts.append(f'<i class="corner" style="{_at(corner, size)}"></i>')
    height, width = size
    return f'<div class="marks" style="--width: {width}; --height: {height}">{"".join(parts)}</div>' if parts else ""


def _parts(number: int, mark: Mark, size: tuple[int, int]) -> Iterator[str]:
    colour = colours(number)[number - 1]
    tint = f"--tint: rgb{colour}; --ink: {'#0e1014' if is_light(colour) else '#fff'}"
    if mark.box:
        x0, y0, x1, y1 = mark.box
        across, down = 100 * abs(x1 - x0) / size[1], 100 * abs(y1 - y0) / size[0]
        place = f"{_at((min(x0, x1), min(y0, y1)), size)}; width: {across:.2f}%; height: {down:.2f}%"
        yield f'<i class="box" style="{place}; {tint}"><i class="dot">{number}</i></i>'
    for at, on in zip(mark.points, mark.on_object or (True,) * len(mark.points), strict=True):
        kind, text = ("dot", str(number)) if on else ("dot beside", "×")
        yield f'<i class="{kind}" style="{_at(at, size)}; {tint}">{text}</i>'


def _at(point: Point, size: tuple[int, int]) -> str:
    return f"left: {100 * point[0] / size[1]:.2f}%; top: {100 * point[1] / size[0]:.2f}%"
