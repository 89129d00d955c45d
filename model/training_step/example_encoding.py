"""Encode a training example for the model, on the CPU: tokens, pixels for both vision encoders, masks."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from refsav.datasets.training_examples.example import TrainingExample, Turn
from refsav.model.families.seg_tokens import SegTokens
from refsav.model.families.vision import VisionInput
from refsav.model.input_errors import InputError
from refsav.model.language.conversation_tokens import Conversation, write_conversations
from refsav.model.sa2va import Sa2VA
from refsav.model.training_config import LearningConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedExample:
    """A training example as the model takes it."""

    name: str
    vision: VisionInput
    """Pixels for the vision tower of the multimodal LLM."""
    conversations: tuple[Conversation, ...]
    """One conversation, or one for each turn (`learning.turns`)."""
    frames: Tensor
    """uint8 [T, 3, S, S], for SAM-2; T is 0 if no answer has a `[SEG]`."""
    masks: Tensor
    """bool [n, T, h, w]: one for each object of the answers, in their order."""
    segs_per_object: int
    """1, or T if each frame has a `[SEG]` of its own."""

    @property
    def tokens(self) -> int:
        """Number of tokens of the longest conversation."""
        return max(len(one.ids) for one in self.conversations)


class UnfitExampleError(InputError):
    """An example that this model cannot learn from, while it can learn from others."""


def encode_example(model: Sa2VA, example: TrainingExample, learning: LearningConfig) -> EncodedExample:
    """Tokenize an example's conversations and resize its frames.

    Args:
        model: The model that learns from it.
        example: Frames uint8 RGB [h, w, 3], turns, and masks bool [h, w] for each object and frame.
        learning: The most tokens of a conversation, and whether turns stand apart.

    Raises:
        UnfitExampleError: If it has too many tokens, or its texts contain the placeholder of an image.
        InputError: If the model's family cannot take such examples at all.
    """
    _refuse_placeholder(model, example)
    count, tokens = len(example.frames), SegTokens(model.architecture.fixed.seg_token)
    turns = [Turn(turn.question, tokens.spread(turn.answer, count)) for turn in example.turns]
    try:
        vision = model.adapter.preprocess(example.frames, example.regions)
        conversations = write_conversations(model.adapter, turns, vision, apart=learning.turns == "apart")
    except InputError as error:
        raise InputError(f"{example.name}: {error.problem}", error.fix) from None
    longest = max(len(one.ids) for one in conversations)
    if longest > learning.most_tokens:
        raise UnfitExampleError(
            f"{example.name} has {longest} tokens, more than learning.most_tokens = {learning.most_tokens}",
            "raise learning.most_tokens, or use fewer frames",
        )
    height, width = example.frames[0].shape[:2]
    masks = np.array(example.masks, dtype=np.bool_).reshape(-1, count, height, width)
    segs = sum(len(one.indices_of(model.adapter.seg_ids)) for one in conversations)
    if segs != len(masks) * tokens.count(count):
        raise InputError(
            f"{example.name} has {len(masks)} objects in {count} frames, but its answers have {segs} [SEG] tokens",
            f"raise seg.frames to {count}, or use fewer frames",
        )
    seen = example.frames if len(masks) else ()
    side = model.sam2.image_size
    frames = [model.sam2.resize_frame(frame) for frame in seen]
    return EncodedExample(
        name=example.name,
        vision=vision,
        conversations=conversations,
        frames=torch.stack(frames) if frames else torch.empty(0, 3, side, side, dtype=torch.uint8),
        masks=torch.from_numpy(masks),
        segs_per_object=tokens.count(count),
    )


def _refuse_placeholder(model: Sa2VA, example: TrainingExample) -> None:
    """Refuse texts that contain the placeholder of an image: the model would take it for one."""
    placeholder = model.adapter.placeholder
    if any(placeholder in text for turn in example.turns for text in (turn.question, turn.answer)):
        raise UnfitExampleError(f"{example.name} has {placeholder} in its text", "remove it: it stands for an image")
