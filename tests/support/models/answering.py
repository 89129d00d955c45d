"""Models that answer with the ground truth, or a changed copy of it, so that the score of a suite is known."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from refsav.benchmarks.suites.answerer import PromptAnswer
from refsav.datasets.masks import encode
from refsav.datasets.records import Rle
from refsav.model.media.clip import Clip

Masks = npt.NDArray[np.bool_]
"""bool [T, h, w]."""


class Knowing:
    """Answers each prompt about each clip with the masks and the text that it was given."""

    def __init__(
        self, masks: Mapping[tuple[str, str], Sequence[Masks]], texts: Mapping[tuple[str, str], str] | None = None
    ) -> None:
        """Take, for (clip's name, what the prompt has to hold), the masks of the answer and its text."""
        self._masks, self._texts = masks, texts or {}
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    def ask(
        self, clip: Clip, prompts: Sequence[str], *, regions: Sequence[Masks] = (), first_only: bool = False
    ) -> list[PromptAnswer]:
        """Answer; frames are read as a model would read them."""
        del regions
        for _ in clip.frames(range(clip.count)):
            pass
        self.asked.append((clip.name, tuple(prompts)))
        return [self._answer(clip.name, prompt, first_only=first_only) for prompt in prompts]

    def _answer(self, name: str, prompt: str, *, first_only: bool) -> PromptAnswer:
        key = next(key for key in self._masks if key[0] == name and key[1] in prompt)
        masks = self._masks[key][: 1 if first_only else None]
        return PromptAnswer(text=self._texts.get(key, "It is [SEG]."), masks=tuple(packed(one) for one in masks))


def packed(masks: Masks) -> tuple[Rle | None, ...]:
    """As an answer has them."""
    return tuple(encode(mask) if mask.any() else None for mask in masks)


def changed(how: Callable[[Masks], Masks], masks: Mapping[tuple[str, str], Sequence[Masks]]) -> Knowing:
    """One who changes every mask."""
    return Knowing({key: [how(one) for one in those] for key, those in masks.items()})
