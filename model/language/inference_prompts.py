"""Prompts for inference: the wordings of the training questions, with `<image>` in front."""

from refsav.datasets.training_examples import question_templates as questions

IMAGE = "<image>\n"
GROUNDED_CAPTION = IMAGE + questions.grounded_caption_question()
CAPTION = IMAGE + "Please describe the {} in detail."


def segment(expression: str, *, video: bool) -> str:
    """Return the prompt that asks for the mask of an expression's object; the expression may be a question."""
    question = questions.segment_question(expression, video=video)
    space = "" if video and "?" not in expression else " "  # as the released checkpoints were evaluated
    return f"{IMAGE}{space}{question}"


def caption(*, video: bool) -> str:
    """Return the prompt that asks for a description without masks."""
    return CAPTION.format("video" if video else "image")


def region(number: int) -> str:
    """Return the prompt that asks for a description of a marked region; regions are counted from 1."""
    return IMAGE + questions.region_question(number)
