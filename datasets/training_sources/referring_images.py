"""Reader of RefCOCO, RefCOCO+ and RefCOCOg: an image and some of the expressions for its objects."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from refsav.datasets.external.refcoco import RefCocoSet, ReferringSentence, open_refcoco
from refsav.datasets.image_files import read_image
from refsav.datasets.masks import decode_checked
from refsav.datasets.training_examples.example import TrainingExample, estimate_tokens, located_errors
from refsav.datasets.training_examples.question_templates import at_random, segment_turn
from refsav.datasets.training_examples.weighted_source import TemplatedSourceConfig, WeightedSource

CHARACTERS = 25
"""Approximate length of a sentence: four words in RefCOCO, eight in RefCOCOg."""


class ReferringImagesConfig(TemplatedSourceConfig):
    """RefCOCO, RefCOCO+ or RefCOCOg as published."""

    kind: Literal["referring-images"] = "referring-images"
    dataset: RefCocoSet = Field(description="Name of the set.")
    path: str = Field(description="Folder with refs(unc).p or refs(umd).p and instances.json, or its parent.")
    images: str = Field(
        "", description="COCO's train2014; empty: searched below `path`, its parent and its grandparent."
    )
    by: str = Field("", description="Authors of the splits; empty: unc for RefCOCO and RefCOCO+, umd for RefCOCOg.")
    split: str = Field("train", description="Split of the set.")
    objects: int = Field(
        5, ge=1, description="Most sentences per example; each object gets one before any object gets a second."
    )

    def open(self) -> WeightedSource:
        return WeightedSource(ReferringImages(self), self.repeats)


class ReferringImages:
    """Reads one image and some of its sentences per example."""

    def __init__(self, config: ReferringImagesConfig) -> None:
        """Open the set. Raises ConfigError, RecordError."""
        self.config = config
        images = Path(config.images) if config.images else None
        self._set = open_refcoco(Path(config.path), config.dataset, (config.split,), split_by=config.by, images=images)

    @property
    def name(self) -> str:
        return self.config.name or self._set.name

    @property
    def files(self) -> tuple[Path, ...]:
        return self._set.files

    def __len__(self) -> int:
        return len(self._set)

    def length_of(self, index: int) -> int:  # noqa: ARG002 - sentences are short
        return estimate_tokens(1, self.config.objects * CHARACTERS)

    def read(self, index: int, random: np.random.Generator) -> TrainingExample:
        referred = self._set.read(index)
        image = read_image(referred.image)
        size = (image.shape[0], image.shape[1])
        chosen = _choose(referred.sentences, self.config.objects, random)
        choose = at_random(random, self.config.usual_wording)
        with located_errors(self._set.files[1], f"images[id={referred.image_id}]"):
            return TrainingExample(
                name=f"{self.name} {referred.image.name}: {', '.join(str(one.sentence_id) for one in chosen)}",
                frames=(image,),
                turns=tuple(segment_turn(one.text, video=False, choose=choose) for one in chosen),
                masks=tuple((decode_checked(one.truth, size),) for one in chosen),
            )


def _choose(sentences: Sequence[ReferringSentence], most: int, random: np.random.Generator) -> list[ReferringSentence]:
    """Sample sentences at random; an object gets a second one only after every object has one."""
    shuffled = [sentences[number] for number in random.permutation(len(sentences))]
    seen: Counter[int] = Counter()
    ranks: list[int] = []
    """For each sentence, how many of the same object come before it."""
    for one in shuffled:
        ranks.append(seen[one.object_id])
        seen[one.object_id] += 1
    return [shuffled[number] for number in np.argsort(ranks, kind="stable")[:most]]
