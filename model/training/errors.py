"""Errors that end a training: a loss that is not finite, or too little memory. Each names the examples behind it."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from accelerate.utils import gather_object

from refsav.errors import RefSavError
from refsav.model.training_config import LearningConfig
from refsav.model.training_step.data_loader import ExampleInfo

NO_MEMORY = ("can't allocate memory", "out of memory", "not enough memory")
"""What torch says where it raises a plain RuntimeError."""


class TrainingError(RefSavError):
    """The training cannot continue; its checkpoints are complete."""


@dataclass(frozen=True, slots=True)
class ExampleLoss:
    """An example and its weighted loss."""

    example: ExampleInfo
    loss: float

    @property
    def description(self) -> str:
        """Name, position in the data, and loss."""
        key = self.example.key
        return f"{self.example.name} (epoch {key.epoch}, position {key.position}), loss {self.loss:.4g}"


def refuse_divergence(ours: Sequence[ExampleLoss], every: Sequence[float], gradient: float, limit: float) -> None:
    """End a training that has diverged, on all devices at the same step.

    Args:
        ours: This device's examples of the step.
        every: Losses of the step's examples on all devices, so that every device takes the same decision.
        gradient: Norm of the gradient, which all devices share.
        limit: Highest loss of one example that is allowed; 0 for no limit.

    Raises:
        TrainingError: If a loss or the gradient is not finite, or a loss is above the limit.
    """
    if math.isfinite(gradient) and not any(map(partial(_diverges, limit=limit), every)):
        return
    losses: list[ExampleLoss] = gather_object(list(ours))
    bad = [one for one in losses if _diverges(one.loss, limit)]
    fix = "check its masks and texts; if they are right, try a lower learning.rate or a longer learning.warm_up"
    if bad:
        what = "is not finite" if not math.isfinite(bad[0].loss) else f"is above learning.explodes_above ({limit:g})"
        others = f"; the same holds for {len(bad) - 1} more of this step" if len(bad) > 1 else ""
        raise TrainingError(f"{bad[0].description}: this {what}{others}", fix=fix)
    listed = "".join(f"\n  {one.description}" for one in sorted(losses, key=lambda one: -one.loss)[:5])
    raise TrainingError(f"the gradient of this step is not finite; its examples:{listed}", fix=fix)


def _diverges(loss: float, limit: float) -> bool:
    return not math.isfinite(loss) or 0 < limit < loss


@contextmanager
def explaining_out_of_memory(examples: Sequence[ExampleInfo], learning: LearningConfig) -> Iterator[None]:
    """Turn an out-of-memory error into a TrainingError that says which settings to lower."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not isinstance(error, torch.OutOfMemoryError | MemoryError) and not _is_out_of_memory(error):
            raise
        raise _out_of_memory(examples, learning) from error


def _is_out_of_memory(error: RuntimeError) -> bool:
    return any(words in str(error) for words in NO_MEMORY)


def _out_of_memory(examples: Sequence[ExampleInfo], learning: LearningConfig) -> TrainingError:
    longest = max(examples, key=lambda one: one.tokens)
    lower = [
        *([f"learning.at_once (is {learning.at_once})"] if learning.at_once > 1 else []),
        *([] if learning.gradient_checkpointing else ["set learning.gradient_checkpointing = true"]),
        f"learning.most_tokens (is {learning.most_tokens})",
        "frames or objects per example",
        "lora.rank",
    ]
    return TrainingError(
        f"out of memory with {len(examples)} examples at once; the longest has {longest.tokens} tokens, "
        f"{longest.objects} objects in {longest.frames} frames ({longest.name})",
        fix=f"lower, in this order: {'; '.join(lower)}; or shard the weights over more devices",
    )
