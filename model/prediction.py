"""Sa2VA's answers: text, and for each `[SEG]` in it a mask in every frame (Sa2VA, section 3.2)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Masks = npt.NDArray[np.bool_]
"""bool [T, h, w], True on the object."""


@dataclass(frozen=True, slots=True)
class TextAnswer:
    """The language model's answer to one prompt, without masks."""

    prompt: str
    text: str
    """With special tokens such as [SEG] and <p>, without the one that ends the turn."""
    complete: bool
    """False if the answer was cut off at the limit of new tokens."""
    phrases: tuple[str, ...]
    """The phrase of each [SEG]: the text between <p> and </p> before it, otherwise the prompt."""
    seg_hidden: Tensor
    """float32 [n, H], the hidden state of each [SEG]; [n, key frames, H] if each key frame has its own."""
    seg_projected: Tensor
    """float32 [n, C] or [n, key frames, C], the prompts of SAM-2."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One `[SEG]`: one object, independent of the others."""

    phrase: str
    seg_hidden: Tensor
    """float32 [H], the hidden state of the token; [key frames, H] if each key frame has its own."""
    seg_projected: Tensor
    """float32 [C] (256) or [key frames, C], the prompt of SAM-2."""
    low_res_logits: Tensor
    """float32 [T, S/4, S/4] (256), before the sigmoid."""
    masks: Masks
    """bool [T, h, w], at the size of frame 0."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """An answer with its masks, and the settings that were used."""

    text: str
    segments: tuple[Segment, ...]
    """In order of appearance; empty if the answer has no [SEG]."""
    complete: bool
    settings: Mapping[str, Any]
    """Key frames, propagation and the other settings, resolved."""


def combine(
    answers: Sequence[TextAnswer],
    logits: Sequence[Sequence[Tensor]],
    masks: Sequence[Sequence[Masks]],
    settings: Mapping[str, Any],
) -> Iterator[Prediction]:
    """Combine answers and masks into predictions, one for each answer.

    Args:
        answers: The answers; their `[SEG]` tokens in order are the first index of `logits` and `masks`.
        logits: For each [SEG], for each frame, float32 [S/4, S/4].
        masks: For each [SEG], for each frame, bool [h, w].
        settings: The settings that were used.
    """
    number = 0
    for answer in answers:
        segments = []
        for phrase, hidden, projected in zip(answer.phrases, answer.seg_hidden, answer.seg_projected, strict=True):
            low, full = torch.stack(list(logits[number])), np.stack(list(masks[number]))
            segments.append(Segment(phrase, hidden, projected, low, full))
            number += 1
        yield Prediction(answer.text, tuple(segments), answer.complete, settings)


def phrases_of(text: str, prompt: str, count: int) -> tuple[str, ...]:
    """Return the phrase of each of `count` [SEG] tokens; tokens in the prompt come before those in the answer.

    Args:
        text: The answer.
        prompt: The prompt; it is the phrase of a [SEG] without one.
        count: Number of [SEG] tokens in prompt and answer.
    """
    found, phrase = [], ""
    for piece in re.finditer(r"<p>(.*?)</p>|\[SEG\]", text, re.DOTALL):
        if piece[1] is not None:
            phrase = " ".join(piece[1].split())
        else:
            found.append(phrase or prompt)
            phrase = ""
    return tuple(([prompt] * (count - len(found)) + found)[:count])
