"""config.json as the released code lays it out: for sizes of one's own, and for a base model that becomes a Sa2VA."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from refsav.errors import RecordError
from refsav.model.checkpoints.architecture import OURS, FixedSizes, Json, family_of
from refsav.model.creation.model_sizes import LanguageShape, ModelConfig, VisionShape
from refsav.model.families.internvl import InternVL
from refsav.model.families.mllm import Tokenizer
from refsav.model.input_errors import InputError

MODEL_TYPE = "sa2va_chat"

LANGUAGE_CLASSES = {
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "llama": "LlamaForCausalLM",
    "internlm2": "InternLM2ForCausalLM",
    "phi3": "Phi3ForCausalLM",
}
"""Classes of InternVL's language models by `language.kind`."""

TEMPLATES = {"InternLM2ForCausalLM": "internlm2_chat", "Phi3ForCausalLM": "phi3_chat"}
"""Names of conversation templates by language model; that of all others is "qwen_chat"."""

WRITTEN_FOR = "4.57.0"
"""transformers' version that the released code is pinned to, and whose keys these are."""

QWEN_TOKENS = {
    "image_token_id": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
}

NOT_OF_THE_TEXT = {
    *("architectures", "auto_map", "model_type", "template", "text_config", "vision_config", "tie_word_embeddings"),
    *("transformers_version", "torch_dtype", "dtype", "quantization_config"),
    *("vision_token_id", *QWEN_TOKENS),
}
"""Keys of a Qwen2.5-VL's config.json that stay at its top; older files have the language model's beside them."""


def official_config(config: ModelConfig, tokenizer: Tokenizer) -> dict[str, Any]:
    """Lay out the sizes of a model from nothing.

    Raises:
        InputError: If the tokenizer has more tokens than the embedding rows.
    """
    rows = config.language.vocabulary or len(tokenizer)
    if rows < len(tokenizer):
        raise InputError(
            f"language.vocabulary is {rows}, but the tokenizer has {len(tokenizer)} tokens",
            "set it to 0, which is as many as there are, or make tokenizer_size smaller",
        )
    laid_out = (
        _internvl(config, rows, tokenizer) if config.family == InternVL.family else _qwen(config, rows, tokenizer)
    )
    return _plain({**laid_out, **_ours(FixedSizes(sam2=config.sam2, shown_pixels=config.shown_pixels))})


def as_sa2va(path: Path, base: Json, tokens: int, fixed: FixedSizes) -> dict[str, Any]:
    """Turn a base model's config.json into a Sa2VA's whose embedding has a row for each of `tokens`.

    Raises:
        RecordError: If it is of a family or a layout that is not supported.
    """
    _refuse(path, base)
    family = family_of(path, base)
    raw = {**base, **_names(family), "tie_word_embeddings": False}
    if family == InternVL.family:
        language = {**raw["llm_config"], "vocab_size": tokens, "tie_word_embeddings": False}
        raw["llm_config"] = language
        raw["vision_config"] = {"architectures": ["InternVisionModel"], **raw["vision_config"]}
        raw["template"] = _template((language.get("architectures") or [""])[0])
    else:
        text = raw.get("text_config") or _nested(raw)
        raw["text_config"] = {**text, "vocab_size": tokens, "tie_word_embeddings": False}
        raw["template"] = "qwen_chat"
    return _plain({**raw, **_ours(fixed)})


def template_of(config: ModelConfig) -> str:
    """Name of the conversation template that a model of these sizes uses."""
    return _template(LANGUAGE_CLASSES[config.language.kind] if config.family == InternVL.family else "")


def is_tied(base: Json) -> bool:
    """Whether a base model's output layer is its embedding, and is not stored."""
    parts = (base, base.get("text_config") or {}, base.get("llm_config") or {})
    return any(part.get("tie_word_embeddings") for part in parts)


def _nested(raw: dict[str, Any]) -> Json:
    """Take the language model's keys out of an older Qwen2.5-VL's, where they stand beside the others."""
    return {"model_type": "qwen2_5_vl_text", **{key: raw.pop(key) for key in list(raw) if key not in NOT_OF_THE_TEXT}}


def _refuse(path: Path, base: Json) -> None:
    if base.get("model_type") == MODEL_TYPE:
        raise RecordError(path, "model_type", "is a Sa2VA already, no base model", "use it as it is")
    if base.get("model_type") == "internvl":
        raise RecordError(
            path,
            "model_type",
            "is an InternVL in transformers' own layout",
            "take the original one, whose name does not end in -hf: OpenGVLab/InternVL3-2B, for example",
        )


def _names(family: str) -> Json:
    suffix, module = ("", "modeling_sa2va_chat") if family == InternVL.family else ("Qwen", "modeling_sa2va_qwen")
    model = f"Sa2VAChatModel{suffix}"
    return {
        "architectures": [model],
        "auto_map": {
            "AutoConfig": f"configuration_sa2va_chat.Sa2VAChatConfig{suffix}",
            "AutoModel": f"{module}.{model}",
            "AutoModelForCausalLM": f"{module}.{model}",
        },
        "model_type": MODEL_TYPE,
    }


def _template(language_class: str) -> str:
    return TEMPLATES.get(language_class, "qwen_chat")


def _ours(fixed: FixedSizes) -> Json:
    """Nothing where all is as released, so that such a file is the official one to the letter."""
    differing = fixed.model_dump(mode="json", exclude_defaults=True)
    return {OURS: differing} if differing else {}


def _plain(raw: Json) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(raw))
    return plain


def _language(shape: LanguageShape, rows: int, tokenizer: Tokenizer, initializer_range: float) -> dict[str, Any]:
    return {
        "attention_dropout": 0.0,
        "bos_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "hidden_act": "silu",
        "hidden_size": shape.hidden_size,
        "initializer_range": initializer_range,
        "intermediate_size": shape.feedforward,
        "max_position_embeddings": shape.context_tokens,
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.kv_heads,
        "rms_norm_eps": shape.norm_eps,
        "rope_theta": shape.rope_theta,
        "use_cache": True,
        "vocab_size": rows,
    }


def _qwen(config: ModelConfig, rows: int, tokenizer: Tokenizer) -> Json:
    language, vision = config.language, config.vision
    text = _language(language, rows, tokenizer, config.begin.language_range)
    tower: dict[str, Any] = {
        "depth": vision.layers,
        "hidden_size": vision.hidden_size,
        "in_channels": 3,
        "initializer_range": config.begin.vision_range,
        "intermediate_size": vision.feedforward,
        "num_heads": vision.heads,
        "out_hidden_size": language.hidden_size,
        "patch_size": vision.patch_px,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    }
    of_text, of_tower = (_qwen3 if config.family == "Qwen3-VL" else _qwen25)(config)
    return {
        **_names(config.family),
        "template": "qwen_chat",
        "text_config": {**text, **of_text},
        "tie_word_embeddings": False,
        "transformers_version": WRITTEN_FOR,
        "vision_config": {**tower, **of_tower},
        **{key: tokenizer.convert_tokens_to_ids(token) for key, token in QWEN_TOKENS.items()},
    }


def _qwen3(config: ModelConfig) -> tuple[Json, Json]:
    """Keys of Qwen3-VL alone: of its language model, and of its vision tower."""
    half = config.language.width_of_head // 2
    sides = half * 5 // 16  # time, height and width get 24, 20 and 20 of 64, as released
    sections = {"mrope_section": [half - 2 * sides, sides, sides], "mrope_interleaved": True}
    return {
        "model_type": "qwen3_vl_text",
        "attention_bias": False,
        "head_dim": config.language.width_of_head,
        "rope_scaling": {"rope_type": "default", **sections},
    }, {
        "model_type": "qwen3_vl",
        "hidden_act": "gelu_pytorch_tanh",
        "num_position_embeddings": config.vision.positions,
        "deepstack_visual_indexes": list(config.vision.deepstack),
    }


def _qwen25(config: ModelConfig) -> tuple[Json, Json]:
    """Keys of Qwen2.5-VL alone: of its language model, and of its vision tower."""
    half = config.language.width_of_head // 2
    sides = half * 3 // 8  # time, height and width get 16, 24 and 24 of 64, as released
    return {
        "model_type": "qwen2_5_vl_text",
        "use_sliding_window": False,
        "rope_scaling": {"rope_type": "default", "mrope_section": [half - 2 * sides, sides, sides]},
    }, {
        "model_type": "qwen2_5_vl",
        "hidden_act": "silu",
        "window_size": config.vision.window_px,
        "fullatt_block_indexes": list(config.vision.full_attention),
        "tokens_per_second": 2,
    }


def _internvl(config: ModelConfig, rows: int, tokenizer: Tokenizer) -> Json:
    language, vision = config.language, config.vision
    name = LANGUAGE_CLASSES[language.kind]
    text = _language(language, rows, tokenizer, config.begin.language_range)
    text |= {"architectures": [name], "model_type": language.kind, "rope_scaling": None}
    text |= _of_kind(language, tokenizer)
    return {
        **_names(config.family),
        "downsample_ratio": 0.5,
        "dynamic_image_size": True,
        "force_image_size": vision.tile_px,
        "hidden_size": language.hidden_size,
        "llm_config": text,
        "max_dynamic_patch": vision.most_tiles,
        "min_dynamic_patch": 1,
        "output_attentions": False,
        "pad2square": False,
        "ps_version": "v2",
        "select_layer": -1,
        "template": _template(name),
        "tie_word_embeddings": False,
        "transformers_version": None,
        "use_backbone_lora": 0,
        "use_llm_lora": 0,
        "use_thumbnail": True,
        "vision_config": _intern_vit(vision, config.begin.vision_range),
    }


def _intern_vit(vision: VisionShape, initializer_range: float) -> Json:
    return {
        "architectures": ["InternVisionModel"],  # without it, the released code takes its own defaults for all
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


def _of_kind(language: LanguageShape, tokenizer: Tokenizer) -> Mapping[str, Any]:
    """Keys of one kind of language model."""
    head = {"head_dim": language.width_of_head} if language.head_dim or language.kind == "qwen3" else {}
    if language.kind == "internlm2":
        return {"bias": False, **head}
    if language.kind == "phi3":  # its own padding token lies outside a smaller vocabulary
        return {"pad_token_id": tokenizer.pad_token_id, "sliding_window": None, **head}
    if language.kind == "qwen2":
        kinds = {"layer_types": ["full_attention"] * language.layers, "max_window_layers": language.layers}
        return {"sliding_window": None, "use_sliding_window": False, **kinds, **head}
    return {"attention_bias": False, **head}
