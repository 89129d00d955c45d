"""How a benchmark gets its answers: prompts about one image or video in, texts and masks out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from refsav.datasets.external.video_masks import FrameMasks
from refsav.datasets.masks import Mask

if TYPE_CHECKING:
    from refsav.model.media.clip import Clip  # of the extra model, which results can be read without


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a model answered to one prompt."""

    text: str
    """Special tokens kept, `[SEG]` and <p> among them."""
    masks: tuple[FrameMasks, ...]
    """One for each `[SEG]`, of the size of frame 0; None for a frame without any pixel."""


class Answerer(Protocol):
    """Whoever is benchmarked."""

    def ask(
        self, clip: "Clip", prompts: Sequence[str], *, regions: Sequence[Mask] = (), first_only: bool = False
    ) -> list[Answer]:
        """Answer prompts about one image or video.

        Args:
            clip: The frames, read one at a time.
            prompts: Independent of each other; none: nothing is answered.
            regions: Visual prompts, bool [h, w].
            first_only: Whether all but the first mask of an answer are left away.

        Raises:
            RecordError: If a frame cannot be read.
            InputError: If the model cannot be asked this.
        """
