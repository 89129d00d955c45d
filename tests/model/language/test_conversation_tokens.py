"""Several turns in one sequence: as each family's template writes them, and only answers are learnt."""

import pytest

from refsav.datasets.training_examples.example import SEG, Turn
from refsav.model.language.conversation_tokens import write_conversation
from tests.support.data.training_data import pocket, scenes

TURNS = (
    Turn("Where is the red object?", "Sure, [SEG]."),
    Turn("And the blue one?", "It is [SEG]."),
    Turn("Why?", "So."),
)


@pytest.mark.parametrize("family", ["pocket", "pocket-qwen25", "pocket-internvl"])
def test_turns_follow_one_another_as_the_template_writes_them(family: str) -> None:
    mllm = pocket(family).adapter
    shown = mllm.preprocess((scenes().frames[0].frame,), ())
    written = write_conversation(mllm, TURNS, shown)
    text = mllm.tokenizer.decode(written.ids, skip_special_tokens=False)
    placeholder = mllm.tokenizer.decode([mllm.placeholder_id], skip_special_tokens=False)
    seen = placeholder * shown.tokens_per_frame[0]
    image = f"<img>{seen}</img>" if family == "pocket-internvl" else f"<|vision_start|>{seen}<|vision_end|>"
    assert text == (
        f"<|im_start|>user\n{image}\nWhere is the red object?<|im_end|>\n"
        "<|im_start|>assistant\nSure, [SEG].<|im_end|>\n"
        "<|im_start|>user\nAnd the blue one?<|im_end|>\n"
        "<|im_start|>assistant\nIt is [SEG].<|im_end|>\n"
        "<|im_start|>user\nWhy?<|im_end|>\n"
        "<|im_start|>assistant\nSo.<|im_end|>"
    )
    learnt = [token for token, learns in zip(written.ids, written.learnt, strict=True) if learns]
    answers = mllm.tokenizer.decode(learnt, skip_special_tokens=False)
    assert answers == "Sure, [SEG].<|im_end|>It is [SEG].<|im_end|>So.<|im_end|>"


def test_the_first_turn_is_what_inference_writes() -> None:
    mllm = pocket().adapter
    shown = mllm.preprocess((scenes().frames[0].frame,), ())
    written = write_conversation(mllm, TURNS[:1], shown)
    assert written.ids == [*mllm.write(TURNS[0].question, shown), *mllm.answer_ids(TURNS[0].answer)]


def test_a_seg_in_a_question_has_no_mask() -> None:
    mllm = pocket().adapter
    shown = mllm.preprocess((scenes().frames[0].frame,), ())
    written = write_conversation(mllm, (Turn(f"What is {SEG}?", f"This: {SEG}, not {SEG}."),), shown)
    assert len(written.indices_of(mllm.seg_ids)) == 2 < written.ids.count(mllm.seg_id)
