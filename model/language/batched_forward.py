"""Run rows of tokens through the language model in one padded batch; a shared prefix runs once.

Tensors: B rows, S shared tokens, R other tokens of a row, A axes of rotary positions, width H of hidden states.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache

from refsav.model.families.mllm import Mllm
from refsav.model.families.vision import VisionFeatures
from refsav.model.input_errors import InputError


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of tokens, padded on the left. A prefix that all rows share is separate and runs once."""

    shared: list[int]
    """The S tokens that all rows start with."""
    rests: Tensor
    """int64 [B, R], the other tokens of each row, padded on the left."""
    real: Tensor
    """bool [B, R], False at padding."""
    positions: Tensor
    """int64 [A, B, S + R], rotary positions."""
    next_positions: Tensor
    """int64 [A, B], rotary positions of the next token."""


def pad(mllm: Mllm, features: Sequence[VisionFeatures], rows: Sequence[list[int]], *, share: bool = True) -> Batch:
    """Combine rows of token ids into a padded batch.

    Args:
        mllm: The language model's adapter.
        features: Vision features of each row, one for each placeholder token.
        rows: Token ids.
        share: Whether rows about the same frames may share a prefix; this needs a cache.

    Raises:
        InputError: If a row does not have one placeholder for each image feature.
    """
    for row, one in zip(rows, features, strict=True):
        count = row.count(mllm.placeholder_id)
        if count != len(one.rows):
            raise InputError(
                f"the prompt has {count} placeholders for {len(one.rows)} image features",
                "remove tokens that stand for images from the text",
            )
    shared = _shared(mllm, rows) if share and all(one is features[0] for one in features) else []
    rests = [row[len(shared) :] for row in rows]
    width = max(map(len, rests))
    tokens = torch.tensor([[mllm.stop_ids[0]] * (width - len(rest)) + rest for rest in rests])
    real = torch.tensor([[False] * (width - len(rest)) + [True] * len(rest) for rest in rests])
    positions = [mllm.positions(row, one) for row, one in zip(rows, features, strict=True)]
    start = len(shared)
    padded = torch.stack(
        [
            torch.cat([found[:, :start], found.new_zeros(len(found), width - len(rest)), found[:, start:]], dim=1)
            for found, rest in zip(positions, rests, strict=True)
        ],
        dim=1,
    )
    following = torch.stack([found.max().expand(len(found)) + 1 for found in positions], dim=1)
    return Batch(shared, tokens, real, padded, following)


def _shared(mllm: Mllm, rows: Sequence[list[int]]) -> list[int]:
    """Return the tokens up to the last image's if all prompts start with them; empty for a single prompt."""
    if len(rows) == 1 or mllm.placeholder_id not in rows[0]:
        return []
    first = rows[0]
    end = len(first) - first[::-1].index(mllm.placeholder_id)
    if any(row[:end] != first[:end] for row in rows) or not set(mllm.seg_ids).isdisjoint(first[:end]):
        return []
    return first[:end]


def run_batch(
    mllm: Mllm, features: Sequence[VisionFeatures], batch: Batch, cache: DynamicCache | None, seen: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """Run the decoder on a batch; gradients flow if they are enabled.

    Args:
        mllm: The language model's adapter.
        features: Vision features of each row, one for each placeholder token.
        batch: Result of `pad`.
        cache: An empty cache, which receives keys and values. None if the rows share no prefix and no generation
            follows.
        seen: The list that `seg_states_of` fills.

    Returns:
        For the tokens after the shared prefix: normalized hidden states [B, R, H], and the states [B, R, H] that
        `[SEG]` states are taken from.
    """
    start, device = len(batch.shared), mllm.device
    if start and cache is not None:
        ids = torch.tensor([batch.shared], device=device)
        placeholders = ids == mllm.placeholder_id
        embeddings = _filled(mllm.embed(ids), placeholders, features[0])
        attend = torch.ones_like(ids)
        mllm.run(embeddings, batch.positions[:, :1, :start].to(device), attend, cache, placeholders, features[0])
        cache.batch_repeat_interleave(len(batch.rests))
    ids, real = batch.rests.to(device), batch.real.to(device)
    embeddings = mllm.embed(ids)
    placeholders = (ids == mllm.placeholder_id) & real
    remaining = None if start else _joined(features)
    if remaining is not None:
        embeddings = _filled(embeddings, placeholders, remaining)
    attend = torch.cat([real.new_ones(len(real), start), real], dim=1).long()
    seen.clear()
    states = mllm.run(embeddings, batch.positions[:, :, start:].to(device), attend, cache, placeholders, remaining)
    return states, seen[-1] if seen else states


def _filled(embeddings: Tensor, placeholders: Tensor, features: VisionFeatures) -> Tensor:
    """Return embeddings [B, L, H] with image features at the placeholders; a copy, for autograd."""
    return embeddings.index_put((placeholders,), features.rows.to(embeddings))


def _joined(features: Sequence[VisionFeatures]) -> VisionFeatures:
    if len(features) == 1:
        return features[0]
    return VisionFeatures(
        tokens_per_frame=tuple(count for one in features for count in one.tokens_per_frame),
        grids=torch.cat([one.grids for one in features]),
        rows=torch.cat([one.rows for one in features]),
        deepstack=tuple(torch.cat(rows) for rows in zip(*(one.deepstack for one in features), strict=True)),
    )


def seg_states_in(mllm: Mllm, row: Sequence[int], prompt_length: int, states: Tensor) -> list[Tensor]:
    """Return the states [H] at the `[SEG]` tokens of a row.

    Args:
        mllm: The language model's adapter.
        row: All token ids of the row.
        prompt_length: Number of tokens before the answer.
        states: [R, H], states of the row's last R tokens (`run_batch`).
    """
    first = 0 if mllm.seg_in_prompt else prompt_length
    offset = states.shape[0] - len(row)
    return [states[offset + index] for index in range(first, len(row)) if row[index] in mllm.seg_ids]


@contextmanager
def seg_states_of(mllm: Mllm) -> Iterator[list[Tensor]]:
    """Collect the inputs [B, R, H] of the last normalization, if the family takes `[SEG]` states from there."""
    seen: list[Tensor] = []
    if not mllm.seg_state_before_norm:
        yield seen
        return
    hook = mllm.language_model.norm.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    try:
        yield seen
    finally:
        hook.remove()
