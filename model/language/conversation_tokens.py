"""One conversation as one sequence of tokens: every turn of it, and which tokens are answers that are to be learnt."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from refsav.datasets.training_examples.example import Turn
from refsav.model.families.mllm import Layout, Mllm


@dataclass(frozen=True, slots=True)
class Conversation:
    """Tokens of a conversation about some frames."""

    ids: list[int]
    learnt: list[bool]
    """True at the tokens of answers, what ends them included: only there is a loss."""

    def places_of(self, tokens: Collection[int]) -> list[int]:
        """Where any of these tokens stands in answers."""
        return [place for place, one in enumerate(self.ids) if one in tokens and self.learnt[place]]


def write_conversations(mllm: Mllm, turns: Sequence[Turn], layout: Layout, *, apart: bool) -> tuple[Conversation, ...]:
    """Write turns as one conversation, or each as one of its own about the same frames. Raises as the next does."""
    parts = [[turn] for turn in turns] if apart else [turns]
    return tuple(write_conversation(mllm, part, layout) for part in parts)


def write_conversation(mllm: Mllm, turns: Sequence[Turn], layout: Layout) -> Conversation:
    """Write turns after one another as the family's template has them: the first with the frames, the others without.

    Args:
        mllm: The language model's adapter.
        turns: Their answers as the model is to say them.
        layout: Of the frames.

    Raises:
        InputError: If a question marks the image itself more than once.
    """
    ids: list[int] = []
    learnt: list[bool] = []
    for number, turn in enumerate(turns):
        asked = mllm.write_next(turn.question) if number else mllm.write(turn.question, layout)
        answer = mllm.answer_ids(turn.answer)
        ids += [*asked, *answer]
        learnt += [*(False for _ in asked), *(True for _ in answer)]
    return Conversation(ids, learnt)
