"""What ends a training: a loss that is no number, and too little memory; each names what caused it."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from accelerate.utils import gather_object

from refsav.errors import RefSavError
from refsav.model.training_config import LearningConfig
from refsav.model.training_step.data_loader import Taken

NO_MEMORY = ("can't allocate memory", "out of memory", "not enough memory")
"""How torch words it where it raises no error of its own kind."""


class TrainingError(RefSavError):
    """Training cannot go on; the checkpoints are whole."""


@dataclass(frozen=True, slots=True)
class ExampleLoss:
    """An example and what it cost."""

    example: Taken
    loss: float

    @property
    def told(self) -> str:
        """The example by its name and where it was taken from."""
        place = self.example.place
        return f"{self.example.name} (epoch {place.epoch}, position {place.position}), loss {self.loss:.4g}"


def refuse_explosion(ours: Sequence[ExampleLoss], every: Sequence[float], gradient: float, limit: float) -> None:
    """End a training that has come apart, on all devices alike.

    Args:
        ours: The examples of this device in a step.
        every: Losses of the step's examples on all devices, by which each device decides the same.
        gradient: Length of the gradient, which they share.
        limit: Loss of one example that is too much; 0 allows any.

    Raises:
        TrainingError: If a loss or the gradient is no number, or a loss is above the limit.
    """
    if math.isfinite(gradient) and not any(map(partial(_explodes, limit=limit), every)):
        return
    losses: list[ExampleLoss] = gather_object(list(ours))
    bad = [one for one in losses if _explodes(one.loss, limit)]
    fix = "look at its masks and words; if they are right, a lower learning.rate or a longer learning.warm_up may help"
    if bad:
        what = "is no number" if not math.isfinite(bad[0].loss) else f"is above learning.explodes_above ({limit:g})"
        others = f"; so are {len(bad) - 1} more of this step" if len(bad) > 1 else ""
        raise TrainingError(f"{bad[0].told}: this {what}{others}\n  fix: {fix}")
    told = "\n".join(f"  {one.told}" for one in sorted(losses, key=lambda one: -one.loss)[:5])
    raise TrainingError(f"the gradient of this step is no number; its examples\n{told}\n  fix: {fix}")


def _explodes(loss: float, limit: float) -> bool:
    return not math.isfinite(loss) or 0 < limit < loss


@contextmanager
def telling_of_memory(examples: Sequence[Taken], learning: LearningConfig) -> Iterator[None]:
    """Say what to lower where memory does not suffice for some examples. Raises TrainingError."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not isinstance(error, torch.OutOfMemoryError | MemoryError) and not _is_of_memory(error):
            raise
        raise TrainingError(_memory_told(examples, learning)) from error


def _is_of_memory(error: RuntimeError) -> bool:
    return any(words in str(error) for words in NO_MEMORY)


def _memory_told(examples: Sequence[Taken], learning: LearningConfig) -> str:
    longest = max(examples, key=lambda one: one.tokens)
    lower = [
        *([f"learning.at_once (is {learning.at_once})"] if learning.at_once > 1 else []),
        *([] if learning.gradient_checkpointing else ["set learning.gradient_checkpointing = true"]),
        f"learning.most_tokens (is {learning.most_tokens})",
        "frames or objects of an example",
        "lora.rank",
    ]
    return (
        f"memory does not suffice for {len(examples)} at once; the longest has {longest.tokens} tokens, "
        f"{longest.objects} objects in {longest.frames} frames ({longest.name})\n"
        f"  fix: lower, in this order: {'; '.join(lower)}; or share the weights out over more devices"
    )
