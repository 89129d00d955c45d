"""From a training example to what the model takes, on the CPU: tokens, pixels for both encoders, masks."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from refsav.datasets.training_examples.example import TrainingExample, Turn
from refsav.model.families.mllm import Shown
from refsav.model.families.seg_tokens import SegTokens
from refsav.model.input_errors import InputError
from refsav.model.language.conversation_tokens import Conversation, write_conversations
from refsav.model.sa2va import Sa2VA
from refsav.model.training_config import LearningConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A training example, ready for the model."""

    name: str
    shown: Shown
    """For the vision tower."""
    conversations: tuple[Conversation, ...]
    """One, or one for each turn."""
    pictures: Tensor
    """uint8 [T, 3, S, S], for SAM-2; none if no answer has a `[SEG]`."""
    masks: Tensor
    """bool [n, T, h, w], for every object that is meant in the answers, in order."""
    segs_per_object: int
    """1, or T where each frame has a `[SEG]` of its own."""

    @property
    def tokens(self) -> int:
        """Of its longest conversation."""
        return max(len(one.ids) for one in self.conversations)


class UnfitExampleError(InputError):
    """An example that this model cannot learn from, though it can from others."""


def prepare(model: Sa2VA, example: TrainingExample, learning: LearningConfig) -> Prepared:
    """Write an example's conversation and bring its frames to size.

    Raises:
        UnfitExampleError: If it has more tokens than are taken, or its texts spell out what they must not.
        InputError: If the model's family cannot take any such example.
    """
    _refuse_spelled(model, example)
    frames, tokens = len(example.frames), SegTokens(model.architecture.fixed.seg_token)
    turns = [Turn(turn.question, tokens.spread(turn.answer, frames)) for turn in example.turns]
    try:
        shown = model.adapter.show(example.frames, example.regions)
        conversations = write_conversations(model.adapter, turns, shown, apart=learning.turns == "apart")
    except InputError as error:
        raise InputError(f"{example.name}: {error.problem}", error.fix) from None
    longest = max(len(one.ids) for one in conversations)
    if longest > learning.most_tokens:
        raise UnfitExampleError(
            f"{example.name} has {longest} tokens, more than the {learning.most_tokens} that are taken",
            "allow more with learning.most_tokens, or show fewer frames",
        )
    height, width = example.frames[0].shape[:2]
    masks = np.array(example.masks, dtype=np.bool_).reshape(-1, frames, height, width)
    segs = sum(len(one.places_of(model.adapter.seg_ids)) for one in conversations)
    if segs != len(masks) * tokens.count(frames):
        raise InputError(
            f"{example.name} has {len(masks)} objects in {frames} frames, its answers {segs} tokens for them",
            f"raise seg.frames to {frames}, or show fewer frames",
        )
    seen = example.frames if len(masks) else ()
    side = model.sam2.image_size
    pictures = [model.sam2.picture(frame) for frame in seen]
    return Prepared(
        name=example.name,
        shown=shown,
        conversations=conversations,
        pictures=torch.stack(pictures) if pictures else torch.empty(0, 3, side, side, dtype=torch.uint8),
        masks=torch.from_numpy(masks),
        segs_per_object=tokens.count(frames),
    )


def _refuse_spelled(model: Sa2VA, example: TrainingExample) -> None:
    """Refuse texts with tokens that stand for something else: they would be taken for it."""
    placeholder = model.adapter.placeholder
    if any(placeholder in text for turn in example.turns for text in (turn.question, turn.answer)):
        raise UnfitExampleError(f"{example.name} has {placeholder} in its text", "take it out: it stands for an image")
