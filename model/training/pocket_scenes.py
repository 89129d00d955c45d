"""Frames of synthetic scenes that a pocket Sa2VA learns from in minutes, and how well it does on them.

It learns to follow the words, and not just to segment every salient object, because of three choices: all objects of a
frame come in the same step, prompts have a scale that SAM-2 knows, and colours come before shapes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from refsav.datasets.frames import Image
from refsav.datasets.masks import Mask
from refsav.datasets.synthetic.scene import FRAME_STEP, SynthConfig
from refsav.datasets.synthetic.write_scenes import compose
from refsav.datasets.training_examples.example import TrainingExample, Turn, estimate_tokens
from refsav.datasets.training_examples.mixture import Mixture
from refsav.datasets.training_examples.weighted_source import WeightedSource
from refsav.model.inference_settings import InferenceSettings
from refsav.model.language import inference_prompts as prompts
from refsav.model.sa2va import Sa2VA

SCENES = SynthConfig(
    height=128, width=128, frames=16, max_objects=4, distractor_share=0, camera_share=0, occlusion_share=0
)
"""Scenes with up to four objects of different colours and shapes."""

SMALLEST_PX = 30

ANSWER = "Sure, [SEG]."


@dataclass(frozen=True, slots=True)
class SceneFrame:
    """One frame of a synthetic scene, with its objects."""

    name: str
    frame: Image
    expressions: tuple[str, ...]
    masks: tuple[Mask, ...]


@dataclass(frozen=True, slots=True)
class SceneFrames:
    """Frames as a source of training examples: one turn for each object, in random order."""

    frames: Sequence[SceneFrame]
    name: str = "pictures"
    files: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.frames)

    def length_of(self, index: int) -> int:
        """Estimated number of tokens of an example."""
        return estimate_tokens(1, sum(map(len, self.frames[index].expressions)))

    def read(self, index: int, random: np.random.Generator) -> TrainingExample:
        """Return an example with the frame uint8 RGB [h, w, 3] and the masks bool [h, w] of its objects."""
        one = self.frames[index]
        order = random.permutation(len(one.expressions))
        return TrainingExample(
            name=one.name,
            frames=(one.frame,),
            turns=tuple(Turn(_question(one.expressions[i]), ANSWER) for i in order),
            masks=tuple((one.masks[i],) for i in order),
        )

    def mixed(self, seed: int = 0) -> Mixture:
        """Mix these frames alone into training data."""
        return Mixture([WeightedSource(self)], seed)


def scene_frames(
    config: SynthConfig, indices: Sequence[int], *, kinds: Sequence[str] = ("colour",)
) -> Iterator[SceneFrame]:
    """Yield a random frame of each scene, with short expressions that fit one object only.

    Args:
        config: How scenes are generated.
        indices: Numbers of the scenes; the same number gives the same frame.
        kinds: Kinds of expressions.
    """
    for index in indices:
        renderer, rows, truth = compose(config, index)
        random = np.random.default_rng(index)
        row = int(random.integers(len(rows)))
        known: list[tuple[str, Mask]] = []
        for number, thing in enumerate(truth.objects):
            mask = rows[row].visible[number]
            texts = [one.text for one in thing.expressions if one.kind in kinds]
            if texts and np.count_nonzero(mask) >= SMALLEST_PX:
                known.append((texts[int(random.integers(len(texts)))], mask))
        if known:
            frame, (texts_of, masks) = renderer.render(FRAME_STEP * row), zip(*known, strict=True)
            yield SceneFrame(f"{renderer.scene.video_id}, frame {FRAME_STEP * row}", frame, texts_of, masks)


def mean_iou(model: Sa2VA, data: Sequence[SceneFrame], *, shuffled: bool = False) -> float:
    """Mean IoU, 0-1, of the masks of the model's own answers; an answer without [SEG] counts 0.

    Args:
        model: The model.
        data: Frames with expressions and masks.
        shuffled: Prompt each object with another object's expression: a model that ignores the words scores the same.
    """
    found: list[float] = []
    for one in data:
        expressions = one.expressions[1:] + one.expressions[:1] if shuffled else one.expressions
        answers = model.predict_all(
            [one.frame],
            [prompts.segment(expression, video=False) for expression in expressions],
            settings=InferenceSettings(new_tokens=16),
        )
        for answer, mask in zip(answers, one.masks, strict=True):
            drawn = answer.segments[0].masks[0] if answer.segments else np.zeros_like(mask)
            found.append(float(np.count_nonzero(drawn & mask)) / max(1, int(np.count_nonzero(drawn | mask))))
    return float(np.mean(found))


def _question(expression: str) -> str:
    """Write the question exactly as inference does: one more space would be another token."""
    return prompts.segment(expression, video=False).removeprefix(prompts.IMAGE)
