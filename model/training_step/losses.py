"""Losses of Sa2VA's training (paper, section 3.4): text cross-entropy, pixel cross-entropy and dice.

Each is a mean over what it is about, so that an example counts the same however long its answers are and however many
objects it has. Masks may be compared at sampled points, more of them where the model is unsure (Mask2Former).
"""

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor

CANDIDATES_PER_POINT = 3
UNSURE_SHARE = 0.75
"""As in the released configuration, and Mask2Former's: three times as many points are looked at as are taken, three
quarters of those taken are the least sure of them, the others anywhere."""


def text_losses(scores: Tensor, wanted: Tensor, owners: Tensor, count: int) -> Tensor:
    """Mean cross-entropy of each example's tokens, float32 [count].

    Args:
        scores: Next-token logits [N, V].
        wanted: int64 [N], the tokens that follow.
        owners: int64 [N], the example that each belongs to.
        count: Number of examples.
    """
    return means(F.cross_entropy(scores.float(), wanted, reduction="none"), owners, count)


def mask_losses(logits: Tensor, masks: Tensor, points: int) -> tuple[Tensor, Tensor]:
    """Pixel cross-entropy and dice loss of each mask, two float32 [N].

    Args:
        logits: float [N, H, W].
        masks: bool [N, h, w], of any size.
        points: How many points are compared; 0 for every pixel of the logits, masks averaged to their size.
    """
    if points:
        places = uncertain_points(logits.detach(), points)
        found, wanted = sampled(logits, places), sampled(masks.float(), places)
    else:
        found = logits.flatten(1)
        wanted = F.interpolate(masks[:, None].float(), logits.shape[-2:], mode="area").flatten(1)
    pixels = F.binary_cross_entropy_with_logits(found, wanted, reduction="none").mean(dim=1)
    chances = found.sigmoid()
    overlap = 2 * (chances * wanted).sum(dim=1) + 1
    return pixels, 1 - overlap / (chances.sum(dim=1) + wanted.sum(dim=1) + 1)


def uncertain_points(logits: Tensor, count: int) -> Tensor:
    """Draw points of masks, most where logits [N, H, W] are nearest to 0: float [N, count, 2], (x, y) in 0-1."""
    unsure = int(UNSURE_SHARE * count)
    candidates = torch.rand(len(logits), CANDIDATES_PER_POINT * count, 2, device=logits.device)
    nearest = sampled(logits, candidates).abs().topk(unsure, dim=1, largest=False).indices
    anywhere = torch.rand(len(logits), count - unsure, 2, device=logits.device)
    return torch.cat([candidates.gather(1, nearest[..., None].expand(-1, -1, 2)), anywhere], dim=1)


def sampled(maps: Tensor, points: Tensor) -> Tensor:
    """Values of maps [N, H, W] at points [N, P, 2], (x, y) in 0-1 from corner to corner, bilinear: [N, P]."""
    grid = 2 * points[:, :, None] - 1
    return F.grid_sample(maps[:, None], grid.to(maps.dtype), mode="bilinear", align_corners=False)[:, 0, :, 0]


def means(values: Tensor, owners: Tensor, count: int) -> Tensor:
    """Mean of the values [N] that each of `count` owners has, 0 for one that has none."""
    sums = values.new_zeros(count).index_add(0, owners, values)
    numbers = torch.bincount(owners, minlength=count)
    return sums / numbers.clamp(min=1)
