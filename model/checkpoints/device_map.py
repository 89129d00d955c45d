"""Where the weights of a model go, and as what; an empty model for them to go to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import torch
from accelerate import infer_auto_device_map, init_empty_weights
from torch import nn

from refsav.model.input_errors import InputError

TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

ORIGINAL = "original_decoder."
"""Beginning of our names of the mask decoder that is kept untouched beside the fine-tuned one."""

Built = TypeVar("Built", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where weights go as they are read, and as what."""

    device: str | torch.device = "cpu"
    dtype: torch.dtype | None = None
    """None keeps the type that each has in the file."""
    device_map: Mapping[str, str | int] | Literal["auto"] | None = None
    """Device by the beginning of our names, as accelerate has it; for models that one GPU cannot hold."""

    @classmethod
    def of(
        cls,
        device: str | torch.device | None,
        dtype: torch.dtype | str | None,
        device_map: Mapping[str, str | int] | Literal["auto"] | None,
    ) -> "Placement":
        """What is asked for, or what suits this machine: the GPU and bfloat16 where there is one, else float32.

        Raises:
            InputError: If the type is not known.
        """
        chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        if dtype == "stored":
            return cls(chosen, None, device_map)
        if isinstance(dtype, str):
            if dtype not in TYPES:
                raise InputError(f"{dtype!r} is no type of weights", f"choose one of {', '.join([*TYPES, 'stored'])}")
            return cls(chosen, TYPES[dtype], device_map)
        return cls(chosen, dtype or (torch.bfloat16 if chosen.type == "cuda" else torch.float32), device_map)

    def spread(self, model: nn.Module) -> "Placement":
        """With "auto" replaced by what accelerate proposes for an empty model and the memory of this machine."""
        if self.device_map != "auto":
            return self
        whole = [*getattr(model.mllm, "_no_split_modules", ()), "Sam2"]
        proposed = infer_auto_device_map(model, no_split_module_classes=whole, dtype=self.dtype or torch.float32)
        return replace(self, device_map=dict(proposed))

    def dtype_of(self, name: str, stored: torch.dtype) -> torch.dtype:
        """What a tensor becomes. On a CPU SAM-2 stays in float32: its half-precision arithmetic is autocast's there."""
        if self.dtype is None or not stored.is_floating_point:
            return stored
        device = torch.device(self.device_of(name))
        return torch.float32 if name.startswith(("sam2.", ORIGINAL)) and device.type == "cpu" else self.dtype

    def device_of(self, name: str) -> str | int | torch.device:
        """Where the tensor of this name goes."""
        placed = self.device_map if isinstance(self.device_map, Mapping) else {}
        fitting = [part for part in placed if not part or name == part or name.startswith(f"{part}.")]
        return placed[max(fitting, key=len)] if fitting else self.device


def empty(build: Callable[[], Built]) -> Built:
    """Build a module whose parameters take no memory; its computed buffers are real."""
    with init_empty_weights(include_buffers=False):
        return build()


def choose_attention(mllm: Any, name: str) -> None:  # noqa: ANN401 - transformers' models have no common type
    """Let a transformers model compute attention by this implementation.

    Raises:
        InputError: If it is not known, or not installed.
    """
    if name == "sdpa":  # transformers' own choice
        return
    try:
        mllm.set_attn_implementation(name)
    except (ImportError, ValueError) as error:
        raise InputError(f"attention {name!r} cannot be used: {error}", "take sdpa, which is always there") from error
