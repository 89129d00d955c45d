"""The outcome of a review: how many expressions people accepted, and how far they agree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from refsav.datasets.records import ObjectKey
from refsav.datasets.review.answer_log import read_decisions, read_review
from refsav.datasets.review.decisions import count_reasons, votes
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.shards.splits import read_splits
from refsav.datasets.statistics.agreement import Agreement, agreement
from refsav.disk.files import write_bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewCounts:
    """Validation objects by the state of their long expression, which is one of the first four."""

    accepted: int = 0
    edited: int = 0
    rejected: int = 0
    candidates: int = 0
    contested: int = 0
    """Candidates on which annotators disagree."""
    short: int = 0
    """Objects with a short expression."""

    @property
    def answered(self) -> bool:
        """Whether there is any answer."""
        return bool(self.accepted + self.edited + self.rejected + self.contested + self.short)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewSummary:
    """The content of summary.json."""

    counts: ReviewCounts
    agreement: Agreement
    reasons: Mapping[str, int]
    """Number of judgements per reason, most frequent first."""
    contested: tuple[str, ...]
    """Objects that need one more annotator."""
    outdated: tuple[str, ...]
    """Objects whose long expression has changed since it was reviewed."""
    gone: tuple[str, ...]
    """Objects with answers that are no longer in the run; the answers are kept."""


def count_review(run: RunDirectory, objects: int) -> ReviewCounts:
    """Count decisions about validation objects.

    Args:
        run: The run.
        objects: Number of validation objects with an expression.

    Raises:
        RecordError: If answers, parts or splits cannot be read.
    """
    decisions = read_decisions(run)
    if decisions:
        splits = read_splits(run.splits)
        held_out = {video_id for video_id, one in splits.items() if one.split == "val"}
        decisions = {key: one for key, one in decisions.items() if key.video_id in held_out}
    outcomes = [decision.outcome for decision in decisions.values()]
    counts = {name: outcomes.count(name) for name in ("accepted", "edited", "rejected")}
    return ReviewCounts(
        accepted=counts["accepted"],
        edited=counts["edited"],
        rejected=counts["rejected"],
        candidates=objects - sum(counts.values()),
        contested=sum(decision.contested for decision in decisions.values()),
        short=sum(bool(decision.short) for decision in decisions.values()),
    )


def write_summary(run: RunDirectory, counts: ReviewCounts) -> ReviewSummary:
    """Write review/summary.json, next to the answers. Raises RecordError, DiskError."""
    review = read_review(run)
    by_object = votes(review.answers, review.texts)
    summary = ReviewSummary(
        counts=counts,
        agreement=agreement([by_object[key] for key in sorted(by_object)]),
        reasons=count_reasons(review.answers, review.texts),
        contested=_names([key for key, decision in review.decisions.items() if decision.contested]),
        outdated=_names(review.outdated()),
        gone=_names(review.gone()),
    )
    write_bytes(run.review_summary, _SUMMARY.dump_json(summary, indent=1) + b"\n")
    return summary


def _names(keys: Sequence[ObjectKey]) -> tuple[str, ...]:
    return tuple(map(str, sorted(keys)))


_SUMMARY = TypeAdapter(ReviewSummary)
