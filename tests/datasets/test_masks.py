"""Masks survive their encoding, and nothing damaged reaches the decoder."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from refsav.datasets.masks import Mask, area_px, box, checked_area_px, decode, encode
from refsav.datasets.records import Rle

MASKS = st.tuples(st.integers(1, 40), st.integers(1, 40)).flatmap(lambda size: arrays(np.bool_, size))


@given(MASKS)
def test_a_mask_comes_back_as_it_was(mask: Mask) -> None:
    rle = encode(mask)
    assert rle.size == mask.shape
    assert np.array_equal(decode(rle), mask)


@given(MASKS)
def test_areas_and_boxes_are_those_of_the_mask(mask: Mask) -> None:
    rle = encode(mask)
    assert area_px(rle) == checked_area_px(rle) == mask.sum()
    ys, xs = np.nonzero(mask)
    expected = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) if len(ys) else (0, 0, 0, 0)
    assert box(rle) == expected


@given(MASKS, st.data())
def test_a_shortened_encoding_is_refused(mask: Mask, data: st.DataObject) -> None:
    rle = encode(mask)
    cut = data.draw(st.integers(0, len(rle.counts) - 1))
    with pytest.raises(ValueError):
        checked_area_px(Rle(rle.size, rle.counts[:cut]))


@given(st.text(max_size=40), st.integers(1, 2000), st.integers(1, 2000))
def test_arbitrary_text_is_refused_or_exact(counts: str, height: int, width: int) -> None:
    try:
        area = checked_area_px(Rle((height, width), counts))
    except ValueError:
        return
    assert 0 <= area <= height * width
    assert decode(Rle((height, width), counts)).sum() == area


def test_a_letter_that_only_looks_right_is_refused() -> None:
    mask = np.ones((64, 1), dtype=np.bool_)
    mask[:15] = False  # a run of fifteen is spelled "?"
    rle = encode(mask)
    assert "?" in rle.counts
    with pytest.raises(ValueError, match="a character that run-length encoding does not use"):
        checked_area_px(Rle(rle.size, rle.counts.replace("?", "é")))


def test_a_mask_of_another_size_is_refused() -> None:
    rle = encode(np.ones((3, 4), dtype=np.bool_))
    with pytest.raises(ValueError, match="runs add up to 12 pixels, the mask has 4x4 = 16"):
        checked_area_px(Rle((4, 4), rle.counts))
