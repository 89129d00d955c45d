"""How well a model in training does on examples that it does not learn from."""

import torch

from refsav.datasets.mixture import Mixture
from refsav.model.loading import Place, load_one
from refsav.model.training import Training


@torch.no_grad()
def mean_iou(training: Training, held_out: Mixture, count: int) -> float:
    """Mean IoU, 0-1, of the masks of held-out examples, with the answers given and every frame from the words alone.

    Each device takes its share of the first `count` examples of an epoch that never changes. All do as many forward
    passes, since they share weights: some do one twice, which counts once.
    """
    accelerator, devices = training.accelerator, training.plan.devices
    learning, at_once = training.config.learning, training.plan.at_once
    positions = list(range(min(count, len(held_out))))
    rounds = -(-len(positions) // (devices * at_once))
    found: list[torch.Tensor] = []
    for number in range(rounds):
        start = (number * devices + accelerator.process_index) * at_once
        mine = [min(position, positions[-1]) for position in range(start, start + at_once)]
        loaded = [load_one(held_out, training.model, learning, Place(0, position)) for position in mine]
        ious = training.teacher([one.prepared for one in loaded], measure=True)[:, -1]
        repeated = torch.tensor([position > positions[-1] for position in range(start, start + at_once)])
        found.append(ious.masked_fill(repeated.to(ious.device), torch.nan))
    every = accelerator.gather(torch.cat(found))
    return float(every.nanmean())
