import numpy as np
import pytest

from refsav.annotators.attributes.appearance import UNSURE, Look, details, listed, look_at, noun_phrase, size_word
from refsav.annotators.attributes.colours import ColourShare
from refsav.annotators.attributes.silhouette import Silhouette


def look(
    *shares: tuple[str, float], shape: str = "", ratio: float = 1.0, contrast: float = 9.0, clear: bool = True
) -> Look:
    return Look(
        colours=tuple(ColourShare(*entry) for entry in shares),
        shape=shape,
        height_over_width=ratio,
        is_whole=clear,
        contrast=contrast,
        area_share=0.1,
        is_clear=clear,
    )


def test_names_one_two_and_many_colours() -> None:
    assert noun_phrase(look(("orange", 1.0), shape="round")) == "an orange round object"
    assert noun_phrase(look(("red", 0.5), ("white", 0.5)), "small") == "a small red and white object"
    assert noun_phrase(look(("red", 0.7), ("white", 0.2), ("black", 0.1))) == "a mostly red object with some white"
    assert noun_phrase(look(("red", 0.4), ("white", 0.3), ("black", 0.3))) == "a red, white and black object"


def test_details_are_said_only_where_the_view_supports_them() -> None:
    assert details(look(("red", 1.0))) == ()
    assert details(look(("red", 1.0), ratio=3.0, contrast=2.0)) == ("much taller than it is wide", "even in tone")
    assert details(look(("red", 1.0), ratio=0.7, contrast=30.0)) == (
        "wider than it is tall",
        "strongly varied in light and dark",
    )
    assert details(look(("red", 1.0), ratio=3.0, contrast=2.0, clear=False)) == (UNSURE,)


@pytest.mark.parametrize(
    ("share", "word"), [(0.0001, "tiny"), (0.01, "small"), (0.03, "medium-sized"), (1, "very large")]
)
def test_size_words_grow_with_the_share_of_the_frame(share: float, word: str) -> None:
    assert size_word(share) == word


def test_looks_at_the_region_only() -> None:
    picture = np.full((40, 40, 3), (30, 60, 210), dtype=np.uint8)
    region = np.zeros((40, 40), dtype=np.bool_)
    region[5:35, 15:25] = True
    picture[region] = (210, 30, 30)
    seen = look_at(Silhouette(picture, region, is_clear=True, is_whole=True))
    assert [entry.name for entry in seen.colours] == ["red"]
    assert seen.height_over_width == 3
    assert seen.shape == "rectangular"
    assert seen.area_share == pytest.approx(300 / 1600)


def test_a_half_lit_white_thing_is_white() -> None:
    picture = np.full((20, 20, 3), 170, dtype=np.uint8)
    picture[:8] = 240
    seen = look_at(Silhouette(picture, np.ones((20, 20), dtype=np.bool_), is_clear=True, is_whole=False))
    assert [entry.name for entry in seen.colours] == ["white", "grey"]


def test_lists_words_as_english_does() -> None:
    assert [listed(tuple("abc"[:count])) for count in range(4)] == ["", "a", "a and b", "a, b and c"]
