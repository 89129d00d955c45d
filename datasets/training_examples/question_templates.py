"""Wordings of questions and answers, without the mark for the image.

The first of each group is the one that inference uses; training uses the others too, so that a model answers to more
than one sentence.
"""

from collections.abc import Callable

import numpy as np

from refsav.datasets.training_examples.example import SEG, Turn

Wordings = tuple[str, ...]
Choose = Callable[[Wordings], str]
"""Takes one of some wordings that mean the same."""

SEGMENT_IN_IMAGE: Wordings = (
    "Please segment {} in this image.",
    "Which pixels of this image belong to {}?",
    "Find {} in the picture and draw its mask.",
    "Mark {} in this photo with a mask.",
    "I am looking for this in the image: {}. Answer with a mask.",
)
SEGMENT_IN_VIDEO: Wordings = (
    "Please segment {}.",
    "Which pixels of this video belong to {}?",
    "Find {} in the video and draw its mask.",
    "Follow {} through the frames with a mask.",
    "I am looking for this in the video: {}. Answer with a mask.",
)
ANSWER_WITH_MASK: Wordings = (
    "{} Please respond with a segmentation mask.",
    "{} Answer with a mask.",
    "{} Show it by a mask.",
    "{}",
)
"""For a question: nothing is named, the mask itself is the answer."""

MASKED: Wordings = (
    f"Sure, {SEG}.",
    f"It is {SEG}.",
    f"{SEG}.",
    f"Here is its mask: {SEG}.",
    f"That would be {SEG}.",
)
GROUNDED_CAPTION: Wordings = (
    "Could you please give me a detailed description of the image? Please respond with interleaved segmentation masks "
    "for the corresponding parts of the answer.",
    "Describe this image in detail, and give a mask for each thing that you name.",
    "What does this picture show? Put a mask behind every phrase that stands for something in it.",
    "Tell me all about this photo, with masks of what you speak of.",
)
REGION: Wordings = (
    "Can you provide me with a detailed description of the region in the picture marked by region{}?",
    "What is to be seen in region{}? Describe it in detail.",
    "Describe what region{} marks in this picture as closely as you can.",
    "Tell me all about region{} of this image.",
)


def usual(wordings: Wordings) -> str:
    """Take the wording that inference uses."""
    return wordings[0]


def at_random(random: np.random.Generator, usual_share: float) -> Choose:
    """Take the usual wording with this probability, or else any of the others.

    Args:
        random: Decides.
        usual_share: Fraction 0-1; at 1 nothing is drawn.
    """

    def choose(wordings: Wordings) -> str:
        if len(wordings) == 1 or usual_share >= 1 or random.random() < usual_share:
            return wordings[0]
        return wordings[1 + int(random.integers(len(wordings) - 1))]

    return choose


def segment(expression: str, *, video: bool, choose: Choose = usual) -> str:
    """Ask for the mask of what an expression names; a question is answered with a mask."""
    named = expression.strip().rstrip(".")
    if "?" in named:
        return choose(ANSWER_WITH_MASK).format(named)
    return choose(SEGMENT_IN_VIDEO if video else SEGMENT_IN_IMAGE).format(named)


def grounded_caption(choose: Choose = usual) -> str:
    """Ask for a description of an image whose phrases have masks."""
    return choose(GROUNDED_CAPTION)


def region(number: int, choose: Choose = usual) -> str:
    """Ask what a marked region is; regions count from 1."""
    return choose(REGION).format(number)


def segment_turn(expression: str, *, video: bool, choose: Choose) -> Turn:
    """Ask for what an expression names, and answer with its mask."""
    return Turn(segment(expression, video=video, choose=choose), choose(MASKED))
