"""Examples that cannot be used: counted, named and replaced, up to a share of what was read."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Protocol

from refsav.datasets.training_examples.mixture import BadExample, TooManyBadError

A_FEW = 10
"""So many are never too many, unless none is allowed: shares of a few examples say nothing."""


class Read(Protocol):
    """An example that was read, in whatever form."""

    @property
    def bad(self) -> Sequence[BadExample]:
        """Those that it stands in for; and itself, if it lacks something."""


class BadExamples:
    """What training has met so far, on all its devices."""

    def __init__(self, share: float, key: str = "data.bad_share") -> None:
        """Allow some examples to be replaced or to lack something.

        Args:
            share: Of those that are read, fraction 0-1; with 0 none at all.
            key: The setting that says so.
        """
        self.read = 0
        self.by_source: Counter[str] = Counter()
        self.first: dict[str, str] = {}
        """The first error of each source."""
        self._share, self._key = share, key

    @property
    def count(self) -> int:
        """How many could not be used, or not as a whole."""
        return self.by_source.total()

    def note(self, drawn: Read) -> None:
        """Count an example, those that it stands in for, and what it lacks.

        Raises:
            TooManyBadError: If there are now more of them than allowed.
        """
        self.read += 1
        for each in drawn.bad:
            self.by_source[each.source] += 1
            self.first.setdefault(each.source, each.line)
        allowed = max(A_FEW, self._share * self.read) if self._share else 0
        if self.count > allowed:
            raise TooManyBadError("\n".join(self._complaint()))

    def _complaint(self) -> Iterator[str]:
        allowed = f"{self._key} = {self._share:g}"
        yield f"{self.count} examples cannot be used of {self.read} that were read: more than {allowed} allows"
        for source, count in self.by_source.most_common(3):
            yield f"  {source}: {count}, the first: {self.first[source]}"
        yield f"  fix: mend the source that is named first, leave it out, or raise {self._key}"
