"""What the page says: phrases have their masks' colours, and nothing of what comes in becomes HTML."""

import re
from pathlib import Path

import pytest
import torch

from refsav.errors import ConfigError, RecordError
from refsav.model.input_errors import InputError
from refsav.model.output.palette import DISTINCT_COLOURS
from refsav.model.prediction import TextAnswer, phrases_of
from refsav.model.ui import html
from refsav.model.ui.html import ObjectSummary

HOSTILE = "<script>alert('x')</script> & \"quoted\""


def said(
    text: str, prompt: str = "<image>\nWhat is it?", *, count: int | None = None, complete: bool = True
) -> TextAnswer:
    segs = text.count("[SEG]") if count is None else count
    states = torch.zeros(segs, 4)
    return TextAnswer(prompt, text, complete, phrases_of(text, prompt, segs), states, states)


def discs(page: str) -> list[str]:
    return re.findall(r'class="disc"[^>]*>(\d+)<', page)


def test_phrases_have_the_colour_of_the_mask_behind_them() -> None:
    page = html.answers([said("A <p> red  kite </p> [SEG] over <p>the sea</p>[SEG].")])
    assert re.findall(r'--tint: rgb(\([^)]*\))">([^<]*)<', page) == [
        (str(DISTINCT_COLOURS[0]), "red kite"),
        (str(DISTINCT_COLOURS[1]), "the sea"),
    ]
    assert discs(page) == ["1", "2"]
    assert "[SEG]" not in page and "&lt;p&gt;" not in page
    assert "asked" not in page  # a single question stands in the page already


def test_numbers_go_on_through_several_answers_each_under_its_question() -> None:
    page = html.answers([said("It is [SEG]."), said("[SEG] and [SEG]"), said("[SEG]")], ["a", "b & c", "d"])
    assert discs(page) == ["1", "2", "3", "4"]
    assert re.findall(r'class="asked">([^<]*)<', page) == ["a", "b &amp; c", "d"]


def test_a_phrase_without_a_mask_has_no_colour_and_a_mask_that_was_cut_off_no_number() -> None:
    page = html.answers([said("<p>a cat</p> and <p>a dog</p> [SEG], <p>a bird</p> [SEG]", count=1, complete=False)])
    assert re.findall(r'phrase"( style)?[^>]*>([^<]*)<', page) == [("", "a cat"), (" style", "a dog"), ("", "a bird")]
    assert discs(page) == ["1"]
    assert "cut off" in page


def test_a_mask_that_the_question_marks_comes_before_those_of_the_answer() -> None:
    page = html.answers([said("also [SEG]", "<image>\nSegment [SEG]", count=2)])
    assert discs(page) == ["2"]


def test_where_masks_were_wanted_and_none_came_it_is_said() -> None:
    assert "No mask" in html.answers([said("I see nothing.")], masks_expected=True)
    assert "No mask" not in html.answers([said("I see nothing.")])


def test_nothing_that_comes_in_becomes_html() -> None:
    pages = [
        html.answers([said(f"<p>{HOSTILE}</p> [SEG] {HOSTILE}"), said(HOSTILE, HOSTILE)], [HOSTILE, HOSTILE]),
        html.legend([ObjectSummary(HOSTILE, (1,), 10)]),
        html.facts([(HOSTILE, HOSTILE)]),
        html.error(RecordError(Path(f"/x/{HOSTILE}"), HOSTILE, HOSTILE, HOSTILE), Path("/x")),
        html.error(ConfigError(HOSTILE), Path("/x")),
        html.progress(HOSTILE),
        html.note(HOSTILE),
        html.header(HOSTILE, [HOSTILE]),
    ]
    for page in pages:
        assert "<script" not in page and "&lt;script&gt;" in page
    assert 'aria-label="<' not in html.progress(HOSTILE) and "&quot;quoted&quot;" in html.progress(HOSTILE)


@pytest.mark.parametrize(
    ("areas", "extent"),
    [
        ((50,), "50 % of the image"),
        ((3,), "3 % of the image"),
        ((0,), "not found"),
        ((0, 3, 9), "seen in 2 of 3 frames"),
        ((0, 0), "seen in no frame"),
    ],
)
def test_how_much_of_an_object_was_found(areas: tuple[int, ...], extent: str) -> None:
    assert ObjectSummary("a kite", areas, 100).extent == extent
    assert extent in html.legend([ObjectSummary("a kite", areas, 100)])


def test_a_small_share_is_not_called_nothing() -> None:
    assert ObjectSummary("", (1,), 10_000).extent == "0.01 % of the image"
    assert "object 1" in html.legend([ObjectSummary("", (1,), 10_000)])


def test_errors_are_sentences_without_paths_of_the_server() -> None:
    hidden = Path("/tmp/refsav-ui-1")  # noqa: S108 - nothing is there
    page = html.error(RecordError(hidden / "a" / "cat.png", "", "is empty", "copy it again"), hidden)
    assert "“cat.png” is empty." in page and "Copy it again." in page and "refsav-ui-1" not in page
    page = html.error(ConfigError(f"{hidden}/x: no room", fix="free some!"), hidden)
    assert "X: no room." in page and "Free some!" in page and "refsav-ui-1" not in page
    assert 'role="alert"' in html.error(InputError("there is no question", "write one"), hidden)
