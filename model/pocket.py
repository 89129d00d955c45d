"""A pocket Sa2VA learns to find coloured things in made scenes: a few minutes on one core, for demonstrations.

What makes it learn (and not "segment all that stands out", whatever the words): every object of a picture in the same
step, prompts of a scale that SAM-2 knows, colours before shapes.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from refsav.datasets.frames import Image
from refsav.datasets.masks import Mask
from refsav.datasets.synthetic import compose
from refsav.datasets.synthetic_scene import FRAME_STEP, SynthConfig
from refsav.model import prompts
from refsav.model.sa2va import Sa2VA
from refsav.model.settings import InferenceSettings
from refsav.model.teaching import Lesson, teach, usual_answers

SCENES = SynthConfig(
    height=128, width=128, frames=16, max_objects=4, distractor_share=0, camera_share=0, occlusion_share=0
)
"""Objects of different colours and shapes."""

SMALLEST_PX = 30
PIXELS_WEIGHT, DICE_WEIGHT = 2.0, 0.5
WARM_UP_STEPS = 50


@dataclass(frozen=True, slots=True)
class Pictured:
    """One frame of a made scene, and what it shows."""

    frame: Image
    expressions: tuple[str, ...]
    masks: tuple[Mask, ...]

    def lesson(self) -> Lesson:
        """As a training sample of one image."""
        return Lesson(
            frames=(self.frame,),
            prompts=tuple(prompts.segment(expression, video=False) for expression in self.expressions),
            answers=usual_answers(self.expressions),
            masks=torch.from_numpy(np.stack(self.masks))[:, None],
        )


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
            yield Pictured(painter.picture(FRAME_STEP * row), *(tuple(part) for part in zip(*known, strict=True)))


def fit(
    model: Sa2VA, data: Sequence[Pictured], *, steps: int, batch: int = 8, rate: float = 5e-4, seed: int = 0
) -> Iterator[dict[str, float]]:
    """Train on pictures with AdamW; yield the losses of each step. SAM-2's memory is not trained.

    The model is in evaluation mode again when the last step is out.
    """
    random = np.random.default_rng(seed)
    learning = [weight for name, weight in model.named_parameters() if "memory" not in name]
    optimizer = torch.optim.AdamW(learning, lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / WARM_UP_STEPS) * 0.5 * (1 + math.cos(math.pi * step / steps))
    )
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        parts = {"text": 0.0, "pixels": 0.0, "dice": 0.0}
        for chosen in random.choice(len(data), batch, replace=False):
            losses = teach(model, data[int(chosen)].lesson())
            whole = losses.text + PIXELS_WEIGHT * losses.pixels + DICE_WEIGHT * losses.dice
            torch.autograd.backward(whole / batch)
            for name in parts:
                parts[name] += getattr(losses, name).item() / batch
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        schedule.step()
        yield parts
    model.eval()


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
