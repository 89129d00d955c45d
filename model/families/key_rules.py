"""Rules that map the names and layout of stored tensors to those of RefSAV's module, in both directions."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

_HOLES = {"{n}": r"(?P<n>\d+)", "{rest}": r"(?P<rest>.+)"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Fusion:
    """How the rows of one stored tensor are divided among several tensors of RefSAV's module."""

    groups: int
    """Number of consecutive groups of rows, all of the same size."""
    shares: tuple[int, ...]
    """Blocks of rows that each tensor gets of every group: (2, 1, 1) is a half, a quarter, a quarter."""

    def split(self, fused: Tensor) -> list[Tensor]:
        """Split a stored tensor.

        Args:
            fused: The stored tensor [rows of all, ...].

        Returns:
            RefSAV's tensors, each [its rows, ...]; views if there is one group.

        Raises:
            ValueError: If the rows do not divide evenly.
        """
        blocks = self.groups * sum(self.shares)
        if fused.ndim == 0 or fused.shape[0] % blocks:
            raise ValueError(f"shape {list(fused.shape)} does not divide into {blocks} equal blocks of rows")
        rows = fused.shape[0] // blocks
        grouped = fused.reshape(self.groups, sum(self.shares), rows, *fused.shape[1:])
        return [piece.flatten(0, 2) for piece in grouped.split_with_sizes(self.shares, dim=1)]

    def join(self, pieces: Sequence[Tensor]) -> Tensor:
        """Join RefSAV's tensors to a stored one; the inverse of `split`.

        Args:
            pieces: RefSAV's tensors, each [its rows, ...].

        Returns:
            A new tensor [rows of all, ...].

        Raises:
            ValueError: If their number or the proportion of their rows is wrong.
        """
        blocks = [self.groups * share for share in self.shares]
        shapes, columns = [list(piece.shape) for piece in pieces], pieces[0].shape[1:]
        rows = pieces[0].shape[:1].numel() // blocks[0]
        if shapes != [[block * rows, *columns] for block in blocks]:
            raise ValueError(f"shapes {shapes} do not have rows in the proportion {blocks}")
        grouped = [piece.reshape(self.groups, -1, rows, *columns) for piece in pieces]
        return torch.cat(grouped, dim=1).flatten(0, 2)


@dataclass(frozen=True, slots=True)
class Rule:
    """Names of the same tensor. In each name, {n} stands for one number and {rest} for the rest of the name."""

    official: str
    ours: tuple[str, ...]
    fusion: Fusion | None = None
    """Set if, and only if, the official tensor holds several of RefSAV's."""
    reading_only: bool = False
    """True for names of older files, which are read but never written."""

    def inward(self, key: str) -> tuple[str, ...]:
        """Return RefSAV's names for an official one; empty if this rule does not apply."""
        found = _pattern(self.official).fullmatch(key)
        return tuple(name.format(**found.groupdict()) for name in self.ours) if found else ()

    def outward(self, name: str) -> str | None:
        """Return the official name for one of RefSAV's; None if this rule does not apply."""
        if not self.reading_only:
            for ours in self.ours:
                if found := _pattern(ours).fullmatch(name):
                    return self.official.format(**found.groupdict())
        return None


def renamed(official: str, ours: str, names: dict[str, str]) -> list[Rule]:
    """Return a rule for every pair of official and own name, each below its prefix."""
    return [Rule(official + there, (ours + here,)) for there, here in names.items()]


@cache
def _pattern(template: str) -> re.Pattern[str]:
    expression = re.escape(template)
    for hole, group in _HOLES.items():
        expression = expression.replace(re.escape(hole), group)
    return re.compile(expression)
