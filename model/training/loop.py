"""The training loop of Sa2VA (paper, sections 3.4 and 4): one loss for text and masks, AdamW, warm-up and cosine.

Next to read: training_step/lora_and_freezing.py (what learns), training_step/forward.py and losses.py (the losses),
training_step/data_loader.py (which examples a step takes).
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
from refsav.model.training.errors import ExampleLoss, explaining_out_of_memory, refuse_divergence
from refsav.model.training_config import LearningConfig, TrainingConfig
from refsav.model.training_step.data_loader import BatchPlan, ExampleInfo, LoadedExample, load_batches
from refsav.model.training_step.forward import LOSS_TERMS, TrainingForward
from refsav.model.training_step.lora_and_freezing import freeze_and_add_lora


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """The result of one step."""

    number: int
    """Counted from 1."""
    epoch: float
    """Passes over the data so far."""
    loss: float
    """Weighted mean over the examples of the step."""
    terms: dict[str, float]
    """text, pixels, dice: means over the examples, without weights."""
    rate: float
    """Learning rate."""
    gradient: float
    """Norm of the gradient before clipping."""
    seconds: float
    waited_s: float
    """Seconds of the step that were spent waiting for data."""
    examples: tuple[ExampleInfo, ...]
    """The examples of this process."""


def learning_rate_at(step: int, steps: int, learning: LearningConfig) -> float:
    """Learning rate of a step, counted from 0: linear warm-up, then a cosine."""
    rising = math.ceil(learning.warm_up * steps)
    if step < rising:
        return learning.rate * (step + 1) / rising
    return learning.rate * 0.5 * (1 + math.cos(math.pi * (step - rising) / (steps - rising)))


class Training:
    """A model, its data, its optimizer, and the number of steps done."""

    def __init__(self, model: Sa2VA, examples: Mixture, config: TrainingConfig, accelerator: Accelerator) -> None:
        """Prepare a model for training, which changes it.

        Args:
            model: The model, on the device of this process.
            examples: The data.
            config: All settings of the training.
            accelerator: The devices.

        Raises:
            ConfigError: If nothing learns, there are too few examples, or the devices cannot share a step evenly.
        """
        learning = config.learning
        self.model, self.config, self.accelerator = model, config, accelerator
        self.plan = BatchPlan(
            examples, learning.batch, learning.at_once, accelerator.num_processes, by_length=learning.by_length
        )
        self.steps = learning.steps or max(1, round(learning.epochs * self.plan.steps_per_epoch))
        self.done = 0
        self.dtype = next(model.mllm.parameters()).dtype
        freeze_and_add_lora(model, config.learns, config.lora, learning.seed)
        self.trainable = {name: weight.shape for name, weight in model.named_parameters() if weight.requires_grad}
        if not self.trainable:
            raise ConfigError("nothing learns: all parts are frozen", fix="set a key of [learns] to full or lora")
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
        forward = TrainingForward(model, points=config.loss.points, dtype=computing)
        self.forward, self.optimizer = accelerator.prepare(forward, optimizer)
        self._weights = torch.tensor([getattr(config.loss, term) for term in LOSS_TERMS], device=accelerator.device)

    def run(self) -> Iterator[Step]:
        """Train from the current step to the last; between steps the model is in evaluation mode.

        Raises:
            TrainingError: If a loss is not finite or far too large, or memory runs out.
            RefSavError: If examples cannot be used.
        """
        device = self.accelerator.process_index
        loaded = load_batches(
            self.plan, self.model, self.config.learning, first=self.done, last=self.steps, device=device
        )
        for _ in range(self.done, self.steps):
            self.forward.train()
            try:
                step = self._step(loaded)
            finally:
                self.forward.eval()
            self.done = step.number
            yield step

    def _step(self, loaded: Iterator[list[LoadedExample]]) -> Step:
        started, waited = time.perf_counter(), 0.0
        used: list[ExampleInfo] = []
        losses: list[Tensor] = []
        for number in range(1, self.plan.passes + 1):
            requested = time.perf_counter()
            examples = next(loaded)
            waited += time.perf_counter() - requested
            used += [one.info for one in examples]
            losses.append(self._backward(examples, last=number == self.plan.passes))
        rate = learning_rate_at(self.done, self.steps, self.config.learning)
        with explaining_out_of_memory(used, self.config.learning):
            terms, gradient = self._update(used, torch.cat(losses), rate)
        return Step(
            number=self.done + 1,
            epoch=(self.done + 1) / self.plan.steps_per_epoch,
            loss=(terms @ self._weights).item(),
            terms=dict(zip(LOSS_TERMS, terms.tolist(), strict=True)),
            rate=rate,
            gradient=gradient,
            seconds=time.perf_counter() - started,
            waited_s=waited,
            examples=tuple(used),
        )

    def _update(self, used: Sequence[ExampleInfo], ours: Tensor, rate: float) -> tuple[Tensor, float]:
        """Update the weights; return the mean losses [3] over all devices and the norm of the gradient.

        Args:
            used: This device's examples of the step.
            ours: Their losses, [n, 3].
            rate: Learning rate.

        Raises:
            TrainingError: If the training has diverged.
        """
        every = self.accelerator.gather(ours)
        gradient = self._clip_gradient()
        losses = list(map(ExampleLoss, used, (ours @ self._weights).tolist()))
        limit = self.config.learning.explodes_above
        refuse_divergence(losses, (every @ self._weights).tolist(), gradient, limit)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        return every.mean(dim=0), gradient

    def _backward(self, examples: Sequence[LoadedExample], *, last: bool) -> Tensor:
        """Add the gradients of some examples; return their losses, [examples, 3].

        Dropout and sampled points are seeded by the examples: they are the same for any number of devices, and after an
        interruption. Devices exchange gradients in the `last` pass of a step only.
        """
        self._seed(examples[0])
        sharing = nullcontext() if last else self.accelerator.no_sync(self.forward)
        with sharing, explaining_out_of_memory([one.info for one in examples], self.config.learning):
            terms: Tensor = self.forward([one.encoded for one in examples])
            device_share = self.plan.batch / self.plan.devices  # devices average their gradients
            self.accelerator.backward((terms @ self._weights).sum() / device_share)
        return terms.detach()

    def _seed(self, example: LoadedExample) -> None:
        key = (self.config.learning.seed, example.key.epoch, example.key.position)
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))

    def _clip_gradient(self) -> float:
        longest = self.config.learning.clip or math.inf
        return float(self.accelerator.clip_grad_norm_(self.forward.parameters(), longest))
