"""The gates of a nightly run: is the dataset good enough to train on, and the new checkpoint good enough to promote.

Pure functions: statistics and scores in, reasons out.
"""

from dataclasses import dataclass

from pydantic import Field

from refsav.config import Config
from refsav.datasets.statistics.run_statistics import Statistics


class GatesConfig(Config):
    """Limits for training on a dataset and for promoting a checkpoint."""

    min_new_expressions: int = Field(
        1000, ge=1, description="Expressions by which the dataset must have grown since the last promotion."
    )
    max_drop_rate: float = Field(
        0.5, ge=0, le=1, description="Largest fraction of the captioned objects that the judge may drop, 0-1."
    )
    max_failed: int = Field(0, ge=0, description="Largest number of failed objects; `refsav retry` retries them.")
    max_loss_points: float = Field(
        0.0, ge=0, description="Points of J&F by which a new checkpoint may score below the promoted one."
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Promoted:
    """The checkpoint that is in use, and why it was promoted; promoted.json."""

    checkpoint: str
    """Its directory."""
    dataset_digest: str
    """SHA-256 over the indexes of the shards that it was trained on."""
    expressions: int
    """Expressions of that dataset, train and val."""
    jf: float
    """Overall J&F on the val split of that dataset, in percent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """The score of one checkpoint on the Ref-SAV suite."""

    jf: float
    """Overall J&F, in percent."""
    held_out: str
    """Digest of the dataset that it was evaluated on."""
    is_whole: bool
    """Whether every item of the dataset was evaluated."""


def reasons_not_to_train(
    statistics: Statistics, undone_bundles: int, promoted: Promoted | None, gates: GatesConfig
) -> list[str]:
    """List the reasons not to train on a dataset; an empty list lets it through.

    Args:
        statistics: Statistics of the complete dataset.
        undone_bundles: Number of bundles without a part.
        promoted: The checkpoint in use; None if there is no such checkpoint.
        gates: The limits.
    """
    reasons = []
    grown = statistics.expressions - (promoted.expressions if promoted else 0)
    if grown < gates.min_new_expressions:
        reasons.append(f"{grown} new expressions since the last promotion, {gates.min_new_expressions} are needed")
    rate = drop_rate(statistics)
    if rate > gates.max_drop_rate:
        reasons.append(f"the judge dropped {rate:.1%} of the captioned objects, more than {gates.max_drop_rate:.1%}")
    if statistics.failed > gates.max_failed:
        reasons.append(f"{statistics.failed} objects failed, more than {gates.max_failed}: see problems.txt")
    if undone_bundles:
        reasons.append(f"{undone_bundles} bundles are not done")
    return reasons


def reasons_not_to_promote(new: Score, promoted: Score | None, gates: GatesConfig) -> list[str]:
    """List the reasons not to promote a checkpoint; an empty list lets it through.

    Args:
        new: Score of the new checkpoint.
        promoted: Score of the one in use on the same dataset; None for the first checkpoint.
        gates: The limits.
    """
    if not new.is_whole:
        return ["the benchmark is incomplete"]
    if promoted is None:
        return []
    if promoted.held_out != new.held_out or not promoted.is_whole:
        return ["the promoted checkpoint was not evaluated on the same held-out set"]
    least = promoted.jf - gates.max_loss_points
    if new.jf < least:
        return [f"J&F {new.jf:.1f} on the held-out videos, the promoted checkpoint has {promoted.jf:.1f}"]
    return []


def drop_rate(statistics: Statistics) -> float:
    """Fraction of the captioned objects that the judge dropped, 0-1; objects that a filter dropped do not count."""
    dropped = sum(loss.count for loss in statistics.dropped_by if loss.stage == "judge")
    return dropped / max(1, dropped + statistics.expressions)
