"""The adapter between Sa2VA and a multimodal LLM: frames to features, prompts to tokens, tokens to hidden states."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from refsav.datasets.frames import Image
from refsav.datasets.masks import Mask
from refsav.datasets.training_examples.example import SEG
from refsav.model.families.seg_tokens import frame_tokens
from refsav.model.families.vision import VisionFeatures, VisionInput, VisionLayout
from refsav.model.input_errors import InputError

SPECIAL_TOKENS = (SEG, "<p>", "</p>", "<vp>", "</vp>")
"""Tokens that Sa2VA adds to a tokenizer, in this order."""

IMAGE_MARK = "<image>"

TURN_ENDS = ("<|im_end|>", "<|end|>", "<|endoftext|>")
"""Tokens that end an answer. The first one that a tokenizer has also ends the answers of training."""

MOST_FRAME_TOKENS = 100
"""Largest number of frames that can have a `[SEG]` token each."""

LONGEST_TURN_END = 8
"""Largest number of tokens of the text that ends a turn, if the tokenizer has no token for it."""


class Tokenizer(Protocol):
    """The methods of a transformers tokenizer that RefSAV uses."""

    eos_token_id: int | None
    pad_token_id: int | None
    chat_template: str | None

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]: ...
    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool) -> str: ...
    def convert_tokens_to_ids(self, token: str) -> int | None: ...
    def apply_chat_template(self, messages: Any, **options: Any) -> str: ...  # noqa: ANN401
    def add_tokens(self, new_tokens: list[str], *, special_tokens: bool) -> int: ...
    def save_pretrained(self, directory: str) -> Any: ...  # noqa: ANN401
    def __len__(self) -> int: ...


class Mllm(ABC):
    """Adapter between a transformers model and Sa2VA. It wraps the model; it is not an nn.Module."""

    family: ClassVar[str]
    seg_state_before_norm: ClassVar[bool]
    """Whether the `[SEG]` state is taken before the last normalization, as the released weights were trained."""
    seg_in_prompt: ClassVar[bool]
    """Whether a `[SEG]` in the user's prompt gets a mask too, as in the family's released code."""
    takes_regions: ClassVar[bool]
    """Whether the released weights were trained with visual prompts."""

    def __init__(self, model: nn.Module, tokenizer: Tokenizer, placeholder: str) -> None:
        self.model: Any = model
        self.tokenizer = tokenizer
        self.seg_id = self._id_of(SEG)
        self.seg_ids = (self.seg_id, *self._frame_ids())
        """`[SEG]`, followed by the tokens of single frames if the model has them (seg_tokens.py)."""
        self.placeholder, self.placeholder_id = placeholder, self._id_of(placeholder)
        self.stop_ids = self._stop_ids()
        self.turn_end = tokenizer.decode([self.stop_ids[0]], skip_special_tokens=False)
        """Text that ends an answer."""

    @property
    @abstractmethod
    def language_model(self) -> Any:  # noqa: ANN401 - transformers' models have no common type
        """The decoder without its output layer."""

    @property
    def text_config(self) -> Any:  # noqa: ANN401 - transformers' configurations have no common type
        """Configuration of the language model."""
        return self.language_model.config

    @property
    def hidden_size(self) -> int:
        """Width H of the hidden states."""
        return int(self.text_config.hidden_size)

    @property
    def context_tokens(self) -> int:
        """Largest number of tokens of a prompt together with its answer."""
        return int(self.text_config.max_position_embeddings)

    @property
    def device(self) -> torch.device:
        """The device of the token embedding."""
        device: torch.device = self.language_model.get_input_embeddings().weight.device
        return device

    def encode_frames(self, frames: Sequence[Image], regions: Sequence[Mask]) -> VisionFeatures:
        """Preprocess frames and run the vision tower.

        Args:
            frames: uint8 RGB [h, w, 3] each.
            regions: Visual prompts, bool [h, w] each; they need exactly one frame.

        Raises:
            InputError: If the family takes no visual prompts, or there are several frames.
        """
        return self.encode_inputs([self.preprocess(frames, regions)])[0]

    @abstractmethod
    def preprocess(self, frames: Sequence[Image], regions: Sequence[Mask]) -> VisionInput:
        """Preprocess frames for the vision tower, on the CPU.

        Args:
            frames: uint8 RGB [h, w, 3] each.
            regions: Visual prompts, bool [h, w] each; they need exactly one frame.

        Raises:
            InputError: If the family takes no visual prompts, or there are several frames.
        """

    @abstractmethod
    def encode_inputs(self, inputs: Sequence[VisionInput]) -> list[VisionFeatures]:
        """Run the vision tower on several preprocessed images or videos in one batch."""

    @abstractmethod
    def write(self, text: str, layout: VisionLayout) -> list[int]:
        """Return the token ids of the user's first turn, up to where the answer starts.

        Args:
            text: The prompt; `<image>` marks where the frames go.
            layout: Of the frames.

        Raises:
            InputError: If `text` has `<image>` more than once.
        """

    @abstractmethod
    def write_next(self, text: str) -> list[int]:
        """Return the token ids of a later turn, from the end of the previous answer to the start of its own."""

    @abstractmethod
    def positions(self, ids: Sequence[int], layout: VisionLayout) -> Tensor:
        """Return the rotary positions of L tokens: int64 [A, L] for A axes."""

    @abstractmethod
    def run(
        self,
        embeddings: Tensor,
        positions: Tensor,
        attend: Tensor,
        cache: Any,  # noqa: ANN401 - transformers' own
        placeholders: Tensor,
        features: VisionFeatures | None,
    ) -> Tensor:
        """Run the decoder once.

        Args:
            embeddings: Input embeddings [B, L, H].
            positions: Rotary positions, int64 [A, B, L].
            attend: Attention mask, int64 [B, past + L], 0 at padding.
            cache: transformers' key-value cache, which grows by L; None to keep none.
            placeholders: bool [B, L], True at the placeholder tokens of images.
            features: Vision features, if there are placeholders.

        Returns:
            Hidden states [B, L, H] after the last normalization.
        """

    def embed(self, ids: Tensor) -> Tensor:
        """Return the input embeddings [..., H] of token ids, int64 [...]."""
        embedded: Tensor = self.language_model.get_input_embeddings()(ids)
        return embedded

    def logits(self, states: Tensor) -> Tensor:
        """Return the next-token logits [..., V] of normalized hidden states [..., H]."""
        scores: Tensor = self.model.lm_head(states)
        return scores

    def answer_ids(self, answer: str) -> list[int]:
        """Return the token ids of an answer that is given, including the end of the turn."""
        return self.tokenizer.encode(f"{answer}{self.turn_end}", add_special_tokens=False)

    def ended(self, ids: Sequence[int]) -> bool:
        """Return whether an answer is complete: it ends with a stop token, or with the text that ends a turn."""
        if ids[-1] in self.stop_ids:
            return True
        return self._ends_by_text and self._decoded(ids[-LONGEST_TURN_END:]).endswith(self.turn_end)

    def text_of(self, ids: Sequence[int]) -> str:
        """Return an answer as text, with special tokens, without the end of the turn."""
        spoken = self._decoded([token for token in ids if token not in self.stop_ids])
        return spoken.removesuffix(self.turn_end) if self._ends_by_text else spoken

    @property
    def _ends_by_text(self) -> bool:
        return self.tokenizer.convert_tokens_to_ids(self.turn_end) not in self.stop_ids

    def _decoded(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=False)

    def _stop_ids(self) -> tuple[int, ...]:
        ends = [self.tokenizer.convert_tokens_to_ids(token) for token in TURN_ENDS]
        known = [token for token in (*ends, self.tokenizer.eos_token_id) if token is not None]
        return tuple(dict.fromkeys(token for token in known if token != self._unknown_id))

    @property
    def _unknown_id(self) -> int | None:
        return getattr(self.tokenizer, "unk_token_id", None)

    def _frame_ids(self) -> Iterator[int]:
        for token in frame_tokens(MOST_FRAME_TOKENS):
            found = self.tokenizer.convert_tokens_to_ids(token)
            if found is None or found == self._unknown_id:
                return
            yield found

    def _id_of(self, token: str) -> int:
        found = self.tokenizer.convert_tokens_to_ids(token)
        if found is None or found == self._unknown_id:
            raise InputError(f"the tokenizer has no token {token}", "use the tokenizer files of a Sa2VA checkpoint")
        return found


def with_one_image(text: str) -> str:
    """Return the prompt with exactly one `<image>`; it is put first if it is missing.

    Raises:
        InputError: If the prompt has several. All frames of a video share one `<image>`.
    """
    marks = text.count(IMAGE_MARK)
    if marks > 1:
        raise InputError(
            f"the text has {IMAGE_MARK} {marks} times",
            f"write {IMAGE_MARK} once or leave it out; a video needs only one",
        )
    return text if marks else f"{IMAGE_MARK}\n{text}"
