"""Count examples that cannot be used; training ends when they exceed a share of those that were read."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Protocol

from refsav.datasets.training_examples.mixture import BadExample, TooManyBadError

A_FEW = 10
"""Always allowed unless the share is 0: a share of a few examples has no meaning."""


class Read(Protocol):
    """The result of reading an example: `Drawn`, or what a data loader makes of it."""

    @property
    def bad(self) -> Sequence[BadExample]:
        """Examples that it replaces, and itself if something was left out of it."""


class BadExamples:
    """Bad examples of a training so far, on all devices."""

    def __init__(self, share: float, key: str = "data.bad_share") -> None:
        """Allow a share of examples to be bad.

        Args:
            share: Share of the examples that are read, fraction 0-1; 0 allows none.
            key: The configuration key that sets it, for the message.
        """
        self.read = 0
        self.by_source: Counter[str] = Counter()
        self.first: dict[str, str] = {}
        """The first error of each source."""
        self._share, self._key = share, key

    @property
    def count(self) -> int:
        """Number of examples that could not be used, or only in part."""
        return self.by_source.total()

    def note(self, drawn: Read) -> None:
        """Count an example and the bad ones that its reading met.

        Raises:
            TooManyBadError: If there are now more bad examples than allowed.
        """
        self.read += 1
        for each in drawn.bad:
            self.by_source[each.source] += 1
            self.first.setdefault(each.source, each.line)
        allowed = max(A_FEW, self._share * self.read) if self._share else 0
        if self.count > allowed:
            fix = f"correct the source that is listed first, leave it out, or raise {self._key}"
            raise TooManyBadError("\n".join(self._problem()), fix=fix)

    def _problem(self) -> Iterator[str]:
        allowed = f"{self._key} = {self._share:g}"
        yield f"{self.count} examples cannot be used of {self.read} that were read: more than {allowed} allows"
        for source, count in self.by_source.most_common(3):
            yield f"  {source}: {count}, the first: {self.first[source]}"
