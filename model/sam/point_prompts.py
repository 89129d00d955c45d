"""Point and box prompts of a person, checked and converted for SAM-2.

Source: SAM-2, `add_new_points_or_box` and `propagate_in_video`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch

from refsav.model.input_errors import InputError
from refsav.model.media.clip import Clip
from refsav.model.sam.grounding import Sam2
from refsav.model.sam.propagation import FrameLogits, follow
from refsav.model.sam.tracker import Tracks

ON, OFF = 1, 0
BOX_CORNERS = (2, 3)
"""SAM-2's labels of points: on and off the object, and the two corners of a box."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """The points and the box that a person puts on one object in one frame."""

    frame: int = 0
    points: tuple[tuple[float, float], ...] = ()
    """(x, y) in pixels of frame 0's size."""
    on_object: tuple[bool, ...] = ()
    """For each point, whether it is on the object, or off it to exclude a region. Empty: all points are on it."""
    box: tuple[float, float, float, float] | None = None
    """(x0, y0, x1, y1) in pixels."""


MarkedObject = Sequence[Mark]
"""The marks on one object, at most one per frame."""


@dataclass(frozen=True, slots=True)
class _Points:
    frame: int
    points: tuple[tuple[float, float], ...]
    """(x, y) as fractions of width and height."""
    labels: tuple[int, ...]


@torch.inference_mode()
def track_marked(
    sam2: Sam2, clip: Clip, objects: Sequence[MarkedObject], *, objects_at_once: int = 16
) -> Iterator[FrameLogits]:
    """Yield the masks of marked objects frame by frame, as SAM-2's video predictor does; no language is involved.

    Objects with marks in the same frames and the same numbers of points are tracked in one batch.

    Args:
        sam2: The model, with the mask decoder to use.
        clip: Marked frames are read twice, all others once.
        objects: The marks on each object, at least one object; masks have the same order.
        objects_at_once: Largest number of objects of a batch, which bounds memory.

    Raises:
        InputError: If an object has no mark, or a mark lies outside the clip or the frame.
    """
    checked = [_checked(number, marks, clip) for number, marks in enumerate(objects, 1)]
    if not checked:
        raise InputError("no object is marked", "put a point or a box on an object")
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
    row_of = {number: row for row, number in enumerate(number for members in groups for number in members)}
    inverse = [row_of[number] for number in range(len(checked))]
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
            f"the box {_numbers(box)} has no area in the image of {width}x{height} pixels",
            "give x0,y0,x1,y1 in pixels from the upper left corner",
        )
    return cut


def _checked(number: int, marks: MarkedObject, clip: Clip) -> list[_Points]:
    frames = [mark.frame for mark in marks]
    if not marks or len(set(frames)) < len(frames):
        raise InputError(
            f"object {number} has no mark, or two in one frame", "give one mark per frame, at least one in all"
        )
    return sorted((_points(number, mark, clip) for mark in marks), key=lambda one: one.frame)


def _points(number: int, mark: Mark, clip: Clip) -> _Points:
    if not 0 <= mark.frame < clip.count:
        raise InputError(
            f"object {number} is marked in frame {mark.frame}, but the clip has {clip.count} frames",
            f"give a frame from 0 to {clip.count - 1}",
        )
    on_object = mark.on_object or (True,) * len(mark.points)
    if len(on_object) != len(mark.points) or not (mark.points or mark.box):
        raise InputError(f"object {number}: a mark has neither a box nor points with a label each", "give one of them")
    for x, y in mark.points:
        if not (0 <= x <= clip.width and 0 <= y <= clip.height):
            raise InputError(
                f"object {number}: the point {_numbers((x, y))} lies outside the image of {clip.width}x{clip.height}",
                "give x,y in pixels from the upper left corner",
            )
    corners: tuple[tuple[float, float], ...] = ()
    if mark.box:
        x0, y0, x1, y1 = box_in(mark.box, clip.height, clip.width)
        corners = ((x0, y0), (x1, y1))
    points = tuple((x / clip.width, y / clip.height) for x, y in (*corners, *mark.points))
    labels = (*BOX_CORNERS[: len(corners)], *(ON if on else OFF for on in on_object))
    return _Points(mark.frame, points, labels)


def _numbers(numbers: Sequence[float]) -> str:
    return ",".join(f"{number:g}" for number in numbers)
