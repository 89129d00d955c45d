"""Reader of questions and answers about images in LLaVA's layout: a JSON list and a folder of images."""

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from refsav.datasets.external.checked_json import Published, checked, path_below
from refsav.datasets.image_files import read_image
from refsav.datasets.training_examples.conversation import Message, turns_of
from refsav.datasets.training_examples.example import TrainingExample, estimate_tokens, located_errors
from refsav.datasets.training_examples.json_list import JsonItems
from refsav.datasets.training_examples.weighted_source import TrainingSourceConfig, WeightedSource, required_folder


class ImageQaConfig(TrainingSourceConfig):
    """Questions about images: LLaVA-1.5's mix of 665,000 conversations, or any file in its layout."""

    kind: Literal["image-qa"] = "image-qa"
    path: str = Field(description="JSON list of {image, conversations}, for example llava_v1_5_mix665k.json.")
    images: str = Field(description="Folder that `image` is relative to.")

    def open(self) -> WeightedSource:
        source = ImageQa(self)
        return WeightedSource(source, self.repeats, source.notes)


class _Item(Published):
    image: str
    conversations: tuple[Message, ...]


class ImageQa:
    """Reads one image and its conversation per example."""

    def __init__(self, config: ImageQaConfig) -> None:
        """Open the list. Raises RecordError."""
        self.config = config
        self._images = required_folder(config.images, "the images of the list")
        self._items = JsonItems(Path(config.path), keep=lambda item: bool(item.get("image")))

    @property
    def name(self) -> str:
        return self.config.name or self.config.kind

    @property
    def files(self) -> tuple[Path, ...]:
        return (self._items.path,)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out when the list was opened."""
        count = self._items.left_out
        return (f"conversations without an image, left out: {count}",) if count else ()

    def __len__(self) -> int:
        return len(self._items)

    def length_of(self, index: int) -> int:
        return estimate_tokens(1, self._items.characters(index))

    def read(self, index: int, random: np.random.Generator) -> TrainingExample:  # noqa: ARG002 - nothing is drawn
        path, where = self._items.path, self._items.place(index)
        item = checked(_Item, self._items[index], path, where)
        image = read_image(path_below(self._images, item.image, path, f"{where}.image"))
        with located_errors(path, where):
            return TrainingExample(
                name=f"{self.name} {item.image}",
                frames=(image,),
                turns=turns_of(item.conversations, path, where),
                masks=(),
            )
