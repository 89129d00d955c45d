"""Ref-DAVIS17's standard: what is void is cleared, overlaps are resolved, and masks are assigned to objects."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refsav.benchmarks.metrics.davis import best_assignment, standard_scores
from refsav.benchmarks.metrics.j_and_f import region_similarity
from refsav.datasets.external.referring_videos import ExpressionVideo, ReferringExpression
from tests.support.models.answering import Masks, packed

SIZE = (40, 60)


def box(left: int, top: int, side: int = 12) -> Masks:
    masks = np.zeros((3, *SIZE), np.bool_)
    masks[:, top : top + side, left : left + side] = True
    return masks


def video(*objects: Masks, void: Masks | None = None) -> ExpressionVideo:
    """One annotator's words for some objects."""
    said = [
        ReferringExpression(
            exp_id=str(number), text="", kind="annotator 1", object_ids=(str(number + 1),), truth=packed(masks)
        )
        for number, masks in enumerate(objects)
    ]
    frames = tuple(Path(f"{number:05d}.jpg") for number in range(3))
    return ExpressionVideo(
        video_id="v",
        frames=frames,
        size=SIZE,
        expressions=tuple(said),
        void=None if void is None else packed(void),
    )


@given(
    st.integers(1, 5).flatmap(
        lambda n: st.lists(st.lists(st.floats(0, 1), min_size=n, max_size=n), min_size=n, max_size=n)
    )
)
def test_the_assignment_is_the_best_of_all(rows: list[list[float]]) -> None:
    gains = np.array(rows)
    chosen = best_assignment(gains)
    assert sorted(chosen) == list(range(len(gains)))
    sums = [sum(gains[row, column] for column, row in enumerate(order)) for order in permutations(range(len(gains)))]
    assert sum(gains[row, column] for column, row in enumerate(chosen)) == pytest.approx(max(sums))


def test_masks_are_assigned_by_what_they_show() -> None:
    first, second = box(2, 2), box(30, 20)
    scores = standard_scores(video(first, second), [packed(second), packed(first)], SIZE)
    assert [(score.j, score.f) for score in scores] == [(1.0, 1.0), (1.0, 1.0)]


def test_where_masks_overlap_the_lower_number_stays() -> None:
    first, second = box(2, 2), box(30, 20)
    greedy = first | second
    scores = standard_scores(video(first, second), [packed(greedy), packed(second)], SIZE)
    assert scores[0].j == pytest.approx(0.5)
    assert scores[1].j == 0, "nothing is left of it"


def test_void_pixels_count_for_nobody() -> None:
    truth, found, void = box(2, 2), box(2, 2, side=16), np.zeros((3, *SIZE), np.bool_)
    void[:, 14:] = void[:, :, 14:] = True
    assert standard_scores(video(truth, void=void), [packed(found)], SIZE)[0].j == 1
    assert standard_scores(video(truth), [packed(found)], SIZE)[0].j == region_similarity(truth, found).mean()


def test_objects_behind_the_last_that_frame_0_shows_do_not_count() -> None:
    first, second, later = box(2, 2), box(30, 20), box(44, 4)
    first[0], later[0] = False, False
    scores = standard_scores(video(first, second, later), [packed(first), packed(second), packed(later)], SIZE)
    assert [score and score.j for score in scores] == [1, 1, None]
