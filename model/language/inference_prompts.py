"""What a model is asked in inference: the wordings of `questions`, with the mark for the image in front."""

from refsav.datasets.training_examples import question_templates as questions

IMAGE = "<image>\n"
GROUNDED_CAPTION = IMAGE + questions.grounded_caption_question()
CAPTION = IMAGE + "Please describe the {} in detail."


def segment(expression: str, *, video: bool) -> str:
    """Ask for the mask of what an expression names; a question is answered with a mask."""
    asked = questions.segment_question(expression, video=video)
    space = "" if video and "?" not in expression else " "  # as the released checkpoints were evaluated
    return f"{IMAGE}{space}{asked}"


def caption(*, video: bool) -> str:
    """Ask for a description in words alone."""
    return CAPTION.format("video" if video else "image")


def region(number: int) -> str:
    """Ask what a marked region is; regions count from 1."""
    return IMAGE + questions.region_question(number)
