"""Resizing gives the pixels of Pillow, in the order of passes that the references were made with."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from refsav.model.families.bicubic import resize
from tests.support.models.reference import HEIGHT, WIDTH, image

sides = st.integers(1, 160)


def picture(height: int, width: int) -> Pillow.Image:
    return Pillow.fromarray(np.random.RandomState(height * 1000 + width).randint(0, 256, (height, width, 3), np.uint8))


def columns_first(given: Pillow.Image, width: int, height: int) -> Pillow.Image:
    """In two calls, the width first: as Pillow does it in one up to version 12."""
    return given.resize((width, given.height), Pillow.Resampling.BICUBIC).resize(
        (width, height), Pillow.Resampling.BICUBIC
    )


def rows_first(given: Pillow.Image, width: int, height: int) -> Pillow.Image:
    return given.resize((given.width, height), Pillow.Resampling.BICUBIC).resize(
        (width, height), Pillow.Resampling.BICUBIC
    )


def equal(one: Pillow.Image, other: Pillow.Image) -> bool:
    return one.size == other.size and np.array_equal(np.asarray(one), np.asarray(other))


@given(sides, sides, sides, sides)
@settings(deadline=None)
def test_where_the_width_comes_first_it_is_pillows_own(height: int, width: int, to_height: int, to_width: int) -> None:
    given_, resized = picture(height, width), resize(picture(height, width), to_width, to_height)
    shrinks_most_in_height = height > to_height and height - to_height > 2 * (width - to_width)
    if shrinks_most_in_height:
        assert equal(resized, rows_first(given_, to_width, to_height))
    else:
        assert equal(resized, columns_first(given_, to_width, to_height))
        assert equal(resized, given_.resize((to_width, to_height), Pillow.Resampling.BICUBIC))


@given(sides, sides)
@settings(deadline=None)
def test_an_image_of_the_requested_size_stays_as_it_is(height: int, width: int) -> None:
    assert equal(resize(picture(height, width), width, height), picture(height, width))


def test_the_order_shows_in_the_references_first_resize() -> None:
    """From 128x96 to 140x84 pixels the height comes first; the parity tests hold the outcome."""
    frame = Pillow.fromarray(image())
    assert frame.size == (WIDTH, HEIGHT)
    assert equal(resize(frame, 140, 84), rows_first(frame, 140, 84))
    assert not equal(resize(frame, 140, 84), columns_first(frame, 140, 84))


@pytest.mark.parametrize("size", [(1024, 1024), (448, 448), (1792, 1344)])
def test_enlarging_is_pillows_own(size: tuple[int, int]) -> None:
    frame = Pillow.fromarray(image())
    assert equal(resize(frame, *size), frame.resize(size, Pillow.Resampling.BICUBIC))
