"""What the page says: phrases have their masks' colours, and nothing of what comes in becomes HTML."""

import re
from pathlib import Path

import pytest
import torch

from refsav.errors import ConfigError, RecordError
from refsav.model.input_errors import InputError
from refsav.model.output.palette import CHOSEN
from refsav.model.prediction import Said, phrases_of
from refsav.model.ui import html as words
from refsav.model.ui.html import Found

HOSTILE = "<script>alert('x')</script> & \"quoted\""


def said(text: str, prompt: str = "<image>\nWhat is it?", *, count: int | None = None, complete: bool = True) -> Said:
    segs = text.count("[SEG]") if count is None else count
    states = torch.zeros(segs, 4)
    return Said(prompt, text, complete, phrases_of(text, prompt, segs), states, states)


def discs(html: str) -> list[str]:
    return re.findall(r'class="disc"[^>]*>(\d+)<', html)


def test_phrases_have_the_colour_of_the_mask_behind_them() -> None:
    html = words.answers([said("A <p> red  kite </p> [SEG] over <p>the sea</p>[SEG].")])
    assert re.findall(r'--tint: rgb(\([^)]*\))">([^<]*)<', html) == [
        (str(CHOSEN[0]), "red kite"),
        (str(CHOSEN[1]), "the sea"),
    ]
    assert discs(html) == ["1", "2"]
    assert "[SEG]" not in html and "&lt;p&gt;" not in html
    assert "asked" not in html  # a single question stands in the page already


def test_numbers_go_on_through_several_answers_each_under_its_question() -> None:
    html = words.answers([said("It is [SEG]."), said("[SEG] and [SEG]"), said("[SEG]")], ["a", "b & c", "d"])
    assert discs(html) == ["1", "2", "3", "4"]
    assert re.findall(r'class="asked">([^<]*)<', html) == ["a", "b &amp; c", "d"]


def test_a_phrase_without_a_mask_has_no_colour_and_a_mask_that_was_cut_off_no_number() -> None:
    html = words.answers([said("<p>a cat</p> and <p>a dog</p> [SEG], <p>a bird</p> [SEG]", count=1, complete=False)])
    assert re.findall(r'phrase"( style)?[^>]*>([^<]*)<', html) == [("", "a cat"), (" style", "a dog"), ("", "a bird")]
    assert discs(html) == ["1"]
    assert "cut off" in html


def test_a_mask_that_the_question_asked_for_comes_before_those_of_the_answer() -> None:
    html = words.answers([said("also [SEG]", "<image>\nSegment [SEG]", count=2)])
    assert discs(html) == ["2"]


def test_where_masks_were_wanted_and_none_came_it_is_said() -> None:
    assert "No mask" in words.answers([said("I see nothing.")], masks_wanted=True)
    assert "No mask" not in words.answers([said("I see nothing.")])


def test_nothing_that_comes_in_becomes_html() -> None:
    pages = [
        words.answers([said(f"<p>{HOSTILE}</p> [SEG] {HOSTILE}"), said(HOSTILE, HOSTILE)], [HOSTILE, HOSTILE]),
        words.legend([Found(HOSTILE, (1,), 10)]),
        words.facts([(HOSTILE, HOSTILE)]),
        words.error(RecordError(Path(f"/x/{HOSTILE}"), HOSTILE, HOSTILE, HOSTILE), Path("/x")),
        words.error(ConfigError(HOSTILE), Path("/x")),
        words.progress(HOSTILE),
        words.note(HOSTILE),
        words.header(HOSTILE, [HOSTILE]),
    ]
    for html in pages:
        assert "<script" not in html and "&lt;script&gt;" in html
    assert 'aria-label="<' not in words.progress(HOSTILE) and "&quot;quoted&quot;" in words.progress(HOSTILE)


@pytest.mark.parametrize(
    ("areas", "told"),
    [
        ((50,), "50 % of the picture"),
        ((3,), "3 % of the picture"),
        ((0,), "nothing found"),
        ((0, 3, 9), "seen in 2 of 3 frames"),
        ((0, 0), "seen in no frame"),
    ],
)
def test_how_much_of_an_object_was_found(areas: tuple[int, ...], told: str) -> None:
    assert Found("a kite", areas, 100).words == told
    assert told in words.legend([Found("a kite", areas, 100)])


def test_a_small_share_is_not_called_nothing() -> None:
    assert Found("", (1,), 10_000).words == "0.01 % of the picture"
    assert "object 1" in words.legend([Found("", (1,), 10_000)])


def test_errors_are_sentences_and_tell_no_path_of_the_server() -> None:
    hidden = Path("/tmp/refsav-ui-1")  # noqa: S108 - nothing is there
    html = words.error(RecordError(hidden / "a" / "cat.png", "", "is empty", "copy it again"), hidden)
    assert "“cat.png” is empty." in html and "Copy it again." in html and "refsav-ui-1" not in html
    html = words.error(ConfigError(f"{hidden}/x: no room\n  fix: free some!"), hidden)
    assert "X: no room." in html and "Free some!" in html and "refsav-ui-1" not in html
    assert 'role="alert"' in words.error(InputError("there is no question", "write one"), hidden)
