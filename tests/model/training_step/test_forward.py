"""The forward pass of training: a batch has the losses of its examples alone, and the masks are those of inference."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from refsav.datasets.training_examples.example import TrainingExample, Turn
from refsav.model.inference_settings import InferenceSettings
from refsav.model.input_errors import InputError
from refsav.model.language import inference_prompts as prompts
from refsav.model.sa2va import Sa2VA
from refsav.model.training_config import LearningConfig
from refsav.model.training_step.example_encoding import UnfitExampleError, encode_example
from refsav.model.training_step.forward import TrainingForward
from tests.support.data.training_data import pocket, scenes

FAMILIES = ("pocket", "pocket-qwen25", "pocket-internvl")
LEARNING = LearningConfig()


def example(index: int = 0) -> TrainingExample:
    return scenes().read(index, np.random.default_rng(index))


def video() -> TrainingExample:
    """Two frames, an object in both, words without a mask between."""
    one, other = scenes().frames[1], scenes().frames[2]
    return TrainingExample(
        name="a video",
        frames=(one.frame, other.frame),
        turns=(
            Turn("Please segment it.", "Sure, [SEG]."),
            Turn("What is it?", "A thing."),
            Turn("Again.", "[SEG] [SEG]"),
        ),
        masks=tuple((one.masks[0], other.masks[0]) for _ in range(3)),
    )


def words() -> TrainingExample:
    return replace(example(3), turns=(Turn("What is it?", "There is no such object."),), masks=())


@pytest.mark.parametrize("family", FAMILIES)
def test_examples_at_once_have_the_losses_that_each_has_alone(family: str) -> None:
    model = pocket(family)
    training = TrainingForward(model).eval()
    encoded = [encode_example(model, one, LEARNING) for one in (example(0), words(), video(), example(1))]
    with torch.no_grad():
        together = training(encoded, measure=True)
        alone = torch.cat([training([one], measure=True) for one in encoded])
    assert together.shape == (4, 4)
    assert torch.allclose(together, alone, atol=2e-5, equal_nan=True), together - alone
    assert together[1, 1:3].tolist() == [0, 0] and together[1, 3].isnan()
    assert (together[:, 0] > 0).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_masks_are_those_that_inference_draws_for_the_given_answer(family: str) -> None:
    model = pocket(family)
    one = scenes().frames[0]
    asked, answer = prompts.segment(one.expressions[0], video=False), "Sure, [SEG]."
    lesson = TrainingExample(
        name="one",
        frames=(one.frame,),
        turns=(Turn(asked.removeprefix(prompts.IMAGE), answer),),
        masks=((one.masks[0],),),
    )
    encoded, training = encode_example(model, lesson, LEARNING), TrainingForward(model).eval()
    with torch.no_grad():
        drawn = training.draw([encoded], training._language_forward([encoded]).segs)[0]
    expected = model.ground([one.frame], asked, answer, settings=InferenceSettings(propagation="none"))
    assert torch.allclose(drawn, expected[0].low_res_logits, atol=1e-4)


def test_turns_apart_are_conversations_of_their_own_about_the_same_frames() -> None:
    model, apart = pocket(), LearningConfig(turns="apart")
    training = TrainingForward(model).eval()
    one = example(0)
    alone = [replace(one, turns=(turn,), masks=(masks,)) for turn, masks in zip(one.turns, one.masks, strict=True)]
    with torch.no_grad():
        found = training([encode_example(model, one, apart), encode_example(model, words(), apart)], measure=True)
        each = training([encode_example(model, other, apart) for other in alone], measure=True)
    assert len(one.turns) > 1
    assert torch.allclose(found[0], each.mean(dim=0), atol=1e-5)


def test_a_turn_sees_the_turns_before_it() -> None:
    model = pocket()
    training = TrainingForward(model).eval()
    one = example(0)
    other = replace(one, turns=(Turn("Something else?", one.turns[0].answer), *one.turns[1:]))
    with torch.no_grad():
        segs = [training._language_forward([encode_example(model, each, LEARNING)]).segs for each in (one, other)]
    assert not torch.allclose(segs[0][1], segs[1][1])


def test_gradients_reach_every_part_but_the_memory() -> None:
    model = pocket()
    losses = TrainingForward(model)(
        [encode_example(model, example(0), LEARNING), encode_example(model, words(), LEARNING)]
    )
    torch.autograd.backward(losses.sum())
    for part in (model.adapter.language_model.layers[0], model.text_hidden_fcs, model.sam2.image_encoder):
        assert any(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in part.parameters())
    assert all(weight.grad is None for weight in model.sam2.memory_attention.parameters())


def test_the_masks_alone_teach_the_words_too() -> None:
    model = pocket()
    torch.autograd.backward(TrainingForward(model, points=64)([encode_example(model, example(0), LEARNING)])[0, 1])
    assert model.adapter.language_model.get_input_embeddings().weight.grad.abs().sum() > 0


def test_words_alone_give_masks_a_gradient_of_zero() -> None:
    model = pocket()
    losses = TrainingForward(model)([encode_example(model, words(), LEARNING)])
    torch.autograd.backward(losses.sum())
    grads = [weight.grad for weight in model.text_hidden_fcs.parameters()]
    assert all(grad is not None and not grad.any() for grad in grads), "other devices wait for it"


def test_what_is_too_long_or_of_another_family_is_refused() -> None:
    model: Sa2VA = pocket()
    with pytest.raises(UnfitExampleError, match=r"has \d+ tokens, more than learning.most_tokens = 70"):
        encode_example(model, example(0), LearningConfig(most_tokens=70))
    marked = replace(example(0), regions=(scenes().frames[0].masks[0],))
    with pytest.raises(InputError, match="takes no visual prompts"):
        encode_example(model, marked, LEARNING)


def test_a_text_that_spells_out_the_token_of_an_image_makes_an_example_unfit_not_the_training() -> None:
    model = pocket()
    reported = replace(example(0), turns=(*example(0).turns, Turn("What is <|image_pad|> for?", "For images.")))
    with pytest.raises(UnfitExampleError, match=r"has <\|image_pad\|> in its text"):
        encode_example(model, reported, LEARNING)
