"""How a benchmark gets its answers: prompts about one image or video in, texts and masks out."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import torch

from refsav.datasets.expression_masks import FrameMasks
from refsav.datasets.masks import Mask, encode
from refsav.datasets.records import Rle
from refsav.model.clip import Clip
from refsav.model.sa2va import Sa2VA
from refsav.model.settings import InferenceSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a model answered to one prompt."""

    text: str
    """Special tokens kept, `[SEG]` and <p> among them."""
    masks: tuple[FrameMasks, ...]
    """One for each `[SEG]`, of the size of frame 0; None for a frame without any pixel."""


class Answerer(Protocol):
    """Whoever is benchmarked."""

    def ask(
        self, clip: Clip, prompts: Sequence[str], *, regions: Sequence[Mask] = (), first_only: bool = False
    ) -> list[Answer]:
        """Answer prompts about one image or video.

        Args:
            clip: The frames, read one at a time.
            prompts: Independent of each other; none: nothing is answered.
            regions: Visual prompts, bool [h, w].
            first_only: Whether all but the first mask of an answer are left away.

        Raises:
            RecordError: If a frame cannot be read.
            InputError: If the model cannot be asked this.
        """


@dataclass(frozen=True, slots=True)
class ModelAnswers:
    """A Sa2VA: a clip is seen once for all prompts, and all objects are followed together.

    As `Sa2VA.predict_all`, but masks are compressed as their frames come by, so memory does not grow with a video.
    """

    model: Sa2VA
    settings: InferenceSettings

    def ask(
        self, clip: Clip, prompts: Sequence[str], *, regions: Sequence[Mask] = (), first_only: bool = False
    ) -> list[Answer]:
        """See `Answerer`."""
        if not prompts:
            return []
        said = self.model.say(clip, prompts, regions=regions, settings=self.settings)
        wanted = [one.seg_projected[:1] if first_only else one.seg_projected for one in said]
        language = torch.cat(wanted)
        found: list[list[Rle | None]] = [[] for _ in language]
        for frame in self.model.segment(clip, language, settings=self.settings) if len(language) else ():
            masks = self.model.full_size(frame.logits, clip.height, clip.width)
            for its, mask in zip(found, masks, strict=True):
                its.append(encode(mask) if mask.any() else None)
        masks_in_order = map(tuple, found)
        return [
            Answer(text=one.text, masks=tuple(islice(masks_in_order, len(rows))))
            for one, rows in zip(said, wanted, strict=True)
        ]
