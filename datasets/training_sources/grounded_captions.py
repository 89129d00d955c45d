"""Captions with a mask for every phrase to train on: GranD-f's training files."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from refsav.datasets.external.coco_segmentation import read_segmentation
from refsav.datasets.external.gcg_training import GcgFile, Phrase, TrainingCaption, open_gcg_training
from refsav.datasets.image_files import read_picture
from refsav.datasets.masks import Mask, decode, decode_checked
from refsav.datasets.records import Rle
from refsav.datasets.training_examples.example import SEG, TrainingExample, Turn, estimate_tokens, located_errors
from refsav.datasets.training_examples.question_templates import at_random, grounded_caption
from refsav.datasets.training_examples.weighted_source import TemplatedSourceConfig, WeightedSource, required_folder
from refsav.errors import RecordError

CHARACTERS = 400
"""Of a caption with its marks."""


class GcgConfig(TemplatedSourceConfig):
    """One of GranD-f's training files."""

    kind: Literal["gcg"] = "gcg"
    dataset: GcgFile = Field(description="Which file.")
    path: str = Field(description="The file, for example GranDf_HA_GCG_train.json.")
    images: str = Field(description="Folder that its file names start from.")

    def open(self) -> WeightedSource:
        return WeightedSource(GcgSource(self), self.repeats)


class GcgSource:
    """Reads one image and its caption an example."""

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
        told, path = self._captions.read(index), self._captions.files[0]
        marked = dict(_apart(told))
        if not marked:
            raise RecordError(path, told.image.name, "no phrase of the caption has a mask", "leave it out")
        image = read_picture(told.image)
        choose = at_random(random, self.config.usual_wording)
        with located_errors(path, told.image.name):
            return TrainingExample(
                name=f"{self.name} {told.image.name}",
                frames=(image,),
                turns=(Turn(grounded_caption(choose), with_masks(told.caption, list(marked))),),
                masks=tuple((_mask(phrase, (image.shape[0], image.shape[1])),) for phrase in marked.values()),
            )


def with_masks(caption: str, spans: Sequence[tuple[int, int]]) -> str:
    """Put the marks of the released training around each phrase, and `[SEG]` behind it.

    Args:
        caption: All of it.
        spans: Half-open; increasing, without overlap.
    """
    last, parts = 0, []
    for begin, end in spans:
        parts.append(f"{caption[last:begin]}<p> {caption[begin:end]} </p> {SEG}")
        last = end
    return "".join([*parts, caption[last:]])


def _apart(told: TrainingCaption) -> Iterator[tuple[tuple[int, int], Phrase]]:
    """Pass over a phrase that lies in another one, or outside of the caption: it cannot be marked."""
    last = 0
    for phrase in told.phrases:
        if last <= phrase.span[0] < phrase.span[1] <= len(told.caption):
            yield phrase.span, phrase
            last = phrase.span[1]


def _mask(phrase: Phrase, size: tuple[int, int]) -> Mask:
    mask = phrase.mask
    return decode_checked(mask, size) if isinstance(mask, Rle) else decode(read_segmentation(mask, size))
