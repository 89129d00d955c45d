"""Every name of an official checkpoint has its place in our module, and every name of ours in such a checkpoint."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import sam2
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor, nn
from transformers import (
    InternVLConfig,
    InternVLForConditionalGeneration,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from refsav.model.checkpoints.key_names import Difference, KeyMap, has_two_decoders
from refsav.model.families.internvl_keys import Heads, internvl_rules
from refsav.model.families.qwen_family import RULES as QWEN_RULES

SAM2 = "grounding_encoder.sam2_model."
Shapes = dict[str, tuple[int, ...]]

TEXT = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 32}
TEXT |= {"num_key_value_heads": 2, "tie_word_embeddings": False, "pad_token_id": 0}
VISION = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def sam2_shapes() -> Shapes:
    settings = OmegaConf.load(Path(sam2.__file__).parent / "configs/sam2/sam2_hiera_l.yaml")
    on_cpu = partial(torch.linspace, device="cpu")  # whose numbers the trunk reads while it is made
    with torch.device("meta"), patch.object(torch, "linspace", on_cpu):
        return shapes(instantiate(settings.model, _recursive_=True), "sam2.")


def shapes(module: nn.Module, prefix: str) -> Shapes:
    return {f"{prefix}{name}": tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def hidden_fcs(width: int) -> Shapes:
    with torch.device("meta"):
        layers = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 256), nn.Dropout(0.0))
    return shapes(layers, "text_hidden_fcs.")


def internvl(text: Mapping[str, Any], vision: Mapping[str, Any]) -> Shapes:
    """The shapes of transformers' InternVL, from the fields of an official configuration."""
    intern_vit = {
        "model_type": "internvl_vision",
        "attention_bias": vision.get("qkv_bias", True),
        "use_qk_norm": vision.get("qk_normalization", False),
        "norm_type": vision.get("norm_type", "layer_norm"),
        **{key: vision[key] for key in VISION},
    }
    with torch.device("meta"):
        config = InternVLConfig(vision_config=intern_vit, text_config=dict(text), tie_word_embeddings=False)
        return shapes(InternVLForConditionalGeneration(config), "mllm.")


def qwen3vl(config: Mapping[str, Any]) -> Shapes:
    fields = ("text_config", "vision_config", "tie_word_embeddings")
    with torch.device("meta"):
        model = Qwen3VLForConditionalGeneration(Qwen3VLConfig(**{field: config[field] for field in fields}))
        return shapes(model, "mllm.")


def on_meta(named: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    return {name: torch.empty(shape, device="meta") for name, shape in named.items()}


def inward_shapes(keys: KeyMap, official: Shapes) -> Shapes:
    pairs = [pair for key, tensor in on_meta(official).items() for pair in keys.inward(key, tensor)]
    assert len(dict(pairs)) == len(pairs)
    return {name: tuple(tensor.shape) for name, tensor in pairs}


def outward_shapes(keys: KeyMap, ours: Shapes) -> Shapes:
    pairs = list(keys.outward(on_meta(ours)))
    assert len(dict(pairs)) == len(pairs)
    return {key: tuple(tensor.shape) for key, tensor in pairs}


@pytest.mark.parametrize("family", ["internvl", "qwen3vl"])
def test_names_and_shapes_are_the_official_ones(family: str, parity_data: Path, sam2_shapes: Shapes) -> None:
    config = json.loads((parity_data / family / "config.json").read_text())
    manifest = json.loads((parity_data / family / "manifest.json").read_text())
    official = {key: tuple(shape) for key, (shape, _) in manifest.items()}
    if family == "internvl":
        keys, mllm = (
            KeyMap.sa2va(internvl_rules(), two_decoders=False),
            internvl(config["llm_config"], config["vision_config"]),
        )
        width = config["llm_config"]["hidden_size"]
    else:
        keys, mllm = KeyMap.sa2va(QWEN_RULES, two_decoders=False), qwen3vl(config)
        width = config["text_config"]["hidden_size"]
    ours = {**mllm, **sam2_shapes, **hidden_fcs(width)}
    assert not has_two_decoders(official)
    assert inward_shapes(keys, official) == ours
    assert outward_shapes(keys, ours) == official
    assert keys.compare(official, ours) == Difference(missing=(), unexpected=())


def test_both_decoders_of_a_file_find_their_places(sam2_shapes: Shapes) -> None:
    decoder = {k.removeprefix("sam2.sam_mask_decoder."): v for k, v in sam2_shapes.items() if "sam_mask_decoder" in k}
    ours = {**sam2_shapes, **{f"original_decoder.{name}": shape for name, shape in decoder.items()}}
    keys = KeyMap.sa2va(QWEN_RULES, two_decoders=has_two_decoders(ours))
    official = outward_shapes(keys, ours)
    assert {key for key in official if "_modified." in key} == {
        f"{SAM2}sam_mask_decoder_modified.{name}" for name in decoder
    }
    assert has_two_decoders(official) and len(official) == len(sam2_shapes) + len(decoder)
    assert inward_shapes(keys, official) == ours
    token = f"{SAM2}sam_mask_decoder.iou_token.weight"
    assert keys.our_names(token) == ("original_decoder.iou_token.weight",)
    assert keys.our_names(token.replace("decoder.", "decoder_modified.")) == ("sam2.sam_mask_decoder.iou_token.weight",)
    assert KeyMap.sa2va(QWEN_RULES, two_decoders=False).our_names(token) == ("sam2.sam_mask_decoder.iou_token.weight",)


def below(prefix: str, *names: str, ends: tuple[str, ...] = ("weight",)) -> set[str]:
    return {f"{prefix}{name}.{end}" for name in names for end in ends}


BOTH = ("weight", "bias")
INTERN_VIT = (
    {f"vision_model.embeddings.{name}_embedding" for name in ("class", "position")}
    | {f"vision_model.encoder.layers.0.ls{n}" for n in (1, 2)}
    | below("vision_model.embeddings.", "patch_embedding", ends=BOTH)
    | below("vision_model.encoder.layers.0.", "attn.qkv", "norm1", "norm2")
    | below("vision_model.encoder.layers.0.", "attn.proj", "mlp.fc1", "mlp.fc2", ends=BOTH)
    | below("mlp1.", "0", "1", "3", ends=BOTH)
)
INTERN_VIT_300M = INTERN_VIT | below("vision_model.encoder.layers.0.", "attn.qkv", "norm1", "norm2", ends=BOTH)
INTERN_VIT_6B = INTERN_VIT | below("vision_model.encoder.layers.0.", "attn.q_norm", "attn.k_norm")

INTERNLM2_LAYER = ["attention.wqkv", "attention.wo", "attention_norm", "ffn_norm"]
INTERNLM2_LAYER += ["feed_forward.w1", "feed_forward.w2", "feed_forward.w3"]
NORMS = ["input_layernorm", "post_attention_layernorm"]
PHI3_LAYER = ["self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj", *NORMS]
QWEN2_LAYER = [f"self_attn.{part}_proj" for part in "qkvo"] + [f"mlp.{part}_proj" for part in ("gate", "up", "down")]


def test_internlm2_and_the_large_vision_tower_have_their_own_names() -> None:
    large = {**VISION, "qkv_bias": False, "qk_normalization": True, "norm_type": "rms_norm"}
    ours = internvl({**TEXT, "model_type": "llama"}, large)
    keys = KeyMap.sa2va(internvl_rules(Heads(queries=4, keys=2)), two_decoders=False)
    official = outward_shapes(keys, ours)
    assert set(official) == (
        INTERN_VIT_6B
        | below("language_model.model.layers.0.", *INTERNLM2_LAYER)
        | below("language_model.", "model.tok_embeddings", "model.norm", "output")
    )
    assert official["language_model.model.layers.0.attention.wqkv.weight"] == (32, 16)
    assert inward_shapes(keys, official) == ours


@pytest.mark.parametrize(
    ("model_type", "layer"),
    [
        ("phi3", below("", *PHI3_LAYER)),
        ("llama", below("", *QWEN2_LAYER, *NORMS)),
        ("qwen2", below("", *QWEN2_LAYER, *NORMS) | below("self_attn.", "q_proj", "k_proj", "v_proj", ends=("bias",))),
        ("qwen3", below("", *QWEN2_LAYER, *NORMS, "self_attn.q_norm", "self_attn.k_norm")),
    ],
)
def test_other_languages_keep_the_names_of_transformers(model_type: str, layer: set[str]) -> None:
    ours = internvl({**TEXT, "model_type": model_type}, VISION)
    keys = KeyMap.sa2va(internvl_rules(), two_decoders=False)
    official = outward_shapes(keys, ours)
    assert set(official) == (
        INTERN_VIT_300M
        | {f"language_model.model.layers.0.{name}" for name in layer}
        | below("language_model.", "model.embed_tokens", "model.norm", "lm_head")
    )
    assert inward_shapes(keys, official) == ours


VISION_2_5 = below("patch_embed.", "proj") | below("merger.", "ln_q") | below("merger.mlp.", "0", "2", ends=BOTH)
VISION_2_5 |= below("blocks.0.", "norm1", "norm2") | below("blocks.0.attn.", "qkv", "proj", ends=BOTH)
VISION_2_5 |= below("blocks.0.mlp.", "gate_proj", "up_proj", "down_proj", ends=BOTH)
TEXT_2_5 = below("", "embed_tokens", "norm") | below("layers.0.", *QWEN2_LAYER, *NORMS)
TEXT_2_5 |= below("layers.0.self_attn.", "q_proj", "k_proj", "v_proj", ends=("bias",))


@pytest.mark.parametrize(("vision", "text"), [("model.visual.", "model.model."), ("model.model.visual.", "")])
def test_qwen2_5_vl_is_read_in_both_layouts_and_written_in_the_new(vision: str, text: str) -> None:
    tower = {"hidden_size": 8, "out_hidden_size": 16, "intermediate_size": 12, "depth": 1, "num_heads": 2}
    with torch.device("meta"):
        config = Qwen2_5_VLConfig(text_config=TEXT, vision_config=tower, tie_word_embeddings=False)
        ours = shapes(Qwen2_5_VLForConditionalGeneration(config), "mllm.")
    language = text or "model.model.language_model."
    found = {vision + name for name in VISION_2_5} | {language + name for name in TEXT_2_5} | {"model.lm_head.weight"}
    keys = KeyMap.sa2va(QWEN_RULES, two_decoders=False)
    assert keys.compare(found, ours) == Difference(missing=(), unexpected=())
    assert {name for key in found for name in keys.our_names(key)} == set(ours)
    assert set(keys.official_keys(ours)) == {
        *(f"model.model.visual.{name}" for name in VISION_2_5),
        *(f"model.model.language_model.{name}" for name in TEXT_2_5),
        "model.lm_head.weight",
    }


def test_what_is_unknown_or_absent_is_reported_under_its_official_name() -> None:
    tower = "mllm.model.vision_tower.encoder.layer.0."
    ours = [f"{tower}attention.{part}_proj.weight" for part in "qkv"] + [f"{tower}lambda_1", "original_decoder.w"]
    keys = KeyMap.sa2va(internvl_rules(), two_decoders=False)
    qkv = "vision_model.encoder.layers.0.attn.qkv.weight"
    strange = ["vision_model.encoder.layers.0.ls3", "optimizer.step", qkv.replace(".0.", ".7."), "model.norm.weight"]
    assert keys.compare([qkv, *strange], ours) == Difference(
        missing=("vision_model.encoder.layers.0.ls1", "original_decoder.w"), unexpected=tuple(strange)
    )
    assert keys.compare([], ours).missing == (qkv, "vision_model.encoder.layers.0.ls1", "original_decoder.w")
    assert keys.our_names("optimizer.step") == () and keys.inward("optimizer.step", torch.zeros(1)) == []


def test_a_place_is_not_given_twice() -> None:
    keys = KeyMap.sa2va(QWEN_RULES, two_decoders=False)
    found = ["model.model.norm.weight", "model.model.language_model.norm.weight"]
    ours = ["mllm.model.language_model.norm.weight"]
    assert keys.compare(found, ours) == Difference(missing=(), unexpected=(found[1],))
