"""The syntax of point and box prompts: "120,80" on an object, "120,80,0" off it, "10,20,200,240" a box.

`@5` at the end chooses frame 5.
"""

import re
from collections.abc import Iterable, Sequence

from refsav.model.input_errors import InputError
from refsav.model.sam.point_prompts import Mark

_NUMBER = r"-?\d+(?:\.\d+)?"
_MARK = re.compile(rf"({_NUMBER}(?:,{_NUMBER}){{1,3}})(?:@(\d+))?")
HOW = (
    "write x,y (on the object), x,y,0 (off it) or x0,y0,x1,y1 (a box), in pixels; append @5 for frame 5, as in 120,80@5"
)


def read_object(text: str) -> list[Mark]:
    """Parse the points and boxes on one object, separated by spaces; those of one frame form one mark.

    Raises:
        InputError: If a point or box cannot be parsed, or one frame has two boxes.
    """
    found: dict[int, list[Sequence[float]]] = {}
    for piece in text.split():
        match = _MARK.fullmatch(piece)
        if match is None:
            raise InputError(f"{piece!r} is neither a point nor a box", HOW)
        found.setdefault(int(match[2] or 0), []).append([float(number) for number in match[1].split(",")])
    if not found:
        raise InputError("a mark is empty", HOW)
    return [_mark(frame, given) for frame, given in sorted(found.items())]


def _mark(frame: int, given: Iterable[Sequence[float]]) -> Mark:
    boxes = [(one[0], one[1], one[2], one[3]) for one in given if len(one) == 4]
    points = [one for one in given if len(one) < 4]
    if len(boxes) > 1:
        raise InputError(
            f"an object has {len(boxes)} boxes in frame {frame}", "give one box per frame, and any number of points"
        )
    if any(len(one) == 3 and one[2] not in (0, 1) for one in points):
        raise InputError("the third number of a point is neither 1 (on the object) nor 0 (off it)", HOW)
    return Mark(
        frame=frame,
        points=tuple((one[0], one[1]) for one in points),
        on_object=tuple(len(one) == 2 or one[2] == 1 for one in points),
        box=boxes[0] if boxes else None,
    )
