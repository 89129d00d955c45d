"""Settings of inference: key frames, propagation, limits. Every result records them."""

from typing import Literal

from pydantic import Field

from refsav.config import Config

Propagation = Literal["official", "consistent", "none"]
"""How the frames between key frames get their masks.

official: as in the released code; SAM-2's memory propagates the masks, with the fine-tuned mask decoder.
consistent: masks of key frames as in training, then propagated by SAM-2 with its original decoder (Sa2VA-i, arXiv
    2509.19082).
none: every frame is decoded from the [SEG] embedding alone, as in training.
"""


class InferenceSettings(Config):
    """Settings of inference. `auto` is resolved by what the checkpoint contains; results record the resolved value."""

    key_frames: str = Field(
        "auto",
        description="Frames that the language model sees and that are segmented from its answer: first-5, uniform-5, "
        "all, or indices such as 0,8,16. auto: uniform-5 with consistent propagation, else first-5.",
    )
    propagation: Literal["auto", "official", "consistent", "none"] = Field(
        "auto",
        description="Masks of the other frames: official (as released), consistent (Sa2VA-i), none (each frame from "
        "the answer alone). auto: consistent if the checkpoint has SAM-2's original decoder, else official.",
    )
    new_tokens: int = Field(2048, ge=1, description="Largest number of tokens in an answer.")
    prompts_at_once: int = Field(16, ge=1, description="Prompts per batch of the language model.")
    objects_at_once: int = Field(16, ge=1, description="Objects tracked together; limits memory use.")

    @property
    def resolved_propagation(self) -> Propagation:
        """The propagation of resolved settings."""
        return "official" if self.propagation == "auto" else self.propagation

    def resolved(self, *, original_decoder: bool) -> "InferenceSettings":
        """Return the settings without `auto`.

        Args:
            original_decoder: Whether the checkpoint has SAM-2's original mask decoder.
        """
        default = "consistent" if original_decoder else "official"
        propagation = default if self.propagation == "auto" else self.propagation
        rule = "uniform-5" if propagation == "consistent" else "first-5"
        return self.model_copy(
            update={"propagation": propagation, "key_frames": rule if self.key_frames == "auto" else self.key_frames}
        )
