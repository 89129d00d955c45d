"""What Sa2VA asks of a multimodal LLM, whatever its family: see frames, write a prompt, give hidden states."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from refsav.datasets.frames import Image
from refsav.datasets.masks import Mask
from refsav.datasets.training_examples.example import SEG
from refsav.model.families.seg_tokens import frame_tokens
from refsav.model.input_errors import InputError

SPECIAL_TOKENS = (SEG, "<p>", "</p>", "<vp>", "</vp>")
"""Tokens that Sa2VA adds to a tokenizer, in this order."""

IMAGE_MARK = "<image>"

TURN_ENDS = ("<|im_end|>", "<|end|>", "<|endoftext|>")
"""Tokens that end an answer, where a tokenizer has them; the first that it has is written after given answers."""

MOST_FRAME_TOKENS = 100

LONGEST_TURN_END = 8
"""Tokens that what ends a turn may take where it is no token of its own."""


class Tokenizer(Protocol):
    """The part of a transformers tokenizer that is used."""

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """How many tokens frames and marked regions take, and where they lie: all that a text must know of them."""

    tokens_per_frame: tuple[int, ...]
    grids: Tensor
    """int64 [frames, 3]: time, height, width in patches (Qwen), or empty."""
    cells_per_region: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown(Layout):
    """Frames (and marked regions) as the vision tower takes them."""

    pixels: Tensor
    """float32 patches [P, values] (Qwen), or tiles [n, 3, side, side] (InternVL)."""
    cells: tuple[Tensor, ...] = ()
    """bool [grid²] for each region: its cells of the last tile (InternVL)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sight(Layout):
    """What the vision tower made of the frames (and marked regions): shared by all that is asked of them."""

    rows: Tensor
    """[N, H], one row for each placeholder of a prompt, in order."""
    deepstack: tuple[Tensor, ...]
    """Rows [N, H] added after the first layers (Qwen3-VL), or none."""


class Mllm(ABC):
    """An adapter between a transformers model and Sa2VA. It holds the model, it is none itself."""

    family: ClassVar[str]
    seg_state_before_norm: ClassVar[bool]
    """Whether the `[SEG]` state is taken before the last normalization: what the released weights were trained with."""
    seg_in_prompt: ClassVar[bool]
    """Whether a `[SEG]` that the user wrote gets a mask too, as in the released code of the family."""
    takes_regions: ClassVar[bool]
    """Whether it was trained with visual prompts."""

    def __init__(self, model: nn.Module, tokenizer: Tokenizer, placeholder: str) -> None:
        self.model: Any = model
        self.tokenizer = tokenizer
        self.seg_id = self._id_of(SEG)
        self.seg_ids = (self.seg_id, *self._frame_ids())
        """`[SEG]`, and those of single frames, if the model was trained with such (seg_tokens.py)."""
        self.placeholder, self.placeholder_id = placeholder, self._id_of(placeholder)
        self.stop_ids = self._stop_ids()
        self.turn_end = tokenizer.decode([self.stop_ids[0]], skip_special_tokens=False)
        """What ends an answer, as text."""

    @property
    @abstractmethod
    def language_model(self) -> Any:  # noqa: ANN401 - transformers' models have no common type
        """The decoder without its head."""

    @property
    def text_config(self) -> Any:  # noqa: ANN401 - likewise
        """Configuration of the language model."""
        return self.language_model.config

    @property
    def hidden_size(self) -> int:
        """H."""
        return int(self.text_config.hidden_size)

    @property
    def context_tokens(self) -> int:
        """Longest prompt with its answer."""
        return int(self.text_config.max_position_embeddings)

    @property
    def device(self) -> torch.device:
        """Where embeddings live."""
        device: torch.device = self.language_model.get_input_embeddings().weight.device
        return device

    def see(self, frames: Sequence[Image], regions: Sequence[Mask]) -> Sight:
        """Run the vision tower on RGB frames [h, w, 3] and mark regions (bool [h, w]) of the only one."""
        return self.look([self.show(frames, regions)])[0]

    @abstractmethod
    def show(self, frames: Sequence[Image], regions: Sequence[Mask]) -> Shown:
        """Prepare for the vision tower, on the CPU: RGB frames [h, w, 3], and regions (bool [h, w]) of the only one."""

    @abstractmethod
    def look(self, shown: Sequence[Shown]) -> list[Sight]:
        """Run the vision tower over several images or videos together."""

    @abstractmethod
    def write(self, text: str, layout: Layout) -> list[int]:
        """Token ids of a user's first turn with `<image>` in `text`, up to where the answer begins."""

    @abstractmethod
    def write_next(self, text: str) -> list[int]:
        """Token ids of a further turn, from the end of the answer before it up to where its own answer begins."""

    @abstractmethod
    def positions(self, ids: Sequence[int], layout: Layout) -> Tensor:
        """Rotary positions of these tokens: int64 [A, L], A axes."""

    @abstractmethod
    def run(
        self,
        embeddings: Tensor,
        positions: Tensor,
        attend: Tensor,
        cache: Any,  # noqa: ANN401 - transformers' own
        places: Tensor,
        sight: Sight | None,
    ) -> Tensor:
        """One pass of the decoder.

        Args:
            embeddings: [B, L, H].
            positions: int64 [A, B, L].
            attend: int64 [B, past + L], 0 at padding.
            cache: transformers' key-value cache, which grows by L; None where nothing is to follow.
            places: bool [B, L], True at placeholders.
            sight: What was seen, when there are placeholders.

        Returns:
            Hidden states [B, L, H] after the last normalization.
        """

    def embed(self, ids: Tensor) -> Tensor:
        """Input embeddings [..., H] of token ids."""
        embedded: Tensor = self.language_model.get_input_embeddings()(ids)
        return embedded

    def logits(self, states: Tensor) -> Tensor:
        """Next-token logits [..., V] of normalized hidden states."""
        scores: Tensor = self.model.lm_head(states)
        return scores

    def answer_ids(self, answer: str) -> list[int]:
        """Token ids of a given answer, with what ends a turn."""
        return self.tokenizer.encode(f"{answer}{self.turn_end}", add_special_tokens=False)

    def ended(self, ids: Sequence[int]) -> bool:
        """Whether an answer has come to its end: by a token, or by text where a tokenizer has no token for it."""
        if ids[-1] in self.stop_ids:
            return True
        return self._ends_by_text and self._decoded(ids[-LONGEST_TURN_END:]).endswith(self.turn_end)

    def text_of(self, ids: Sequence[int]) -> str:
        """An answer as text: special tokens kept, what ends a turn left out."""
        spoken = self._decoded([token for token in ids if token not in self.stop_ids])
        return spoken.removesuffix(self.turn_end) if self._ends_by_text else spoken

    @property
    def _ends_by_text(self) -> bool:
        return self.tokenizer.convert_tokens_to_ids(self.turn_end) not in self.stop_ids

    def _decoded(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=False)

    def _stop_ids(self) -> tuple[int, ...]:
        told = [self.tokenizer.convert_tokens_to_ids(token) for token in TURN_ENDS]
        known = [token for token in (*told, self.tokenizer.eos_token_id) if token is not None]
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
            raise InputError(
                f"the tokenizer has no token {token}", "take the tokenizer files that belong to a Sa2VA checkpoint"
            )
        return found


def with_one_image(text: str) -> str:
    """The prompt with `<image>` in it exactly once: put first where it is missing.

    Raises:
        InputError: If it is there more than once; frames of a video stand in for one `<image>`.
    """
    marks = text.count(IMAGE_MARK)
    if marks > 1:
        raise InputError(
            f"the text has {IMAGE_MARK} {marks} times", f"write {IMAGE_MARK} once, or leave it out; a video is one too"
        )
    return text if marks else f"{IMAGE_MARK}\n{text}"
