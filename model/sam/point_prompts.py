"""Points and boxes that a person puts on objects, checked and brought to SAM-2's form."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch

from refsav.model.input_errors import InputError
from refsav.model.media.clip import Clip
from refsav.model.sam.grounding import Sam2
from refsav.model.sam.propagation import FrameLogits, follow
from refsav.model.sam.tracker import Tracks

ON, BESIDE = 1, 0
BOX_CORNERS = (2, 3)
"""SAM-2's labels of points."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """What a person puts on one object in one frame: points, a box, or both."""

    frame: int = 0
    points: tuple[tuple[float, float], ...] = ()
    """(x, y) in pixels of frame 0's size."""
    on_object: tuple[bool, ...] = ()
    """For each point, whether it lies on the object, or beside it where it must not go. Empty: all lie on it."""
    box: tuple[float, float, float, float] | None = None
    """(x0, y0, x1, y1) in pixels."""


MarkedObject = Sequence[Mark]
"""The marks on one object, each in another frame."""


@dataclass(frozen=True, slots=True)
class _Points:
    frame: int
    points: tuple[tuple[float, float], ...]
    """(x, y), 0-1."""
    labels: tuple[int, ...]


@torch.inference_mode()
def track_marked(
    sam2: Sam2, clip: Clip, objects: Sequence[MarkedObject], *, objects_at_once: int = 16
) -> Iterator[FrameLogits]:
    """Yield masks of marked objects in every frame, as SAM-2's own video predictor gives them; no language is involved.

    Objects with marks in the same frames and as many points are followed together.

    Args:
        sam2: With the mask decoder that is to be used.
        clip: Read twice at marked frames, else once.
        objects: At least one; their order is that of the masks.
        objects_at_once: Bounds memory.

    Raises:
        InputError: For an object without marks, or marks outside the clip or its frames.
    """
    checked = [_checked(number, marks, clip) for number, marks in enumerate(objects, 1)]
    if not checked:
        raise InputError("no object is marked", "put a point or a box on one")
    kinds = [tuple((one.frame, len(one.labels)) for one in marks) for marks in checked]
    order = sorted(range(len(checked)), key=lambda number: kinds[number])
    groups = [
        members[start : start + objects_at_once]
        for _, found in groupby(order, key=lambda number: kinds[number])
        for members in [list(found)]
        for start in range(0, len(members), objects_at_once)
    ]
    tracks = [Tracks(sam2, clip.count, blank_hidden=True) for _ in groups]
    weight = sam2.no_mem_embed
    for index, frame in clip.frames(sorted({one.frame for marks in checked for one in marks})):
        features = sam2.encode(frame)
        for members, track in zip(groups, tracks, strict=True):
            here = [one for number in members for one in checked[number] if one.frame == index]
            if here:
                points = torch.tensor([one.points for one in here], device=weight.device) * sam2.image_size
                labels = torch.tensor([one.labels for one in here], device=weight.device, dtype=torch.int32)
                track.prompt_points(index, features, points, labels)
    place = {number: slot for slot, number in enumerate(number for members in groups for number in members)}
    inverse = [place[number] for number in range(len(checked))]
    for found in follow(sam2, clip, tracks):
        yield FrameLogits(found.index, found.logits[inverse])


def box_in(box: tuple[float, float, float, float], height: int, width: int) -> tuple[float, float, float, float]:
    """A box with its corners in order and cut to the picture.

    Raises:
        InputError: If nothing of it lies in the picture.
    """
    x0, x1 = sorted((box[0], box[2]))
    y0, y1 = sorted((box[1], box[3]))
    cut = (max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height)))
    if cut[0] >= cut[2] or cut[1] >= cut[3]:
        raise InputError(
            f"the box {_told(box)} has no area in the picture of {width}x{height} pixels",
            "give x0,y0,x1,y1 in pixels, counted from the upper left corner",
        )
    return cut


def _checked(number: int, marks: MarkedObject, clip: Clip) -> list[_Points]:
    frames = [mark.frame for mark in marks]
    if not marks or len(set(frames)) < len(frames):
        raise InputError(f"object {number} has no mark, or two in one frame", "give it one mark a frame, at least one")
    return sorted((_points(number, mark, clip) for mark in marks), key=lambda one: one.frame)


def _points(number: int, mark: Mark, clip: Clip) -> _Points:
    if not 0 <= mark.frame < clip.count:
        raise InputError(
            f"object {number} is marked in frame {mark.frame}, the clip has {clip.count}", "count frames from 0"
        )
    beside = mark.on_object or (True,) * len(mark.points)
    if len(beside) != len(mark.points) or not (mark.points or mark.box):
        raise InputError(f"object {number}: a mark needs points, each on or beside it, or a box", "give one of them")
    for x, y in mark.points:
        if not (0 <= x <= clip.width and 0 <= y <= clip.height):
            raise InputError(
                f"object {number}: the point {_told((x, y))} lies outside the picture of {clip.width}x{clip.height}",
                "give x,y in pixels, counted from the upper left corner",
            )
    corners: tuple[tuple[float, float], ...] = ()
    if mark.box:
        x0, y0, x1, y1 = box_in(mark.box, clip.height, clip.width)
        corners = ((x0, y0), (x1, y1))
    points = tuple((x / clip.width, y / clip.height) for x, y in (*corners, *mark.points))
    labels = (*BOX_CORNERS[: len(corners)], *(ON if on else BESIDE for on in beside))
    return _Points(mark.frame, points, labels)


def _told(numbers: Sequence[float]) -> str:
    return ",".join(f"{number:g}" for number in numbers)
