"""Agreement of annotators beyond chance: Cohen's kappa for two annotators, Fleiss' kappa for more."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """Agreement over the objects that at least two annotators have judged."""

    objects: int
    annotators: int
    share: float
    """Share of equal pairs of judgements per object, fraction 0-1, mean over the objects; 0 without objects."""
    measure: Literal["cohen", "fleiss"]
    kappa: float | None
    """1 for full agreement, 0 for agreement by chance; None if all judgements are the same: undefined."""


def agreement(votes: Sequence[Mapping[str, str]]) -> Agreement:
    """Measure agreement.

    Args:
        votes: For each object, the judgement of every annotator, by name. Objects with fewer than two are ignored.
    """
    shared = [one for one in votes if len(one) > 1]
    names = sorted({name for one in shared for name in one})
    counted = [Counter(one.values()) for one in shared]
    if len(names) == 2:
        first, second = names
        kappa = cohen_kappa([one[first] for one in shared], [one[second] for one in shared])
    else:
        kappa = fleiss_kappa(counted)
    return Agreement(
        objects=len(shared),
        annotators=len(names),
        share=sum(map(_agreeing_pairs, counted)) / len(counted) if counted else 0.0,
        measure="cohen" if len(names) == 2 else "fleiss",
        kappa=kappa,
    )


def cohen_kappa(first: Sequence[str], second: Sequence[str]) -> float | None:
    """Cohen's kappa (1960) of two annotators: their judgements of the same objects, in the same order."""
    count = len(first)
    if not count:
        return None
    observed = sum(a == b for a, b in zip(first, second, strict=True)) / count
    counts_first, counts_second = Counter(first), Counter(second)
    by_chance = sum(counts_first[one] * counts_second[one] for one in counts_first) / count**2
    return _beyond_chance(observed, by_chance)


def fleiss_kappa(votes: Sequence[Mapping[str, int]]) -> float | None:
    """Fleiss' kappa (1971).

    Objects may have different numbers of annotators, at least two; with equal numbers this is the published formula.

    Args:
        votes: For each object, how often each judgement was given.

    Returns:
        Kappa, or None without objects or with a single kind of judgement.
    """
    if not votes:
        return None
    total: Counter[str] = Counter()
    for one in votes:
        total.update(one)
    observed = sum(map(_agreeing_pairs, votes)) / len(votes)
    by_chance = sum((count / total.total()) ** 2 for count in total.values())
    return _beyond_chance(observed, by_chance)


def _agreeing_pairs(votes: Mapping[str, int]) -> float:
    """Share of pairs of annotators who give an object the same judgement, fraction 0-1."""
    count = sum(votes.values())
    return sum(one * (one - 1) for one in votes.values()) / (count * (count - 1))


def _beyond_chance(observed: float, by_chance: float) -> float | None:
    return (observed - by_chance) / (1 - by_chance) if by_chance < 1 else None
