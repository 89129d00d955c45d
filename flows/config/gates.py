"""The gates of a nightly run: is the dataset good enough to train on, and the new checkpoint good enough to be used.

Nothing here runs or reads anything: figures go in, reasons come out.
"""

from dataclasses import dataclass

from pydantic import Field

from refsav.config import Config
from refsav.datasets.statistics.run_statistics import Statistics


class GatesConfig(Config):
    """When a dataset is trained on, and when a checkpoint is promoted."""

    min_new_expressions: int = Field(
        1000, ge=1, description="Expressions by which the dataset must have grown since the last promotion."
    )
    max_drop_rate: float = Field(
        0.5, ge=0, le=1, description="Largest share of the described objects that the judge may drop, fraction 0-1."
    )
    max_failed: int = Field(0, ge=0, description="Objects that may have failed; `refsav retry` takes them up again.")
    max_loss_points: float = Field(
        0.0, ge=0, description="Points of J&F by which a new checkpoint may be worse than the promoted one."
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Promoted:
    """The checkpoint that is in use, and what it was promoted for; promoted.json."""

    checkpoint: str
    """Its directory."""
    dataset_digest: str
    """SHA-256 over the indexes of the shards that it has learnt from."""
    expressions: int
    """Expressions of that dataset, train and val."""
    jf: float
    """Overall J&F on the val split of that dataset, in percent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """What the Ref-SAV suite gave for one checkpoint."""

    jf: float
    """Overall J&F, in percent."""
    held_out: str
    """Digest of the set that it was measured on."""
    is_whole: bool
    """Whether nothing of the set is missing in it."""


def reasons_not_to_train(
    statistics: Statistics, undone_bundles: int, promoted: Promoted | None, gates: GatesConfig
) -> list[str]:
    """Say why a dataset is not to be trained on; an empty list lets it through.

    Args:
        statistics: Of the whole dataset.
        undone_bundles: Bundles that have no part.
        promoted: What is in use, if anything is.
        gates: The limits.
    """
    reasons = []
    grown = statistics.expressions - (promoted.expressions if promoted else 0)
    if grown < gates.min_new_expressions:
        reasons.append(f"{grown} new expressions since the last promotion, {gates.min_new_expressions} are needed")
    rate = drop_rate(statistics)
    if rate > gates.max_drop_rate:
        reasons.append(f"the judge dropped {rate:.1%} of the described objects, more than {gates.max_drop_rate:.1%}")
    if statistics.failed > gates.max_failed:
        reasons.append(f"{statistics.failed} objects failed, more than {gates.max_failed}: see problems.txt")
    if undone_bundles:
        reasons.append(f"{undone_bundles} bundles are not done")
    return reasons


def reasons_not_to_promote(new: Score, promoted: Score | None, gates: GatesConfig) -> list[str]:
    """Say why a checkpoint is not to take the promoted one's place; an empty list lets it through.

    Args:
        new: Of the new checkpoint.
        promoted: Of the one in use, measured on the same set; None for the first.
        gates: The limits.
    """
    if not new.is_whole:
        return ["the benchmark is not whole"]
    if promoted is None:
        return []
    if promoted.held_out != new.held_out or not promoted.is_whole:
        return ["the promoted checkpoint was not measured on the same held-out set"]
    least = promoted.jf - gates.max_loss_points
    if new.jf < least:
        return [f"J&F {new.jf:.1f} on the held-out videos, the promoted checkpoint has {promoted.jf:.1f}"]
    return []


def drop_rate(statistics: Statistics) -> float:
    """Share of the described objects that the judge dropped, fraction 0-1; filters are no matter of quality."""
    dropped = sum(loss.count for loss in statistics.dropped_by if loss.stage == "judge")
    return dropped / max(1, dropped + statistics.expressions)
