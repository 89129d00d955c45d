"""Wordings: one of inference most often, others too; a question keeps its own words."""

from collections import Counter

import numpy as np
import pytest

from refsav.datasets.training_examples import question_templates as questions
from refsav.datasets.training_examples.question_templates import at_random, segment_question, segment_turn
from refsav.model.language import inference_prompts as prompts


@pytest.mark.parametrize("video", [True, False])
@pytest.mark.parametrize("expression", ["the man.", "who jumps?", "a dog. It runs to the {left}."])
def test_the_usual_wording_is_what_inference_asks(expression, video):
    assert prompts.segment(expression, video=video).split() == [
        "<image>",
        *segment_question(expression, video=video).split(),
    ]
    never_another = at_random(np.random.default_rng(0), 1.0)
    assert segment_question(expression, video=video, choose=never_another) == segment_question(expression, video=video)


@pytest.mark.parametrize("expression", ["the man", "who jumps?"])
def test_half_of_the_questions_are_worded_otherwise(expression):
    choose = at_random(np.random.default_rng(0), 0.5)
    asked = Counter(segment_question(expression, video=True, choose=choose) for _ in range(1000))
    (most, count), *others = asked.most_common()
    assert most == segment_question(expression, video=True) and 450 < count < 550
    assert len(others) >= 3 and min(count for _, count in others) > 50
    assert all(expression in question for question in asked)


def test_every_answer_has_one_mask():
    choose = at_random(np.random.default_rng(0), 0.2)
    turns = {segment_turn("it", video=False, choose=choose) for _ in range(200)}
    assert {turn.answer.count("[SEG]") for turn in turns} == {1}
    assert len({turn.answer for turn in turns}) == len(questions.MASKED)


def test_every_wording_has_its_place():
    for wordings in (questions.SEGMENT_IN_IMAGE, questions.SEGMENT_IN_VIDEO, questions.ANSWER_WITH_MASK):
        assert all(wording.count("{}") == 1 for wording in wordings)
    assert all(wording.count("region{}") == 1 for wording in questions.REGION)
