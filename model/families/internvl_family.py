"""InternVL 2, 2.5 and 3: config.json, language models, sizes. The adapter is in internvl.py."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import nn
from transformers import AutoConfig, InternVLConfig, InternVLForConditionalGeneration, InternVLVisionConfig

from refsav.errors import RecordError
from refsav.model.families.family import USUAL_TEMPLATE, Family, Json, VisionPart, language_config
from refsav.model.families.internvl import InternVL
from refsav.model.families.internvl_keys import Heads, internvl_rules
from refsav.model.families.key_rules import Rule
from refsav.model.families.mllm import Mllm, Tokenizer
from refsav.model.families.sizes import LanguageShape, MllmSizes, VisionShape


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A language model that an InternVL can have."""

    transformers: str
    """Its `model_type` in transformers."""
    template: str = USUAL_TEMPLATE


INTERNLM2 = "InternLM2ForCausalLM"

LANGUAGE_MODELS: Mapping[str, LanguageModel] = {
    "Qwen2ForCausalLM": LanguageModel("qwen2"),
    "Qwen3ForCausalLM": LanguageModel("qwen3"),
    "LlamaForCausalLM": LanguageModel("llama"),
    INTERNLM2: LanguageModel("llama", "internlm2_chat"),  # the same network, with its weights stored in another order
    "Phi3ForCausalLM": LanguageModel("phi3", "phi3_chat"),
}
"""Supported language models by the class name in config.json."""

CLASS_OF_KIND = {
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "llama": "LlamaForCausalLM",
    "internlm2": INTERNLM2,
    "phi3": "Phi3ForCausalLM",
}
"""Class names in config.json by `language.kind` of configs/models."""


class InternVLFamily(Family):
    """InternVL in its makers' layout, with any of `LANGUAGE_MODELS`."""

    name = InternVL.family
    language_key = "llm_config"
    vision_parts: ClassVar[Mapping[str, VisionPart]] = {
        "mllm.model.multi_modal_projector.": "vision_projection",
        "mllm.model.vision_tower.": "vision_tower",
    }
    own_sizes = frozenset(
        {
            "language.kind",
            "vision.tile_px",
            "vision.most_tiles",
            "vision.norm",
            "vision.qkv_bias",
            "vision.qk_norm",
        }
    )

    def recognizes(self, raw: Json) -> bool:
        return "llm_config" in raw and "vision_config" in raw

    def refuse_base(self, raw: Json) -> tuple[str, str] | None:
        if raw.get("model_type") != "internvl":
            return None
        return (
            "is an InternVL in transformers' own layout",
            "take the original one, whose name does not end in -hf: OpenGVLab/InternVL3-2B, for example",
        )

    def build(self, path: Path, raw: dict[str, Any]) -> nn.Module:
        vision, language = raw["vision_config"], raw["llm_config"]
        known = LANGUAGE_MODELS.get(_language_class(raw))
        if known is None:
            raise RecordError(
                path,
                "llm_config.architectures",
                f"the language model {_language_class(raw)} is not supported",
                f"take a checkpoint with one of {', '.join(LANGUAGE_MODELS)}",
            )
        for key in ("architectures", "auto_map", "model_type"):
            language.pop(key, None)
        config = InternVLConfig(
            vision_config=_vision_config(vision),
            text_config=AutoConfig.for_model(known.transformers, **language),
            downsample_ratio=raw.get("downsample_ratio", 0.5),
            tie_word_embeddings=False,
        )
        model: nn.Module = InternVLForConditionalGeneration(config)
        return model

    def adapter(self, model: nn.Module, tokenizer: Tokenizer, raw: Json, shown_pixels: tuple[int, int]) -> Mllm:
        del shown_pixels
        template = str(raw.get("template", USUAL_TEMPLATE)).replace("-", "_")
        return InternVL(model, tokenizer, template, int(raw.get("max_dynamic_patch", 12)))

    def key_rules(self, raw: Json) -> tuple[Rule, ...]:
        if _language_class(raw) != INTERNLM2:
            return internvl_rules()
        queries = int(raw["llm_config"]["num_attention_heads"])
        return internvl_rules(Heads(queries=queries, keys=int(raw["llm_config"].get("num_key_value_heads", queries))))

    def base_key_rules(self, raw: Json) -> tuple[Rule, ...]:
        return self.key_rules(raw)

    def sa2va_config(self, base: Json, tokens: int) -> Json:
        language = {**base["llm_config"], "vocab_size": tokens, "tie_word_embeddings": False}
        vision = {"architectures": ["InternVisionModel"], **base["vision_config"]}
        template = _template((language.get("architectures") or [""])[0])
        return {**base, "llm_config": language, "vision_config": vision, "template": template}

    def config_of(self, sizes: MllmSizes, rows: int, tokenizer: Tokenizer) -> Json:
        language, vision = sizes.language, sizes.vision
        text = language_config(sizes, rows, tokenizer)
        text |= {"architectures": [CLASS_OF_KIND[language.kind]], "model_type": language.kind, "rope_scaling": None}
        return {
            "downsample_ratio": 0.5,
            "dynamic_image_size": True,
            "force_image_size": vision.tile_px,
            "hidden_size": language.hidden_size,
            "llm_config": text | _of_kind(language, tokenizer),
            "max_dynamic_patch": vision.most_tiles,
            "min_dynamic_patch": 1,
            "output_attentions": False,
            "pad2square": False,
            "ps_version": "v2",
            "select_layer": -1,
            "template": self.template(language),
            "tie_word_embeddings": False,
            "transformers_version": None,
            "use_backbone_lora": 0,
            "use_llm_lora": 0,
            "use_thumbnail": True,
            "vision_config": _intern_vit(vision, sizes.vision_range),
        }

    def template(self, language: LanguageShape) -> str:
        return _template(CLASS_OF_KIND[language.kind])

    def check_sizes(self, sizes: MllmSizes) -> None:
        if sizes.vision.tile_px % (2 * sizes.vision.patch_px):
            raise ValueError(f"vision.tile_px ({sizes.vision.tile_px}) must be a multiple of 2 * vision.patch_px")


def _language_class(raw: Json) -> str:
    return str((raw["llm_config"].get("architectures") or ["?"])[0])


def _template(language_class: str) -> str:
    return LANGUAGE_MODELS[language_class].template if language_class in LANGUAGE_MODELS else USUAL_TEMPLATE


def _vision_config(vision: Json) -> InternVLVisionConfig:
    return InternVLVisionConfig(
        hidden_size=vision["hidden_size"],
        num_hidden_layers=vision["num_hidden_layers"],
        num_attention_heads=vision["num_attention_heads"],
        attention_bias=vision.get("qkv_bias", False),
        use_qk_norm=vision.get("qk_normalization", False),
        intermediate_size=vision["intermediate_size"],
        hidden_act=vision.get("hidden_act", "gelu"),
        norm_type=vision.get("norm_type", "rms_norm"),
        layer_norm_eps=vision.get("layer_norm_eps", 1e-6),
        initializer_range=vision.get("initializer_range", 0.02),
        image_size=vision["image_size"],
        patch_size=vision["patch_size"],
    )


def _intern_vit(vision: VisionShape, initializer_range: float) -> Json:
    return {
        "architectures": ["InternVisionModel"],  # without it, the released code ignores these sizes
        "attention_dropout": 0.0,
        "drop_path_rate": 0.0,
        "dropout": 0.0,
        "hidden_act": "gelu",
        "hidden_size": vision.hidden_size,
        "image_size": vision.tile_px,
        "initializer_factor": 0.1,
        "initializer_range": initializer_range,
        "intermediate_size": vision.feedforward,
        "layer_norm_eps": 1e-6,
        "model_type": "intern_vit_6b",
        "norm_type": vision.norm,
        "num_attention_heads": vision.heads,
        "num_channels": 3,
        "num_hidden_layers": vision.layers,
        "patch_size": vision.patch_px,
        "qk_normalization": vision.qk_norm,
        "qkv_bias": vision.qkv_bias,
        "use_flash_attn": False,
    }


def _of_kind(language: LanguageShape, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the keys of llm_config that only this kind of language model has."""
    head = {"head_dim": language.width_of_head} if language.head_dim or language.kind == "qwen3" else {}
    if language.kind == "internlm2":
        return {"bias": False, **head}
    if language.kind == "phi3":  # its default padding token lies outside a smaller vocabulary
        return {"pad_token_id": tokenizer.pad_token_id, "sliding_window": None, **head}
    if language.kind == "qwen2":
        kinds = {"layer_types": ["full_attention"] * language.layers, "max_window_layers": language.layers}
        return {"sliding_window": None, "use_sliding_window": False, **kinds, **head}
    return {"attention_bias": False, **head}
