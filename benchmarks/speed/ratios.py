"""What a speed measurement is: two quantities taken in turns, their ratio round by round, and a bar beside it."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal

Direction = Literal["at least", "at most"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantity:
    """One thing that was measured, once a round."""

    name: str
    unit: str
    """For example "ms an object"."""
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle of the rounds: what a busy neighbour did to one of them does not show."""
        return median(self.rounds)


@dataclass(frozen=True, slots=True)
class Bar:
    """What a ratio must reach."""

    direction: Direction
    value: float

    def holds(self, ratio: float) -> bool:
        """Whether a ratio reaches it."""
        return ratio >= self.value if self.direction == "at least" else ratio <= self.value


@dataclass(frozen=True, kw_only=True, slots=True)
class Ratio:
    """One quantity over another. Each round is divided by itself, as both were taken under the same load."""

    name: str
    rounds: tuple[float, ...]
    bar: Bar | None = None
    """None for a ratio that is told for the reader and held to nothing."""

    @classmethod
    def of(cls, name: str, over: Quantity, under: Quantity, bar: Bar | None = None) -> "Ratio":
        """Divide two quantities that were taken in the same rounds."""
        rounds = tuple(above / below for above, below in zip(over.rounds, under.rounds, strict=True))
        return cls(name=name, rounds=rounds, bar=bar)

    @property
    def median(self) -> float:
        """The figure that is held to the bar."""
        return median(self.rounds)

    @property
    def reached(self) -> bool | None:
        """Whether the bar is reached; None without one."""
        return self.bar.holds(self.median) if self.bar else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """One of the three measurements: what was taken, what was divided, and what a reader must know."""

    title: str
    quantities: tuple[Quantity, ...]
    ratios: tuple[Ratio, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Everything, medians and verdicts included."""
        return {
            "title": self.title,
            "quantities": [asdict(quantity) | {"median": quantity.median} for quantity in self.quantities],
            "ratios": [asdict(ratio) | {"median": ratio.median, "reached": ratio.reached} for ratio in self.ratios],
            "notes": list(self.notes),
        }


def in_turns(works: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, tuple[float, ...]]:
    """Do all works once a round and keep the figure that each gives; every other round goes backwards.

    A load or a clock that drifts then meets both sides of a ratio alike.
    """
    taken: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds):
        for name in list(works)[:: -1 if number % 2 else 1]:
            taken[name].append(works[name]())
    return {name: tuple(figures) for name, figures in taken.items()}
