"""What Sa2VA answers: text, and for each `[SEG]` in it a mask in every frame."""

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
    """The language model's answer to one prompt, before any mask is made of it."""

    prompt: str
    text: str
    """Special tokens kept, [SEG] and <p> among them; the one that ends the turn is left out."""
    complete: bool
    """False if the answer was cut off at the limit of new tokens."""
    phrases: tuple[str, ...]
    """What each [SEG] stands for: the text between <p> and </p> before it, or the prompt."""
    seg_hidden: Tensor
    """float32 [n, H], one row for each [SEG]; [n, key frames, H] where each of those has its own (seg_tokens.py)."""
    seg_projected: Tensor
    """float32 [n, C] or [n, key frames, C], what SAM-2 is prompted with."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One `[SEG]`: one object, independent of the others."""

    phrase: str
    seg_hidden: Tensor
    """float32 [H], the language model's state at the token; [key frames, H] where each of those has its own."""
    seg_projected: Tensor
    """float32 [C] (256) or [key frames, C], what SAM-2 is prompted with."""
    low_res_logits: Tensor
    """float32 [T, S/4, S/4] (256), before the sigmoid."""
    masks: Masks
    """bool [T, h, w], at the size of frame 0."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """An answer with its masks, and how it came about."""

    text: str
    segments: tuple[Segment, ...]
    """In order of appearance; none if the answer has no [SEG]."""
    complete: bool
    settings: Mapping[str, Any]
    """Key frames, propagation and the rest as they were used."""


def predictions(
    said: Sequence[TextAnswer],
    logits: Sequence[Sequence[Tensor]],
    masks: Sequence[Sequence[Masks]],
    settings: Mapping[str, Any],
) -> Iterator[Prediction]:
    """Bring answers and masks together.

    Args:
        said: Answers, whose `[SEG]`s in order are what the next two go through.
        logits: For each [SEG], for each frame, float32 [S/4, S/4].
        masks: For each [SEG], for each frame, bool [h, w].
        settings: As used.
    """
    number = 0
    for one in said:
        segments = []
        for phrase, hidden, projected in zip(one.phrases, one.seg_hidden, one.seg_projected, strict=True):
            low, full = torch.stack(list(logits[number])), np.stack(list(masks[number]))
            segments.append(Segment(phrase, hidden, projected, low, full))
            number += 1
        yield Prediction(one.text, tuple(segments), one.complete, settings)


def phrases_of(text: str, prompt: str, count: int) -> tuple[str, ...]:
    """What each of `count` [SEG]s stands for: those of the prompt, if any, come before those of the answer."""
    found, phrase = [], ""
    for piece in re.finditer(r"<p>(.*?)</p>|\[SEG\]", text, re.DOTALL):
        if piece[1] is not None:
            phrase = " ".join(piece[1].split())
        else:
            found.append(phrase or prompt)
            phrase = ""
    return tuple(([prompt] * (count - len(found)) + found)[:count])
