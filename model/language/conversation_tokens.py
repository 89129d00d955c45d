"""Tokenize a conversation of several turns, and mark the tokens of answers, which training learns."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from refsav.datasets.training_examples.example import Turn
from refsav.model.families.mllm import Mllm
from refsav.model.families.vision import VisionLayout


@dataclass(frozen=True, slots=True)
class Conversation:
    """The tokens of a conversation about some frames."""

    ids: list[int]
    learnt: list[bool]
    """True at the tokens of answers and of their ends: only these have a loss."""

    def indices_of(self, tokens: Collection[int]) -> list[int]:
        """Return the indices at which an answer has any of these tokens."""
        return [index for index, one in enumerate(self.ids) if one in tokens and self.learnt[index]]


def write_conversations(
    mllm: Mllm, turns: Sequence[Turn], layout: VisionLayout, *, apart: bool
) -> tuple[Conversation, ...]:
    """Tokenize turns as one conversation, or each turn as a conversation about the same frames.

    Args:
        mllm: The language model's adapter.
        turns: Questions and answers, with the answers' `[SEG]` tokens as the model learns to say them.
        layout: Of the frames.
        apart: Whether each turn is a conversation.

    Raises:
        InputError: If a question has `<image>` more than once.
    """
    conversations = [[turn] for turn in turns] if apart else [turns]
    return tuple(write_conversation(mllm, one, layout) for one in conversations)


def write_conversation(mllm: Mllm, turns: Sequence[Turn], layout: VisionLayout) -> Conversation:
    """Tokenize turns with the family's template; the frames come with the first turn.

    Args:
        mllm: The language model's adapter.
        turns: Questions and answers, with the answers' `[SEG]` tokens as the model learns to say them.
        layout: Of the frames.

    Raises:
        InputError: If a question has `<image>` more than once.
    """
    ids: list[int] = []
    learnt: list[bool] = []
    for number, turn in enumerate(turns):
        question = mllm.write_next(turn.question) if number else mllm.write(turn.question, layout)
        answer = mllm.answer_ids(turn.answer)
        ids += [*question, *answer]
        learnt += [*(False for _ in question), *(True for _ in answer)]
    return Conversation(ids, learnt)
