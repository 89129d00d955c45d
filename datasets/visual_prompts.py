"""Questions about marked regions of images, in Osprey's layout: a JSON list of masks with what is said about them."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from refsav.datasets import questions
from refsav.datasets.choosing import choose_objects
from refsav.datasets.conversation import Message, turns_of
from refsav.datasets.foreign_json import Published, checked, path_below
from refsav.datasets.json_items import JsonItems
from refsav.datasets.masks import Mask, decode
from refsav.datasets.pictures import read_picture
from refsav.datasets.segmentation import read_segmentation
from refsav.datasets.share import Share, WordedConfig, needed_folder
from refsav.datasets.training_example import TrainingExample, Turn, about_tokens, fitting
from refsav.errors import RecordError

_REGION = re.compile(r"<(region\d+)>")


class VisualPromptsConfig(WordedConfig):
    """Osprey-724K: conversations about regions, or a description of each."""

    kind: Literal["visual-prompts"] = "visual-prompts"
    path: str = Field(description="JSON list, for example osprey_conversation.json or osprey_detail_description.json.")
    images: tuple[str, ...] = Field(description="Folders of images; each is looked for in one after the other.")
    regions: int = Field(
        5, ge=1, description="Described regions an example, at most; a conversation has all of its own."
    )

    def open(self) -> Share:
        return Share(VisualPrompts(self), self.repeats)


class _Region(Published):
    segmentation: Any


class _Item(Published):
    file_name: str
    annotation: tuple[_Region, ...] = Field(min_length=1)
    conversations: tuple[Message, ...] = ()
    description: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()


class VisualPrompts:
    """Reads one image with marked regions an example; there are no masks to learn, only words."""

    def __init__(self, config: VisualPromptsConfig) -> None:
        """Open the list. Raises RecordError."""
        self.config = config
        self._images = [needed_folder(folder, "images of the list") for folder in config.images]
        self._items = JsonItems(Path(config.path))

    @property
    def name(self) -> str:
        return self.config.name or self.config.kind

    def __len__(self) -> int:
        return len(self._items)

    def weight_of(self, index: int) -> int:
        return about_tokens(1, self._items.characters(index) // 2)  # a good half are masks

    def read(self, index: int, random: np.random.Generator) -> TrainingExample:
        path, where = self._items.path, self._items.place(index)
        item = checked(_Item, self._items[index], path, where)
        image = read_picture(self._file(item.file_name, path, where))
        with fitting(path, where):
            chosen, turns = self._said(item, random, path, where)
            return TrainingExample(
                name=f"{self.name} {item.file_name}",
                frames=(image,),
                turns=turns,
                masks=(),
                regions=tuple(_masks([item.annotation[number] for number in chosen], (image.shape[0], image.shape[1]))),
            )

    def _said(
        self, item: _Item, random: np.random.Generator, path: Path, where: str
    ) -> tuple[Sequence[int], tuple[Turn, ...]]:
        """Which regions are marked, and the conversation, which counts them from 1."""
        if item.conversations:
            turns = turns_of(item.conversations, path, where)
            plain = tuple(Turn(_REGION.sub(r"\1", turn.question), _REGION.sub(r"\1", turn.answer)) for turn in turns)
            return range(len(item.annotation)), plain
        texts = item.description or item.descriptions
        if len(texts) != len(item.annotation):
            raise ValueError(f"has {len(texts)} descriptions for {len(item.annotation)} regions")
        choose = questions.at_random(random, self.config.usual_wording)
        chosen = choose_objects(len(texts), self.config.regions, random)
        return chosen, tuple(
            Turn(questions.region(number, choose), _REGION.sub(f"region{number}", texts[index]).strip())
            for number, index in enumerate(chosen, 1)
        )

    def _file(self, name: str, path: Path, where: str) -> Path:
        candidates = [path_below(folder, name, path, f"{where}.file_name") for folder in self._images]
        for candidate in candidates:
            if candidate.is_file():
                return candidate
        told = ", ".join(str(folder) for folder in self._images)
        raise RecordError(path, where, f"{name} is in none of {told}", "unpack COCO's images, all that the list names")


def _masks(regions: Sequence[_Region], size: tuple[int, int]) -> Iterator[Mask]:
    for number, region in enumerate(regions, 1):
        mask = decode(read_segmentation(region.segmentation, size))
        if not mask.any():
            raise ValueError(f"region {number} has no pixel")
        yield mask
