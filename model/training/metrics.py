"""What is told of a training: a line of metrics for every few steps, curves in trackers, speed, time left."""

import os
import resource
from collections import deque
from dataclasses import asdict, dataclass
from importlib.util import find_spec

import torch

from refsav.model.training.loop import Step
from refsav.model.training_config import WatchingConfig

RECENT_STEPS = 50
"""Steps that speed and time left are judged by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Metrics:
    """Some steps, as they are written down; each figure is a mean over them."""

    step: int
    """Steps done with them."""
    epoch: float
    loss: float
    text: float
    pixels: float
    dice: float
    rate: float
    gradient: float
    """Length before it is cut."""
    examples_per_s: float
    """Over all devices, of the last steps."""
    waiting_share: float
    """Fraction 0-1 of their time that was spent waiting for examples."""
    memory_mb: float
    """Most that was taken of this device's memory; of the process, where that is a CPU."""
    bad_examples: int
    """Examples of all devices that could not be used, or not as a whole, since it was started."""

    def line(self) -> dict[str, float]:
        """As it is written down, rounded to what can be told apart; without the step."""
        values = {name: value for name, value in asdict(self).items() if name != "step"}
        return {name: float(f"{value:.7g}") if isinstance(value, float) else value for name, value in values.items()}


class Watch:
    """Brings steps together."""

    def __init__(self, *, every: int, batch: int, steps: int) -> None:
        """Make a line of `every` steps of `batch` examples; `steps` is how many the whole training has."""
        self._every, self._batch, self._steps = every, batch, steps
        self._collected: list[Step] = []
        self._recent: deque[Step] = deque(maxlen=RECENT_STEPS)

    def note(self, step: Step, bad_examples: int) -> Metrics | None:
        """Take a step in; give a line when one is due."""
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
            text=mean([one.parts["text"] for one in steps]),
            pixels=mean([one.parts["pixels"] for one in steps]),
            dice=mean([one.parts["dice"] for one in steps]),
            rate=step.rate,
            gradient=mean([one.gradient for one in steps]),
            examples_per_s=len(self._recent) * self._batch / seconds,
            waiting_share=sum(one.waited_s for one in self._recent) / seconds,
            memory_mb=memory_mb(),
            bad_examples=bad_examples,
        )

    @property
    def left_s(self) -> float:
        """Seconds that are left, judged by the last steps."""
        last = self._recent[-1].number
        return (self._steps - last) * sum(one.seconds for one in self._recent) / len(self._recent)


def trackers(config: WatchingConfig) -> list[str]:
    """Name the trackers that curves go to. wandb is another host's: it must be asked for, or set up already."""
    if config.trackers in ("none", "tensorboard", "wandb"):
        return [] if config.trackers == "none" else [config.trackers]
    set_up = "WANDB_API_KEY" in os.environ or "WANDB_MODE" in os.environ
    return [
        *(["tensorboard"] if find_spec("tensorboard") else []),
        *(["wandb"] if find_spec("wandb") and set_up else []),
    ]


def memory_mb() -> float:
    """Most memory that was taken so far, in MB: of the GPU, or of this process where there is none."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
