"""Prompts through the language model: greedy answers or given ones, and the hidden state at every `[SEG]`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache

from refsav.model.errors import InputError
from refsav.model.mllm import Mllm, Sight
from refsav.stopping import look


@dataclass(frozen=True, slots=True)
class Answer:
    """What the language model said to one prompt."""

    ids: tuple[int, ...]
    """Tokens of the answer, with the one that ends it if it came to that."""
    seg_states: Tensor
    """[n, H], hidden states at the `[SEG]` tokens in order of appearance."""
    complete: bool
    """False if it was cut off at the limit of new tokens."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """Prompts of one sight, padded on the left; the tokens that all share stand apart and are run once."""

    shared: list[int]
    rests: Tensor
    """int64 [B, R], padded on the left."""
    real: Tensor
    """bool [B, R]."""
    positions: Tensor
    """int64 [A, B, S + R]."""
    next_positions: Tensor
    """int64 [A, B]."""


@torch.inference_mode()
def answer(
    mllm: Mllm,
    sight: Sight,
    prompts: Sequence[Sequence[int]],
    *,
    given: Sequence[Sequence[int]] | None = None,
    new_tokens: int = 2048,
) -> list[Answer]:
    """Answer prompts about the same frames together.

    The frames' tokens come first in every prompt and are most of it: what the prompts share is run once, and its
    keys and values serve all. The rest is padded on the left.

    Args:
        mllm: The language model's adapter.
        sight: What it saw.
        prompts: Token ids, up to where the answer begins.
        given: Answers to take instead of generating them, one a prompt; each ends with the token that ends a turn.
        new_tokens: Most tokens to generate; the state at a `[SEG]` that is the very last one is not known, and it
            is left out as in the released code.

    Raises:
        InputError: If a prompt with its answer is longer than the model's context.
        StoppedError: If this thread is to end, between two tokens.
    """
    begun = [list(prompt) for prompt in prompts]
    rows = [[*prompt, *reply] for prompt, reply in zip(begun, given, strict=True)] if given is not None else begun
    room = mllm.context_tokens - max(map(len, rows))
    if room < (0 if given is not None else 1):
        raise InputError(
            f"the prompt has {max(map(len, rows))} tokens, the model's context {mllm.context_tokens}",
            "show fewer key frames, or shorten the text",
        )
    batch = _pad(mllm, sight, rows)
    cache = DynamicCache(config=mllm.text_config)
    with _seg_states_of(mllm) as seen:
        last, states = _read(mllm, sight, batch, cache, seen)
    found = [
        _states_in(mllm, row, len(prompt), states[i]) for i, (row, prompt) in enumerate(zip(rows, begun, strict=True))
    ]
    if given is not None:
        return [Answer(tuple(given[i]), _stacked(found[i], states), True) for i in range(len(rows))]
    return _generate(mllm, batch, cache, last, found, min(new_tokens, room))


def _pad(mllm: Mllm, sight: Sight, rows: Sequence[list[int]]) -> _Batch:
    for row in rows:
        places = row.count(mllm.placeholder_id)
        if places != len(sight.rows):
            raise InputError(
                f"the prompt has places for {places} rows of image features, not {len(sight.rows)}",
                "take tokens that stand for images out of the text",
            )
    shared = _shared(mllm, rows)
    rests = [row[len(shared) :] for row in rows]
    width = max(map(len, rests))
    tokens = torch.tensor([[mllm.stop_ids[0]] * (width - len(rest)) + rest for rest in rests])
    real = torch.tensor([[False] * (width - len(rest)) + [True] * len(rest) for rest in rests])
    positions = [mllm.positions(row, sight) for row in rows]
    start = len(shared)
    padded = torch.stack(
        [
            torch.cat([found[:, :start], found.new_zeros(len(found), width - len(rest)), found[:, start:]], dim=1)
            for found, rest in zip(positions, rests, strict=True)
        ],
        dim=1,
    )
    following = torch.stack([found.max().expand(len(found)) + 1 for found in positions], dim=1)
    return _Batch(shared, tokens, real, padded, following)


def _shared(mllm: Mllm, rows: Sequence[list[int]]) -> list[int]:
    """The tokens that all prompts begin with, through the last image's: none if there is but one prompt."""
    if len(rows) == 1 or mllm.placeholder_id not in rows[0]:
        return []
    first = rows[0]
    end = len(first) - first[::-1].index(mllm.placeholder_id)
    if any(row[:end] != first[:end] for row in rows) or mllm.seg_id in first[:end]:
        return []
    return first[:end]


def _read(mllm: Mllm, sight: Sight, batch: _Batch, cache: DynamicCache, seen: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Run the prompts; returns normalized states at the last token [B, H] and states for `[SEG]` [B, R, H]."""
    start, device = len(batch.shared), mllm.device
    count = len(batch.rests)
    if start:
        ids = torch.tensor([batch.shared], device=device)
        places = ids == mllm.placeholder_id
        embeddings = mllm.embed(ids)
        embeddings[places] = sight.rows.to(embeddings)
        whole = torch.ones_like(ids)
        mllm.run(embeddings, batch.positions[:, :1, :start].to(device), whole, cache, places, sight)
        cache.batch_repeat_interleave(count)
    ids, real = batch.rests.to(device), batch.real.to(device)
    embeddings = mllm.embed(ids)
    places = (ids == mllm.placeholder_id) & real
    remaining = None if start else sight
    if remaining is not None:
        embeddings[places] = sight.rows.repeat(count, 1).to(embeddings)
        remaining = _repeated(sight, count)
    attend = torch.cat([real.new_ones(count, start), real], dim=1).long()
    seen.clear()
    states = mllm.run(embeddings, batch.positions[:, :, start:].to(device), attend, cache, places, remaining)
    return states[:, -1], seen[-1] if seen else states


def _repeated(sight: Sight, count: int) -> Sight:
    if count == 1:
        return sight
    deep = tuple(rows.repeat(count, 1) for rows in sight.deepstack)
    return Sight(sight.rows.repeat(count, 1), deep, sight.tokens_per_frame, sight.grids, sight.cells_per_region)


def _states_in(mllm: Mllm, row: Sequence[int], prompt_length: int, states: Tensor) -> list[Tensor]:
    """States at the `[SEG]`s of a row whose states [R, H] are known from the end of the shared tokens on."""
    first = 0 if mllm.seg_in_prompt else prompt_length
    offset = states.shape[0] - len(row)
    return [states[offset + place] for place in range(first, len(row)) if row[place] == mllm.seg_id]


def _generate(
    mllm: Mllm, batch: _Batch, cache: DynamicCache, last: Tensor, found: list[list[Tensor]], limit: int
) -> list[Answer]:
    device, count = mllm.device, len(last)
    attend = torch.cat([batch.real.new_ones(count, len(batch.shared)), batch.real], dim=1).long().to(device)
    following = batch.next_positions.to(device)
    nowhere = torch.zeros(count, 1, dtype=torch.bool, device=device)
    said: list[list[int]] = [[] for _ in range(count)]
    ended = [False] * count
    with _seg_states_of(mllm) as seen:
        for step in range(limit):
            look()
            tokens = mllm.logits(last).argmax(dim=-1)
            for i, token in enumerate(tokens.tolist()):
                if not ended[i]:
                    said[i].append(token)
                    ended[i] = token in mllm.stop_ids
            if all(ended) or step == limit - 1:
                break
            attend = torch.cat([attend, attend.new_ones(count, 1)], dim=1)
            seen.clear()
            states = mllm.run(mllm.embed(tokens[:, None]), following[:, :, None], attend, cache, nowhere, None)
            last, following = states[:, -1], following + 1
            rows = seen[-1] if seen else states
            for i, token in enumerate(tokens.tolist()):
                if token == mllm.seg_id and not ended[i]:
                    found[i].append(rows[i, -1])
    return [Answer(tuple(said[i]), _stacked(found[i], last), ended[i]) for i in range(count)]


def _stacked(rows: list[Tensor], like: Tensor) -> Tensor:
    return torch.stack(rows) if rows else like.new_empty(0, like.shape[-1])


@contextmanager
def _seg_states_of(mllm: Mllm) -> Iterator[list[Tensor]]:
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
