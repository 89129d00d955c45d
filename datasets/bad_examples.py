"""Examples that cannot be used: counted, named and replaced, up to a share of what was read."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Protocol

from refsav.datasets.mixture import BadExample, TooManyBadError

A_FEW = 10
"""So many are never too many, unless none is allowed: shares of a few examples say nothing."""

NAMED = 100
"""Errors that are kept; the others are counted."""


class Read(Protocol):
    """An example that was read, in whatever form."""

    @property
    def bad(self) -> Sequence[BadExample]:
        """Those that it stands in for; and itself, if it lacks something."""


class BadExamples:
    """What training has met so far. One for a process that steps, not for those that read for it."""

    def __init__(self, share: float) -> None:
        """Allow this share of the examples to be replaced or to lack something, fraction 0-1; with 0 none at all."""
        self.read = 0
        self.named: list[BadExample] = []
        self.by_source: Counter[str] = Counter()
        self._share = share

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
        self.by_source.update(each.source for each in drawn.bad)
        self.named.extend(drawn.bad[: NAMED - len(self.named)])
        allowed = max(A_FEW, self._share * self.read) if self._share else 0
        if self.count > allowed:
            raise TooManyBadError("\n".join(self._complaint()))

    def lines(self) -> Iterator[str]:
        """Tell each error that was kept, and how many there are beside them."""
        for each in self.named:
            yield f"{each.source}: {each.line}"
        if self.count > len(self.named):
            yield f"and {self.count - len(self.named)} more"

    def _complaint(self) -> Iterator[str]:
        allowed = f"data.bad_share = {self._share:g}"
        yield f"{self.count} examples cannot be used of {self.read} that were read: more than {allowed} allows"
        for source, count in self.by_source.most_common(3):
            first = next((each.line for each in self.named if each.source == source), "")
            yield f"  {source}: {count}, the first: {first}"
        yield "  fix: mend the source that is named first, leave it out, or raise data.bad_share"
