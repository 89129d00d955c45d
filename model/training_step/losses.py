"""Losses of Sa2VA's training (paper, section 3.4): text cross-entropy, pixel cross-entropy and dice.

Each is a mean within an example, so that all examples count the same, however long their answers and however many
their objects. Masks can be compared at sampled points, most of them where the model is unsure (Mask2Former, section
3.3).
"""

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor

CANDIDATES_PER_POINT = 3
UNSURE_SHARE = 0.75
"""As in Sa2VA's released configuration and in Mask2Former: three quarters of the points are the least certain ones of
three times as many candidates; the other points are uniformly random."""


def text_losses(logits: Tensor, targets: Tensor, owners: Tensor, count: int) -> Tensor:
    """Mean cross-entropy of each example's tokens, float32 [count].

    Args:
        logits: float [N, V], for the next token.
        targets: int64 [N], the tokens that follow.
        owners: int64 [N], the example that each token belongs to.
        count: Number of examples.
    """
    return means(F.cross_entropy(logits.float(), targets, reduction="none"), owners, count)


def mask_losses(logits: Tensor, masks: Tensor, points: int) -> tuple[Tensor, Tensor]:
    """Pixel cross-entropy and dice loss of each mask, two float32 [N].

    Args:
        logits: float [N, H, W].
        masks: bool [N, h, w], of any size.
        points: Points at which they are compared; 0 for every pixel of the logits, with the masks averaged to their
            size.
    """
    if points:
        chosen = uncertain_points(logits.detach(), points)
        found, target = sampled(logits, chosen), sampled(masks.float(), chosen)
    else:
        found = logits.flatten(1)
        target = F.interpolate(masks[:, None].float(), logits.shape[-2:], mode="area").flatten(1)
    pixels = F.binary_cross_entropy_with_logits(found, target, reduction="none").mean(dim=1)
    probabilities = found.sigmoid()
    overlap = 2 * (probabilities * target).sum(dim=1) + 1
    return pixels, 1 - overlap / (probabilities.sum(dim=1) + target.sum(dim=1) + 1)


def uncertain_points(logits: Tensor, count: int) -> Tensor:
    """Sample points, most of them where logits are nearest to 0 (Mask2Former, section 3.3).

    Args:
        logits: float [N, H, W].
        count: Number of points for each mask.

    Returns:
        float [N, count, 2]: (x, y), each 0-1.
    """
    unsure = int(UNSURE_SHARE * count)
    candidates = torch.rand(len(logits), CANDIDATES_PER_POINT * count, 2, device=logits.device)
    nearest = sampled(logits, candidates).abs().topk(unsure, dim=1, largest=False).indices
    anywhere = torch.rand(len(logits), count - unsure, 2, device=logits.device)
    return torch.cat([candidates.gather(1, nearest[..., None].expand(-1, -1, 2)), anywhere], dim=1)


def sampled(maps: Tensor, points: Tensor) -> Tensor:
    """Bilinear values [N, P] of maps [N, H, W] at points [N, P, 2]: (x, y), 0-1 from corner to corner."""
    grid = 2 * points[:, :, None] - 1
    return F.grid_sample(maps[:, None], grid.to(maps.dtype), mode="bilinear", align_corners=False)[:, 0, :, 0]


def means(values: Tensor, owners: Tensor, count: int) -> Tensor:
    """Mean of the values [N] of each of `count` owners, [count]; 0 for an owner without values."""
    sums = values.new_zeros(count).index_add(0, owners, values)
    numbers = torch.bincount(owners, minlength=count)
    return sums / numbers.clamp(min=1)
