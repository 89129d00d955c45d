"""Prompts through the language model: greedy answers or given ones, and the hidden state at every `[SEG]`."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache

from refsav.model.families.mllm import Mllm, Sight
from refsav.model.input_errors import InputError
from refsav.model.language.batched_forward import Batch, pad, read, seg_states_in, seg_states_of
from refsav.processes.cancellation import look


@dataclass(frozen=True, slots=True)
class Answer:
    """What the language model said to one prompt."""

    ids: tuple[int, ...]
    """Tokens of the answer, with the one that ends it if it came to that."""
    seg_states: Tensor
    """[n, H], hidden states at the `[SEG]` tokens in order of appearance."""
    complete: bool
    """False if it was cut off at the limit of new tokens."""


@torch.inference_mode()
def answer(
    mllm: Mllm,
    sight: Sight,
    prompts: Sequence[Sequence[int]],
    *,
    given: Sequence[Sequence[int]] | None = None,
    dictated: Sequence[int] = (),
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
        dictated: Tokens that generation takes, one step each, whatever the model would say: for measuring time.
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
    sights = [sight] * len(rows)
    batch = pad(mllm, sights, rows)
    cache = DynamicCache(config=mllm.text_config)
    with seg_states_of(mllm) as seen:
        normalized, states = read(mllm, sights, batch, cache, seen)
    found = [
        seg_states_in(mllm, row, len(prompt), states[i])
        for i, (row, prompt) in enumerate(zip(rows, begun, strict=True))
    ]
    if given is not None:
        return [Answer(tuple(given[i]), _stacked(found[i], states), True) for i in range(len(rows))]
    return _generate(mllm, batch, cache, normalized[:, -1], found, min(new_tokens, room), dictated)


def _generate(
    mllm: Mllm,
    batch: Batch,
    cache: DynamicCache,
    last: Tensor,
    found: list[list[Tensor]],
    limit: int,
    dictated: Sequence[int],
) -> list[Answer]:
    device, count = mllm.device, len(last)
    attend = torch.cat([batch.real.new_ones(count, len(batch.shared)), batch.real], dim=1).long().to(device)
    following = batch.next_positions.to(device)
    nowhere = torch.zeros(count, 1, dtype=torch.bool, device=device)
    said: list[list[int]] = [[] for _ in range(count)]
    ended = [False] * count
    with seg_states_of(mllm) as seen:
        for step in range(limit):
            look()
            tokens = mllm.logits(last).argmax(dim=-1)
            if step < len(dictated):
                tokens = torch.full_like(tokens, dictated[step])
            for i, token in enumerate(tokens.tolist()):
                if not ended[i]:
                    said[i].append(token)
                    ended[i] = mllm.ended(said[i])
            if all(ended) or step == limit - 1:
                break
            attend = torch.cat([attend, attend.new_ones(count, 1)], dim=1)
            seen.clear()
            states = mllm.run(mllm.embed(tokens[:, None]), following[:, :, None], attend, cache, nowhere, None)
            last, following = states[:, -1], following + 1
            rows = seen[-1] if seen else states
            for i, token in enumerate(tokens.tolist()):
                if token in mllm.seg_ids and not ended[i]:
                    found[i].append(rows[i, -1])
    return [Answer(tuple(said[i]), _stacked(found[i], last), ended[i]) for i in range(count)]


def _stacked(rows: list[Tensor], like: Tensor) -> Tensor:
    return torch.stack(rows) if rows else like.new_empty(0, like.shape[-1])
