"""Examples on their way from a process that reads to the one that trains: all arrays of a pass in one piece of memory.

torch hands over each tensor by itself, with a file of shared memory and a message for each; for small examples that
takes longer than to learn from them would wait otherwise.
"""

import io
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

ALIGNED_BYTES = 64
"""Arrays begin at multiples of this, as any type of number wants."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """Packed objects."""

    content: bytes
    """All but the arrays."""
    arrays: Tensor
    """uint8 [N]."""
    places: tuple[tuple[int, int], ...]
    """Start and end of each array."""


class _Packer(pickle.Pickler):
    def reducer_override(self, packed: object) -> Any:  # noqa: ANN401 - pickle's own
        """Send tensors as NumPy's arrays, whose content pickle can leave out."""
        if isinstance(packed, Tensor):
            return torch.from_numpy, (packed.contiguous().numpy(),)
        return NotImplemented


def pack(objects: Sequence[object]) -> Parcel:
    """Put objects with tensors of the CPU, of NumPy's types, into a parcel; in a worker, into shared memory."""
    buffers: list[memoryview] = []
    stream = io.BytesIO()
    _Packer(stream, protocol=5, buffer_callback=lambda buffer: buffers.append(buffer.raw())).dump(list(objects))
    places: list[tuple[int, int]] = []
    end = 0
    for buffer in buffers:
        start = -(-end // ALIGNED_BYTES) * ALIGNED_BYTES
        end = start + buffer.nbytes
        places.append((start, end))
    arrays = torch.empty(end, dtype=torch.uint8)
    if get_worker_info() is not None:
        arrays.share_memory_()  # type: ignore[no-untyped-call]
    memory = arrays.numpy()
    for (start, stop), buffer in zip(places, buffers, strict=True):
        memory[start:stop] = np.frombuffer(buffer, np.uint8)
    return Parcel(stream.getvalue(), arrays, tuple(places))


def unpack(parcel: Parcel) -> list[Any]:
    """Take the objects out again; their tensors lie in the parcel's memory."""
    memory = parcel.arrays.numpy()
    buffers = [memory[start:end] for start, end in parcel.places]
    taken: list[Any] = pickle.loads(parcel.content, buffers=buffers)  # noqa: S301 - of a process of our own
    return taken
