"""Metrics of a training: means over some steps, speed and remaining time; the trackers that curves go to."""

import os
import resource
from collections import deque
from dataclasses import asdict, dataclass
from importlib.util import find_spec

import torch

from refsav.model.training.loop import Step
from refsav.model.training_config import MetricsConfig

RECENT_STEPS = 50
"""Steps over which speed and remaining time are averaged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Metrics:
    """A line of RUN/metrics.jsonl: means over the steps since the previous line."""

    step: int
    """The last of these steps, counted from 1."""
    epoch: float
    loss: float
    text: float
    pixels: float
    dice: float
    rate: float
    gradient: float
    """Norm of the gradient before clipping."""
    examples_per_s: float
    """Over all devices, in the last `RECENT_STEPS` steps."""
    waiting_share: float
    """Fraction 0-1 of the time of these steps that was spent waiting for data."""
    memory_mb: float
    """Peak memory of this GPU, or of the process on a CPU."""
    bad_examples: int
    """Examples on all devices that could not be used, or only in part, since the training was started or resumed."""

    def line(self) -> dict[str, float]:
        """Keys and values without the step, rounded to the precision of float32."""
        values = {name: value for name, value in asdict(self).items() if name != "step"}
        return {name: float(f"{value:.7g}") if isinstance(value, float) else value for name, value in values.items()}


class MetricsWindow:
    """Collects steps into lines of metrics."""

    def __init__(self, *, every: int, batch: int, steps: int) -> None:
        """Make a line of every `every` steps of `batch` examples; the training has `steps` of them."""
        self._every, self._batch, self._steps = every, batch, steps
        self._collected: list[Step] = []
        self._recent: deque[Step] = deque(maxlen=RECENT_STEPS)

    def add(self, step: Step, bad_examples: int) -> Metrics | None:
        """Add a step; return a line if one is due."""
        self._recent.append(step)
        self._collected.append(step)
        if step.number % self._every and step.number != self._steps:
            return None
        steps, self._collected = self._collected, []
        seconds = sum(one.seconds for one in self._recent)

        def mean(values: list[float]) -> float:
            return sum(values) / len(values)

        return Metrics(
            step=step.number,
            epoch=step.epoch,
            loss=mean([one.loss for one in steps]),
            text=mean([one.terms["text"] for one in steps]),
            pixels=mean([one.terms["pixels"] for one in steps]),
            dice=mean([one.terms["dice"] for one in steps]),
            rate=step.rate,
            gradient=mean([one.gradient for one in steps]),
            examples_per_s=len(self._recent) * self._batch / seconds,
            waiting_share=sum(one.waited_s for one in self._recent) / seconds,
            memory_mb=memory_mb(),
            bad_examples=bad_examples,
        )

    @property
    def left_s(self) -> float:
        """Remaining seconds, estimated from the last `RECENT_STEPS` steps."""
        last = self._recent[-1].number
        return (self._steps - last) * sum(one.seconds for one in self._recent) / len(self._recent)


def trackers(config: MetricsConfig) -> list[str]:
    """Name the trackers that curves go to. wandb sends data to another host: only if named or configured already."""
    if config.trackers in ("none", "tensorboard", "wandb"):
        return [] if config.trackers == "none" else [config.trackers]
    set_up = "WANDB_API_KEY" in os.environ or "WANDB_MODE" in os.environ
    return [
        *(["tensorboard"] if find_spec("tensorboard") else []),
        *(["wandb"] if find_spec("wandb") and set_up else []),
    ]


def memory_mb() -> float:
    """Peak memory so far in MB: of the GPU, or of this process if there is none."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
