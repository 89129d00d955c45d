"""Designs of `[SEG]`: what an answer says, which embedding draws which frame, and that a checkpoint keeps it."""

from pathlib import Path

import pytest
import torch

from refsav.datasets.training_examples.example import TrainingExample, Turn
from refsav.errors import ConfigError
from refsav.model.creation.seg_design import adopt
from refsav.model.families.seg_tokens import SegTokens
from refsav.model.inference_settings import InferenceSettings
from refsav.model.input_errors import InputError
from refsav.model.sa2va import Sa2VA
from refsav.model.training_config import LearningConfig
from refsav.model.training_step.example_encoding import encode_example
from refsav.model.training_step.forward import TrainingForward
from tests.support.data.training_data import pocket, scenes

ONE, OTHER = scenes().frames[1], scenes().frames[2]
FRAMES = (ONE.frame, OTHER.frame)


def video(answer: str = "Sure, [SEG]. And [SEG].") -> TrainingExample:
    masks = ((ONE.masks[0], OTHER.masks[0]),) * answer.count("[SEG]")
    return TrainingExample(name="a video", frames=FRAMES, turns=(Turn("Please segment it.", answer),), masks=masks)


def adopted(design: str, family: str = "pocket") -> Sa2VA:
    model = pocket(family)
    adopt(model, design, 3)
    return model


def test_what_an_answer_says() -> None:
    said = {design: SegTokens(design).spread("It is [SEG].", 3) for design in ("single", "repetitive", "unique")}
    assert said == {
        "single": "It is [SEG].",
        "repetitive": "It is [SEG][SEG][SEG].",
        "unique": "It is [SEG 1][SEG 2][SEG 3].",
    }
    for design, text in said.items():
        assert SegTokens(design).collapse(text, 3) == "It is [SEG]."
        assert SegTokens(design).spread("It is [SEG].", 1) == "It is [SEG]."


@pytest.mark.parametrize("family", ["pocket", "pocket-internvl"])
@pytest.mark.parametrize("design", ["repetitive", "unique"])
def test_each_frame_is_drawn_from_an_embedding_of_its_own(design: str, family: str) -> None:
    model = adopted(design, family)
    encoded, training = encode_example(model, video(), LearningConfig()), TrainingForward(model).eval()
    with torch.no_grad():
        segs = training._language_forward([encoded]).segs
        drawn = training.draw([encoded, encoded], torch.cat([segs, segs]))
        changed = training.draw([encoded], torch.cat([segs[:3], segs[3:] + 1]))[0]
    assert segs.shape[0] == 4 and len(drawn) == 2
    assert torch.allclose(drawn[0], drawn[1], atol=1e-5)
    same = [torch.allclose(one, other, atol=1e-5) for one, other in zip(drawn[0], changed, strict=True)]
    assert same == [True, True, True, False], "the fourth token is the second object in the second frame"


@pytest.mark.parametrize("design", ["single", "repetitive", "unique"])
def test_inference_draws_what_training_does_and_a_checkpoint_keeps_the_design(design: str, tmp_path: Path) -> None:
    model = adopted(design)
    encoded, training = encode_example(model, video("Sure, [SEG]."), LearningConfig()), TrainingForward(model).eval()
    with torch.no_grad():
        drawn = training.draw([encoded], training._language_forward([encoded]).segs)[0]
    model.save_pretrained(tmp_path / "model")
    again = Sa2VA.from_pretrained(tmp_path / "model", device="cpu")
    for one in (model, again):
        assert one.architecture.fixed.seg_token == design
        found = one.predict_all(FRAMES, ["Please segment it."], answers=["Sure, [SEG]."])[0]
        assert found.text == "Sure, [SEG]." and len(found.segments) == 1
        assert torch.allclose(found.segments[0].low_res_logits, drawn, atol=1e-4)
    followed = model.ground(
        (*FRAMES, FRAMES[0]), "Please segment it.", "[SEG]", settings=InferenceSettings(key_frames="0,2")
    )
    assert followed[0].masks.shape == (3, 128, 128)


def test_new_tokens_begin_as_seg_is() -> None:
    model = adopted("unique")
    ids = model.adapter.seg_ids
    assert len(ids) == 4
    for table in (model.adapter.language_model.get_input_embeddings().weight, model.mllm.lm_head.weight):
        assert torch.equal(table[list(ids)], table[ids[0]].expand(4, -1))


def test_a_design_is_not_changed_and_has_its_limits() -> None:
    with pytest.raises(ConfigError, match=r"was trained with seg.design = 'unique', not 'single'"):
        adopt(adopted("unique"), "single", 3)
    model = pocket()
    adopt(model, "unique", 1)
    with pytest.raises(InputError, match=r"has 2 objects in 2 frames, but its answers have 2 \[SEG\] tokens"):
        encode_example(model, video(), LearningConfig())


def test_a_model_with_tokens_for_fewer_frames_gets_more() -> None:
    model = adopted("unique")
    few = model.adapter.seg_ids
    adopt(model, "unique", 5)
    assert len(model.adapter.seg_ids) == len(few) + 2
    table = model.adapter.language_model.get_input_embeddings().weight
    added = [token for token in model.adapter.seg_ids if token not in few]
    assert all(torch.equal(table[token], table[model.adapter.seg_id]) for token in added)
    kept = model.assets
    adopt(model, "unique", 4)
    assert model.assets is kept
