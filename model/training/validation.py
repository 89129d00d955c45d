"""Validation of a model in training: mean IoU on held-out examples."""

from dataclasses import dataclass

import torch
from accelerate.utils import gather_object

from refsav.datasets.training_examples.mixture import Mixture
from refsav.model.training.errors import explaining_out_of_memory
from refsav.model.training.loop import Training
from refsav.model.training_step.data_loader import ExampleInfo, ExampleKey, load_example


@dataclass(frozen=True, slots=True)
class Validation:
    """The result of a validation; the same on all devices."""

    mean_iou: float
    """0-1."""
    examples: tuple[ExampleInfo, ...]
    """The examples that were measured."""


@torch.no_grad()
def validate(training: Training, held_out: Mixture, count: int) -> Validation:
    """Measure the mean IoU of masks on held-out examples, with the answers given and each frame decoded on its own.

    The devices share the first `count` examples of epoch 0, which are always the same. With sharded weights all devices
    must run the same number of forward passes: some examples are computed twice and counted once.

    Raises:
        TrainingError: If memory runs out.
        RefSavError: If examples cannot be used and no others can replace them.
    """
    accelerator, devices = training.accelerator, training.plan.devices
    learning, at_once = training.config.learning, training.plan.at_once
    positions = list(range(min(count, len(held_out))))
    rounds = -(-len(positions) // (devices * at_once))
    found: list[torch.Tensor] = []
    measured: list[ExampleInfo] = []
    for number in range(rounds):
        start = (number * devices + accelerator.process_index) * at_once
        mine = range(start, start + at_once)
        keys = [ExampleKey(0, min(position, positions[-1])) for position in mine]
        loaded = [load_example(held_out, training.model, learning, key) for key in keys]
        infos = [one.info for one in loaded]
        with explaining_out_of_memory(infos, learning):
            ious = training.forward([one.encoded for one in loaded], measure=True)[:, -1]
        repeated = torch.tensor([position > positions[-1] for position in mine])
        found.append(ious.masked_fill(repeated.to(ious.device), torch.nan))
        measured += [one for one, position in zip(infos, mine, strict=True) if position <= positions[-1]]
    every = accelerator.gather(torch.cat(found))
    return Validation(float(every.nanmean()), tuple(gather_object(measured)))
