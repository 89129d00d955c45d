"""The pocket model learns: what a step teaches, and that a hundred steps lower the loss."""

from pathlib import Path

import numpy as np
import pytest
import torch

from refsav.model.creation import create, usual_tokenizer
from refsav.model.pocket import SCENES, Pictured, fit, mean_iou, pictures
from refsav.model.sa2va import Sa2VA
from refsav.model.shapes import ModelConfig
from refsav.model.teaching import Lesson, mask_losses, teach

CONFIG = Path(__file__).parents[2] / "configs/models/pocket.toml"


@pytest.fixture
def model() -> Sa2VA:
    config = ModelConfig.from_toml(CONFIG)
    return create(config, usual_tokenizer(config))


@pytest.fixture(scope="module")
def data() -> list[Pictured]:
    return list(pictures(SCENES, range(12)))


def test_pictures_name_each_object_by_what_fits_it_alone(data: list[Pictured]) -> None:
    for one in data:
        assert len(set(one.expressions)) == len(one.expressions) == len(one.masks)
        assert all(mask.any() and mask.shape == one.frame.shape[:2] for mask in one.masks)


def test_a_lesson_reaches_the_language_model_the_projection_and_sam2(model: Sa2VA, data: list[Pictured]) -> None:
    losses = teach(model, data[0].lesson())
    torch.autograd.backward(losses.text + losses.pixels + losses.dice)
    for part in (model.adapter.language_model.layers[0], model.text_hidden_fcs, model.sam2.image_encoder):
        assert any(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in part.parameters())
    assert all(weight.grad is None for weight in model.sam2.memory_attention.parameters())


def test_the_masks_alone_teach_the_words_too(model: Sa2VA, data: list[Pictured]) -> None:
    losses = teach(model, data[0].lesson())
    torch.autograd.backward(losses.pixels)
    assert model.adapter.language_model.get_input_embeddings().weight.grad.abs().sum() > 0


def test_a_few_steps_lower_every_loss(model: Sa2VA, data: list[Pictured]) -> None:
    steps = list(fit(model, data, steps=40, batch=4))
    begun, ended = steps[0], {name: float(np.mean([step[name] for step in steps[-8:]])) for name in steps[0]}
    assert all(ended[name] < begun[name] for name in begun), (begun, ended)
    assert not model.training
    assert 0 <= mean_iou(model, data[:2]) <= 1


def test_answers_and_masks_that_do_not_match_are_refused(model: Sa2VA, data: list[Pictured]) -> None:
    lesson = data[0].lesson()
    one = Lesson(frames=lesson.frames, prompts=lesson.prompts, answers=lesson.answers, masks=lesson.masks[:1])
    with pytest.raises(ValueError, match=r"\[SEG\]s, there are masks for 1"):
        teach(model, one)


def test_perfect_masks_cost_nothing_and_opposite_ones_much() -> None:
    masks = torch.zeros(2, 32, 32, dtype=torch.bool)
    masks[:, 8:24, 8:24] = True
    right = torch.where(masks, 20.0, -20.0)
    assert sum(mask_losses(right, masks)) < 1e-2
    pixels, dice = mask_losses(-right, masks)
    assert pixels > 10
    assert dice > 0.9
