"""Training steps: losses fall, frozen weights stay, and a step is the same however it is split into passes."""

import math
import pickle
import re

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from refsav.datasets.training_examples.mixture import Mixture
from refsav.errors import ConfigError
from refsav.model.sa2va import Sa2VA
from refsav.model.training.errors import TrainingError
from refsav.model.training.loop import Training, learning_rate_at
from refsav.model.training.pocket_scenes import mean_iou
from refsav.model.training.validation import validate
from refsav.model.training_config import LearningConfig, LearnsConfig, LoraConfig, LossConfig, TrainingConfig
from refsav.model.training_step.data_loader import ExampleKey, load_example
from tests.support.data.training_data import mixture, pocket, scenes, settings


def training(config: TrainingConfig, data: Mixture | None = None) -> Training:
    return Training(pocket(), data or mixture(), config, Accelerator(cpu=True))


def test_some_steps_lower_every_loss() -> None:
    learner = training(settings(steps=40, at_once=4))
    steps = list(learner.run())
    begun = steps[0].terms
    ended = {name: float(np.mean([step.terms[name] for step in steps[-8:]])) for name in begun}
    assert all(ended[name] < begun[name] for name in begun), (begun, ended)
    assert [step.number for step in steps] == list(range(1, 41)) and steps[-1].epoch == 40 / 3
    assert not learner.model.training
    assert 0 <= mean_iou(learner.model, scenes().frames[:2]) <= 1
    assert 0 <= validate(learner, mixture(), 5).mean_iou <= 1


def test_a_step_is_the_same_in_one_pass_and_in_several() -> None:
    whole, *parts = (list(training(settings(steps=2, at_once=at_once)).run()) for at_once in (4, 2, 1))
    for steps in parts:
        assert [step.loss for step in steps] == pytest.approx([step.loss for step in whole], rel=1e-4)
        assert [step.gradient for step in steps] == pytest.approx([step.gradient for step in whole], rel=1e-3)


def test_layers_that_are_computed_again_give_the_same_gradients() -> None:
    found = []
    for again in (False, True):
        lora = settings(steps=1, batch=2, at_once=2, gradient_checkpointing=again, clip=0)
        learner = training(lora.model_copy(update={"lora": LoraConfig(rank=4, alpha=8), "learns": LearnsConfig()}))
        gradients: dict[str, torch.Tensor] = {}

        def keep(*_: object, model: Sa2VA = learner.model, into: dict[str, torch.Tensor] = gradients) -> None:
            into |= {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}

        learner.optimizer.optimizer.register_step_pre_hook(keep)
        (step,) = learner.run()
        found.append((step.loss, gradients))
    (loss, usual), (loss_again, computed_again) = found
    assert loss == pytest.approx(loss_again, rel=1e-5)
    assert any("lora_" in name for name in usual) and usual.keys() == computed_again.keys()
    for name, gradient in usual.items():
        assert torch.allclose(computed_again[name], gradient, rtol=1e-3, atol=1e-6), name


def test_only_what_learns_changes() -> None:
    lora = TrainingConfig(
        learns=LearnsConfig(embeddings="frozen"),
        lora=LoraConfig(rank=4, alpha=8),
        loss=LossConfig(points=64),
        learning=LearningConfig(batch=2, steps=3, workers=0, rate=1e-2),
    )
    learner = training(lora)
    before = {name: weight.detach().clone() for name, weight in learner.model.named_parameters()}
    list(learner.run())
    moved = {name for name, weight in learner.model.named_parameters() if not torch.equal(weight, before[name])}
    unmoved = set(learner.trainable) - moved
    assert not moved - set(learner.trainable)
    assert not unmoved, unmoved
    assert {name.split(".")[0] for name in moved} == {"mllm", "text_hidden_fcs", "sam2"}
    assert all("lora_" in name for name in moved if name.startswith("mllm"))
    assert all(name.startswith("sam2.sam_mask_decoder.") for name in moved if name.startswith("sam2"))


def test_the_learning_rate_warms_up_then_falls_to_zero() -> None:
    learning = LearningConfig(rate=1.0, warm_up=0.1)
    rates = [learning_rate_at(step, 100, learning) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * number for number in range(1, 11)])
    assert rates[10] == 1.0 == max(rates) and rates[55] == pytest.approx(0.5) and rates[99] < 1e-3
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_an_epoch_goes_through_the_data_once() -> None:
    learner = training(settings(steps=0, epochs=2, batch=5))
    names = [one.name for step in learner.run() for one in step.examples]
    first, second = set(names[:10]), set(names[10:])
    assert len(names) == 20 and len(first) == len(second) == 10 and first != second


def test_a_batch_that_devices_cannot_share_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"learning.batch \(4\) is no multiple of learning.at_once \(3\)"):
        training(settings(at_once=3))
    with pytest.raises(ConfigError, match=r"the data has 12 examples, learning.batch is 16"):
        training(settings(batch=16))


def test_a_training_in_which_nothing_learns_is_refused() -> None:
    frozen = dict.fromkeys(LearnsConfig.model_fields, "frozen")
    with pytest.raises(ConfigError, match=r"nothing learns: all parts are frozen"):
        training(settings().model_copy(update={"learns": LearnsConfig.model_validate(frozen)}))


def test_a_loss_that_is_not_finite_ends_training_and_names_the_example() -> None:
    learner = training(settings())
    with torch.no_grad():
        learner.model.text_hidden_fcs[0].weight[0, 0] = math.nan
    with pytest.raises(
        TrainingError, match=r"synth_\d+, frame \d+ \(epoch 0, position \d+\), loss nan: this is not fin"
    ):
        next(learner.run())


def test_a_loss_above_the_limit_ends_training_before_weights_change() -> None:
    learner = training(settings(explodes_above=0.5))
    before = learner.model.text_hidden_fcs[0].weight.detach().clone()
    with pytest.raises(TrainingError, match=r"is above learning.explodes_above \(0.5\); the same holds for 3 more"):
        next(learner.run())
    assert torch.equal(learner.model.text_hidden_fcs[0].weight, before)


def test_a_gradient_that_is_not_finite_ends_training() -> None:
    learner = training(settings())
    learner.model.text_hidden_fcs[0].weight.register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(TrainingError, match=r"the gradient of this step is not finite; its examples:\n  synth_"):
        next(learner.run())


def test_too_long_examples_are_skipped_and_reported() -> None:
    data = mixture()
    model = pocket()
    loaded = [load_example(data, model, LearningConfig(), ExampleKey(0, position)) for position in range(12)]
    longest = max(one.encoded.tokens for one in loaded)
    steps = list(training(settings(steps=3, most_tokens=longest - 1), data).run())
    skipped = [bad for step in steps for one in step.examples for bad in one.bad]
    assert skipped and all(
        bad.source == data.sources[0].source.name and f"more than learning.most_tokens = {longest - 1}" in bad.line
        for bad in skipped
    )
    assert all(one.tokens < longest for step in steps for one in step.examples)


def test_running_out_of_memory_names_the_settings_to_lower() -> None:
    learner = training(settings(at_once=4))
    learner.model.text_hidden_fcs.register_forward_hook(lambda *_: torch.empty(1 << 50))
    with pytest.raises(TrainingError) as caught:
        next(learner.run())
    message = str(caught.value)
    assert re.match(r"out of memory with 4 examples at once; the longest has \d+ tokens, \d objects", message)
    assert "fix: lower, in this order: learning.at_once (is 4); set learning.gradient_checkpointing" in message


def test_running_out_of_memory_in_the_optimizer_is_explained_too() -> None:
    learner = training(settings())
    learner.optimizer.optimizer.register_step_pre_hook(lambda *_: torch.empty(1 << 50))
    with pytest.raises(TrainingError, match=r"out of memory with 4 examples at once; the longest has \d+ tokens"):
        next(learner.run())


def test_running_out_of_memory_in_validation_is_explained_too() -> None:
    learner = training(settings())
    learner.model.text_hidden_fcs.register_forward_hook(lambda *_: torch.empty(1 << 50))
    with pytest.raises(TrainingError, match=r"out of memory with 1 examples at once"):
        validate(learner, mixture(), 5)


def test_a_step_keeps_no_frames_or_masks_of_its_examples() -> None:
    step = next(training(settings()).run())
    assert len(pickle.dumps(step)) < 10_000
