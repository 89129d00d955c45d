"""How an answer names an object of a video: by one `[SEG]`, or by one for each frame (paper, Table 12)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from refsav.datasets.training_examples.example import SEG

if TYPE_CHECKING:  # configurations name designs, and are read without torch
    from torch import Tensor

SegDesign = Literal["single", "repetitive", "unique"]
"""single: one `[SEG]`, which means the object in every frame; what the paper settles on.

repetitive: `[SEG]` as often as there are frames, one after the other; each means the object in its frame.
unique: likewise, with a token of its own for each frame: `[SEG 1]`, `[SEG 2]` … In an image all three say `[SEG]`.
"""


@dataclass(frozen=True, slots=True)
class SegTokens:
    """What a design makes of the `[SEG]`s of an answer. Outside of the model there is one an object."""

    design: SegDesign = "single"

    def count(self, frames: int) -> int:
        """Tokens that stand for one object."""
        return 1 if self.design == "single" else frames

    def spread(self, answer: str, frames: int) -> str:
        """Write an answer with one `[SEG]` an object as the model is to say it."""
        return answer.replace(SEG, self._of(frames))

    def collapse(self, answer: str, frames: int) -> str:
        """Write what the model has said with one `[SEG]` an object."""
        return answer.replace(self._of(frames), SEG)

    def by_object(self, states: "Tensor", frames: int) -> "Tensor":
        """States [m, H] at the tokens of an answer as [n, H], or [n, frames, H] where each frame has its own.

        What the model has said beyond whole objects is left out.
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
    """Tokens of their own for frames."""
    return tuple(f"[SEG {number}]" for number in range(1, frames + 1))
