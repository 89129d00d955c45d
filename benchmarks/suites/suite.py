"""Definition of a suite: a dataset, prompts about each item, rows with an answer and its scores, overall scores."""

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
"""Scores by group and name, in percent: {"long": {"J": 57.0, …}, …}; empty if only a test server can score."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """Scores over all rows."""

    scores: Scores
    per_row: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Additional columns of scores.parquet, in the order of the rows, for scores that need all rows, such as CIDEr."""
    not_scored: int = 0
    """Number of rows that no score includes, because their video has no other expression for the control."""


class Dataset(Protocol[Item_co]):
    """Images or videos that are read one at a time."""

    @property
    def name(self) -> str:
        """Name of the dataset in results."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Annotation files, whose digest identifies the dataset; no images."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> Item_co:
        """Read one item. Raises RecordError if it is not as published."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite(Generic[Item, Row]):
    """A benchmark, opened on its dataset. docs/benchmarking.md explains what each suite compares."""

    name: str
    """Name on the command line."""
    protocol: str
    """How the scores are computed, in one line; results with different protocols are not comparable."""
    dataset: Dataset[Item]
    measure: Callable[[Answerer, Item], list[Row]]
    """Prompt the model about one item; return the answers with their scores."""
    rows: PartKind[Row]
    """Schema of the rows in Parquet."""
    summarize: Callable[[Iterator[Row]], Summary]
    """Compute the scores of all rows, of which there is at least one."""
    bulky: frozenset[str] = frozenset()
    """Columns that only the parts have, for predictions and submissions; scores.parquet leaves them out."""
    for_server: bool = False
    """Whether a test server scores it; the run then writes a submission instead of scores."""


AnySuite = Suite[Any, Any]
