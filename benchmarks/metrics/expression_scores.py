"""From expressions' scores to a benchmark's figure: in percent, over all of them or group by group.

Source: Sa2VA's evaluation scripts for MeViS, Ref-DAVIS17, ReVOS and Ref-SAV. What each leaves out: docs/metrics.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from refsav.benchmarks.metrics.j_and_f import VideoScore

SCRIPT_DECIMALS = 2
"""To how many decimals the scripts for Ref-SAV and ReVOS round each expression's percentages."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanScore:
    """J and F over a number of expressions, in percent."""

    j: float
    f: float
    expressions: int

    @property
    def jf(self) -> float:
        """J&F: the mean of the two."""
        return (self.j + self.f) / 2


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupedScore:
    """What the Ref-SAV and ReVOS scripts report."""

    groups: Mapping[str, MeanScore]
    """Ref-SAV: long (type_id 0) and short (1); ReVOS: referring (0) and reasoning (1)."""
    overall: MeanScore
    """The plain mean of the groups, however many expressions each has."""


def mean_score(scores: Sequence[VideoScore], decimals: int | None = None) -> MeanScore:
    """Average J and F over expressions, each counting once, whatever video it belongs to.

    Args:
        scores: One for every expression.
        decimals: To how many each expression's percentages are rounded before, as numpy rounds; None: not at all.

    Raises:
        ValueError: If there is no expression.
    """
    if not scores:
        raise ValueError("no expression to average over")
    percent = 100 * np.array([(score.j, score.f) for score in scores])
    j, f = (percent if decimals is None else np.round(percent, decimals)).mean(axis=0)
    return MeanScore(j=float(j), f=float(f), expressions=len(scores))


def grouped_score(groups: Mapping[str, Sequence[VideoScore]]) -> GroupedScore:
    """Score a benchmark with kinds of expressions as the official Ref-SAV and ReVOS scripts do.

    A group without expressions is left out; the scripts give NaN as overall score then.

    Raises:
        ValueError: If no group has an expression.
    """
    means = {name: mean_score(scores, SCRIPT_DECIMALS) for name, scores in groups.items() if scores}
    if not means:
        raise ValueError("no group has an expression")
    overall = MeanScore(
        j=float(np.mean([mean.j for mean in means.values()])),
        f=float(np.mean([mean.f for mean in means.values()])),
        expressions=sum(mean.expressions for mean in means.values()),
    )
    return GroupedScore(groups=means, overall=overall)
