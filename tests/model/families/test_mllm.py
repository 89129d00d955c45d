"""Where an answer ends: at a token, or at text where a template's end is no token of the tokenizer."""

from dataclasses import replace
from pathlib import Path

import pytest

from refsav.model.creation.create import create, usual_tokenizer
from refsav.model.creation.model_sizes import ModelConfig
from refsav.model.families.mllm import Mllm, with_one_image
from refsav.model.input_errors import InputError
from refsav.model.sa2va import Sa2VA


@pytest.fixture(scope="module")
def model() -> Sa2VA:
    config = ModelConfig.from_toml(Path(__file__).parents[3] / "configs/models/pocket-internvl.toml")
    return create(config, usual_tokenizer(config))


def ids_of(mllm: Mllm, text: str) -> list[int]:
    return mllm.tokenizer.encode(text, add_special_tokens=False)


def test_an_answer_ends_with_its_turns_token(model: Sa2VA) -> None:
    ids = model.adapter.answer_ids("Sure, [SEG].")
    assert ids[-1] in model.adapter.stop_ids
    assert [model.adapter.ended(ids[: end + 1]) for end in range(len(ids))] == [False] * (len(ids) - 1) + [True]
    assert model.adapter.text_of(ids) == "Sure, [SEG]."


def test_an_answer_ends_by_text_where_the_turns_end_is_no_token(model: Sa2VA) -> None:
    """Sa2VA-4B: Phi-3's template with a tokenizer of Qwen's."""
    raw = {**model.architecture.raw, "template": "phi3_chat"}
    mllm = replace(model.architecture, raw=raw).adapter(model.mllm, model.adapter.tokenizer)
    ids = mllm.answer_ids("Sure, [SEG].")
    assert len(ids_of(mllm, "<|end|>")) > 1
    assert [mllm.ended(ids[: end + 1]) for end in range(len(ids))] == [False] * (len(ids) - 1) + [True]
    assert mllm.text_of(ids) == "Sure, [SEG]."
    assert mllm.ended(ids_of(mllm, "Sure.<|im_end|>"))


def test_a_prompt_gets_its_image_in_front() -> None:
    assert with_one_image("What is it?") == "<image>\nWhat is it?"
    assert with_one_image("In <image>, what?") == "In <image>, what?"
    with pytest.raises(InputError, match="<image> 2 times"):
        with_one_image("<image><image>")
