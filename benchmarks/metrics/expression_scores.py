"""Averages the scores of expressions to those of a benchmark: in percent, over all or by group.

Source: Sa2VA's evaluation scripts for MeViS, Ref-DAVIS17, ReVOS and Ref-SAV. What each omits: docs/metrics.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from refsav.benchmarks.metrics.j_and_f import VideoScore

SCRIPT_DECIMALS = 2
"""Decimals to which the scripts for Ref-SAV and ReVOS round the percentages of each expression."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanScore:
    """Mean J and F of some expressions, in percent."""

    j: float
    f: float
    expressions: int

    @property
    def jf(self) -> float:
        """J&F: the mean of the two."""
        return (self.j + self.f) / 2


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupedScore:
    """Scores as the Ref-SAV and ReVOS scripts report them."""

    groups: Mapping[str, MeanScore]
    """Ref-SAV: long (type_id 0) and short (1); ReVOS: referring (0) and reasoning (1)."""
    overall: MeanScore
    """Unweighted mean of the groups."""


def mean_score(scores: Sequence[VideoScore], decimals: int | None = None) -> MeanScore:
    """Average J and F over expressions with equal weight.

    Args:
        scores: One per expression.
        decimals: Round the percentages of each expression to so many decimals first, as numpy does; None: do not round.

    Returns:
        Means in percent.

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

    A group without expressions is omitted; the scripts return NaN as the overall score in that case.

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
