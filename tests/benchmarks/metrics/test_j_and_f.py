"""J and F are those of the published evaluators, to the last digit, whatever the masks look like."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from refsav.benchmarks.metrics.j_and_f import (
    PROTOCOLS,
    VideoScore,
    boundary_measure,
    frame_scores,
    region_similarity,
    tolerance_px,
)
from refsav.benchmarks.metrics.packed_masks import Masks
from refsav.benchmarks.speed.metrics import plain_scores
from refsav.datasets.masks import Mask, decode
from refsav.datasets.sav.source import SourceConfig, discover, read_video
from tests.support.data.metric_data import masks, recorded

CASES = {case["name"]: case for case in recorded("videos")}
SIZES = st.tuples(st.integers(1, 3), st.integers(1, 40), st.one_of(st.integers(1, 40), st.integers(60, 70)))
ONE = SIZES.flatmap(lambda size: arrays(np.bool_, size))
TWO = SIZES.flatmap(lambda size: st.tuples(arrays(np.bool_, size), arrays(np.bool_, size)))
BOXES = st.tuples(st.integers(0, 59), st.integers(0, 79), st.integers(1, 60), st.integers(1, 80))

PREDICTIONS: Mapping[str, Callable[[Mask], Mask]] = {
    "same": lambda mask: mask,
    "shift5": lambda mask: np.roll(mask, 5, axis=1),
    "dilate9": lambda mask: cv2.dilate(mask.view(np.uint8), np.ones((9, 9), np.uint8)).view(np.bool_),
    "erode7": lambda mask: cv2.erode(mask.view(np.uint8), np.ones((7, 7), np.uint8)).view(np.bool_),
    "empty": np.zeros_like,
    "full": np.ones_like,
}


@pytest.mark.parametrize("name", CASES)
def test_made_masks_score_as_recorded(name: str) -> None:
    case = CASES[name]
    truth, found = masks(case["size"], case["truth"]), masks(case["size"], case["found"])
    assert region_similarity(truth, found) == pytest.approx(np.array(case["J"]), abs=1e-12)
    assert boundary_measure(truth, found) == pytest.approx(np.array(case["F"]), abs=1e-12)
    scores = frame_scores(truth, found)
    assert np.array_equal(scores.j, region_similarity(truth, found))
    assert np.array_equal(scores.f, boundary_measure(truth, found))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("protocol", ["davis", "sav"])
def test_protocols_score_as_recorded(name: str, protocol: str) -> None:
    case = CASES[name]
    scores = frame_scores(masks(case["size"], case["truth"]), masks(case["size"], case["found"]))
    score = scores.score(protocol)
    if case[protocol] is None:
        assert score is None
    else:
        assert score is not None
        assert (score.j, score.f) == pytest.approx((case[protocol]["J"], case[protocol]["F"]), abs=1e-12)


def test_protocols_say_which_frames_they_count() -> None:
    truth, found = np.zeros((6, 4, 4), dtype=np.bool_), np.zeros((6, 4, 4), dtype=np.bool_)
    truth[[0, 3, 5], 1, 1] = found[[2], 1, 1] = True
    scores = frame_scores(truth, found)
    counted = {name: np.flatnonzero(rule(scores)).tolist() for name, rule in PROTOCOLS.items()}
    assert counted == {"all": [0, 1, 2, 3, 4, 5], "davis": [1, 2, 3, 4], "sav": [2, 3, 4]}
    score = scores.score("sav")
    assert score == VideoScore(j=1 / 3, f=1 / 3, frames=3)
    assert score.jf == 1 / 3


def test_real_masklets_score_as_the_reference_recorded(sav_data: Path) -> None:
    path = sav_data.parent / "metrics/jf_reference.json"
    if not path.is_file():
        if os.environ.get("REFSAV_REAL_VIDEOS") == "required":
            pytest.fail(f"{path} is missing")
        pytest.skip(f"{path} is missing")
    config = SourceConfig()
    tracks = {
        (track.video_id, track.source, track.column): track
        for entry in discover(sav_data, config)
        if getattr(entry, "video_id", "") in ("sav_000001_head", "vos_000002")
        for track in read_video(entry, config).tracks
    }
    cases = json.loads(path.read_text())["cases"]
    for case in cases:
        track = tracks[case["video"], case["kind"], case["column"]]
        empty = np.zeros(track.size, dtype=np.bool_)
        truth = np.stack([decode(rle) if rle else empty for rle in track.masks])
        if case["prediction"] == "half_empty":
            found = truth.copy()
            found[::2] = False
        else:
            found = np.stack([PREDICTIONS[case["prediction"]](mask) for mask in truth])
        scores = frame_scores(truth, found)
        assert scores.j == pytest.approx(np.array(case["J"]), abs=1e-6)
        assert scores.f == pytest.approx(np.array(case["F"]), abs=1e-6)
    assert len(cases) == 16


@given(TWO)
def test_scores_are_those_of_the_plain_steps(two: tuple[Masks, Masks]) -> None:
    truth, found = two
    scores, (j, f) = frame_scores(truth, found), plain_scores(truth, found)
    assert np.array_equal(scores.j, j) and np.array_equal(scores.f, f)


@given(st.lists(BOXES, min_size=2, max_size=2), st.sampled_from([(60, 80), (60, 64), (250, 500), (900, 1200)]))
def test_wide_tolerances_are_those_of_the_plain_steps(
    boxes: list[tuple[int, int, int, int]], size: tuple[int, int]
) -> None:
    truth, found = np.zeros((1, *size), dtype=np.bool_), np.zeros((1, *size), dtype=np.bool_)
    for masks_, (y, x, height, width) in zip((truth, found), boxes, strict=True):
        masks_[0, y : y + height, x : x + width] = True
    scores, (j, f) = frame_scores(truth, found), plain_scores(truth, found)
    assert np.array_equal(scores.j, j) and np.array_equal(scores.f, f)


@given(TWO)
def test_truth_and_prediction_may_change_places(two: tuple[Masks, Masks]) -> None:
    truth, found = two
    assert np.array_equal(region_similarity(truth, found), region_similarity(found, truth))
    assert boundary_measure(truth, found) == pytest.approx(boundary_measure(found, truth), abs=1e-15)


@given(TWO)
def test_rows_and_columns_may_change_places(two: tuple[Masks, Masks]) -> None:
    truth, found = two
    turned = frame_scores(truth.swapaxes(1, 2), found.swapaxes(1, 2))
    column_by_column = frame_scores(*(np.asfortranarray(one.transpose(1, 2, 0)).transpose(2, 0, 1) for one in two))
    scores = frame_scores(truth, found)
    for other in (turned, column_by_column):
        assert np.array_equal(scores.j, other.j) and np.array_equal(scores.f, other.f)


@given(ONE)
def test_a_mask_equals_itself(one: Masks) -> None:
    assert (region_similarity(one, one) == 1).all() and (boundary_measure(one, one) == 1).all()


@given(ONE)
def test_nothing_found_scores_nothing_where_there_is_something(one: Masks) -> None:
    nothing = np.zeros_like(one)
    visible = one.any(axis=(1, 2))
    scores = frame_scores(one, nothing)
    assert np.array_equal(scores.j, (~visible).astype(np.float64))
    assert (scores.f[~visible] == 1).all()
    assert np.array_equal(scores.in_truth, visible) and not scores.in_found.any()


@given(st.integers(0, 12), st.integers(0, 12))
def test_a_contour_matches_within_the_tolerance_and_not_beyond(dy: int, dx: int) -> None:
    truth, found = np.zeros((1, 480, 640), dtype=np.bool_), np.zeros((1, 480, 640), dtype=np.bool_)
    truth[0, 200, 300] = found[0, 200 + dy, 300 + dx] = True
    radius = tolerance_px((480, 640))
    assert radius == 7
    (f,) = boundary_measure(truth, found)
    touching = any((dy + v) ** 2 + (dx + u) ** 2 <= radius**2 for v in (-1, 0, 1) for u in (-1, 0, 1))
    whole = (dy**2 + dx**2) <= radius**2
    assert (f == 1) if whole else (f > 0) == touching


def test_tolerance_grows_with_the_frame() -> None:
    sizes = [(1, 1), (375, 500), (480, 854), (1080, 1920), (2160, 3840)]
    assert [tolerance_px(size) for size in sizes] == [1, 5, 8, 18, 36]


def test_masks_that_do_not_fit_are_refused() -> None:
    truth = np.zeros((2, 4, 6), dtype=np.bool_)
    with pytest.raises(ValueError, match=r"truth is 2x4x6, found 2x6x4: both must be \[T, h, w\] of the same shape"):
        frame_scores(truth, np.zeros((2, 6, 4), dtype=np.bool_))
    with pytest.raises(ValueError, match=r"both must be \[T, h, w\]"):
        region_similarity(truth[0], truth[0])
    with pytest.raises(ValueError, match=r"both must be \[T, h, w\]"):
        boundary_measure(truth[:0], truth[:0])
    with pytest.raises(ValueError, match="masks are bool"):
        boundary_measure(truth, truth.astype(np.uint8))
