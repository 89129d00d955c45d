"""Reader of grounded captions, which have a mask for every phrase: the training files of GranD-f."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from refsav.datasets.external.coco_segmentation import read_segmentation
from refsav.datasets.external.gcg_training import GcgFile, Phrase, TrainingCaption, open_gcg_training
from refsav.datasets.image_files import read_image
from refsav.datasets.masks import Mask, decode, decode_checked
from refsav.datasets.records import Rle
from refsav.datasets.training_examples.example import SEG, TrainingExample, Turn, estimate_tokens, located_errors
from refsav.datasets.training_examples.question_templates import at_random, grounded_caption_question
from refsav.datasets.training_examples.weighted_source import TemplatedSourceConfig, WeightedSource, required_folder
from refsav.errors import RecordError

CHARACTERS = 400
"""Approximate length of a caption with its `[SEG]` tokens."""


class GcgConfig(TemplatedSourceConfig):
    """One of the training files of GranD-f (GLaMM)."""

    kind: Literal["gcg"] = "gcg"
    dataset: GcgFile = Field(description="Layout of the file: the part of GranD-f that it holds.")
    path: str = Field(description="The file, for example GranDf_HA_GCG_train.json.")
    images: str = Field(description="Folder that its file names are relative to.")

    def open(self) -> WeightedSource:
        return WeightedSource(GcgSource(self), self.repeats)


class GcgSource:
    """Reads one image and its caption per example."""

    def __init__(self, config: GcgConfig) -> None:
        """Open the file. Raises RecordError."""
        self.config = config
        images = required_folder(config.images, f"the images of {Path(config.path).name}")
        self._captions = open_gcg_training(Path(config.path), config.dataset, images)

    @property
    def name(self) -> str:
        return self.config.name or self._captions.name

    @property
    def files(self) -> tuple[Path, ...]:
        return self._captions.files

    def __len__(self) -> int:
        return len(self._captions)

    def length_of(self, index: int) -> int:  # noqa: ARG002 - captions differ little
        return estimate_tokens(1, CHARACTERS)

    def read(self, index: int, random: np.random.Generator) -> TrainingExample:
        caption, path = self._captions.read(index), self._captions.files[0]
        marked = dict(_separate_phrases(caption))
        if not marked:
            raise RecordError(path, caption.image.name, "no phrase of the caption has a mask", "leave the caption out")
        image = read_image(caption.image)
        choose = at_random(random, self.config.usual_wording)
        with located_errors(path, caption.image.name):
            return TrainingExample(
                name=f"{self.name} {caption.image.name}",
                frames=(image,),
                turns=(Turn(grounded_caption_question(choose), with_seg_tokens(caption.caption, list(marked))),),
                masks=tuple((_mask(phrase, (image.shape[0], image.shape[1])),) for phrase in marked.values()),
            )


def with_seg_tokens(caption: str, spans: Sequence[tuple[int, int]]) -> str:
    """Write `<p> phrase </p> [SEG]` for each phrase, the format of Sa2VA's released training code.

    Args:
        caption: The complete caption.
        spans: Characters of each phrase, half-open; increasing, without overlap.
    """
    last, parts = 0, []
    for start, end in spans:
        parts.append(f"{caption[last:start]}<p> {caption[start:end]} </p> {SEG}")
        last = end
    return "".join([*parts, caption[last:]])


def _separate_phrases(caption: TrainingCaption) -> Iterator[tuple[tuple[int, int], Phrase]]:
    """Skip a phrase that overlaps an earlier one or lies outside the caption: its span cannot be marked."""
    last = 0
    for phrase in caption.phrases:
        if last <= phrase.span[0] < phrase.span[1] <= len(caption.caption):
            yield phrase.span, phrase
            last = phrase.span[1]


def _mask(phrase: Phrase, size: tuple[int, int]) -> Mask:
    mask = phrase.mask
    return decode_checked(mask, size) if isinstance(mask, Rle) else decode(read_segmentation(mask, size))
