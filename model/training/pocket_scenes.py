"""Pictures of made scenes for demonstrations: what a pocket Sa2VA learns from in minutes, and how well it does.

What makes it learn (and not "segment all that stands out", whatever the words): every object of a picture in the same
step, prompts of a scale that SAM-2 knows, colours before shapes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from refsav.datasets.frames import Image
from refsav.datasets.masks import Mask
from refsav.datasets.synthetic.scene import FRAME_STEP, SynthConfig
from refsav.datasets.synthetic.write_scenes import compose
from refsav.datasets.training_examples.example import TrainingExample, Turn, about_tokens
from refsav.datasets.training_examples.mixture import Mixture
from refsav.datasets.training_examples.weighted_source import Share
from refsav.model.inference_settings import InferenceSettings
from refsav.model.language import inference_prompts as prompts
from refsav.model.sa2va import Sa2VA

SCENES = SynthConfig(
    height=128, width=128, frames=16, max_objects=4, distractor_share=0, camera_share=0, occlusion_share=0
)
"""Objects of different colours and shapes."""

SMALLEST_PX = 30

ANSWER = "Sure, [SEG]."


@dataclass(frozen=True, slots=True)
class Pictured:
    """One frame of a made scene, and what it shows."""

    name: str
    frame: Image
    expressions: tuple[str, ...]
    masks: tuple[Mask, ...]


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures as a source of training examples: a turn for each object, in any order."""

    pictures: Sequence[Pictured]
    name: str = "pictures"
    files: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.pictures)

    def weight_of(self, index: int) -> int:
        """As every source has it."""
        return about_tokens(1, sum(map(len, self.pictures[index].expressions)))

    def read(self, index: int, random: np.random.Generator) -> TrainingExample:
        """As every source has it."""
        one = self.pictures[index]
        order = random.permutation(len(one.expressions))
        return TrainingExample(
            name=one.name,
            frames=(one.frame,),
            turns=tuple(Turn(_asked(one.expressions[i]), ANSWER) for i in order),
            masks=tuple((one.masks[i],) for i in order),
        )

    def mixed(self, seed: int = 0) -> Mixture:
        """All that a training learns from."""
        return Mixture([Share(self)], seed)


def pictures(config: SynthConfig, indices: Sequence[int], *, kinds: Sequence[str] = ("colour",)) -> Iterator[Pictured]:
    """Yield a frame of each made scene with short expressions of these kinds that fit one object only."""
    for index in indices:
        painter, rows, truth = compose(config, index)
        random = np.random.default_rng(index)
        row = int(random.integers(len(rows)))
        known: list[tuple[str, Mask]] = []
        for number, thing in enumerate(truth.objects):
            mask = rows[row].visible[number]
            texts = [one.text for one in thing.expressions if one.kind in kinds]
            if texts and np.count_nonzero(mask) >= SMALLEST_PX:
                known.append((texts[int(random.integers(len(texts)))], mask))
        if known:
            picture, (texts_of, masks) = painter.picture(FRAME_STEP * row), zip(*known, strict=True)
            yield Pictured(f"{painter.scene.video_id}, frame {FRAME_STEP * row}", picture, texts_of, masks)


def mean_iou(model: Sa2VA, data: Sequence[Pictured], *, shuffled: bool = False) -> float:
    """Mean IoU, 0-1, of the masks that the model draws for its own answers; an answer without [SEG] counts 0.

    `shuffled` asks each object by the next one's expression: a model that does not read scores the same.
    """
    found: list[float] = []
    for one in data:
        asked = one.expressions[1:] + one.expressions[:1] if shuffled else one.expressions
        answers = model.predict_all(
            [one.frame],
            [prompts.segment(expression, video=False) for expression in asked],
            settings=InferenceSettings(new_tokens=16),
        )
        for answer, mask in zip(answers, one.masks, strict=True):
            drawn = answer.segments[0].masks[0] if answer.segments else np.zeros_like(mask)
            found.append(float(np.count_nonzero(drawn & mask)) / max(1, int(np.count_nonzero(drawn | mask))))
    return float(np.mean(found))


def _asked(expression: str) -> str:
    """Ask as inference does: one space more is another token."""
    return prompts.segment(expression, video=False).removeprefix(prompts.IMAGE)
