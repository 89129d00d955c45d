"""cIoU weighs pixels, gIoU weighs sentences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from refsav.benchmarks.metrics.image_iou import SentenceScore, image_score, sentence_score
from refsav.benchmarks.metrics.j_and_f import region_similarity
from refsav.datasets.masks import Mask

PAIRS = st.lists(st.tuples(arrays(np.bool_, (5, 7)), arrays(np.bool_, (5, 7))), min_size=1, max_size=6)


def box(width: int) -> Mask:
    mask = np.zeros((10, 20), dtype=np.bool_)
    mask[:, :width] = True
    return mask


def test_a_large_object_decides_ciou_and_each_sentence_giou() -> None:
    large, small = sentence_score(box(20), box(10)), sentence_score(box(1), box(1))
    assert (large.intersection_px, large.union_px, large.iou) == (100, 200, 0.5)
    score = image_score([large, small])
    assert score.ciou == pytest.approx(110 / 210)
    assert score.giou == pytest.approx(0.75)
    assert score.sentences == 2


def test_nothing_to_find_and_nothing_found_is_right() -> None:
    assert sentence_score(box(0), box(0)) == SentenceScore(intersection_px=0, union_px=0)
    widths = [(0, 0), (0, 2), (4, 0)]
    score = image_score([sentence_score(box(truth), box(found)) for truth, found in widths])
    assert score.giou == pytest.approx(1 / 3)
    assert score.ciou == 0
    assert image_score([sentence_score(box(0), box(0))]).ciou == 1


@given(PAIRS)
def test_both_are_what_their_definitions_say(pairs: list[tuple[Mask, Mask]]) -> None:
    score = image_score([sentence_score(truth, found) for truth, found in pairs])
    truth, found = (np.stack(side) for side in zip(*pairs, strict=True))
    union = np.count_nonzero(truth | found)
    assert score.ciou == (np.count_nonzero(truth & found) / union if union else 1)
    assert score.giou == pytest.approx(region_similarity(truth, found).mean(), abs=1e-12)
    assert score == image_score([sentence_score(found, truth) for truth, found in pairs])


def test_masks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"truth is \(10, 20\), found \(20, 10\)"):
        sentence_score(box(3), box(3).T)
    with pytest.raises(ValueError, match="masks are bool"):
        sentence_score(box(3), box(3).astype(np.uint8))
    with pytest.raises(ValueError, match="no sentence"):
        image_score([])
