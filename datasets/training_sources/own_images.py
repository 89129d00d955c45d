"""Reader of your own images with outlined objects, in the layout of Sa2VA's fine-tuning guide."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from refsav.datasets.external.checked_json import Published, checked, path_below
from refsav.datasets.external.coco_segmentation import read_segmentation
from refsav.datasets.frames import Image
from refsav.datasets.image_files import read_image
from refsav.datasets.masks import Mask, decode
from refsav.datasets.training_examples.example import TrainingExample, estimate_tokens, located_errors
from refsav.datasets.training_examples.json_list import JsonItems
from refsav.datasets.training_examples.question_templates import at_random, segment_turn
from refsav.datasets.training_examples.sampling import choose_objects
from refsav.datasets.training_examples.weighted_source import TemplatedSourceConfig, WeightedSource, required_folder

ANNOTATIONS = "annotations.json"


class OwnImagesConfig(TemplatedSourceConfig):
    """Images with outlined objects: a folder with annotations.json and images/."""

    kind: Literal["own-images"] = "own-images"
    path: str = Field(description="Folder that holds annotations.json and images/.")
    objects: int = Field(5, ge=1, description="Most objects per example.")

    def open(self) -> WeightedSource:
        return WeightedSource(OwnImages(self), self.repeats)


class _Item(Published):
    image: str
    mask: tuple[Any, ...] = Field(min_length=1)
    """For each object a list of polygons, or another of COCO's segmentation formats."""
    text: tuple[str, ...]


class OwnImages:
    """Reads one image and some of its objects per example."""

    def __init__(self, config: OwnImagesConfig) -> None:
        """Open the folder. Raises RecordError."""
        root = required_folder(config.path, f"{ANNOTATIONS} and images/")
        self.config = config
        self._images = required_folder(str(root / "images"), f"the images that {ANNOTATIONS} names")
        self._items = JsonItems(root / ANNOTATIONS)

    @property
    def name(self) -> str:
        return self.config.name or self.config.kind

    @property
    def files(self) -> tuple[Path, ...]:
        return (self._items.path,)

    def __len__(self) -> int:
        return len(self._items)

    def length_of(self, index: int) -> int:  # noqa: ARG002 - mostly masks: the length of an item says nothing about its texts
        return estimate_tokens(1, 0)

    def read(self, index: int, random: np.random.Generator) -> TrainingExample:
        path, where = self._items.path, self._items.place(index)
        item = checked(_Item, self._items[index], path, where)
        image = read_image(path_below(self._images, item.image, path, f"{where}.image"))
        named = [number for number, text in enumerate(item.text) if text.strip()]
        with located_errors(path, where):
            if len(item.text) != len(item.mask) or not named:
                raise ValueError(f"has {len(item.mask)} masks and {len(named)} texts")
            masks, empty = self._masks(item, named, (image.shape[0], image.shape[1]), random)
            if not masks:
                raise ValueError(f"no object with a text has a pixel in the image, which is {_size(image)}")
            choose = at_random(random, self.config.usual_wording)
            return TrainingExample(
                name=f"{self.name} {item.image}: {', '.join(f'object {number}' for number in masks)}",
                frames=(image,),
                turns=tuple(segment_turn(item.text[number], video=False, choose=choose) for number in masks),
                masks=tuple((mask,) for mask in masks.values()),
                left_out=(
                    *(
                        f"{path}: {where}: object {number} has no text"
                        for number, text in enumerate(item.text)
                        if not text.strip()
                    ),
                    *(
                        f"{path}: {where}: object {number} has no pixel in the image, which is {_size(image)}"
                        for number in empty
                    ),
                ),
            )

    def _masks(
        self, item: _Item, named: Sequence[int], size: tuple[int, int], random: np.random.Generator
    ) -> tuple[dict[int, Mask], list[int]]:
        """Draw objects until enough have a pixel; return their masks by object, and the objects without a pixel."""
        masks: dict[int, Mask] = {}
        empty = []
        for number in (named[index] for index in choose_objects(len(named), len(named), random)):
            if len(masks) == self.config.objects:
                break
            mask = _mask(item.mask[number], number, size)
            if mask.any():
                masks[number] = mask
            else:
                empty.append(number)
        return masks, empty


def _mask(value: object, number: int, size: tuple[int, int]) -> Mask:
    try:
        return decode(read_segmentation(value, size))
    except ValueError as error:
        raise ValueError(f"object {number}: {error}") from error


def _size(image: Image) -> str:
    return f"{image.shape[1]}x{image.shape[0]} pixels"
