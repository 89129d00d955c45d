"""Apply the decisions of the review to an object's texts, for the shards and the evaluation export."""

from collections.abc import Mapping
from typing import Literal

from refsav.datasets.records import Expression
from refsav.datasets.review.decisions import Decision, Outcome
from refsav.datasets.shards.samples import SampleText, TextStatus

ValidationKind = Literal["long", "short"]
_STATUS: Mapping[Outcome, TextStatus] = {"candidate": "candidate", "accepted": "accepted", "edited": "edited"}


def validation_text(expression: Expression, kind: ValidationKind, decision: Decision | None) -> SampleText | None:
    """Return the long or short expression of a validation object, or None if it has none.

    A rejected long expression is left out; a short one exists only if people have written it.
    """
    if kind == "short":
        return SampleText(text=decision.short, kind="short", status="accepted") if decision and decision.short else None
    if decision is None:
        return SampleText(text=expression.text, kind="long", status="candidate")
    if decision.outcome == "rejected":
        return None
    return SampleText(text=decision.long or expression.text, kind="long", status=_STATUS[decision.outcome])
