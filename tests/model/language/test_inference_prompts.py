"""Wordings: those that the released checkpoints were evaluated with."""

import pytest

from refsav.model.language import inference_prompts as prompts


@pytest.mark.parametrize(
    ("expression", "video", "asked"),
    [
        ("the man.", True, "<image>\nPlease segment the man."),
        (" the man ", False, "<image>\n Please segment the man in this image."),
        ("who jumps?", True, "<image>\n who jumps? Please respond with a segmentation mask."),
    ],
)
def test_an_expression_is_prompted_as_in_evaluation(expression: str, video: bool, asked: str) -> None:
    assert prompts.segment(expression, video=video) == asked
