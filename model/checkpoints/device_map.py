"""Device and type of each weight of a model, and empty models to load weights into."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import torch
from accelerate import infer_auto_device_map, init_empty_weights
from torch import nn

from refsav.model.input_errors import InputError

TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

ORIGINAL = "original_decoder."
"""Prefix of the original mask decoder, which is kept untouched in addition to the fine-tuned one."""

Built = TypeVar("Built", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class Placement:
    """Device and type of each weight."""

    device: str | torch.device = "cpu"
    dtype: torch.dtype | None = None
    """None keeps each tensor's type in the file."""
    device_map: Mapping[str, str | int] | Literal["auto"] | None = None
    """Device by prefix of the name, as in accelerate, for models that do not fit one GPU."""

    @classmethod
    def of(
        cls,
        device: str | torch.device | None,
        dtype: torch.dtype | str | None,
        device_map: Mapping[str, str | int] | Literal["auto"] | None,
    ) -> "Placement":
        """Return the requested placement; the default is the GPU in bfloat16 if there is one, else the CPU in float32.

        Raises:
            InputError: If the type is unknown.
        """
        chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        if dtype == "stored":
            return cls(chosen, None, device_map)
        if isinstance(dtype, str):
            if dtype not in TYPES:
                raise InputError(
                    f"{dtype!r} is not a type of weights", f"choose one of {', '.join([*TYPES, 'stored'])}"
                )
            return cls(chosen, TYPES[dtype], device_map)
        return cls(chosen, dtype or (torch.bfloat16 if chosen.type == "cuda" else torch.float32), device_map)

    def spread(self, model: nn.Module) -> "Placement":
        """Replace "auto" by accelerate's proposal for an empty model and the memory of this machine."""
        if self.device_map != "auto":
            return self
        whole = [*getattr(model.mllm, "_no_split_modules", ()), "Sam2"]
        proposed = infer_auto_device_map(model, no_split_module_classes=whole, dtype=self.dtype or torch.float32)
        return replace(self, device_map=dict(proposed))

    def dtype_of(self, name: str, stored: torch.dtype) -> torch.dtype:
        """Return the type of a tensor. On a CPU SAM-2 stays in float32; autocast does its half-precision arithmetic."""
        if self.dtype is None or not stored.is_floating_point:
            return stored
        device = torch.device(self.device_of(name))
        return torch.float32 if name.startswith(("sam2.", ORIGINAL)) and device.type == "cpu" else self.dtype

    def device_of(self, name: str) -> str | int | torch.device:
        """Return the device of a tensor."""
        placed = self.device_map if isinstance(self.device_map, Mapping) else {}
        fitting = [module for module in placed if not module or name == module or name.startswith(f"{module}.")]
        return placed[max(fitting, key=len)] if fitting else self.device


def empty(build: Callable[[], Built]) -> Built:
    """Build a module whose parameters take no memory; its buffers are real."""
    with init_empty_weights(include_buffers=False):
        return build()


def choose_attention(mllm: Any, name: str) -> None:  # noqa: ANN401 - transformers' models have no common type
    """Set the attention implementation of a transformers model.

    Raises:
        InputError: If it is unknown, or not installed.
    """
    if name == "sdpa":  # transformers' default
        return
    try:
        mllm.set_attn_implementation(name)
    except (ImportError, ValueError) as error:
        raise InputError(
            f"attention {name!r} cannot be used: {error}", "use sdpa, which is always available"
        ) from error
