"""Read and write Sa2VA checkpoints in the layout of the official Hugging Face directories."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from refsav.disk.files import digest_of, write_bytes
from refsav.errors import RecordError
from refsav.model.checkpoints.architecture import Architecture
from refsav.model.checkpoints.device_map import ORIGINAL, Placement
from refsav.model.checkpoints.key_names import KeyMap, has_two_decoders
from refsav.model.checkpoints.load_state import WeightSource, load_tensors, shapes_of
from refsav.model.checkpoints.weights import HeldTensors, StoredTensors, read_flat, write_tensors

LARGEST_ASSET_BYTES = 64 * 2**20
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx", ".gguf")

ENDINGS = (".json", ".safetensors", ".model", ".txt", ".jinja")
"""Suffixes of the files of a checkpoint that its answers depend on."""

DECODER = "sam_mask_decoder."
RELEASED_SAM2 = "sam2_hiera_large.pt"
"""SAM-2 file that every released Sa2VA was initialized from."""


@dataclass(frozen=True, slots=True)
class Assets:
    """All files of a checkpoint but its weights, byte for byte: configuration, tokenizer, processor."""

    content: Mapping[str, bytes]

    @classmethod
    def read(cls, directory: Path) -> "Assets":
        """Read the small files of a directory, without weights and their index."""
        files = (path for path in sorted(directory.iterdir()) if path.is_file() and not path.name.startswith("."))
        return cls(
            {
                path.name: path.read_bytes()
                for path in files
                if not path.name.endswith((*WEIGHTS, ".index.json")) and path.stat().st_size <= LARGEST_ASSET_BYTES
            }
        )

    def write(self, directory: Path) -> None:
        """Write the files into a directory.

        Raises:
            DiskError: If the disk is full, or the directory cannot be written.
        """
        for name, content in self.content.items():
            write_bytes(directory / name, content)


def checkpoint_digest(folder: Path, *more: Path) -> str:
    """Return the SHA-256 of all files of a checkpoint that its answers depend on, and of `more` files used with it."""
    files = (path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return digest_of([*(path for path in files if path.suffix in ENDINGS), *more])


def load_weights(
    model: nn.Module,
    stored: StoredTensors,
    architecture: Architecture,
    placement: Placement,
    original_decoder: HeldTensors | None,
) -> None:
    """Fill an empty model from a checkpoint's files.

    Args:
        model: An empty model, from `empty`.
        stored: The checkpoint's tensors.
        architecture: The checkpoint's config.json.
        placement: Device and type of each weight.
        original_decoder: A SAM-2 mask decoder that replaces the checkpoint's original one, or None.

    Raises:
        RecordError: If the tensors do not fit the model; the message lists their keys.
    """
    keys = architecture.key_map(two_decoders=has_two_decoders(stored.names))
    shapes, more = shapes_of(model), []
    if original_decoder is not None:
        stored = stored.only(lambda key: not any(name.startswith(ORIGINAL) for name in keys.our_names(key)))
        more = [original_decoder_source(original_decoder, shapes)]
        shapes = {name: shape for name, shape in shapes.items() if not name.startswith(ORIGINAL)}
    whole = WeightSource(
        tensors=stored,
        keys=keys,
        shapes=shapes,
        mismatch=f"its weights are not those of a {architecture.family} as its config.json describes it",
        fix="use config.json and weights of the same checkpoint",
    )
    load_tensors(model, [whole, *more], placement)


def original_decoder_source(tensors: HeldTensors, shapes: Mapping[str, tuple[int, ...]]) -> WeightSource:
    """Return how to load SAM-2's original mask decoder, which is kept in addition to the fine-tuned one.

    Args:
        tensors: Tensors of a SAM-2, or of its mask decoder alone.
        shapes: Shapes of all tensors of the model, by RefSAV's names.
    """
    return WeightSource(
        tensors=tensors.below(DECODER),
        keys=KeyMap.original_decoder(),
        shapes={name: shape for name, shape in shapes.items() if name.startswith(ORIGINAL)},
        mismatch="its mask decoder is not one of a SAM-2 of the model's size",
        fix=f"give {RELEASED_SAM2}, or the SAM-2 that the model was made from",
    )


def save_weights(
    weights: Mapping[str, Tensor], directory: Path, architecture: Architecture, dtype: torch.dtype | None
) -> None:
    """Write weights under their official names.

    Args:
        weights: Tensors by RefSAV's names.
        directory: The checkpoint.
        architecture: The model's config.json.
        dtype: Type to store floating-point weights in; None keeps each tensor's.

    Raises:
        DiskError: If the disk is full, or the directory cannot be written.
    """
    state = {name: tensor.detach() for name, tensor in weights.items()}
    keys = architecture.key_map(two_decoders=any(name.startswith(ORIGINAL) for name in state))
    written: dict[str, Tensor] = {}
    for key, tensor in keys.outward(state):
        kept = tensor.to("cpu", dtype if dtype and tensor.is_floating_point() else tensor.dtype)
        shares = kept.untyped_storage().data_ptr() in {other.untyped_storage().data_ptr() for other in written.values()}
        written[key] = kept.clone() if shares else kept
    write_tensors(directory, written)


def read_sam2(path: Path, *, allow_pickle: bool) -> HeldTensors:
    """Read a SAM-2 checkpoint with Meta's names.

    Raises:
        RecordError: If the file cannot be read or is not a SAM-2 checkpoint.
    """
    content = read_flat(path, allow_pickle=allow_pickle)
    if all(name.startswith("model.") for name in content):
        content = {name.removeprefix("model."): tensor for name, tensor in content.items()}
    if not any(name.startswith(DECODER) for name in content):
        problem = f"has no {DECODER}*: it is not a SAM-2 checkpoint with Meta's names"
        raise RecordError(path, "", problem, f"give {RELEASED_SAM2}")
    return HeldTensors(path, content)
