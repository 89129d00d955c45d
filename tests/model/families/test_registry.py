"""A family is one entry and one line: everything else, from sizes to checkpoints and training, works with it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import refsav
from refsav.model.creation.create import create, usual_tokenizer
from refsav.model.creation.from_base_models import from_base
from refsav.model.creation.model_sizes import ModelConfig
from refsav.model.creation.tokenizers import tokenizer_files, train_tokenizer, usual_texts
from refsav.model.families.registry import FAMILIES
from refsav.model.training_step.lora_and_freezing import part_of
from tests.model.families.example_family import Qwen2VLFamily
from tests.support.models.base_model import write_sam2

EXAMPLE = Path(__file__).with_name("example_family.py")
SIZES = """
family = "Qwen2-VL"
shown_pixels = [16384, 36864]

[language]
hidden_size = 64
layers = 2
heads = 4
kv_heads = 2
feedforward = 128
context_tokens = 1024

[vision]
hidden_size = 64
layers = 2
heads = 4
feedforward = 128

[sam2]
image_size = 128
embed_dim = 24
num_heads = 1
stages = [1, 1, 2, 1]
global_att_blocks = [3]
window_spec = [8, 4, 8, 4]
"""


@pytest.fixture
def sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelConfig:
    monkeypatch.setitem(FAMILIES, Qwen2VLFamily.name, Qwen2VLFamily())
    (tmp_path / "qwen2vl.toml").write_text(SIZES)
    return ModelConfig.from_toml(tmp_path / "qwen2vl.toml")


@pytest.fixture
def image() -> np.ndarray:
    """uint8 RGB [96, 128, 3]: a red square on grey."""
    drawn = np.full((96, 128, 3), 128, np.uint8)
    drawn[30:60, 40:80] = (200, 30, 30)
    return drawn


def test_a_family_of_ones_own_is_created_saved_loaded_and_segments(
    sizes: ModelConfig, image: np.ndarray, tmp_path: Path
) -> None:
    created = create(sizes, usual_tokenizer(sizes))
    created.save_pretrained(tmp_path / "model")
    model = refsav.Sa2VA.from_pretrained(tmp_path / "model", device="cpu")
    assert model.architecture.family == model.adapter.family == "Qwen2-VL"

    found, before = (
        one.ground([image], "Please segment the red square.", "It is [SEG].")[0] for one in (model, created)
    )
    assert found.masks.shape == (1, 96, 128)
    torch.testing.assert_close(found.low_res_logits, before.low_res_logits, rtol=0, atol=1e-5)
    answer = model.predict([image], "Describe the image.", settings=refsav.InferenceSettings(new_tokens=4))
    assert answer.text is not None

    config = json.loads((tmp_path / "model/config.json").read_text())
    assert config["architectures"] == ["Sa2VAChatModelQwen"]
    assert config["vision_config"]["model_type"] == "qwen2_vl"
    assert part_of("mllm.model.visual.merger.mlp.0.weight", model.architecture.entry) == "vision_projection"


def test_a_sizes_file_with_a_key_of_another_family_is_refused(sizes: ModelConfig, tmp_path: Path) -> None:
    del sizes
    (tmp_path / "wrong.toml").write_text(SIZES.replace("[vision]", "[vision]\nwindow_px = 56"))
    with pytest.raises(refsav.RefSavError, match=r"vision\.window_px is a key of Qwen2\.5-VL, not of Qwen2-VL"):
        ModelConfig.from_toml(tmp_path / "wrong.toml")


def test_the_makers_own_checkpoint_of_a_family_of_ones_own_becomes_a_sa2va(
    sizes: ModelConfig, image: np.ndarray, tmp_path: Path
) -> None:
    base = _write_base(tmp_path / "base", sizes)
    write_sam2(tmp_path / "sam2.safetensors", sizes.sam2)
    model = from_base(tmp_path / "base", tmp_path / "sam2.safetensors", sam2_config=sizes.sam2)
    assert model.architecture.family == "Qwen2-VL"
    ours = model.mllm.state_dict()
    assert all(torch.equal(ours[name], tensor) for name, tensor in base.items() if "visual" in name or "layers" in name)
    assert model.ground([image], "Please segment the red square.", "It is [SEG].")[0].masks.shape == (1, 96, 128)


def _write_base(folder: Path, sizes: ModelConfig) -> Mapping[str, torch.Tensor]:
    """Write a Qwen2-VL as its makers publish it: the language model's keys at the top of config.json."""
    tokenizer = train_tokenizer(usual_texts(), 400, added=())
    raw = dict(Qwen2VLFamily().config_of(sizes.mllm, len(tokenizer), tokenizer))
    network: Any = Qwen2VLFamily().build(folder / "config.json", {k: v for k, v in raw.items() if k != "template"})
    network.save_pretrained(folder)
    stored = {
        name.replace("model.visual.", "visual."): t for name, t in load_file(folder / "model.safetensors").items()
    }
    stored = {name.replace("model.language_model.", "model."): tensor for name, tensor in stored.items()}
    save_file(stored, folder / "model.safetensors")
    text, tower = raw.pop("text_config"), raw.pop("vision_config")
    top = {key: value for key, value in {**text, **raw}.items() if key != "template"}
    tower = {key: value for key, value in tower.items() if key != "model_type"}
    config = {**top, "model_type": "qwen2_vl", "architectures": ["Qwen2VLForConditionalGeneration"]}
    (folder / "config.json").write_text(json.dumps({**config, "vision_config": tower}))
    for name, content in tokenizer_files(tokenizer).items():
        (folder / name).write_bytes(content)
    state: Mapping[str, torch.Tensor] = network.state_dict()
    return state


def test_the_example_is_short_enough_to_be_read_in_the_docs() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < 60
