"""How an answer refers to an object of a video: one `[SEG]`, or one for each frame (Sa2VA, Table 12)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from refsav.datasets.training_examples.example import SEG

if TYPE_CHECKING:  # configurations use SegDesign and must load without torch
    from torch import Tensor

SegDesign = Literal["single", "repetitive", "unique"]
"""single: one `[SEG]` stands for the object in all frames; the paper's choice.

repetitive: one `[SEG]` per frame, one after the other; each stands for the object in its frame.
unique: one token per frame, each different: `[SEG 1]`, `[SEG 2]` … For an image, all three designs use one `[SEG]`.
"""


@dataclass(frozen=True, slots=True)
class SegTokens:
    """Converts between the model's `[SEG]` tokens and the one `[SEG]` per object that all other code uses."""

    design: SegDesign = "single"

    def count(self, frames: int) -> int:
        """Return how many tokens stand for one object."""
        return 1 if self.design == "single" else frames

    def spread(self, answer: str, frames: int) -> str:
        """Convert an answer with one `[SEG]` per object to the tokens that the model learns to say."""
        return answer.replace(SEG, self._of(frames))

    def collapse(self, answer: str, frames: int) -> str:
        """Convert an answer of the model to one `[SEG]` per object."""
        return answer.replace(self._of(frames), SEG)

    def by_object(self, states: "Tensor", frames: int) -> "Tensor":
        """Group the states of an answer by object.

        Args:
            states: Hidden states [m, H] at the answer's `[SEG]` tokens.
            frames: Number of frames.

        Returns:
            [n, H], or [n, frames, H] if each frame has a token; tokens of an incomplete object are dropped.
        """
        each = self.count(frames)
        if each == 1:
            return states
        count = len(states) // each
        return states[: count * each].reshape(count, each, -1)

    def _of(self, frames: int) -> str:
        if self.count(frames) == 1:
            return SEG
        return SEG * frames if self.design == "repetitive" else "".join(frame_tokens(frames))


def frame_tokens(frames: int) -> tuple[str, ...]:
    """Return the tokens of the design `unique`, one for each frame."""
    return tuple(f"[SEG {number}]" for number in range(1, frames + 1))
