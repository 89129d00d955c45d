"""From a training example to what the model takes, on the CPU: tokens, pixels for both encoders, masks."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from refsav.datasets.training_example import TrainingExample
from refsav.model.conversation import Conversation, write_conversation
from refsav.model.errors import InputError
from refsav.model.mllm import Shown
from refsav.model.sa2va import Sa2VA


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A training example, ready for the model."""

    name: str
    shown: Shown
    """For the vision tower."""
    conversation: Conversation
    pictures: Tensor
    """uint8 [T, 3, S, S], for SAM-2; none if no answer has a `[SEG]`."""
    masks: Tensor
    """bool [n, T, h, w], for every `[SEG]` of the answers in order."""


class TooLongError(InputError):
    """An example with more tokens than training takes."""


def prepare(model: Sa2VA, example: TrainingExample, most_tokens: int) -> Prepared:
    """Write an example's conversation and bring its frames to size.

    Raises:
        TooLongError: If it has more than `most_tokens` tokens.
        InputError: If the model's family cannot take it.
    """
    shown = model.adapter.show(example.frames, example.regions)
    conversation = write_conversation(model.adapter, example.turns, shown)
    if len(conversation.ids) > most_tokens:
        raise TooLongError(
            f"{example.name} has {len(conversation.ids)} tokens, more than the {most_tokens} that are taken",
            "allow more with learning.most_tokens, or show fewer frames",
        )
    height, width = example.frames[0].shape[:2]
    masks = np.array(example.masks, dtype=np.bool_).reshape(-1, len(example.frames), height, width)
    seen = example.frames if len(masks) else ()
    side = model.sam2.image_size
    pictures = [model.sam2.picture(frame) for frame in seen]
    return Prepared(
        name=example.name,
        shown=shown,
        conversation=conversation,
        pictures=torch.stack(pictures) if pictures else torch.empty(0, 3, side, side, dtype=torch.uint8),
        masks=torch.from_numpy(masks),
    )
