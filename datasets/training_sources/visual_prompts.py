"""Reader of questions about marked regions of images: Osprey's files of conversations and descriptions."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from refsav.datasets.external.region_captions import RegionDialogue, RegionDialogues
from refsav.datasets.image_files import read_image
from refsav.datasets.masks import Mask, decode_checked
from refsav.datasets.records import Rle
from refsav.datasets.training_examples import question_templates as questions
from refsav.datasets.training_examples.example import TrainingExample, Turn, estimate_tokens, located_errors
from refsav.datasets.training_examples.sampling import choose_objects
from refsav.datasets.training_examples.weighted_source import TemplatedSourceConfig, WeightedSource, required_folder

CHARACTERS = 1000
"""Approximate length of a conversation about regions."""

_REGION = re.compile(r"<(region\d+)>")


class VisualPromptsConfig(TemplatedSourceConfig):
    """One of the files of Osprey-724K."""

    kind: Literal["visual-prompts"] = "visual-prompts"
    path: str = Field(description="The file: osprey_conversation.json, osprey_detail_description.json, …")
    images: tuple[str, ...] = Field(
        description="Folders of COCO images; an image is read from the first folder that has it."
    )
    regions: int = Field(
        5, ge=1, description="Most described regions per example; a conversation keeps all of its regions."
    )

    def open(self) -> WeightedSource:
        return WeightedSource(VisualPrompts(self), self.repeats)


class VisualPrompts:
    """Reads one image with marked regions per example; the answers have no masks."""

    def __init__(self, config: VisualPromptsConfig) -> None:
        """Open the file. Raises RecordError."""
        self.config = config
        folders = [required_folder(folder, "the images of COCO") for folder in config.images]
        self._dialogues = RegionDialogues(Path(config.path), folders)

    @property
    def name(self) -> str:
        return self.config.name or self._dialogues.name

    @property
    def files(self) -> tuple[Path, ...]:
        return self._dialogues.files

    def __len__(self) -> int:
        return len(self._dialogues)

    def length_of(self, index: int) -> int:  # noqa: ARG002 - dialogues differ little
        return estimate_tokens(1, CHARACTERS)

    def read(self, index: int, random: np.random.Generator) -> TrainingExample:
        dialogue, (path,) = self._dialogues.read(index), self._dialogues.files
        image = read_image(dialogue.image)
        with located_errors(path, f"[{index}]"):
            chosen, turns = self._conversation(dialogue, random)
            return TrainingExample(
                name=f"{self.name} {dialogue.image.name}",
                frames=(image,),
                turns=turns,
                masks=(),
                regions=tuple(_masks([dialogue.regions[number] for number in chosen], image.shape[0], image.shape[1])),
            )

    def _conversation(
        self, dialogue: RegionDialogue, random: np.random.Generator
    ) -> tuple[Sequence[int], tuple[Turn, ...]]:
        """Return the indexes of the marked regions, and the turns about them, which count regions from 1."""
        if dialogue.turns:
            turns = tuple(Turn(_plain_text(question), _plain_text(answer)) for question, answer in dialogue.turns)
            return range(len(dialogue.regions)), turns
        texts = dialogue.descriptions
        if not texts or len(texts) != len(dialogue.regions):
            raise ValueError(f"has {len(texts)} descriptions for {len(dialogue.regions)} regions")
        choose = questions.at_random(random, self.config.usual_wording)
        chosen = choose_objects(len(texts), self.config.regions, random)
        asked = (questions.region_question(number, choose) for number in range(1, len(chosen) + 1))
        answers = (_REGION.sub(f"region{number}", texts[index]) for number, index in enumerate(chosen, 1))
        return chosen, tuple(map(Turn, asked, answers))


def _plain_text(text: str) -> str:
    """Remove the placeholder of the image, and write region1 for <region1>."""
    return _REGION.sub(r"\1", text).replace("<image>", "").strip()


def _masks(regions: Sequence[Rle], height: int, width: int) -> Iterator[Mask]:
    for number, region in enumerate(regions, 1):
        mask = decode_checked(region, (height, width))
        if not mask.any():
            raise ValueError(f"region {number} is empty: its mask has no pixel")
        yield mask
