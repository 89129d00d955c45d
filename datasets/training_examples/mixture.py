"""Sources mixed and shuffled: an epoch follows from seed and epoch number, an example from its position in the epoch.

So an example depends neither on the number of processes that read, nor on whether the training was interrupted.
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
"""Consecutive examples that are tried before giving up; if so many cannot be used, it is not by chance."""

_ORDER, _GROUPS, _READ = range(3)
"""Purposes of random generators; each purpose has its own stream."""


@dataclass(frozen=True, slots=True)
class BadExample:
    """An example that could not be used, or only in part."""

    source: str
    line: str
    """What is wrong, on one line."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """An example to train on."""

    example: TrainingExample
    source: str
    """Name of its source."""
    bad: tuple[BadExample, ...] = ()
    """Examples that it replaces, and itself if something was left out of it."""


class TooManyBadError(RefSavError):
    """More examples cannot be used than are allowed."""


class Mixture:
    """Sources with repeats. Each reading process has its own copy, and all copies give the same examples."""

    def __init__(self, sources: Sequence[WeightedSource], seed: int) -> None:
        """Mix sources; raises ConfigError if they hold no examples."""
        self.sources = tuple(sources)
        self.seed = seed
        self._ordered: tuple[int, Indexes] | None = None
        self._lengths: list[Indexes] | None = None
        if not len(self):
            fix = "name a source under data.sources, or raise its repeats"
            raise ConfigError("the data has no examples", fix=fix)

    def __len__(self) -> int:
        """Number of examples per epoch, the same for all epochs."""
        return sum(full * len(each.source) + part for each in self.sources for full, part in [_passes(each)])

    def order(self, epoch: int) -> Indexes:
        """Shuffle an epoch. For repeats that are not a whole number, the fraction is drawn at random.

        Returns:
            int64 [N, 2]: for each position, the number of its source and the index in that source.
        """
        if self._ordered is None or self._ordered[0] != epoch:
            random = self._random(_ORDER, epoch)
            indexes = [_indexes(each, random) for each in self.sources]
            numbers = np.repeat(np.arange(len(indexes)), [len(some) for some in indexes])
            pairs = np.stack([numbers, np.concatenate(indexes)], axis=1).astype(np.int64)
            self._ordered = epoch, random.permutation(pairs)
        return self._ordered[1]

    def lengths(self, epoch: int) -> Indexes:
        """Approximate number of tokens of the example at each position of an epoch, int64 [N]."""
        if self._lengths is None:
            sources = [each.source for each in self.sources]
            self._lengths = [
                np.fromiter((source.length_of(index) for index in range(len(source))), np.int64, len(source))
                for source in sources
            ]
        order, lengths = self.order(epoch), np.empty(len(self), np.int64)
        for number, known in enumerate(self._lengths):
            here = order[:, 0] == number
            lengths[here] = known[order[here, 1]]
        return lengths

    def grouped(self, epoch: int, batch: int) -> Indexes:
        """Order the positions of an epoch, int64 [N], so that each `batch` of them has examples of similar length."""
        return group_by_length(self.lengths(epoch), batch, self._random(_GROUPS, epoch))

    def read(self, epoch: int, position: int) -> TrainingExample:
        """Read the example at a position of an epoch. Raises RecordError."""
        return self._read(epoch, position, position)

    def draw(self, epoch: int, position: int) -> Drawn:
        """Read the example at a position of an epoch; if it cannot be used, the next one replaces it.

        Returns:
            The example, with every bad one that it replaces.

        Raises:
            TooManyBadError: If `IN_A_ROW` consecutive examples cannot be used.
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
        first = "\n".join(f"  {each.source}: {each.line}" for each in bad[:3])
        raise TooManyBadError(
            f"{len(bad)} consecutive examples cannot be used; the first are\n{first}",
            fix="correct the files that are named, or leave their source out with data.without",
        )

    def _read(self, epoch: int, position: int, taken: int) -> TrainingExample:
        number, index = map(int, self.order(epoch)[taken])
        return self.sources[number].source.read(index, self._random(_READ, epoch, position, taken))

    def _random(self, purpose: int, *key: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, purpose, *key))


def _passes(weighted: WeightedSource) -> tuple[int, int]:
    """Full passes over a source per epoch, and the number of examples that are drawn in addition."""
    full = int(weighted.repeats)
    return full, round((weighted.repeats - full) * len(weighted.source))


def _indexes(weighted: WeightedSource, random: np.random.Generator) -> Indexes:
    full, part = _passes(weighted)
    count = len(weighted.source)
    drawn = random.choice(count, part, replace=False) if part else np.empty(0, np.int64)
    return np.concatenate([np.tile(np.arange(count), full), drawn])
