"""Run prompts through the language model: greedy or given answers, and the hidden state at every `[SEG]`.

Source: Sa2VA, section 3.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache

from refsav.model.families.mllm import Mllm
from refsav.model.families.vision import VisionFeatures
from refsav.model.input_errors import InputError
from refsav.model.language.batched_forward import Batch, pad, run_batch, seg_states_in, seg_states_of
from refsav.processes.cancellation import look


@dataclass(frozen=True, slots=True)
class GeneratedAnswer:
    """The language model's answer to one prompt."""

    ids: tuple[int, ...]
    """Tokens of the answer, with the one that ends it if the answer is complete."""
    seg_states: Tensor
    """[n, H], hidden states at the `[SEG]` tokens in order of appearance."""
    complete: bool
    """False if the answer was cut off at the limit of new tokens."""


@torch.inference_mode()
def answer(
    mllm: Mllm,
    features: VisionFeatures,
    prompts: Sequence[Sequence[int]],
    *,
    given: Sequence[Sequence[int]] | None = None,
    dictated: Sequence[int] = (),
    new_tokens: int = 2048,
) -> list[GeneratedAnswer]:
    """GeneratedAnswer several prompts about the same frames in one batch.

    Most tokens of a prompt are those of the frames, which come first. The tokens that all prompts share run once, and
    their keys and values are repeated for all rows. The rest is padded on the left.

    Args:
        mllm: The language model's adapter.
        features: The frames' features.
        prompts: Token ids of each prompt, up to where the answer starts.
        given: Answers to use instead of generating them, one per prompt, each with the token that ends the turn.
        dictated: Tokens that replace the generated ones, one per step, for measuring speed.
        new_tokens: Largest number of tokens to generate. A `[SEG]` that is the last generated token has no hidden
            state yet; it is left out, as in the released code.

    Raises:
        InputError: If a prompt and its answer are longer than the model's context.
        StoppedError: If this thread is cancelled, between two tokens.
    """
    starts = [list(prompt) for prompt in prompts]
    rows = [[*prompt, *reply] for prompt, reply in zip(starts, given, strict=True)] if given is not None else starts
    room = mllm.context_tokens - max(map(len, rows))
    if room < (0 if given is not None else 1):
        raise InputError(
            f"the prompt has {max(map(len, rows))} tokens, the model's context {mllm.context_tokens}",
            "show fewer key frames, or shorten the text",
        )
    of_rows = [features] * len(rows)
    batch = pad(mllm, of_rows, rows)
    cache = DynamicCache(config=mllm.text_config)
    with seg_states_of(mllm) as seen:
        normalized, states = run_batch(mllm, of_rows, batch, cache, seen)
    found = [
        seg_states_in(mllm, row, len(prompt), states[i])
        for i, (row, prompt) in enumerate(zip(rows, starts, strict=True))
    ]
    if given is not None:
        return [GeneratedAnswer(tuple(given[i]), _stacked(found[i], states), True) for i in range(len(rows))]
    return _generate(mllm, batch, cache, normalized[:, -1], found, min(new_tokens, room), dictated)


def _generate(
    mllm: Mllm,
    batch: Batch,
    cache: DynamicCache,
    last: Tensor,
    found: list[list[Tensor]],
    limit: int,
    dictated: Sequence[int],
) -> list[GeneratedAnswer]:
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
    return [GeneratedAnswer(tuple(said[i]), _stacked(found[i], last), ended[i]) for i in range(count)]


def _stacked(rows: list[Tensor], like: Tensor) -> Tensor:
    return torch.stack(rows) if rows else like.new_empty(0, like.shape[-1])
