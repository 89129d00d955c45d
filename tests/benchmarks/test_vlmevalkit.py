"""Prompts and answers exchanged with VLMEvalKit; the harness itself is not installed where tests run."""

import math
from importlib.util import find_spec
from pathlib import Path

import pytest

from refsav.benchmarks.vlmevalkit import HarnessMissingError, ask, question_of, register
from refsav.model.input_errors import InputError
from refsav.model.sa2va import Sa2VA
from tests.support.data import image_sets as made
from tests.support.models.speaking import SENTENCE


@pytest.mark.parametrize(
    ("line", "kind", "asked"),
    [
        (
            {"question": "Which?", "A": "a cat", "B": "a dog", "C": math.nan, "hint": "Look."},
            "MCQ",
            "Look.\nWhich?\nA. a cat\nB. a dog\nAnswer with the option's letter from the given choices directly.",
        ),
        ({"question": "Which?", "hint": math.nan}, "MCQ", "Which?\nAnswer the question directly."),
        ({"question": "Is it red?"}, "Y/N", "Is it red? Answer the question using a single word or phrase."),
        ({"question": "Where?"}, "VQA", "Where?\nAnswer the question using a single word or phrase."),
        ({"question": "Tell."}, "Caption", "Tell."),
    ],
)
def test_questions_are_worded_as_for_the_published_figures(line: dict, kind: str, asked: str) -> None:
    assert question_of(line, kind) == asked


def test_a_model_answers_messages_with_one_or_several_images(checkpoint: Path, tmp_path: Path) -> None:
    model = Sa2VA.from_pretrained(checkpoint, device="cpu")
    folder = made.write_images(tmp_path, ["a.jpg", "b.jpg"])
    picture, other = ({"type": "image", "value": str(folder / name)} for name in ("a.jpg", "b.jpg"))
    question = {"type": "text", "value": "<image>\nWhat is it?"}
    for message in ([question, picture], [picture, other, question]):
        assert ask(model, message) == SENTENCE
    with pytest.raises(InputError, match="has no image"):
        ask(model, [question])
    with pytest.raises(InputError, match="has no text"):
        ask(model, [picture])


@pytest.mark.skipif(find_spec("vlmeval") is not None, reason="VLMEvalKit is installed")
def test_a_missing_harness_is_reported_with_the_command_that_installs_it(tmp_path: Path) -> None:
    with pytest.raises(HarnessMissingError, match=r"fix: git clone .*VLMEvalKit"):
        register(tmp_path)
