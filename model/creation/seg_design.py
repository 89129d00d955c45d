"""Change the `[SEG]` design of a model before training: tokens, embeddings, config.json (Sa2VA, Table 12)."""

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
    """Set the `[SEG]` design of a model; the embeddings of new tokens are copies of that of `[SEG]`.

    Args:
        model: Changed in place, with its tokenizer and its config.json.
        design: The design to use.
        frames: Largest number of frames of a video, which is the number of tokens of `unique`; missing ones are added.

    Raises:
        ConfigError: If the model was trained with another design.
    """
    before = model.architecture.fixed.seg_token
    known = len(model.adapter.seg_ids) - 1 if design == before else 0
    new = frame_tokens(frames)[known:] if design == "unique" else ()
    if design == before and not new:
        return
    if before not in ("single", design):
        raise ConfigError(
            f"the model was trained with seg.design = {before!r}, not {design!r}",
            fix=f"set seg.design = {before!r}, or start from another model",
        )
    tokenizer = copy.deepcopy(model.adapter.tokenizer)  # other models may share it
    if new:
        add_tokens(tokenizer, new)
        _grow(model, [tokenizer.convert_tokens_to_ids(token) or 0 for token in new])
    raw = json.loads(json.dumps(model.architecture.raw))
    raw[OURS] = {**raw.get(OURS, {}), "seg_token": design}
    section = model.architecture.entry.language_key
    raw[section]["vocab_size"] = model.adapter.language_model.get_input_embeddings().num_embeddings
    content = {**model.assets.content, CONFIG: config_bytes(raw), **tokenizer_files(tokenizer)}
    fixed = model.architecture.fixed.model_copy(update={"seg_token": design})
    model.architecture = replace(model.architecture, raw=raw, fixed=fixed)
    model.attach_tokenizer(tokenizer, Assets(content))


@torch.no_grad()
def _grow(model: Sa2VA, ids: list[int]) -> None:
    """Add rows for tokens to the embedding [V, H] and the output layer [V, H], each a copy of the row of `[SEG]`."""
    mllm = model.adapter.model
    embedding = model.adapter.language_model.get_input_embeddings()
    if max(ids) >= embedding.num_embeddings:
        mllm.resize_token_embeddings(max(ids) + 1, mean_resizing=False)
    known = model.adapter.seg_id
    for table in (model.adapter.language_model.get_input_embeddings().weight, mllm.lm_head.weight):
        table[ids] = table[known].clone()
