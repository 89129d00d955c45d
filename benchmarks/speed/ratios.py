"""Definition of a speed measurement: quantities measured alternately, their ratio per round, and its threshold."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal

Direction = Literal["at least", "at most"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantity:
    """One measured quantity with a value per round."""

    name: str
    unit: str
    """For example "ms a frame"."""
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median of the rounds, which a disturbance in one of them does not change."""
        return median(self.rounds)


@dataclass(frozen=True, slots=True)
class Bar:
    """The threshold of a ratio."""

    direction: Direction
    value: float

    def holds(self, ratio: float) -> bool:
        """Return whether a ratio reaches the threshold."""
        return ratio >= self.value if self.direction == "at least" else ratio <= self.value


@dataclass(frozen=True, kw_only=True, slots=True)
class Ratio:
    """One quantity divided by another, round by round, because both were measured under the same load."""

    name: str
    rounds: tuple[float, ...]
    bar: Bar | None = None
    """None for a ratio that is only informative."""

    @classmethod
    def of(cls, name: str, over: Quantity, under: Quantity, bar: Bar | None = None) -> "Ratio":
        """Divide two quantities of the same rounds."""
        rounds = tuple(above / below for above, below in zip(over.rounds, under.rounds, strict=True))
        return cls(name=name, rounds=rounds, bar=bar)

    @property
    def median(self) -> float:
        """The value that is compared with the bar."""
        return median(self.rounds)

    @property
    def reached(self) -> bool | None:
        """Whether the bar is reached; None if there is no bar."""
        return self.bar.holds(self.median) if self.bar else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """The result of one measurement: quantities, ratios, and notes for the reader."""

    title: str
    quantities: tuple[Quantity, ...]
    ratios: tuple[Ratio, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return all values, including medians and whether bars are reached."""
        return {
            "title": self.title,
            "quantities": [asdict(quantity) | {"median": quantity.median} for quantity in self.quantities],
            "ratios": [asdict(ratio) | {"median": ratio.median, "reached": ratio.reached} for ratio in self.ratios],
            "notes": list(self.notes),
        }


def in_turns(works: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, tuple[float, ...]]:
    """Run all works once per round and collect the value that each returns; every second round runs in reverse order.

    A drifting load or clock then affects both sides of a ratio equally.
    """
    taken: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds):
        for name in list(works)[:: -1 if number % 2 else 1]:
            taken[name].append(works[name]())
    return {name: tuple(figures) for name, figures in taken.items()}
