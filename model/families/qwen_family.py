"""Qwen2.5-VL and Qwen3-VL: config.json, names of weights, sizes. The adapters are in qwen.py."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from math import isqrt
from pathlib import Path
from typing import Any, ClassVar

from torch import nn
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from refsav.model.families.family import USUAL_TEMPLATE, Family, Json, VisionPart, language_config
from refsav.model.families.key_rules import Rule
from refsav.model.families.mllm import Mllm, Tokenizer
from refsav.model.families.qwen import Qwen, Qwen3VL, Qwen25VL
from refsav.model.families.sizes import MllmSizes

WRITTEN_FOR = "4.57.0"
"""Version of transformers that the released code is pinned to; config.json has the keys of this version."""

TOKENS = {
    "image_token_id": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
}

NOT_OF_THE_TEXT = {
    *("architectures", "auto_map", "model_type", "template", "text_config", "vision_config", "tie_word_embeddings"),
    *("transformers_version", "torch_dtype", "dtype", "quantization_config"),
    *("vision_token_id", *TOKENS),
}
"""Keys of an older config.json that are not the language model's, whose own keys are at the top level too."""

RULES = (
    *(
        Rule(f"model.{there}", (f"mllm.model.{here}",), reading_only=True)  # names of transformers before 4.52
        for there, here in {
            "visual.{rest}": "visual.{rest}",
            "model.embed_tokens.{rest}": "language_model.embed_tokens.{rest}",
            "model.layers.{rest}": "language_model.layers.{rest}",
            "model.norm.{rest}": "language_model.norm.{rest}",
        }.items()
    ),
    Rule("model.{rest}", ("mllm.{rest}",)),
)


class QwenFamily(Family):
    """What all Qwen-VL families share."""

    released_suffix = "Qwen"
    released_module = "modeling_sa2va_qwen"
    vision_parts: ClassVar[Mapping[str, VisionPart]] = {
        "mllm.model.visual.merger.": "vision_projection",
        "mllm.model.visual.deepstack_merger_list.": "vision_projection",
        "mllm.model.visual.": "vision_tower",
    }
    model_type: ClassVar[str]
    """Prefix of `model_type` in text_config and vision_config; mixtures of experts are not supported."""
    adapter_class: ClassVar[type[Qwen]]

    def recognizes(self, raw: Json) -> bool:
        kinds = {str(raw.get(key, {}).get("model_type", "")) for key in ("vision_config", "text_config")}
        ours = any(kind.startswith(self.model_type) and "moe" not in kind for kind in kinds)
        return ours and "llm_config" not in raw

    def adapter(self, model: nn.Module, tokenizer: Tokenizer, raw: Json, shown_pixels: tuple[int, int]) -> Mllm:
        del raw
        return self.adapter_class(model, tokenizer, shown_pixels)

    def key_rules(self, raw: Json) -> tuple[Rule, ...]:
        del raw
        return RULES

    def base_key_rules(self, raw: Json) -> tuple[Rule, ...]:
        """Return the rules for both layouts: of transformers before 4.52, and since."""
        del raw
        return tuple(replace(rule, official=rule.official.removeprefix("model.")) for rule in RULES)

    def sa2va_config(self, base: Json, tokens: int) -> Json:
        raw = dict(base)
        text = raw.get("text_config") or {"model_type": f"{self.model_type}_text", **_nested(raw)}
        raw["text_config"] = {**text, "vocab_size": tokens, "tie_word_embeddings": False}
        return {**raw, "template": USUAL_TEMPLATE}

    def config_of(self, sizes: MllmSizes, rows: int, tokenizer: Tokenizer) -> Json:
        vision = sizes.vision
        tower: dict[str, Any] = {
            "depth": vision.layers,
            "hidden_size": vision.hidden_size,
            "in_channels": 3,
            "initializer_range": sizes.vision_range,
            "intermediate_size": vision.feedforward,
            "num_heads": vision.heads,
            "out_hidden_size": sizes.language.hidden_size,
            "patch_size": vision.patch_px,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        }
        of_text, of_tower = self.own_config(sizes)
        return {
            "template": USUAL_TEMPLATE,
            "text_config": {**language_config(sizes, rows, tokenizer), **of_text},
            "tie_word_embeddings": False,
            "transformers_version": WRITTEN_FOR,
            "vision_config": {**tower, **of_tower},
            **{key: tokenizer.convert_tokens_to_ids(token) for key, token in TOKENS.items()},
        }

    @abstractmethod
    def own_config(self, sizes: MllmSizes) -> tuple[Json, Json]:
        """Return the keys that this family adds to text_config, and those that it adds to vision_config."""

    def check_sizes(self, sizes: MllmSizes) -> None:
        if sizes.vision.hidden_size // sizes.vision.heads % 4:
            raise ValueError("vision.hidden_size / vision.heads must be a multiple of 4")


class Qwen25VLFamily(QwenFamily):
    """Qwen2.5-VL, with windowed attention in the vision tower."""

    name = Qwen25VL.family
    model_type = "qwen2_5_vl"
    adapter_class = Qwen25VL
    own_sizes = frozenset({"vision.window_px", "vision.full_attention", "shown_pixels"})

    def build(self, path: Path, raw: dict[str, Any]) -> nn.Module:
        del path
        model: nn.Module = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**raw))
        return model

    def own_config(self, sizes: MllmSizes) -> tuple[Json, Json]:
        half = sizes.language.width_of_head // 2
        sides = half * 3 // 8  # released: 16, 24 and 24 of 64 for time, height and width
        return {
            "model_type": "qwen2_5_vl_text",
            "use_sliding_window": False,
            "rope_scaling": {"rope_type": "default", "mrope_section": [half - 2 * sides, sides, sides]},
        }, {
            "model_type": "qwen2_5_vl",
            "hidden_act": "silu",
            "window_size": sizes.vision.window_px,
            "fullatt_block_indexes": list(sizes.vision.full_attention),
            "tokens_per_second": 2,
        }

    def check_sizes(self, sizes: MllmSizes) -> None:
        super().check_sizes(sizes)
        if sizes.language.head_dim:
            raise ValueError(f"language.head_dim is always hidden_size / heads for {self.name}: leave it out")
        sizes.check_layers("full_attention", sizes.vision.full_attention)


class Qwen3VLFamily(QwenFamily):
    """Qwen3-VL, with learned positions and deepstack: features of earlier vision layers enter the language model."""

    name = Qwen3VL.family
    model_type = "qwen3_vl"
    adapter_class = Qwen3VL
    own_sizes = frozenset({"vision.positions", "vision.deepstack", "shown_pixels"})

    def build(self, path: Path, raw: dict[str, Any]) -> nn.Module:
        del path
        model: nn.Module = Qwen3VLForConditionalGeneration(Qwen3VLConfig(**raw))
        return model

    def own_config(self, sizes: MllmSizes) -> tuple[Json, Json]:
        half = sizes.language.width_of_head // 2
        sides = half * 5 // 16  # released: 24, 20 and 20 of 64 for time, height and width
        sections = {"mrope_section": [half - 2 * sides, sides, sides], "mrope_interleaved": True}
        return {
            "model_type": "qwen3_vl_text",
            "attention_bias": False,
            "head_dim": sizes.language.width_of_head,
            "rope_scaling": {"rope_type": "default", **sections},
        }, {
            "model_type": "qwen3_vl",
            "hidden_act": "gelu_pytorch_tanh",
            "num_position_embeddings": sizes.vision.positions,
            "deepstack_visual_indexes": list(sizes.vision.deepstack),
        }

    def check_sizes(self, sizes: MllmSizes) -> None:
        super().check_sizes(sizes)
        positions = sizes.vision.positions
        if isqrt(positions) ** 2 != positions:
            raise ValueError(f"vision.positions ({positions}) must be a square number")
        sizes.check_layers("deepstack", sizes.vision.deepstack)


def _nested(raw: dict[str, Any]) -> Json:
    """Remove the language model's keys from the top level of an older config.json and return them."""
    return {key: raw.pop(key) for key in list(raw) if key not in NOT_OF_THE_TEXT}
