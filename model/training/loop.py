"""Training Sa2VA (paper, sections 3.4 and 4): one loss for words and masks, AdamW, a cosine after a warm-up.

What learns is in training_step/lora_and_freezing.py, the losses in training_step/forward.py and losses.py, which
examples a step has in training_step/data_loader.py.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from refsav.datasets.training_examples.mixture import Mixture
from refsav.errors import ConfigError
from refsav.model.sa2va import Sa2VA
from refsav.model.training.errors import ExampleLoss, refuse_explosion, telling_of_memory
from refsav.model.training_config import LearningConfig, TrainingConfig
from refsav.model.training_step.data_loader import Loaded, Plan, Taken, load
from refsav.model.training_step.forward import PARTS, Teacher
from refsav.model.training_step.lora_and_freezing import choose_what_learns


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What a step came to."""

    number: int
    """Steps that are done with it, from 1."""
    epoch: float
    """Times that the data has been gone through."""
    loss: float
    """Weighted, a mean over the step's examples."""
    parts: dict[str, float]
    """text, pixels, dice: likewise, not weighted."""
    rate: float
    gradient: float
    """Length of the gradient before it was cut."""
    seconds: float
    waited_s: float
    """Seconds of those that were spent waiting for examples."""
    examples: tuple[Taken, ...]
    """Those of this process."""


def rate_at(step: int, steps: int, learning: LearningConfig) -> float:
    """Learning rate of a step, counted from 0: it rises in a line, then falls as a cosine does."""
    rising = math.ceil(learning.warm_up * steps)
    if step < rising:
        return learning.rate * (step + 1) / rising
    return learning.rate * 0.5 * (1 + math.cos(math.pi * (step - rising) / (steps - rising)))


class Training:
    """A model, the data that it learns from, and how far it has come."""

    def __init__(self, model: Sa2VA, examples: Mixture, config: TrainingConfig, accelerator: Accelerator) -> None:
        """Make a model ready to learn, which changes it.

        Raises:
            ConfigError: If nothing learns, examples are too few, or a step cannot be shared out among the devices.
        """
        learning = config.learning
        self.model, self.config, self.accelerator = model, config, accelerator
        self.plan = Plan(
            examples, learning.batch, learning.at_once, accelerator.num_processes, by_length=learning.by_length
        )
        self.steps = learning.steps or max(1, round(learning.epochs * self.plan.steps_an_epoch))
        self.done = 0
        self.dtype = next(model.mllm.parameters()).dtype
        choose_what_learns(model, config.learns, config.lora, learning.seed)
        self.learnt = {name: weight.shape for name, weight in model.named_parameters() if weight.requires_grad}
        if not self.learnt:
            raise ConfigError("nothing learns: all parts are frozen\n  fix: set one of learns to full, or lora")
        if learning.gradient_checkpointing:
            model.adapter.language_model.gradient_checkpointing_enable({"use_reentrant": False})
        optimizer = torch.optim.AdamW(
            [weight for weight in model.parameters() if weight.requires_grad],
            lr=learning.rate,
            betas=learning.betas,
            weight_decay=learning.weight_decay,
            fused=True,
        )
        computing = torch.bfloat16 if accelerator.device.type == "cuda" else self.dtype
        teacher = Teacher(model, points=config.loss.points, dtype=computing)
        self.teacher, self.optimizer = accelerator.prepare(teacher, optimizer)
        self._weights = torch.tensor([getattr(config.loss, part) for part in PARTS], device=accelerator.device)

    def run(self) -> Iterator[Step]:
        """Train from where it stands to the last step; between two steps the model is in evaluation mode.

        Raises:
            TrainingError: If a loss is no number or far too large, or memory does not suffice.
            RefSavError: If examples cannot be used.
        """
        device = self.accelerator.process_index
        loaded = load(self.plan, self.model, self.config.learning, first=self.done, last=self.steps, device=device)
        for _ in range(self.done, self.steps):
            self.teacher.train()
            try:
                step = self._step(loaded)
            finally:
                self.teacher.eval()
            self.done = step.number
            yield step

    def _step(self, loaded: Iterator[list[Loaded]]) -> Step:
        begun, waited = time.perf_counter(), 0.0
        taken: list[Taken] = []
        losses: list[Tensor] = []
        for number in range(1, self.plan.passes + 1):
            asked = time.perf_counter()
            examples = next(loaded)
            waited += time.perf_counter() - asked
            taken += [one.taken for one in examples]
            losses.append(self._learn_from(examples, last=number == self.plan.passes))
        rate = rate_at(self.done, self.steps, self.config.learning)
        with telling_of_memory(taken, self.config.learning):
            parts, gradient = self._move(taken, torch.cat(losses), rate)
        return Step(
            number=self.done + 1,
            epoch=(self.done + 1) / self.plan.steps_an_epoch,
            loss=(parts @ self._weights).item(),
            parts=dict(zip(PARTS, parts.tolist(), strict=True)),
            rate=rate,
            gradient=gradient,
            seconds=time.perf_counter() - begun,
            waited_s=waited,
            examples=tuple(taken),
        )

    def _move(self, taken: Sequence[Taken], ours: Tensor, rate: float) -> tuple[Tensor, float]:
        """Move the weights by the gradients that are there; give the mean losses [3] and the gradient's length.

        `ours` are the losses [n, 3] of what this device has taken. Raises TrainingError.
        """
        every = self.accelerator.gather(ours)
        gradient = self._cut_gradient()
        told = map(ExampleLoss, taken, (ours @ self._weights).tolist())
        limit = self.config.learning.explodes_above
        refuse_explosion(list(told), (every @ self._weights).tolist(), gradient, limit)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        return every.mean(dim=0), gradient

    def _learn_from(self, examples: Sequence[Loaded], *, last: bool) -> Tensor:
        """Add the gradients of some examples; give their losses, [examples, 3].

        Dropout and sampled points follow from the examples, so they are the same however many devices there are, and
        after an interruption.
        """
        self._seed(examples[0])
        sharing = nullcontext() if last else self.accelerator.no_sync(self.teacher)
        with sharing, telling_of_memory([one.taken for one in examples], self.config.learning):
            parts: Tensor = self.teacher([one.prepared for one in examples])
            device_share = self.plan.batch / self.plan.devices  # devices take the mean of their gradients
            self.accelerator.backward((parts @ self._weights).sum() / device_share)
        return parts.detach()

    def _seed(self, example: Loaded) -> None:
        place = (self.config.learning.seed, example.place.epoch, example.place.position)
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1)[0]))

    def _cut_gradient(self) -> float:
        longest = self.config.learning.clip or math.inf
        return float(self.accelerator.clip_grad_norm_(self.teacher.parameters(), longest))
