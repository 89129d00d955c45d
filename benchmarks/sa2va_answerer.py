"""Answers the prompts of a suite with a Sa2VA model."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import torch

from refsav.benchmarks.suites.answerer import PromptAnswer
from refsav.datasets.masks import Mask, encode
from refsav.datasets.records import Rle
from refsav.model.inference_settings import InferenceSettings
from refsav.model.media.clip import Clip
from refsav.model.sa2va import Sa2VA


@dataclass(frozen=True, slots=True)
class Sa2vaAnswerer:
    """Encodes a clip once for all prompts and tracks all objects together.

    Like `Sa2VA.predict_all`, but compresses the masks frame by frame, so memory does not grow with the video's length.
    """

    model: Sa2VA
    settings: InferenceSettings

    def ask(
        self, clip: Clip, prompts: Sequence[str], *, regions: Sequence[Mask] = (), first_only: bool = False
    ) -> list[PromptAnswer]:
        """Answer prompts about one clip; arguments and errors are those of `Answerer.ask`."""
        if not prompts:
            return []
        said = self.model.generate_text(clip, prompts, regions=regions, settings=self.settings)
        wanted = [one.seg_projected[:1] if first_only else one.seg_projected for one in said]
        language = torch.cat(wanted)
        found: list[list[Rle | None]] = [[] for _ in language]
        for frame in self.model.segment(clip, language, settings=self.settings) if len(language) else ():
            masks = self.model.full_size(frame.logits, clip.height, clip.width)
            for its, mask in zip(found, masks, strict=True):
                its.append(encode(mask) if mask.any() else None)
        masks_in_order = map(tuple, found)
        return [
            PromptAnswer(text=one.text, masks=tuple(islice(masks_in_order, len(rows))))
            for one, rows in zip(said, wanted, strict=True)
        ]
