"""A complete dataset reader, the example of docs/extend.md: images, and a JSON-lines file of expressions and masks."""

import json
from typing import Literal

import numpy as np
from pydantic import Field

from refsav.datasets.external.checked_json import Published, checked, path_below
from refsav.datasets.image_files import read_image
from refsav.datasets.masks import decode_checked
from refsav.datasets.records import Rle
from refsav.datasets.training_examples.example import TrainingExample, estimate_tokens, located_errors
from refsav.datasets.training_examples.question_templates import at_random, segment_turn
from refsav.datasets.training_examples.weighted_source import TemplatedSourceConfig, WeightedSource, required_folder


class JsonLinesConfig(TemplatedSourceConfig):
    """Its keys in `[[data.sources]]`; `name`, `repeats` and `usual_wording` are inherited."""

    kind: Literal["json-lines"] = "json-lines"
    path: str = Field(description="Folder that holds objects.jsonl and the images that it names.")

    def open(self) -> WeightedSource:
        return WeightedSource(JsonLinesReader(self), self.repeats)


class ObjectLine(Published):
    """One line of objects.jsonl: {"image": "a.jpg", "expression": "the dog", "mask": {"size": [h, w], "counts": …}}."""

    image: str
    expression: str
    mask: Rle


class JsonLinesReader:
    """Reads one line per example: an image, an expression and the object's mask."""

    def __init__(self, config: JsonLinesConfig) -> None:
        self.config, self.name = config, config.name or config.kind
        self.folder = required_folder(config.path, "objects.jsonl and its images")
        self.files = (self.folder / "objects.jsonl",)  # their digest notices that a dataset has changed
        with located_errors(self.files[0]):  # reports an OSError or a ValueError with this file
            self.lines = self.files[0].read_text(encoding="utf-8").splitlines()

    def __len__(self) -> int:
        return len(self.lines)

    def length_of(self, index: int) -> int:  # in tokens; batches are grouped by it
        return estimate_tokens(frames=1, characters=len(self.lines[index]))

    def read(self, index: int, random: np.random.Generator) -> TrainingExample:
        file, where = self.files[0], f"line {index + 1}"
        with located_errors(file, where):  # such an example is skipped and counted
            line = checked(ObjectLine, json.loads(self.lines[index]), file, where)
            image = read_image(path_below(self.folder, line.image, file, where))
            turn = segment_turn(line.expression, video=False, choose=at_random(random, self.config.usual_wording))
            mask = decode_checked(line.mask, (image.shape[0], image.shape[1]))
            return TrainingExample(name=f"{self.name} {where}", frames=(image,), turns=(turn,), masks=((mask,),))
