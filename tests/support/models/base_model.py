"""Tiny base models and a tiny SAM-2, laid out on disk as their makers publish the large ones."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from refsav.model.checkpoints.architecture import Architecture
from refsav.model.checkpoints.key_names import KeyMap
from refsav.model.creation.config_json import official_config, template_of
from refsav.model.creation.create import seeded
from refsav.model.creation.model_sizes import ModelConfig
from refsav.model.creation.tokenizers import tokenizer_files, train_tokenizer, usual_texts
from refsav.model.families.internvl_keys import Heads, internvl_rules
from refsav.model.sam.config import Sam2Config
from refsav.model.sam.grounding import Sam2

CONFIGS = Path(__file__).parents[3] / "configs/models"
SAM2 = ModelConfig.from_toml(CONFIGS / "pocket.toml").sam2

PADDED_ROWS = 512
"""Rows of the embeddings: more than there are tokens, as in released files."""


def write_base(folder: Path, name: str, *, tied: bool = False, old: bool = False, kind: str = "qwen2") -> nn.Module:
    """Write a base model of a pocket size; returns the model.

    Args:
        folder: Made.
        name: Of a file in configs/models.
        tied: Whether the output layer is the embedding.
        old: Whether names and configuration of a Qwen are laid out as by transformers before 4.52.
        kind: Kind of language model of an InternVL.
    """
    config = ModelConfig.from_toml(CONFIGS / f"{name}.toml")
    language = {"vocabulary": PADDED_ROWS} | ({"kind": kind} if config.family == "InternVL" else {})
    config = config.model_copy(update={"language": config.language.model_copy(update=language)})
    tokenizer = train_tokenizer(usual_texts(), 400, template=template_of(config), added=())
    raw = official_config(config, tokenizer)
    with seeded(1, torch.device("cpu")):
        model = Architecture.of(Path("config.json"), raw).build_mllm()
    folder.mkdir(parents=True)
    for file, content in tokenizer_files(tokenizer).items():
        (folder / file).write_bytes(content)
    (folder / "README.md").write_text("a card")
    (folder / "modeling.py").write_text("raise SystemExit")
    (folder / "LICENSE").write_text("the base model's terms")
    if config.family == "InternVL":
        _write_internvl(folder, raw, model, kind)
    else:
        _write_qwen(folder, raw, model, tied=tied, old=old)
    return model


def _write_internvl(folder: Path, raw: Mapping[str, Any], model: nn.Module, kind: str) -> None:
    state = {f"mllm.{name}": tensor for name, tensor in model.state_dict().items()}
    keys = KeyMap.base(internvl_rules(Heads(queries=4, keys=2) if kind == "internlm2" else None))
    save_file({key: tensor.contiguous().clone() for key, tensor in keys.outward(state)}, folder / "model.safetensors")
    theirs = {"architectures": ["InternVLChatModel"], "auto_map": {}, "model_type": "internvl_chat"}
    language = {**raw["llm_config"], "attn_implementation": "flash_attention_2", "torch_dtype": "bfloat16"}
    rewrite_config(folder, {**raw, **theirs, "template": "internvl2_5", "llm_config": language})


def _write_qwen(folder: Path, raw: Mapping[str, Any], model: Any, *, tied: bool, old: bool) -> None:
    if tied:
        model.lm_head.weight = model.model.language_model.embed_tokens.weight
        model.config.tie_word_embeddings = model.config.text_config.tie_word_embeddings = True
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text('{"patch_size": 14}')
    if not old:
        return
    path = folder / "model.safetensors"
    state = {name.replace("model.visual.", "visual."): tensor for name, tensor in load_file(path).items()}
    save_file({name.replace("model.language_model.", "model."): t for name, t in state.items()}, path)
    flat = {key: value for key, value in raw["text_config"].items() if key not in ("model_type", "layer_types")}
    upper = {key: value for key, value in raw.items() if key not in ("text_config", "refsav", "auto_map", "template")}
    theirs = {"architectures": ["Qwen2_5_VLForConditionalGeneration"], "model_type": "qwen2_5_vl"}
    rewrite_config(folder, {**flat, **upper, **theirs, "tie_word_embeddings": tied})


def rewrite_config(folder: Path, raw: Mapping[str, Any]) -> None:
    """Write config.json."""
    (folder / "config.json").write_text(json.dumps(raw))


def write_sam2(path: Path, config: Sam2Config = SAM2, **more: Tensor) -> dict[str, Tensor]:
    """Write a SAM-2 with Meta's names, and `more` tensors; returns its tensors."""
    with seeded(2, torch.device("cpu")):
        state = {name: tensor.contiguous().clone() for name, tensor in Sam2.build(config).state_dict().items()}
    if path.suffix == ".pt":
        torch.save({"model": {**state, **more}}, path)
    else:
        save_file({**state, **more}, path)
    return state
