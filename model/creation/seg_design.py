"""A model that is given another design of `[SEG]` than it came with: tokens, embeddings, config.json."""

import copy
import json
from dataclasses import replace

import torch

from refsav.errors import ConfigError
from refsav.model.checkpoints.architecture import OURS
from refsav.model.checkpoints.checkpoint import Assets
from refsav.model.creation.create import CONFIG, config_bytes
from refsav.model.creation.tokenizers import add_tokens, tokenizer_files
from refsav.model.families.seg_tokens import SegDesign, frame_tokens
from refsav.model.sa2va import Sa2VA


def adopt(model: Sa2VA, design: SegDesign, frames: int) -> None:
    """Let a model name objects of videos as a design has it; new tokens begin as `[SEG]` is.

    Args:
        model: Changed; it says it in its config.json from now on.
        design: As it is to be.
        frames: Most frames of a video: so many tokens `unique` needs; a model that has fewer gets more.

    Raises:
        ConfigError: If it was trained with another one.
    """
    before = model.architecture.fixed.seg_token
    known = len(model.adapter.seg_ids) - 1 if design == before else 0
    new = frame_tokens(frames)[known:] if design == "unique" else ()
    if design == before and not new:
        return
    if before not in ("single", design):
        told = f"the model was trained with seg.design = {before!r}, not {design!r}"
        raise ConfigError(f"{told}\n  fix: keep it, or take another model")
    tokenizer = copy.deepcopy(model.adapter.tokenizer)  # others may share it
    if new:
        add_tokens(tokenizer, new)
        _grow(model, [tokenizer.convert_tokens_to_ids(token) or 0 for token in new])
    raw = json.loads(json.dumps(model.architecture.raw))
    raw[OURS] = {**raw.get(OURS, {}), "seg_token": design}
    part = model.architecture.entry.language_key
    raw[part]["vocab_size"] = model.adapter.language_model.get_input_embeddings().num_embeddings
    content = {**model.assets.content, CONFIG: config_bytes(raw), **tokenizer_files(tokenizer)}
    fixed = model.architecture.fixed.model_copy(update={"seg_token": design})
    model.architecture = replace(model.architecture, raw=raw, fixed=fixed)
    model.attach_tokenizer(tokenizer, Assets(content))


@torch.no_grad()
def _grow(model: Sa2VA, ids: list[int]) -> None:
    """Give tokens rows in the embedding and the head, each the one of `[SEG]`."""
    mllm = model.adapter.model
    embedding = model.adapter.language_model.get_input_embeddings()
    if max(ids) >= embedding.num_embeddings:
        mllm.resize_token_embeddings(max(ids) + 1, mean_resizing=False)
    known = model.adapter.seg_id
    for table in (model.adapter.language_model.get_input_embeddings().weight, mllm.lm_head.weight):
        table[ids] = table[known].clone()
