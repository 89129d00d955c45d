"""Write config.json in the layout of the released code: from sizes, or from a base model that becomes a Sa2VA."""

import json
from pathlib import Path
from typing import Any

from refsav.errors import RecordError
from refsav.model.checkpoints.architecture import OURS, FixedSizes, family_of
from refsav.model.creation.model_sizes import ModelConfig
from refsav.model.families import registry
from refsav.model.families.family import Family, Json
from refsav.model.families.mllm import Tokenizer
from refsav.model.input_errors import InputError

MODEL_TYPE = "sa2va_chat"


def official_config(config: ModelConfig, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the config.json of a model with random weights.

    Raises:
        InputError: If the tokenizer has more tokens than the embedding has rows.
    """
    rows = config.language.vocabulary or len(tokenizer)
    if rows < len(tokenizer):
        raise InputError(
            f"language.vocabulary is {rows}, but the tokenizer has {len(tokenizer)} tokens",
            "set it to 0 to use the number of tokens, or reduce tokenizer_size",
        )
    laid_out = config.entry.config_of(config.mllm, rows, tokenizer)
    fixed = FixedSizes(sam2=config.sam2, shown_pixels=config.shown_pixels)
    return _plain({**_names(config.entry), **laid_out, **_ours(fixed)})


def as_sa2va(path: Path, base: Json, tokens: int, fixed: FixedSizes) -> dict[str, Any]:
    """Convert a base model's config.json to that of a Sa2VA.

    Args:
        path: The base model's config.json, for messages.
        base: Its content.
        tokens: Number of rows of the embedding.
        fixed: Sizes that are constants in the official code.

    Raises:
        RecordError: If the family or the layout is not supported.
    """
    _refuse(path, base)
    family = family_of(path, base)
    raw = family.sa2va_config({**base, **_names(family), "tie_word_embeddings": False}, tokens)
    return _plain({**raw, **_ours(fixed)})


def template_of(config: ModelConfig) -> str:
    """Return the name of the conversation template of a model of these sizes."""
    return config.entry.template(config.language)


def is_tied(base: Json) -> bool:
    """Return whether a base model's output layer shares the weights of its embedding."""
    keys = {family.language_key for family in registry.FAMILIES.values()}
    return any(section.get("tie_word_embeddings") for section in (base, *(base.get(key) or {} for key in keys)))


def _refuse(path: Path, base: Json) -> None:
    if base.get("model_type") == MODEL_TYPE:
        raise RecordError(path, "model_type", "is already a Sa2VA, not a base model", "use it without conversion")
    for family in registry.FAMILIES.values():
        if refused := family.refuse_base(base):
            raise RecordError(path, "model_type", *refused)


def _names(family: Family) -> Json:
    model = f"Sa2VAChatModel{family.released_suffix}"
    return {
        "architectures": [model],
        "auto_map": {
            "AutoConfig": f"configuration_sa2va_chat.Sa2VAChatConfig{family.released_suffix}",
            "AutoModel": f"{family.released_module}.{model}",
            "AutoModelForCausalLM": f"{family.released_module}.{model}",
        },
        "model_type": MODEL_TYPE,
    }


def _ours(fixed: FixedSizes) -> Json:
    """Return the sizes that differ from the released ones; if none does, the file equals the official one."""
    differing = fixed.model_dump(mode="json", exclude_defaults=True)
    return {OURS: differing} if differing else {}


def _plain(raw: Json) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(raw))
    return plain
