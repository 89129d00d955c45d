"""Sources mixed and shuffled: what an epoch holds follows from seed and epoch, an example from its position in it.

So nothing depends on how many processes read, nor on whether training was interrupted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from refsav.datasets.training_examples.example import TrainingExample
from refsav.datasets.training_examples.length_grouping import group_by_length
from refsav.datasets.training_examples.weighted_source import WeightedSource
from refsav.errors import ConfigError, RecordError, RefSavError

Indexes = npt.NDArray[np.int64]

IN_A_ROW = 20
"""Examples that one may stand in for; more that cannot be used one after the other are no accident."""

_ORDER, _GROUPS, _READ = range(3)
"""What a generator is for: none is used for two things."""


@dataclass(frozen=True, slots=True)
class BadExample:
    """An example that could not be used, or lacks something."""

    source: str
    line: str
    """What is wrong, on one line."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """An example to train on."""

    example: TrainingExample
    source: str
    """Name of the source that it comes from."""
    bad: tuple[BadExample, ...] = ()
    """Those that it stands in for; and itself, if it lacks something."""


class TooManyBadError(RefSavError):
    """More examples cannot be used than may be left out."""


class Mixture:
    """Sources with repeats. Every process that reads has its own and sees the same."""

    def __init__(self, shares: Sequence[WeightedSource], seed: int) -> None:
        """Mix sources; raises ConfigError if there is nothing in them."""
        self.sources = tuple(shares)
        self.seed = seed
        self._ordered: tuple[int, Indexes] | None = None
        self._lengths: list[Indexes] | None = None
        if not len(self):
            raise ConfigError("the data has no examples\n  fix: name a source under data.sources, or raise its repeats")

    def __len__(self) -> int:
        """Count the examples of an epoch; all epochs have as many."""
        return sum(whole * len(share.source) + part for share in self.sources for whole, part in [_passes(share)])

    def order(self, epoch: int) -> Indexes:
        """Shuffle an epoch: int64 [N, 2], (source, index in it). Where repeats are no whole number, a part is drawn."""
        if self._ordered is None or self._ordered[0] != epoch:
            random = self._random(_ORDER, epoch)
            indexes = [_indexes(share, random) for share in self.sources]
            numbers = np.repeat(np.arange(len(indexes)), [len(some) for some in indexes])
            pairs = np.stack([numbers, np.concatenate(indexes)], axis=1).astype(np.int64)
            self._ordered = epoch, random.permutation(pairs)
        return self._ordered[1]

    def lengths(self, epoch: int) -> Indexes:
        """About how many tokens each position of an epoch takes, int64 [N]."""
        if self._lengths is None:
            sources = [share.source for share in self.sources]
            self._lengths = [
                np.fromiter((source.length_of(index) for index in range(len(source))), np.int64, len(source))
                for source in sources
            ]
        order, weights = self.order(epoch), np.empty(len(self), np.int64)
        for number, known in enumerate(self._lengths):
            here = order[:, 0] == number
            weights[here] = known[order[here, 1]]
        return weights

    def grouped(self, epoch: int, batch: int) -> Indexes:
        """Put an epoch's positions, int64 [N], into an order in which each `batch` of them weighs much the same."""
        return group_by_length(self.lengths(epoch), batch, self._random(_GROUPS, epoch))

    def read(self, epoch: int, position: int) -> TrainingExample:
        """Make the example at a position of an epoch. Raises RecordError."""
        return self._read(epoch, position, position)

    def draw(self, epoch: int, position: int) -> Drawn:
        """Make the example at a position; one that cannot be used is told, and what comes after it stands in for it.

        Raises:
            TooManyBadError: If many in a row cannot be used.
        """
        bad: list[BadExample] = []
        for offset in range(min(IN_A_ROW, len(self))):
            taken = (position + offset) % len(self)
            source = self.sources[self.order(epoch)[taken, 0]].source
            try:
                example = self._read(epoch, position, taken)
            except RecordError as error:
                bad.append(BadExample(source.name, error.line))
                continue
            if example.left_out:
                bad.append(BadExample(source.name, "; ".join(example.left_out)))
            return Drawn(example, source.name, tuple(bad))
        told = "\n".join(f"  {each.source}: {each.line}" for each in bad[:3])
        fix = "mend what is named, or leave its source out with data.without"
        raise TooManyBadError(
            f"{len(bad)} examples one after the other cannot be used, the first are\n{told}\n  fix: {fix}"
        )

    def _read(self, epoch: int, position: int, taken: int) -> TrainingExample:
        number, index = map(int, self.order(epoch)[taken])
        return self.sources[number].source.read(index, self._random(_READ, epoch, position, taken))

    def _random(self, use: int, *place: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, use, *place))


def _passes(share: WeightedSource) -> tuple[int, int]:
    """How often a source is gone through as a whole, and how many of its examples are drawn beside."""
    whole = int(share.repeats)
    return whole, round((share.repeats - whole) * len(share.source))


def _indexes(share: WeightedSource, random: np.random.Generator) -> Indexes:
    whole, part = _passes(share)
    count = len(share.source)
    drawn = random.choice(count, part, replace=False) if part else np.empty(0, np.int64)
    return np.concatenate([np.tile(np.arange(count), whole), drawn])
