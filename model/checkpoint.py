"""Sa2VA's checkpoints: the official Hugging Face directories in and out, and a start from a base model."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from accelerate import infer_auto_device_map, init_empty_weights
from accelerate.utils import set_module_tensor_to_device
from torch import Tensor, nn

from refsav.errors import RecordError
from refsav.files import write_bytes
from refsav.model.architecture import Architecture
from refsav.model.errors import InputError
from refsav.model.key_names import KeyMap, has_two_decoders
from refsav.model.weights import StoredTensors, read_flat, write_tensors

MOST_LISTED = 12
"""Keys that an error names, of each kind."""

LARGEST_ASSET_BYTES = 64 * 2**20
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx", ".gguf")

TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

DECODER = "sam_mask_decoder."
ORIGINAL = "original_decoder."

Built = TypeVar("Built", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class Assets:
    """Files of a checkpoint beside its weights, byte for byte: configuration, tokenizer, processor."""

    content: Mapping[str, bytes]

    @classmethod
    def read(cls, directory: Path) -> "Assets":
        """Take in the small files of a directory; weights and their index are left out."""
        files = (path for path in sorted(directory.iterdir()) if path.is_file() and not path.name.startswith("."))
        return cls(
            {
                path.name: path.read_bytes()
                for path in files
                if not path.name.endswith((*WEIGHTS, ".index.json")) and path.stat().st_size <= LARGEST_ASSET_BYTES
            }
        )

    def write(self, directory: Path) -> None:
        """Write them into another directory."""
        for name, content in self.content.items():
            write_bytes(directory / name, content)


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


def load_weights(
    model: nn.Module,
    stored: StoredTensors,
    architecture: Architecture,
    placement: Placement,
    original_decoder: Mapping[str, Tensor],
) -> None:
    """Fill an empty model from a checkpoint's files, one tensor at a time.

    Args:
        model: As `empty` gives it.
        stored: The checkpoint's tensors.
        architecture: What config.json says.
        placement: Where weights go.
        original_decoder: Tensors of a mask decoder that come from elsewhere and win over the checkpoint's, or none.

    Raises:
        RecordError: If keys are missing, unexpected or of another shape: all are counted, the first of each are named.
    """
    both = has_two_decoders(stored.file_of)
    keys = architecture.key_map(two_decoders=both)
    elsewhere = {f"{ORIGINAL}{name}": tensor for name, tensor in original_decoder.items()}
    ours = {name: shape for name, shape in _targets(model).items() if both or name not in elsewhere}
    difference = keys.compare(stored.file_of, ours)
    problems = [*_listed("missing", difference.missing), *_listed("unexpected", difference.unexpected)]
    unexpected = set(difference.unexpected)
    problems += _listed("of another shape", list(_misshapen(stored, keys, ours, unexpected)))
    if problems:
        raise RecordError(
            stored.directory,
            "",
            f"its weights are not those of a {architecture.family} as its config.json describes it\n"
            + "\n".join(problems),
            "take config.json and weights of the same checkpoint",
        )
    for key, tensor in stored.read():
        for name, value in keys.inward(key, tensor):
            if name not in elsewhere:
                _place(model, name, value, placement)
    for name, value in elsewhere.items():
        _place(model, name, value, placement)


def _place(model: nn.Module, name: str, value: Tensor, placement: Placement) -> None:
    """Put one tensor where it belongs."""
    dtype = placement.dtype_of(name, value.dtype)
    set_module_tensor_to_device(model, name, placement.device_of(name), value.contiguous(), dtype=dtype)


def save_weights(model: nn.Module, directory: Path, architecture: Architecture, dtype: torch.dtype | None) -> None:
    """Write a model's weights under their official names."""
    state = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    keys = architecture.key_map(two_decoders=any(name.startswith("original_decoder.") for name in state))
    written: dict[str, Tensor] = {}
    for key, tensor in keys.outward(state):
        kept = tensor.to("cpu", dtype if dtype and tensor.is_floating_point() else tensor.dtype)
        shares = kept.untyped_storage().data_ptr() in {other.untyped_storage().data_ptr() for other in written.values()}
        written[key] = kept.clone() if shares else kept
    write_tensors(directory, written)


def read_decoder(path: Path, decoder: nn.Module, *, allow_pickle: bool) -> dict[str, Tensor]:
    """The mask decoder's tensors out of a SAM-2 checkpoint with Meta's names.

    Args:
        path: Safetensors, or a pickle of tensors.
        decoder: What they are for.
        allow_pickle: Whether it may be a pickle.

    Raises:
        RecordError: If the file cannot be read or holds no such decoder; keys are named.
    """
    found = {
        name.removeprefix("model.").removeprefix(DECODER): tensor
        for name, tensor in read_flat(path, allow_pickle=allow_pickle).items()
        if name.removeprefix("model.").startswith(DECODER)
    }
    if not found:
        raise RecordError(
            path, "", f"holds no {DECODER}*: it is no SAM-2 checkpoint with Meta's names", "give sam2_hiera_large.pt"
        )
    wanted = _targets(decoder)
    misshapen = [
        f"{name} {list(tensor.shape)}: for a place of {list(wanted[name])}"
        for name, tensor in found.items()
        if name in wanted and tuple(tensor.shape) != wanted[name]
    ]
    problems = [
        *_listed("missing", [name for name in wanted if name not in found]),
        *_listed("unexpected", [name for name in found if name not in wanted]),
        *_listed("of another shape", misshapen),
    ]
    if problems:
        told = "\n".join(problems)
        raise RecordError(path, DECODER, f"is not of this SAM-2's size\n{told}", "give the SAM-2 that Sa2VA began with")
    return found


def _targets(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict(keep_vars=True).items()}


def _misshapen(
    stored: StoredTensors, keys: KeyMap, ours: Mapping[str, tuple[int, ...]], unexpected: set[str]
) -> Iterator[str]:
    for key, shape in stored.shapes().items():
        if key in unexpected:
            continue
        try:
            parts = keys.inward(key, torch.empty(shape, device="meta"))
        except ValueError as error:
            yield f"{key} {list(shape)}: {error}"
            continue
        for name, part in parts:
            if name in ours and tuple(part.shape) != ours[name]:
                yield f"{key} {list(shape)}: {list(part.shape)} for a place of {list(ours[name])}"


def _listed(kind: str, keys: list[str] | tuple[str, ...]) -> list[str]:
    if not keys:
        return []
    more = [f"    … and {len(keys) - MOST_LISTED} more"] if len(keys) > MOST_LISTED else []
    return [f"  {kind}: {len(keys)}", *(f"    {key}" for key in keys[:MOST_LISTED]), *more]
