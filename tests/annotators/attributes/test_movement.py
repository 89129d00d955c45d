from collections.abc import Sequence

import numpy as np
import pytest

from refsav.annotators.attributes.movement import (
    Movement,
    Sighting,
    growth_words,
    movement_of,
    movement_words,
    visibility_words,
)

DIAGONAL_PX = 400.0


def followed(centres: Sequence[tuple[float, float]], areas: Sequence[int] | None = None) -> Movement:
    sizes = areas or [500] * len(centres)
    sightings = [Sighting(centre, area, 1.0, meets_edge=False) for centre, area in zip(centres, sizes, strict=True)]
    movement = movement_of(sightings, DIAGONAL_PX)
    assert movement is not None
    return movement


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ((10, 0), "moves to the right"),
        ((-10, 2), "moves to the left"),
        ((0, -10), "moves up"),
        ((1, 10), "moves down"),
        ((8, 9), "moves down and to the right"),
        ((-8, -9), "moves up and to the left"),
        ((1, 0), "stays in nearly the same place"),
    ],
)
def test_names_the_direction(step: tuple[int, int], words: str) -> None:
    assert movement_words(followed([(100 + step[0] * k, 100 + step[1] * k) for k in range(8)])) == words


def test_distinguishes_roaming_staying_and_moving_straight() -> None:
    there_and_back = [(100.0, 100.0), (180.0, 100.0), (100.0, 100.0)]
    assert movement_words(followed(there_and_back)) == "moves about and ends close to where it started"
    zigzag = [(100.0, 100.0), (200.0, 100.0), (100.0, 100.0), (200.0, 100.0), (130.0, 100.0)]
    assert movement_words(followed(zigzag)) == "moves about and ends farther to the right"


def test_mentions_growth_only_if_it_is_steady() -> None:
    still = [(100.0, 100.0)] * 4
    assert growth_words(followed(still, [200, 300, 400, 500])) == "growing larger"
    assert growth_words(followed(still, [500, 400, 300, 200])) == "growing smaller"
    assert growth_words(followed(still, [200, 500, 300, 500])) == ""


def test_slivers_and_gaps_do_not_say_where_an_object_is() -> None:
    sliver = Sighting((399.0, 100.0), 10, 1.0, meets_edge=True)
    clear = Sighting((200.0, 100.0), 500, 1.0, meets_edge=False)
    movement = movement_of([None, sliver, clear, None, clear], DIAGONAL_PX)
    assert movement is not None
    assert movement.direction == ""
    assert movement.seen == (False, True, True, False, True)
    assert movement_of([None, None], DIAGONAL_PX) is None


@pytest.mark.parametrize(
    ("seen", "phrases"),
    [
        ("1111", ()),
        ("0011", ("comes into view only later",)),
        ("1100", ("is out of sight at the end",)),
        ("1001", ("is hidden for a while",)),
        ("1010110", ("is hidden more than once", "is out of sight at the end")),
        ("0000", ()),
    ],
)
def test_mentions_when_it_is_not_visible(seen: str, phrases: tuple[str, ...]) -> None:
    assert visibility_words([flag == "1" for flag in seen]) == phrases


def test_direction_words_cover_the_circle() -> None:
    words = {
        movement_words(followed([(100.0, 100.0), (100 + 90 * np.cos(angle), 100 + 90 * np.sin(angle))]))
        for angle in np.linspace(0, 2 * np.pi, 64)
    }
    assert len(words) == 8
