"""Interface between a suite and a model: prompts about one image or video in, texts and masks out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from refsav.datasets.external.video_masks import FrameMasks
from refsav.datasets.masks import Mask

if TYPE_CHECKING:
    from refsav.model.media.clip import Clip  # needs the extra model, which reading results does not


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptAnswer:
    """The answer of a model to one prompt."""

    text: str
    """Includes special tokens, such as `[SEG]` and <p>."""
    masks: tuple[FrameMasks, ...]
    """One per `[SEG]`, at the size of frame 0; None for an empty frame."""


class Answerer(Protocol):
    """The model that is evaluated."""

    def ask(
        self, clip: "Clip", prompts: Sequence[str], *, regions: Sequence[Mask] = (), first_only: bool = False
    ) -> list[PromptAnswer]:
        """Answer prompts about one image or video.

        Args:
            clip: The image or the frames, read one at a time.
            prompts: Prompts, independent of each other; may be empty.
            regions: Visual prompts, bool [h, w].
            first_only: Predict only the first mask of each answer.

        Returns:
            One answer per prompt.

        Raises:
            RecordError: If a frame cannot be read.
            InputError: If the model does not support the prompts, for example regions.
        """
