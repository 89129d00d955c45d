import numpy as np
import pytest

from refsav.annotators.attributes.outline import Outlined
from refsav.annotators.attributes.surroundings import (
    Surroundings,
    background_words,
    look_around,
    neighbour_words,
    place_words,
)
from refsav.datasets.frames import Image


def scene() -> tuple[Image, Outlined]:
    picture = np.full((120, 160, 3), (128, 128, 128), dtype=np.uint8)
    region = np.zeros((120, 160), dtype=np.bool_)
    region[50:70, 60:80] = True
    picture[region] = (200, 30, 30)
    return picture, Outlined(region, np.zeros_like(region))


@pytest.mark.parametrize(
    ("centre", "words"),
    [
        ((0.1, 0.1), "at the top left"),
        ((0.5, 0.5), "in the centre"),
        ((0.9, 0.5), "on the right"),
        ((0.5, 1.0), "at the bottom"),
        ((1.0, 0.0), "at the top right"),
    ],
)
def test_names_thirds_of_the_frame(centre: tuple[float, float], words: str) -> None:
    assert place_words(centre) == words


def test_names_the_background_and_the_objects_next_to_it() -> None:
    picture, outlined = scene()
    picture[48:72, 84:96] = (30, 60, 210)
    around = look_around(picture, outlined)
    assert around == Surroundings(background=("grey",), neighbours=(("blue", "right"),), is_bare=False)
    assert background_words(around) == "against a grey background"
    assert neighbour_words(around, most=2) == "with something blue just to its right"


def test_says_that_nothing_is_near_and_leaves_out_what_is_far_away() -> None:
    picture, outlined = scene()
    picture[:20, :20] = (30, 60, 210)
    around = look_around(picture, outlined)
    assert (around.neighbours, around.is_bare) == ((), True)
    assert neighbour_words(around, most=2) == "with nothing of another colour close by"


def test_says_nothing_of_surroundings_that_cannot_be_seen() -> None:
    picture, _ = scene()
    everything = np.ones(picture.shape[:2], dtype=np.bool_)
    around = look_around(picture, Outlined(everything, ~everything))
    assert (background_words(around), neighbour_words(around, most=2)) == ("", "")
