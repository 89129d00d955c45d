"""Load tensors of a checkpoint into an empty model. All must fit; the error lists the keys of those that do not."""

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
"""Largest number of keys of each kind in an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightSource:
    """Tensors to load and the module's tensors that they fill; both sides must match exactly."""

    tensors: Tensors
    keys: KeyMap
    shapes: Mapping[str, tuple[int, ...]]
    """Shapes of the module's tensors, by our names."""
    adapt: Mapping[str, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    """Functions, by our names, that are applied to a tensor before it is loaded."""
    mismatch: str
    """First line of the error if the tensors do not fit."""
    fix: str

    def check(self) -> None:
        """Compare names and shapes, without reading tensors.

        Raises:
            RecordError: If keys are missing, unexpected or of another shape; it counts all and lists the first.
        """
        difference = self.keys.compare(self.tensors.names, self.shapes)
        problems = [
            *_listed("missing", difference.missing),
            *_listed("unexpected", difference.unexpected),
            *_listed("of another shape", list(self._misshapen(set(difference.unexpected)))),
        ]
        if problems:
            raise RecordError(self.tensors.origin, "", "\n".join([self.mismatch, *problems]), self.fix)

    def read(self) -> Iterator[tuple[str, Tensor]]:
        """Yield our names and tensors, with one stored tensor in memory at a time."""
        for key, tensor in self.tensors.read():
            yield from self._inward(key, tensor)

    def _inward(self, key: str, tensor: Tensor) -> list[tuple[str, Tensor]]:
        pairs = self.keys.inward(key, tensor)
        return [(name, self.adapt[name](tensor) if name in self.adapt else tensor) for name, tensor in pairs]

    def _misshapen(self, unexpected: set[str]) -> Iterator[str]:
        for key, shape in self.tensors.shapes().items():
            if key in unexpected:
                continue
            try:
                pairs = self._inward(key, torch.empty(shape, device="meta"))
            except ValueError as error:
                yield f"{key} {list(shape)}: {error}"
                continue
            for name, tensor in pairs:
                if tuple(tensor.shape) != self.shapes[name]:
                    yield f"{key} {list(shape)}: {list(tensor.shape)} where the model has {list(self.shapes[name])}"


def shapes_of(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all tensors that a checkpoint of this model holds, by our names."""
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict(keep_vars=True).items()}


def load_tensors(model: nn.Module, sources: Sequence[WeightSource], placement: Placement) -> None:
    """Load tensors into an empty model, one at a time, after checking that all of them fit.

    Raises:
        RecordError: If a tensor is missing, unexpected or of another shape.
    """
    for source in sources:
        source.check()
    for source in sources:
        for name, tensor in source.read():
            set_tensor(model, name, tensor, placement)


def set_tensor(model: nn.Module, name: str, value: Tensor, placement: Placement) -> None:
    """Set one tensor of a model, [rows, ...], on its device and in its type; `name` is the module's."""
    dtype = placement.dtype_of(name, value.dtype)
    set_module_tensor_to_device(model, name, placement.device_of(name), value.contiguous(), dtype=dtype)


def _listed(kind: str, keys: list[str] | tuple[str, ...]) -> list[str]:
    if not keys:
        return []
    more = [f"    … and {len(keys) - MOST_LISTED} more"] if len(keys) > MOST_LISTED else []
    return [f"  {kind}: {len(keys)}", *(f"    {key}" for key in keys[:MOST_LISTED]), *more]
