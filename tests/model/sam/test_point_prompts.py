"""Points and boxes of a person: as SAM-2's own video predictor takes them, checked before they reach it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from refsav.datasets.frames import Image, decode
from refsav.model.input_errors import InputError
from refsav.model.media.clip import as_clip
from refsav.model.sam.grounding import Sam2
from refsav.model.sam.point_prompt_syntax import read_object
from refsav.model.sam.point_prompts import Mark, box_in, track_marked
from tests.support.models.small_sam2 import own_predictor, small_sam2

LOGITS = 2e-2
"""Largest difference of mask logits, which go up to some tens; batches add up in another order than single objects."""


@pytest.fixture(scope="module")
def sam2() -> Sam2:
    return small_sam2()


@pytest.fixture(scope="module")
def real_frames(sav_data: Path) -> list[Image]:
    return [frame for _, frame in decode(sav_data / "vos_000001.mp4", range(0, 20, 2))]


def test_marked_objects_are_followed_as_by_sam2s_own_predictor(sam2: Sam2, real_frames: list[Image]) -> None:
    box, point = (150.0, 40.0, 480.0, 330.0), (300.0, 160.0)
    aside = (30.0, 20.0)
    objects = [
        [Mark(points=(point,))],
        [Mark(box=box, points=(aside,), on_object=(False,))],
        [Mark(box=box), Mark(frame=6, points=(point, (320.0, 150.0)))],
    ]
    found = torch.stack([one.logits for one in track_marked(sam2, as_clip(real_frames), objects)])

    predictor, state = own_predictor(sam2, real_frames)
    predictor.add_new_points_or_box(state, 0, 1, points=[point], labels=[1])
    predictor.add_new_points_or_box(state, 0, 2, points=[aside], labels=[0], box=box)
    predictor.add_new_points_or_box(state, 0, 3, box=box)
    predictor.add_new_points_or_box(state, 6, 3, points=[point, (320.0, 150.0)], labels=[1, 1])
    height, width = real_frames[0].shape[:2]
    ours_at_full_size = torch.nn.functional.interpolate(found.flatten(0, 1)[:, None], (height, width), mode="bilinear")
    theirs = torch.stack([masks[:, 0] for _, _, masks in predictor.propagate_in_video(state)])
    assert (ours_at_full_size.view(theirs.shape) - theirs).abs().max() < LOGITS
    assert theirs.abs().max() > 1  # there is something to compare


def test_frames_before_the_first_mark_are_followed_backwards(sam2: Sam2, real_frames: list[Image]) -> None:
    marks = [[Mark(frame=4, points=((300.0, 160.0),))], [Mark(frame=2, points=((100.0, 100.0),))]]
    found = list(track_marked(sam2, as_clip(real_frames), marks))
    assert [one.index for one in found] == list(range(len(real_frames)))
    predictor, state = own_predictor(sam2, real_frames)
    predictor.add_new_points_or_box(state, 4, 1, points=[(300.0, 160.0)], labels=[1])
    backwards = {index: masks[0, 0] for index, _, masks in predictor.propagate_in_video(state, 4, reverse=True)}
    for index, theirs in backwards.items():
        ours = torch.nn.functional.interpolate(found[index].logits[:1, None], theirs.shape, mode="bilinear")[0, 0]
        assert (ours - theirs).abs().max() < LOGITS


def test_a_box_is_cut_to_the_picture_and_its_corners_put_in_order() -> None:
    assert box_in((120, 90, -10, 20), height=80, width=100) == (0, 20, 100, 80)


@pytest.mark.parametrize("box", [(200, 10, 300, 20), (10, 10, 10, 50), (-50, -50, -1, -1)])
def test_a_box_without_area_in_the_picture_is_refused(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(InputError, match="no area in the image of 100x80"):
        box_in(box, height=80, width=100)


@pytest.mark.parametrize(
    ("marks", "problem"),
    [
        ([], "no object is marked"),
        ([[]], "has no mark"),
        ([[Mark(points=((5, 5),)), Mark(points=((6, 6),))]], "two in one frame"),
        ([[Mark(frame=9, points=((5, 5),))]], "marked in frame 9, but the clip has 2"),
        ([[Mark(points=((500, 5),))]], "the point 500,5 lies outside the image of 128x96"),
        ([[Mark()]], "neither a box nor points"),
    ],
)
def test_marks_that_cannot_be_used_are_refused(sam2: Sam2, marks: list[list[Mark]], problem: str) -> None:
    frames = [np.zeros((96, 128, 3), np.uint8)] * 2
    with pytest.raises(InputError, match=problem):
        list(track_marked(sam2, as_clip(frames), marks))


def test_typed_marks_of_one_frame_become_one_mark() -> None:
    assert read_object("120,80 10,20,200,240 5,5,0 7.5,8@3") == [
        Mark(points=((120, 80), (5, 5)), on_object=(True, False), box=(10, 20, 200, 240)),
        Mark(frame=3, points=((7.5, 8),), on_object=(True,)),
    ]


@pytest.mark.parametrize("text", ["", "12", "a,b", "1,2,3", "1,2,3,4,5", "1,2@x", "1,2,3,4 5,6,7,8"])
def test_typed_marks_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        read_object(text)
