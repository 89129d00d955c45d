"""A family is one entry and one line: everything else, from sizes to checkpoints and training, works with it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from refsav.model.creation.create import create, usual_tokenizer
from refsav.model.creation.model_sizes import ModelConfig
from refsav.model.families.family import Json
from refsav.model.families.key_rules import Rule
from refsav.model.families.qwen import Qwen3VL
from refsav.model.families.qwen_family import Qwen3VLFamily
from refsav.model.families.registry import FAMILIES
from refsav.model.families.sizes import MllmSizes
from refsav.model.sa2va import Sa2VA
from refsav.model.training_step.lora_and_freezing import part_of


class OtterVL(Qwen3VL):
    """The adapter of a family whose network is Qwen3-VL's."""

    family = "Otter-VL"


class OtterVLFamily(Qwen3VLFamily):
    """Its entry: another `model_type` in config.json, other names of the weights."""

    name = "Otter-VL"
    model_type = "otter_vl"
    adapter_class = OtterVL

    def key_rules(self, raw: Json) -> tuple[Rule, ...]:
        del raw
        return (Rule("otter.{rest}", ("mllm.{rest}",)),)

    def own_config(self, sizes: MllmSizes) -> tuple[Json, Json]:
        text, tower = super().own_config(sizes)
        return {**text, "model_type": "otter_vl_text"}, {**tower, "model_type": "otter_vl"}

    def build(self, path: Path, raw: dict[str, Any]) -> nn.Module:
        raw["text_config"]["model_type"], raw["vision_config"]["model_type"] = "qwen3_vl_text", "qwen3_vl"
        return super().build(path, raw)


def test_another_family_is_an_entry_and_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES, OtterVLFamily.name, OtterVLFamily())
    config = ModelConfig.from_toml(Path(__file__).parents[3] / "configs/models/pocket.toml", {"family": "Otter-VL"})
    create(config, usual_tokenizer(config)).save_pretrained(tmp_path)
    model = Sa2VA.from_pretrained(tmp_path, device="cpu")
    assert model.architecture.family == model.adapter.family == "Otter-VL"
    image = np.zeros((96, 128, 3), dtype=np.uint8)
    assert model.ground([image], "Please segment it.", "It is [SEG].")[0].masks.shape == (1, 96, 128)
    assert part_of("mllm.model.visual.merger.norm.weight", model.architecture.entry) == "vision_projection"
    assert json.loads((tmp_path / "config.json").read_text())["vision_config"]["model_type"] == "otter_vl"
