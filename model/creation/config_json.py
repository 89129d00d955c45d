"""config.json as the released code lays it out: from sizes, and from a base model that becomes a Sa2VA."""

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
    """Lay out the sizes of a model with random weights.

    Raises:
        InputError: If the tokenizer has more tokens than the embedding rows.
    """
    rows = config.language.vocabulary or len(tokenizer)
    if rows < len(tokenizer):
        raise InputError(
            f"language.vocabulary is {rows}, but the tokenizer has {len(tokenizer)} tokens",
            "set it to 0, which is as many as there are, or make tokenizer_size smaller",
        )
    laid_out = config.entry.config_of(config.mllm, rows, tokenizer)
    fixed = FixedSizes(sam2=config.sam2, shown_pixels=config.shown_pixels)
    return _plain({**_names(config.entry), **laid_out, **_ours(fixed)})


def as_sa2va(path: Path, base: Json, tokens: int, fixed: FixedSizes) -> dict[str, Any]:
    """Turn a base model's config.json into a Sa2VA's whose embedding has a row for each of `tokens`.

    Raises:
        RecordError: If it is of a family or a layout that is not supported.
    """
    _refuse(path, base)
    family = family_of(path, base)
    raw = family.sa2va_config({**base, **_names(family), "tie_word_embeddings": False}, tokens)
    return _plain({**raw, **_ours(fixed)})


def template_of(config: ModelConfig) -> str:
    """Return the name of the conversation template that a model of these sizes uses."""
    return config.entry.template(config.language)


def is_tied(base: Json) -> bool:
    """Return whether a base model's output layer is its embedding, and is not stored."""
    keys = {family.language_key for family in registry.FAMILIES.values()}
    return any(part.get("tie_word_embeddings") for part in (base, *(base.get(key) or {} for key in keys)))


def _refuse(path: Path, base: Json) -> None:
    if base.get("model_type") == MODEL_TYPE:
        raise RecordError(path, "model_type", "is a Sa2VA already, no base model", "use it as it is")
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
    """Return nothing where all sizes are the released ones, so that such a file equals the official one."""
    differing = fixed.model_dump(mode="json", exclude_defaults=True)
    return {OURS: differing} if differing else {}


def _plain(raw: Json) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(raw))
    return plain
