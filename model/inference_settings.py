"""How a checkpoint is used: key frames, propagation, limits. Every result names them."""

from typing import Literal

from pydantic import Field

from refsav.config import Config

Propagation = Literal["official", "consistent", "none"]
"""How masks come to the frames between key frames.

official: as the released code, the fine-tuned decoder also where SAM-2's memory leads.
consistent: masks of key frames as in training, then an untouched SAM-2 is prompted with them (arXiv 2509.19082).
none: every frame is decoded from the words alone, as in training.
"""


class InferenceSettings(Config):
    """Settings of inference. `auto` is settled by what the checkpoint brings, and reported as settled."""

    key_frames: str = Field(
        "auto",
        description="Frames that the language model sees and that are segmented from its words: first-5, uniform-5, "
        "all, or indices such as 0,8,16. auto: uniform-5 with consistent propagation, else first-5.",
    )
    propagation: Literal["auto", "official", "consistent", "none"] = Field(
        "auto",
        description="Masks of the other frames: official (as released), consistent (Sa2VA-i), none (every frame from "
        "the words). auto: consistent where the original SAM-2 decoder is at hand, else official.",
    )
    new_tokens: int = Field(2048, ge=1, description="Most tokens of an answer.")
    prompts_at_once: int = Field(16, ge=1, description="Prompts that go through the language model together.")
    objects_at_once: int = Field(16, ge=1, description="Objects that are followed together; bounds memory.")

    @property
    def resolved_propagation(self) -> Propagation:
        """The propagation of settled settings."""
        return "official" if self.propagation == "auto" else self.propagation

    def resolved(self, *, original_decoder: bool) -> "InferenceSettings":
        """The settings without `auto`."""
        usual = "consistent" if original_decoder else "official"
        propagation = usual if self.propagation == "auto" else self.propagation
        rule = "uniform-5" if propagation == "consistent" else "first-5"
        return self.model_copy(
            update={"propagation": propagation, "key_frames": rule if self.key_frames == "auto" else self.key_frames}
        )
