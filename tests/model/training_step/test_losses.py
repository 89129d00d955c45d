"""The losses on masks whose loss is known, at all pixels and at sampled points."""

import pytest
import torch

from refsav.model.training_step.losses import mask_losses, means, sampled, text_losses, uncertain_points

MASKS = torch.zeros(2, 32, 32, dtype=torch.bool)
MASKS[:, 8:24, 8:24] = True
RIGHT = torch.where(MASKS, 20.0, -20.0)


@pytest.mark.parametrize("points", [0, 256])
def test_perfect_masks_cost_nothing_and_opposite_ones_much(points: int) -> None:
    torch.manual_seed(0)
    whole = MASKS if not points else MASKS.repeat_interleave(4, 1).repeat_interleave(4, 2)
    pixels, dice = mask_losses(RIGHT, whole, points)
    assert pixels.shape == dice.shape == (2,)
    assert dice.max() < (0.01 if not points else 0.1)  # between cells, a logit and a mask of another size differ
    pixels, dice = mask_losses(-RIGHT, whole, points)
    assert pixels.min() > 5
    assert dice.min() > 0.8


def test_each_mask_has_a_loss_of_its_own() -> None:
    pixels, dice = mask_losses(torch.stack([RIGHT[0], -RIGHT[1]]), MASKS, 0)
    assert pixels[0] < 1e-6 < 10 < pixels[1]
    assert dice[0] < 0.01 < 0.9 < dice[1]


def test_a_mask_of_another_size_is_averaged_to_the_logits() -> None:
    large = MASKS.repeat_interleave(8, 1).repeat_interleave(8, 2)
    assert torch.equal(torch.stack(mask_losses(RIGHT, large, 0)), torch.stack(mask_losses(RIGHT, MASKS, 0)))


def test_pixel_loss_and_dice_are_those_of_their_definitions() -> None:
    torch.manual_seed(1)
    logits = torch.randn(2, 32, 32)
    pixels, dice = mask_losses(logits, MASKS, 0)
    p, t = logits.sigmoid().double(), MASKS.double()
    assert torch.allclose(pixels.double(), -(t * p.log() + (1 - t) * (1 - p).log()).mean((1, 2)), atol=1e-6)
    assert torch.allclose(
        dice.double(), 1 - (2 * (p * t).sum((1, 2)) + 1) / (p.sum((1, 2)) + t.sum((1, 2)) + 1), atol=1e-6
    )


def test_points_are_taken_where_the_model_is_unsure() -> None:
    torch.manual_seed(2)
    logits = torch.linspace(-10, 10, 64).expand(1, 64, 64).contiguous()  # sure at both sides, unsure in the middle
    points = uncertain_points(logits, 400)
    assert points.shape == (1, 400, 2)
    near = (points[0, :, 0] - 0.5).abs() < 0.2
    assert near[:300].all(), "three quarters are the least sure of three times as many"
    assert not near[300:].all(), "the others lie anywhere"


def test_a_map_is_sampled_where_its_pixels_are() -> None:
    maps = torch.arange(16.0).reshape(1, 4, 4)
    centres = torch.tensor([[[0.125, 0.125], [0.375, 0.125], [0.875, 0.875], [0.25, 0.125]]])
    assert sampled(maps, centres).tolist() == [[0.0, 1.0, 15.0, 0.5]]


def test_long_answers_count_as_much_as_short_ones() -> None:
    scores = torch.tensor([[4.0, 0.0], [0.0, 4.0], [0.0, 4.0], [0.0, 4.0]])
    wanted, owners = torch.tensor([0, 0, 0, 0]), torch.tensor([0, 1, 1, 1])
    losses = text_losses(scores, wanted, owners, 2)
    assert losses[0] < 0.1 < 3.9 < losses[1]
    assert means(torch.tensor([1.0, 3.0]), torch.tensor([1, 1]), 3).tolist() == [0, 2, 0]
