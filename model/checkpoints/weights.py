"""Tensors on disk: safetensors files with or without an index; pickles only if explicitly allowed."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from refsav.disk.files import appearing, write_text
from refsav.errors import RecordError
from refsav.model.input_errors import FETCH_AGAIN

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth")
SHARD_BYTES = 5 * 10**9


class Tensors(Protocol):
    """Named tensors that can be loaded into a model."""

    @property
    def origin(self) -> Path:
        """File or directory of the tensors, for messages."""

    @property
    def names(self) -> Collection[str]:
        """Names of the tensors, in order."""

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Return the shape of each tensor."""

    def read(self) -> Iterator[tuple[str, Tensor]]:
        """Yield (name, tensor), without keeping tensors in memory."""


@dataclass(frozen=True, slots=True)
class StoredTensors:
    """Tensors in the files of a checkpoint; each is read on demand."""

    directory: Path
    file_of: Mapping[str, Path]
    """File of each tensor, by name."""

    @classmethod
    def find(cls, directory: Path) -> "StoredTensors":
        """List the tensors of the safetensors files in a checkpoint directory.

        Raises:
            RecordError: If there are no such files, one is missing or damaged, or two hold the same name.
        """
        files = _files(directory)
        file_of: dict[str, Path] = {}
        for path in files:
            with _opened(path) as stored:
                for name in stored.keys():  # noqa: SIM118 - not a mapping
                    if name in file_of:
                        raise RecordError(path, name, f"is also in {file_of[name].name}", "remove one of the files")
                    file_of[name] = path
        return cls(directory, file_of)

    @property
    def origin(self) -> Path:
        """The directory of the checkpoint."""
        return self.directory

    @property
    def names(self) -> Collection[str]:
        """Names of the tensors, in the files' order."""
        return self.file_of.keys()

    def only(self, keep: Callable[[str], bool]) -> "StoredTensors":
        """Return the tensors whose names `keep` accepts."""
        return StoredTensors(self.directory, {name: path for name, path in self.file_of.items() if keep(name)})

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Read the shape of every tensor from the files' headers.

        Raises:
            RecordError: If a file is damaged.
        """
        found: dict[str, tuple[int, ...]] = {}
        for path in self._paths():
            with _opened(path) as stored:
                names = [name for name, file in self.file_of.items() if file == path]
                found |= {name: tuple(stored.get_slice(name).get_shape()) for name in names}
        return found

    def read(self) -> Iterator[tuple[str, Tensor]]:
        """Yield (name, tensor) file by file, without keeping tensors in memory.

        Raises:
            RecordError: If a file is damaged.
        """
        for path in self._paths():
            with _opened(path) as stored:
                for name, file in self.file_of.items():
                    if file == path:
                        try:
                            yield name, stored.get_tensor(name)
                        except (SafetensorError, OSError) as error:
                            raise RecordError(path, name, f"cannot be read: {error}", FETCH_AGAIN) from None

    def _paths(self) -> list[Path]:
        return sorted(set(self.file_of.values()))


@dataclass(frozen=True, slots=True)
class HeldTensors:
    """Tensors of one file, all in memory."""

    origin: Path
    content: Mapping[str, Tensor]

    @property
    def names(self) -> Collection[str]:
        """Names of the tensors, in the file's order."""
        return self.content.keys()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each tensor."""
        return {name: tuple(tensor.shape) for name, tensor in self.content.items()}

    def read(self) -> Iterator[tuple[str, Tensor]]:
        """Yield (name, tensor)."""
        yield from self.content.items()

    def below(self, prefix: str) -> "HeldTensors":
        """Return the tensors with this prefix, under their full names."""
        return HeldTensors(self.origin, {name: one for name, one in self.content.items() if name.startswith(prefix)})


def write_tensors(directory: Path, tensors: Mapping[str, Tensor], *, shard_bytes: int = SHARD_BYTES) -> None:
    """Write tensors as model.safetensors, or in shards with an index. Each file appears complete or not at all.

    Raises:
        DiskError: If the disk is full, or the directory cannot be written.
    """
    plan = split_torch_state_dict_into_shards(dict(tensors), max_shard_size=shard_bytes)
    for name, members in plan.filename_to_tensors.items():
        with appearing(directory / name) as temporary:
            try:
                save_file({key: tensors[key].contiguous() for key in members}, temporary, metadata={"format": "pt"})
            except SafetensorError as error:  # it wraps the system's error
                raise OSError(str(error)) from error
    index = directory / INDEX
    if plan.is_sharded:
        content = {"metadata": plan.metadata, "weight_map": plan.tensor_to_filename}
        write_text(index, json.dumps(content, indent=2) + "\n")
    else:
        index.unlink(missing_ok=True)


def read_flat(path: Path, *, allow_pickle: bool) -> dict[str, Tensor]:
    """Read all tensors of one file: safetensors, or a pickle of tensors if allowed (loaded with `weights_only`).

    Raises:
        RecordError: If the file cannot be read, or is a pickle and pickles are not allowed.
    """
    if not path.is_file():
        raise RecordError(path, "", "there is no such file", "give a checkpoint of SAM-2")
    if path.suffix == ".safetensors":
        with _opened(path) as stored:
            return {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - not a mapping
    if not allow_pickle:
        raise RecordError(
            path, "", "is a pickle, which is not read by default", "allow pickles if you trust the source of the file"
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a pickle can raise any exception
        raise RecordError(path, "", f"holds more than tensors, or is damaged: {error}", FETCH_AGAIN) from error
    tensors = content.get("model", content) if isinstance(content, dict) else {}
    return {str(name): tensor for name, tensor in tensors.items() if isinstance(tensor, Tensor)}


def _files(directory: Path) -> list[Path]:
    index = directory / INDEX
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RecordError(index, "", f"is not an index of weights: {error!r}", FETCH_AGAIN) from None
        for name in names:
            if not isinstance(name, str) or PurePosixPath(name).name != name:
                raise RecordError(index, "weight_map", f"{name!r} is not a file name", FETCH_AGAIN)
            if not (directory / name).is_file():
                raise RecordError(directory / name, "", f"is missing; {INDEX} names it", FETCH_AGAIN)
        return [directory / name for name in names]
    if (directory / SINGLE).is_file():  # shards of an earlier model may lie next to it
        return [directory / SINGLE]
    found = sorted(directory.glob("*.safetensors"))
    if found:
        return found
    if any(path for pattern in PICKLES for path in directory.glob(pattern)):
        raise RecordError(
            directory, "", "has its weights only in pickles, which can run code", "convert them to safetensors first"
        )
    raise RecordError(directory, "", "has no *.safetensors", "copy or download the weights too")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    with ExitStack() as stack:
        try:
            stored = stack.enter_context(safe_open(path, framework="pt", device="cpu"))
        except (SafetensorError, OSError) as error:
            raise RecordError(path, "", f"is truncated or damaged: {error}", FETCH_AGAIN) from None
        yield stored
