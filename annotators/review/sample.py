"""Which validation objects people review: all, or a stratified sample."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from refsav.datasets.records import Expression, ObjectKey
from refsav.datasets.statistics.properties import occlusion, word_count

LEVELS = 3
"""Number of levels of length and of size; each has equally many objects."""


_Stratum: TypeAlias = tuple[bool, int, int]
"""Whether it is occluded, level of its size, level of its length."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewedObject:
    """The properties of an object that decide its stratum."""

    key: ObjectKey
    words: int
    """Length of its long expression."""
    area_share: float
    """Mean share of the frame that it covers while it is visible, fraction 0-1."""
    occluded_share: float
    """Share of the time between its first and last appearance in which it is hidden, fraction 0-1."""

    @staticmethod
    def of(expression: Expression) -> "ReviewedObject":
        """Measure an object and its expression."""
        track = expression.track
        height, width = track.size
        return ReviewedObject(
            key=track.key,
            words=word_count(expression.text),
            area_share=sum(track.areas_px) / (height * width * max(1, track.visible_rows)),
            occluded_share=occlusion(track).share,
        )


def stratified(
    objects: Iterable[ReviewedObject], count: int, *, occluded_share: float, seed: int
) -> frozenset[ObjectKey]:
    """Draw a sample in which each stratum of length, size and occlusion has its share, to within one object.

    The order within a stratum depends on nothing but names and seed, and the first objects are drawn: a dataset that
    has grown a little gives nearly the same sample, and nearly all of a smaller sample is in a larger one.

    Args:
        objects: All objects, in any order.
        count: How many to draw; 0, or more than there are, draws all.
        occluded_share: Threshold from which an object counts as heavily occluded, fraction 0-1.
        seed: Another seed draws other objects.
    """
    ordered = sorted(objects, key=lambda one: _shuffled(one.key, seed))
    if not 0 < count < len(ordered):
        return frozenset(one.key for one in ordered)
    lengths, sizes = _limits([one.words for one in ordered]), _limits([one.area_share for one in ordered])
    strata: dict[_Stratum, list[ObjectKey]] = {}
    for one in ordered:
        stratum = one.occluded_share >= occluded_share, _level(one.area_share, sizes), _level(one.words, lengths)
        strata.setdefault(stratum, []).append(one.key)
    shares = _shares({stratum: len(keys) for stratum, keys in strata.items()}, count)
    return frozenset(key for stratum, keys in strata.items() for key in keys[: shares[stratum]])


def _shares(sizes: Mapping[_Stratum, int], count: int) -> dict[_Stratum, int]:
    """Distribute `count` in proportion to sizes, in whole numbers (largest remainder method)."""
    total = sum(sizes.values())
    shares = {name: count * size // total for name, size in sizes.items()}
    by_loss = sorted(sizes, key=lambda name: (-(count * sizes[name] % total), name))
    for name in by_loss[: count - sum(shares.values())]:
        shares[name] += 1
    return shares


def _shuffled(key: ObjectKey, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\0{key}".encode("utf-8", "surrogatepass")).digest()


def _limits(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    return [ordered[level * len(ordered) // LEVELS] for level in range(1, LEVELS)]


def _level(value: float, limits: Sequence[float]) -> int:
    return sum(value >= limit for limit in limits)
