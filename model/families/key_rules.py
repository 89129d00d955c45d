"""One rule says how a stored tensor is called and laid out, there and here; it is read in both directions."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

_HOLES = {"{n}": r"(?P<n>\d+)", "{rest}": r"(?P<rest>.+)"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Fusion:
    """How the rows of one stored tensor are shared out among several of ours."""

    groups: int
    """The rows fall into this many groups of equal size, one after the other."""
    shares: tuple[int, ...]
    """Equal blocks of rows in a group, for each of our tensors in turn: (2, 1, 1) is a half, a quarter, a quarter."""

    def split(self, fused: Tensor) -> list[Tensor]:
        """Our tensors [rows of this one, ...] out of the stored one [rows of all, ...]; views where there is one group.

        Raises:
            ValueError: The rows cannot be shared out.
        """
        blocks = self.groups * sum(self.shares)
        if fused.ndim == 0 or fused.shape[0] % blocks:
            raise ValueError(f"shape {list(fused.shape)} does not divide into {blocks} equal blocks of rows")
        rows = fused.shape[0] // blocks
        grouped = fused.reshape(self.groups, sum(self.shares), rows, *fused.shape[1:])
        return [part.flatten(0, 2) for part in grouped.split_with_sizes(self.shares, dim=1)]

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """The stored tensor [rows of all, ...], a new one, out of ours [rows of one, ...].

        Raises:
            ValueError: Ours are not as many, or their rows not in the proportion, that the stored one has.
        """
        blocks = [self.groups * share for share in self.shares]
        shapes, columns = [list(part.shape) for part in parts], parts[0].shape[1:]
        rows = parts[0].shape[:1].numel() // blocks[0]
        if shapes != [[block * rows, *columns] for block in blocks]:
            raise ValueError(f"shapes {shapes} do not have rows in the proportion {blocks}")
        grouped = [part.reshape(self.groups, -1, rows, *columns) for part in parts]
        return torch.cat(grouped, dim=1).flatten(0, 2)


@dataclass(frozen=True, slots=True)
class Rule:
    """Names that belong together. In each, {n} stands for one number and {rest} for one or more last words."""

    official: str
    ours: tuple[str, ...]
    fusion: Fusion | None = None
    """Set where, and only where, the official tensor holds several of ours."""
    reading_only: bool = False
    """True for names of older files, which are understood but not written."""

    def inward(self, key: str) -> tuple[str, ...]:
        """Our names for an official one; none where this rule is not about it."""
        found = _pattern(self.official).fullmatch(key)
        return tuple(name.format(**found.groupdict()) for name in self.ours) if found else ()

    def outward(self, name: str) -> str | None:
        """The official name for one of ours; None where this rule is not about it."""
        if not self.reading_only:
            for ours in self.ours:
                if found := _pattern(ours).fullmatch(name):
                    return self.official.format(**found.groupdict())
        return None


def renamed(official: str, ours: str, names: dict[str, str]) -> list[Rule]:
    """A rule for every pair of official and own name, below a prefix on either side."""
    return [Rule(official + there, (ours + here,)) for there, here in names.items()]


@cache
def _pattern(template: str) -> re.Pattern[str]:
    expression = re.escape(template)
    for hole, group in _HOLES.items():
        expression = expression.replace(re.escape(hole), group)
    return re.compile(expression)
