"""Templates of questions and answers, without the placeholder of the image.

The first template of each group is used in inference; training uses the others too, so that a model understands more
than one wording.
"""

from collections.abc import Callable

import numpy as np

from refsav.datasets.training_examples.example import SEG, Turn

Templates = tuple[str, ...]
Choose = Callable[[Templates], str]
"""Chooses one of several templates with the same meaning."""

SEGMENT_IN_IMAGE: Templates = (
    "Please segment {} in this image.",
    "Which pixels of this image belong to {}?",
    "Find {} in the picture and draw its mask.",
    "Mark {} in this photo with a mask.",
    "I am looking for this in the image: {}. Answer with a mask.",
)
SEGMENT_IN_VIDEO: Templates = (
    "Please segment {}.",
    "Which pixels of this video belong to {}?",
    "Find {} in the video and draw its mask.",
    "Follow {} through the frames with a mask.",
    "I am looking for this in the video: {}. Answer with a mask.",
)
ANSWER_WITH_MASK: Templates = (
    "{} Please respond with a segmentation mask.",
    "{} Answer with a mask.",
    "{} Show it by a mask.",
    "{}",
)
"""For an expression that is a question: the mask is its answer."""

MASKED: Templates = (
    f"Sure, {SEG}.",
    f"It is {SEG}.",
    f"{SEG}.",
    f"Here is its mask: {SEG}.",
    f"That would be {SEG}.",
)
GROUNDED_CAPTION: Templates = (
    "Could you please give me a detailed description of the image? Please respond with interleaved segmentation masks "
    "for the corresponding parts of the answer.",
    "Describe this image in detail, and give a mask for each thing that you name.",
    "What does this picture show? Put a mask behind every phrase that stands for something in it.",
    "Tell me all about this photo, with masks of what you speak of.",
)
REGION: Templates = (
    "Can you provide me with a detailed description of the region in the picture marked by region{}?",
    "What is to be seen in region{}? Describe it in detail.",
    "Describe what region{} marks in this picture as closely as you can.",
    "Tell me all about region{} of this image.",
)


def usual(templates: Templates) -> str:
    """Choose the template that inference uses."""
    return templates[0]


def at_random(random: np.random.Generator, usual_share: float) -> Choose:
    """Choose the template of inference with a given probability, otherwise one of the others.

    Args:
        random: Generator of the choices.
        usual_share: Probability of the template of inference, 0-1; at 1, `random` is not used.
    """

    def choose(templates: Templates) -> str:
        if len(templates) == 1 or usual_share >= 1 or random.random() < usual_share:
            return templates[0]
        return templates[1 + int(random.integers(len(templates) - 1))]

    return choose


def segment_question(expression: str, *, video: bool, choose: Choose = usual) -> str:
    """Ask for the mask of an expression; if the expression is a question, ask it and request a mask as the answer."""
    named = expression.strip().rstrip(".")
    if "?" in named:
        return choose(ANSWER_WITH_MASK).format(named)
    return choose(SEGMENT_IN_VIDEO if video else SEGMENT_IN_IMAGE).format(named)


def grounded_caption_question(choose: Choose = usual) -> str:
    """Ask for a description of an image with a mask for each phrase."""
    return choose(GROUNDED_CAPTION)


def region_question(number: int, choose: Choose = usual) -> str:
    """Ask for a description of a marked region; regions count from 1."""
    return choose(REGION).format(number)


def segment_turn(expression: str, *, video: bool, choose: Choose) -> Turn:
    """Ask for the mask of an expression, and answer with it."""
    return Turn(segment_question(expression, video=video, choose=choose), choose(MASKED))
