"""How well a model in training does on examples that it does not learn from."""

from dataclasses import dataclass

import torch
from accelerate.utils import gather_object

from refsav.datasets.training_examples.mixture import Mixture
from refsav.model.training.errors import telling_of_memory
from refsav.model.training.loop import Training
from refsav.model.training_step.data_loader import Place, Taken, load_one


@dataclass(frozen=True, slots=True)
class Validation:
    """What a look at held-out examples came to; the same on all devices."""

    mean_iou: float
    """0-1."""
    examples: tuple[Taken, ...]
    """Those that were looked at."""


@torch.no_grad()
def validate(training: Training, held_out: Mixture, count: int) -> Validation:
    """Mean IoU of the masks of held-out examples, with the answers given and every frame from the words alone.

    Each device takes its share of the first `count` examples of an epoch that never changes. All do as many forward
    passes, since they share weights: some do one twice, which counts once.

    Raises:
        TrainingError: If memory does not suffice.
        RefSavError: If examples cannot be used and none can stand in for them.
    """
    accelerator, devices = training.accelerator, training.plan.devices
    learning, at_once = training.config.learning, training.plan.at_once
    positions = list(range(min(count, len(held_out))))
    rounds = -(-len(positions) // (devices * at_once))
    found: list[torch.Tensor] = []
    seen: list[Taken] = []
    for number in range(rounds):
        start = (number * devices + accelerator.process_index) * at_once
        mine = range(start, start + at_once)
        places = [Place(0, min(position, positions[-1])) for position in mine]
        loaded = [load_one(held_out, training.model, learning, place) for place in places]
        taken = [one.taken for one in loaded]
        with telling_of_memory(taken, learning):
            ious = training.teacher([one.prepared for one in loaded], measure=True)[:, -1]
        repeated = torch.tensor([position > positions[-1] for position in mine])
        found.append(ious.masked_fill(repeated.to(ious.device), torch.nan))
        seen += [one for one, position in zip(taken, mine, strict=True) if position <= positions[-1]]
    every = accelerator.gather(torch.cat(found))
    return Validation(float(every.nanmean()), tuple(gather_object(seen)))
