import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refsav.annotators.attributes.colours import (
    NAMES,
    NEIGHBOURS,
    ColourShare,
    are_neighbours,
    colour_shares,
    main_colours,
    name_pixels,
)

CHANNEL = st.integers(0, 255)


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((0, 0, 0), "black"),
        ((255, 255, 255), "white"),
        ((127, 127, 127), "grey"),
        ((230, 20, 30), "red"),
        ((120, 15, 20), "red"),
        ((250, 130, 20), "orange"),
        ((245, 220, 30), "yellow"),
        ((20, 140, 40), "green"),
        ((64, 200, 180), "turquoise"),
        ((20, 40, 220), "blue"),
        ((18, 26, 70), "blue"),
        ((120, 40, 160), "purple"),
        ((250, 150, 190), "pink"),
        ((110, 65, 35), "brown"),
        ((210, 190, 155), "beige"),
    ],
)
def test_names_a_colour_as_people_do(rgb: tuple[int, int, int], name: str) -> None:
    assert NAMES[name_pixels(np.array(rgb, dtype=np.uint8))] == name


@given(st.tuples(CHANNEL, CHANNEL, CHANNEL))
def test_every_colour_has_a_name(rgb: tuple[int, int, int]) -> None:
    assert 0 <= name_pixels(np.array(rgb, dtype=np.uint8)) < len(NAMES)


def test_shares_are_of_the_region_only_and_sum_to_one() -> None:
    image = np.zeros((4, 4, 3), dtype=np.uint8)
    image[:2] = (230, 20, 30)
    image[0] = (255, 255, 255)
    region = np.ones((4, 4), dtype=np.bool_)
    region[3] = False
    shares = colour_shares(image, region)
    assert {entry.name for entry in shares} == {"white", "red", "black"}
    assert sum(entry.share for entry in shares) == pytest.approx(1)
    assert colour_shares(image, ~np.ones((4, 4), dtype=np.bool_)) == ()


def test_small_shares_are_not_named_but_the_largest_always_is() -> None:
    assert main_colours([ColourShare("red", 0.8), ColourShare("white", 0.15), ColourShare("black", 0.05)]) == (
        "red",
        "white",
    )
    assert main_colours([ColourShare("grey", 0.12)]) == ("grey",)


def test_being_neighbours_is_mutual() -> None:
    assert set(NEIGHBOURS) == set(NAMES)
    assert all(are_neighbours(other, name) for name, others in NEIGHBOURS.items() for other in others)
    assert not are_neighbours("red", "green")
