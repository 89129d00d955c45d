"""One training step's forward pass: given answers through the language model, their `[SEG]`s into masks, the losses.

As the paper has it (section 3.2, "Sa2VA training"): text cross-entropy, and pixel cross-entropy with dice for masks.
Every frame is decoded on its own from the `[SEG]` embedding; SAM-2's memory takes no part.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor
from transformers import DynamicCache

from refsav.datasets.frames import Image
from refsav.model.reading import pad, read, seg_states_in, seg_states_of
from refsav.model.sa2va import Sa2VA


@dataclass(frozen=True, kw_only=True, slots=True)
class Lesson:
    """What is to be learnt from some frames of one image or video."""

    frames: tuple[Image, ...]
    """RGB [h, w, 3]; the language model sees all of them."""
    prompts: tuple[str, ...]
    answers: tuple[str, ...]
    masks: Tensor
    """bool [n, T, h, w], for every [SEG] of the answers in order."""


@dataclass(frozen=True, slots=True)
class Losses:
    """Parts of a step's loss, each a mean; not weighted yet."""

    text: Tensor
    """Cross-entropy of the answers' tokens."""
    pixels: Tensor
    """Binary cross-entropy of the mask logits."""
    dice: Tensor
    """1 - dice of the masks' probabilities."""


def teach(model: Sa2VA, lesson: Lesson) -> Losses:
    """Losses of one lesson, with gradients.

    Raises:
        InputError: If a prompt cannot be used.
        ValueError: If the answers have not as many [SEG]s as there are masks.
    """
    mllm = model.adapter
    sight = mllm.see(lesson.frames, ())
    begun = [mllm.write(prompt, sight) for prompt in lesson.prompts]
    given = [mllm.answer_ids(answer) for answer in lesson.answers]
    rows = [[*prompt, *answer] for prompt, answer in zip(begun, given, strict=True)]
    batch = pad(mllm, sight, rows)
    with seg_states_of(mllm) as seen:
        normalized, states = read(mllm, sight, batch, DynamicCache(config=mllm.text_config), seen)
    scores = torch.cat([mllm.logits(normalized[i, -len(answer) - 1 : -1]) for i, answer in enumerate(given)])
    wanted = torch.tensor([token for answer in given for token in answer], device=scores.device)
    segs = [
        state
        for i, (row, prompt) in enumerate(zip(rows, begun, strict=True))
        for state in seg_states_in(mllm, row, len(prompt), states[i])
    ]
    if len(segs) != len(lesson.masks):
        raise ValueError(f"the answers have {len(segs)} [SEG]s, there are masks for {len(lesson.masks)}")
    language = model.text_hidden_fcs(torch.stack(segs))
    logits = torch.stack(
        [model.sam2.decode(model.sam2.encode(frame), language).logits for frame in lesson.frames], dim=1
    )
    pixels, dice = mask_losses(logits[:, :, 0].flatten(0, 1), lesson.masks.to(logits.device).flatten(0, 1))
    return Losses(F.cross_entropy(scores.float(), wanted), pixels, dice)


def mask_losses(logits: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Pixel cross-entropy and dice loss, each a mean over masks.

    Args:
        logits: float [N, H, W].
        masks: bool [N, h, w], brought to the size of the logits by averaging.
    """
    wanted = F.interpolate(masks[:, None].float(), logits.shape[-2:], mode="area")[:, 0]
    pixels = F.binary_cross_entropy_with_logits(logits, wanted)
    chances = logits.sigmoid().flatten(1)
    wanted = wanted.flatten(1)
    overlap = 2 * (chances * wanted).sum(-1) + 1
    return pixels, (1 - overlap / (chances.sum(-1) + wanted.sum(-1) + 1)).mean()


def usual_answers(expressions: Sequence[str]) -> tuple[str, ...]:
    """The plainest of the answers that Sa2VA was trained to give."""
    return ("Sure, [SEG].",) * len(expressions)
