"""Images on their way through a multimodal LLM: preprocessed frames, their layout in a prompt, and their features."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class VisionLayout:
    """How many tokens frames and marked regions take, and their patch grids: what writing a prompt needs."""

    tokens_per_frame: tuple[int, ...]
    grids: Tensor
    """int64 [frames, 3]: time, height, width in patches (Qwen); empty otherwise."""
    cells_per_region: tuple[int, ...] = ()
    """Tokens of each marked region (InternVL)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VisionInput(VisionLayout):
    """Frames and marked regions, preprocessed for the vision tower."""

    pixels: Tensor
    """float32 patches [P, values] (Qwen), or tiles [n, 3, side, side] (InternVL)."""
    cells: tuple[Tensor, ...] = ()
    """bool [grid²] for each region: its cells of the last tile (InternVL)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VisionFeatures(VisionLayout):
    """The vision tower's output for frames and marked regions; all prompts about them share it."""

    rows: Tensor
    """[N, H], one row for each placeholder token of a prompt, in order."""
    deepstack: tuple[Tensor, ...]
    """Rows [N, H] that are added after each of the first decoder layers (Qwen3-VL); empty otherwise."""
