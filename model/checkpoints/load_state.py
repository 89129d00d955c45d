"""Filling an empty model with tensors that others have named: all must fit, and what does not is told by its name."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from accelerate.utils import set_module_tensor_to_device
from torch import Tensor, nn

from refsav.errors import RecordError
from refsav.model.checkpoints.device_map import Placement
from refsav.model.checkpoints.key_names import KeyMap
from refsav.model.checkpoints.weights import Tensors

MOST_LISTED = 12
"""Keys that an error names, of each kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """Places of a model, and the tensors that are to fill them: every place, and with nothing left over."""

    tensors: Tensors
    keys: KeyMap
    places: Mapping[str, tuple[int, ...]]
    """Shapes by our names."""
    fitted: Mapping[str, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    """By our names, what is done to a tensor before it is placed."""
    mismatch: str
    """What the tensors are not, where they do not fit."""
    fix: str

    def check(self) -> None:
        """Compare names and shapes; nothing is read.

        Raises:
            RecordError: If keys are missing, unexpected or of another shape: all are counted, the first are named.
        """
        difference = self.keys.compare(self.tensors.names, self.places)
        problems = [
            *_listed("missing", difference.missing),
            *_listed("unexpected", difference.unexpected),
            *_listed("of another shape", list(self._misshapen(set(difference.unexpected)))),
        ]
        if problems:
            raise RecordError(self.tensors.origin, "", "\n".join([self.mismatch, *problems]), self.fix)

    def read(self) -> Iterator[tuple[str, Tensor]]:
        """Yield our names and what belongs there, one stored tensor in memory at a time."""
        for key, tensor in self.tensors.read():
            yield from self._inward(key, tensor)

    def _inward(self, key: str, tensor: Tensor) -> list[tuple[str, Tensor]]:
        pairs = self.keys.inward(key, tensor)
        return [(name, self.fitted[name](part) if name in self.fitted else part) for name, part in pairs]

    def _misshapen(self, unexpected: set[str]) -> Iterator[str]:
        for key, shape in self.tensors.shapes().items():
            if key in unexpected:
                continue
            try:
                parts = self._inward(key, torch.empty(shape, device="meta"))
            except ValueError as error:
                yield f"{key} {list(shape)}: {error}"
                continue
            for name, part in parts:
                if tuple(part.shape) != self.places[name]:
                    yield f"{key} {list(shape)}: {list(part.shape)} for a place of {list(self.places[name])}"


def places_of(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shape of everything that a checkpoint of this model holds, by our names."""
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict(keep_vars=True).items()}


def fill(model: nn.Module, fillings: Sequence[Filling], placement: Placement) -> None:
    """Fill an empty model, one tensor at a time, once all that is to fill it has been found to fit.

    Raises:
        RecordError: If something does not fit.
    """
    for filling in fillings:
        filling.check()
    for filling in fillings:
        for name, tensor in filling.read():
            place(model, name, tensor, placement)


def place(model: nn.Module, name: str, value: Tensor, placement: Placement) -> None:
    """Put one tensor where it belongs; `name` is ours."""
    dtype = placement.dtype_of(name, value.dtype)
    set_module_tensor_to_device(model, name, placement.device_of(name), value.contiguous(), dtype=dtype)


def _listed(kind: str, keys: list[str] | tuple[str, ...]) -> list[str]:
    if not keys:
        return []
    more = [f"    … and {len(keys) - MOST_LISTED} more"] if len(keys) > MOST_LISTED else []
    return [f"  {kind}: {len(keys)}", *(f"    {key}" for key in keys[:MOST_LISTED]), *more]
