"""What a suite is: a dataset, how to ask about it, rows that say how each answer was, and figures made of the rows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from refsav.benchmarks.suites.answerer import Answerer
from refsav.datasets.run.part_schemas import PartKind

Item = TypeVar("Item")
Item_co = TypeVar("Item_co", covariant=True)
Row = TypeVar("Row")

Scores = Mapping[str, Mapping[str, float]]
"""Figures by group and name, in percent: {"long": {"J": 57.0, …}, …}; none where only a test server can score."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What comes out of all rows together."""

    scores: Scores
    per_row: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Further columns of scores.parquet, in the order of the rows: figures that need the whole set, as CIDEr does."""
    not_scored: int = 0
    """Rows that are in no figure: those that a control could not be asked with."""


class Dataset(Protocol[Item_co]):
    """Images or videos, each read when it is asked for."""

    @property
    def name(self) -> str:
        """What results call it."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Files that it is told by, for a digest: not the pictures."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> Item_co:
        """Give one. Raises RecordError if it is not as published."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite(Generic[Item, Row]):
    """A benchmark that can be run. What is compared with what: docs/benchmarking.md."""

    name: str
    """As the command line has it."""
    protocol: str
    """How its figures come about, in one line: a result without it cannot be compared."""
    dataset: Dataset[Item]
    measure: Callable[[Answerer, Item], list[Row]]
    """Ask about one item and say how the answers were."""
    rows: PartKind[Row]
    """How rows lie in Parquet."""
    summarize: Callable[[Iterator[Row]], Summary]
    """Figures of all rows, of which there is at least one."""
    bulky: frozenset[str] = frozenset()
    """Columns that parts keep for predictions and submissions, and that scores.parquet does without."""
    for_server: bool = False
    """Whether a test server scores it: a submission is made instead of figures."""


AnySuite = Suite[Any, Any]
