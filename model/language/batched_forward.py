"""Rows of tokens through the language model together: padded, and what prompts about the same frames share run once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache

from refsav.model.families.mllm import Mllm, Sight
from refsav.model.input_errors import InputError


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of tokens, padded on the left; those that all rows about one sight share stand apart and are run once."""

    shared: list[int]
    rests: Tensor
    """int64 [B, R], padded on the left."""
    real: Tensor
    """bool [B, R]."""
    positions: Tensor
    """int64 [A, B, S + R]."""
    next_positions: Tensor
    """int64 [A, B]."""


def pad(mllm: Mllm, sights: Sequence[Sight], rows: Sequence[list[int]], *, share: bool = True) -> Batch:
    """Bring rows of token ids together.

    Args:
        mllm: The language model's adapter.
        sights: What each row's placeholders stand for.
        rows: Token ids.
        share: Whether what rows about one sight begin with may stand apart; not without a cache.

    Raises:
        InputError: If a row's placeholders are not as many as the rows of image features.
    """
    for row, sight in zip(rows, sights, strict=True):
        places = row.count(mllm.placeholder_id)
        if places != len(sight.rows):
            raise InputError(
                f"the prompt has places for {places} rows of image features, not {len(sight.rows)}",
                "take tokens that stand for images out of the text",
            )
    shared = _shared(mllm, rows) if share and all(sight is sights[0] for sight in sights) else []
    rests = [row[len(shared) :] for row in rows]
    width = max(map(len, rests))
    tokens = torch.tensor([[mllm.stop_ids[0]] * (width - len(rest)) + rest for rest in rests])
    real = torch.tensor([[False] * (width - len(rest)) + [True] * len(rest) for rest in rests])
    positions = [mllm.positions(row, sight) for row, sight in zip(rows, sights, strict=True)]
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
    """The tokens that all prompts begin with, through the last image's: none if there is but one prompt."""
    if len(rows) == 1 or mllm.placeholder_id not in rows[0]:
        return []
    first = rows[0]
    end = len(first) - first[::-1].index(mllm.placeholder_id)
    if any(row[:end] != first[:end] for row in rows) or not set(mllm.seg_ids).isdisjoint(first[:end]):
        return []
    return first[:end]


def read(
    mllm: Mllm, sights: Sequence[Sight], batch: Batch, cache: DynamicCache | None, seen: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """Run the decoder over a batch; gradients flow if they are on.

    Args:
        mllm: The language model's adapter.
        sights: What each row's placeholders stand for.
        batch: Of `pad`.
        cache: Empty; it holds all that was read afterwards. None if rows share nothing and nothing is to follow.
        seen: Of `seg_states_of`.

    Returns:
        Of what does not stand apart: normalized hidden states [B, R, H], and those to take `[SEG]` states from.
    """
    start, device = len(batch.shared), mllm.device
    if start and cache is not None:
        ids = torch.tensor([batch.shared], device=device)
        places = ids == mllm.placeholder_id
        embeddings = _filled(mllm.embed(ids), places, sights[0])
        whole = torch.ones_like(ids)
        mllm.run(embeddings, batch.positions[:, :1, :start].to(device), whole, cache, places, sights[0])
        cache.batch_repeat_interleave(len(batch.rests))
    ids, real = batch.rests.to(device), batch.real.to(device)
    embeddings = mllm.embed(ids)
    places = (ids == mllm.placeholder_id) & real
    remaining = None if start else _joined(sights)
    if remaining is not None:
        embeddings = _filled(embeddings, places, remaining)
    attend = torch.cat([real.new_ones(len(real), start), real], dim=1).long()
    seen.clear()
    states = mllm.run(embeddings, batch.positions[:, :, start:].to(device), attend, cache, places, remaining)
    return states, seen[-1] if seen else states


def _filled(embeddings: Tensor, places: Tensor, sight: Sight) -> Tensor:
    """Put what was seen in its places. Not into the embeddings themselves: training may watch those."""
    return embeddings.index_put((places,), sight.rows.to(embeddings))


def _joined(sights: Sequence[Sight]) -> Sight:
    if len(sights) == 1:
        return sights[0]
    return Sight(
        tokens_per_frame=tuple(count for sight in sights for count in sight.tokens_per_frame),
        grids=torch.cat([sight.grids for sight in sights]),
        rows=torch.cat([sight.rows for sight in sights]),
        deepstack=tuple(torch.cat(rows) for rows in zip(*(sight.deepstack for sight in sights), strict=True)),
    )


def seg_states_in(mllm: Mllm, row: Sequence[int], prompt_length: int, states: Tensor) -> list[Tensor]:
    """States at the `[SEG]`s of a row whose states [R, H] are known from the end of the shared tokens on."""
    first = 0 if mllm.seg_in_prompt else prompt_length
    offset = states.shape[0] - len(row)
    return [states[offset + place] for place in range(first, len(row)) if row[place] in mllm.seg_ids]


@contextmanager
def seg_states_of(mllm: Mllm) -> Iterator[list[Tensor]]:
    """Collects what goes into the last normalization, where that is what the weights were trained with."""
    seen: list[Tensor] = []
    if not mllm.seg_state_before_norm:
        yield seen
        return
    hook = mllm.language_model.norm.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    try:
        yield seen
    finally:
        hook.remove()
