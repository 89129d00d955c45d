"""Phrases become pixels whatever their script, and the legend that holds them fits into its picture."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refsav.model.output.legend import CORNERS, MIN_FONT_PX, Legend, origin, plan
from refsav.model.output.text_drawing import ELLIPSIS, drawable_text, line_height_px, render_line, width_px, wrap_text


@pytest.mark.parametrize(
    ("phrase", "drawn"),
    [
        ('Tom & "Jerry\'s" <car> 12×3 — it’s…', 'Tom & "Jerry\'s" <car> 12×3 — it’s…'),
        ("红色的汽车，在左边。", "红色的汽车，在左边。"),
        ("日本語の車", "日本語の車"),
        ("빨간 자동차", "빨간 자동차"),
        ("Красная машина", "Красная машина"),
        ("cafe\u0301", "café"),
        ("two\nlines\tand a tab", "two lines and a tab"),
        ("the dog 🐶 runs 👩‍🚒", "the dog runs"),
        ("bell\x07 and half a character \ud83d", "bell and half a character"),
        ("\u202eevil", "evil"),
        ("", ""),
        ("🐶", ""),
        ("السيارة الحمراء", ""),
        ("รถสีแดง", ""),
    ],
)
def test_a_phrase_is_drawn_without_what_the_fonts_lack_or_not_at_all(phrase: str, drawn: str) -> None:
    assert drawable_text(phrase) == drawn


def test_a_rare_character_among_others_shows_that_it_is_missing() -> None:
    assert drawable_text("𠮷野家") == "□野家"


def test_chinese_characters_differ_from_each_other_and_from_question_marks() -> None:
    drawn = [render_line(character, 24) for character in "红汽车?"]
    assert all(picture.max() > 128 for picture in drawn)
    assert not any(np.array_equal(one, other) for index, one in enumerate(drawn) for other in drawn[index + 1 :])


@pytest.mark.parametrize("font_px", [11, 24, 69])
def test_no_letter_is_cut_off(font_px: int) -> None:
    picture = render_line("Ågjpqy|Üß车", font_px)
    assert picture.shape[0] == line_height_px(font_px)
    assert picture[0].max() == picture[-1].max() == picture[:, -1].max() == 0


def test_lines_break_between_words_and_chinese_characters_but_not_before_a_comma() -> None:
    text = "the person in red to the left"
    lines = wrap_text(text, 20, 150, 9)
    assert len(lines) > 1
    assert " ".join(lines) == text
    chinese = "红色的汽车，在左边。一只白色的狗在草地上奔跑"
    lines = wrap_text(chinese, 20, 100, 9)
    assert len(lines) > 3
    assert "".join(lines) == chinese
    assert not any(line.startswith(("，", "。")) for line in lines)


def test_a_word_longer_than_a_line_is_broken() -> None:
    word = "Donaudampfschifffahrtsgesellschaftskapitän"
    lines = wrap_text(word, 20, 100, 9)
    assert len(lines) > 3
    assert "".join(lines) == word


@given(st.text(st.sampled_from("abc ,车红， "), max_size=300), st.integers(60, 400), st.integers(1, 3))
def test_lines_never_exceed_their_room_and_show_what_they_omit(phrase: str, room_px: int, most: int) -> None:
    text = drawable_text(phrase)
    lines = wrap_text(text, 20, room_px, most)
    assert len(lines) <= most
    assert all(width_px(line, 20) <= room_px for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split()) or lines[-1].endswith(ELLIPSIS)


PHRASES = (
    ("the car",),
    ("a " * 150,),
    ("车" * 300, "x" * 300),
    tuple(f"object {number} that stands by the house" for number in range(40)),
)


@pytest.mark.parametrize("phrases", PHRASES)
@pytest.mark.parametrize(
    "size", [(112, 200), (200, 112), (480, 854), (848, 480), (2160, 3840), (60, 2000), (2000, 120)]
)
def test_the_panel_lies_inside_its_picture_in_every_corner(size: tuple[int, int], phrases: tuple[str, ...]) -> None:
    legend = plan(phrases, size)
    assert legend is not None
    assert legend.font_px >= MIN_FONT_PX
    assert len(legend.rows) + legend.omitted == len(phrases) or legend.rows
    for corner in CORNERS:
        y, x = origin(legend, size, corner)
        assert y >= 0
        assert x >= 0
        assert y + legend.size[0] <= size[0]
        assert x + legend.size[1] <= size[1]


def test_letters_grow_with_the_picture() -> None:
    legends = [plan(("the car",), size) for size in ((200, 356), (480, 854), (1080, 1920), (2160, 3840))]
    fonts = [legend.font_px for legend in legends if legend]
    assert fonts == sorted(set(fonts))
    assert 40 < fonts[-1] < 100


@pytest.mark.parametrize(("phrases", "size"), [((), (480, 854)), (("", "🐶"), (480, 854)), (("car",), (12, 12))])
def test_there_is_no_panel_without_anything_to_say_or_without_room(
    phrases: tuple[str, ...], size: tuple[int, int]
) -> None:
    assert plan(phrases, size) is None


def test_an_object_whose_phrase_cannot_be_drawn_keeps_its_number() -> None:
    legend = plan(("car", "السيارة"), (480, 854))
    assert isinstance(legend, Legend)
    assert [row.lines for row in legend.rows] == [("car",), ()]
