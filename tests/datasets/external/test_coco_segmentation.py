"""All forms of COCO's segmentation give the same mask; other values are refused before pycocotools reads them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from refsav.datasets.external.coco_segmentation import empty, read_segmentation
from refsav.datasets.masks import decode

SIZE = (10, 14)
SQUARE = [[2, 3, 6, 3, 6, 7, 2, 7]]


def runs_of(mask: np.ndarray) -> list[int]:
    """Uncompressed RLE: column by column, starting with background."""
    flat = mask.ravel(order="F")
    borders = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *borders, flat.size]).tolist()
    return [0, *runs] if flat[0] else runs


@given(arrays(np.bool_, SIZE))
def test_run_lengths_in_both_forms_give_the_mask(mask: np.ndarray) -> None:
    packed = coco.encode(np.asfortranarray(mask, np.uint8))
    forms = [
        packed,
        {"size": list(SIZE), "counts": packed["counts"].decode()},
        {"size": list(SIZE), "counts": runs_of(mask)},
        [packed],
    ]
    assert all((decode(read_segmentation(form, SIZE)) == mask).all() for form in forms)


def test_polygons_are_filled_and_overlaps_count_once() -> None:
    square = decode(read_segmentation(SQUARE, SIZE))
    assert square.sum() == 16
    assert square[3:7, 2:6].all()
    assert (decode(read_segmentation([*SQUARE, [4, 5, 8, 5, 8, 9, 4, 9]], SIZE)).sum()) == 28
    assert (decode(read_segmentation([*SQUARE, *SQUARE], SIZE)) == square).all()


@pytest.mark.parametrize("value", [[], [[]], [[1, 1]], [[1, 1, 5, 5]]], ids=["none", "nothing", "a point", "a line"])
def test_what_has_no_area_is_an_empty_mask(value: object) -> None:
    assert read_segmentation(value, SIZE) == empty(SIZE)
    assert not decode(empty(SIZE)).any()


@given(
    st.lists(
        st.lists(st.floats(-14, 28) | st.integers(-14, 28), max_size=12).filter(lambda numbers: len(numbers) % 2 == 0)
    )
)
def test_any_polygon_near_the_image_is_drawn(value: list[list[float]]) -> None:
    assert decode(read_segmentation(value, SIZE)).shape == SIZE


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "neither polygons nor RLE"),
        ("abc", "neither polygons nor RLE"),
        ([1, 2, 3], "not a polygon"),
        ([["a", "b"]], "not a polygon"),
        ([[1, 2, 3]], "does not fit an image of 10x14"),
        ([[1e9, 0, 0, 1e9, 3, 3]], "does not fit an image"),
        ([[float("nan"), 0, 1, 1, 2, 2]], "does not fit an image"),
        ({"size": [5, 5], "counts": [25]}, "mask is 5x5, the image 10x14"),
        ({"size": 3, "counts": [25]}, "mask is 3"),
        ({"size": [10, 14]}, "counts are missing"),
        ({"size": [10, 14], "counts": [25]}, "add up to 25 pixels"),
        ({"size": [10, 14], "counts": [-1, 141]}, "add up to 141"),
        ({"size": [10, 14], "counts": "0"}, "add up to"),
        ({"size": [10, 14], "counts": b"\xff"}, "a character that run-length encoding does not use"),
    ],
)
def test_anything_else_is_refused(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_segmentation(value, SIZE)
