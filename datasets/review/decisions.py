"""Review of the validation set: a question, an answer, and the decision when several annotators have answered."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, NamedTuple, cast

from refsav.datasets.records import ObjectKey, Source
from refsav.datasets.sav.train_layout import VIDEO_ID
from refsav.errors import RefSavError

Judgement = Literal["accept", "fix", "reject", "none"]
"""An annotator's judgement of the long expression; "none" if the annotator only wrote a short expression."""

Outcome = Literal["candidate", "accepted", "edited", "rejected"]
"""Status of a long expression: a candidate until it is judged, and while annotators are tied."""

Rule = Literal["majority", "latest"]
"""How the answers of several annotators become one decision."""

REASONS = ("wrong object", "wrong appearance", "wrong place", "wrong action", "ambiguous", "bad mask", "bad language")
"""Reasons why a long expression is wrong; several may apply."""

_TASK = re.compile(rf"({VIDEO_ID.pattern})/(manual|auto)/([0-9]{{1,18}})#([0-9a-f]{{12}})")


class UnusableAnswerError(RefSavError):
    """An answer that is empty or contradicts itself."""


class TaskName(NamedTuple):
    """Identifies a question by the object and the long expression shown; a changed expression is a new question."""

    key: ObjectKey
    digest: str
    """First 12 hex digits of the SHA-256 of the long expression."""

    @staticmethod
    def of(key: ObjectKey, text: str) -> "TaskName":
        """Return the name of the question about an object and its long expression."""
        return TaskName(key, hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:12])

    @staticmethod
    def parse(name: str) -> "TaskName":
        """Parse the output of `str(task_name)`. Raises UnusableAnswerError."""
        match = _TASK.fullmatch(name)
        if match is None:
            raise UnusableAnswerError(f"{name[:80]!r} is not a task of refsav", fix="restore the task's original key")
        video_id, source, masklet_id, digest = match.groups()
        return TaskName(ObjectKey(video_id, cast(Source, source), int(masklet_id)), digest)

    def __str__(self) -> str:
        return f"{self.key}#{self.digest}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewAnswer:
    """One annotator's answer about one object; it is never changed, a later answer replaces it."""

    task: TaskName
    judgement: Judgement
    reasons: tuple[str, ...]
    long: str
    """The corrected long expression; empty unless the judgement is "fix"."""
    short: str
    """A short expression for the same object; empty if none was written."""
    annotator: str
    answered_at: str
    """UTC, ISO 8601 with microseconds; empty if not known yet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CollectedAnswers:
    """The answers from one sheet or from Label Studio, and the entries that could not be used."""

    answers: tuple[ReviewAnswer, ...]
    problems: tuple[str, ...]
    """One line each: place, problem, fix."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The decision on one object."""

    key: ObjectKey
    outcome: Outcome
    contested: bool
    """Annotators contradict each other, and there is no majority."""
    long: str
    """The corrected long expression; empty unless it was edited."""
    short: str
    """The short expression; empty if nobody has written one."""
    annotators: int
    """Number of annotators who have judged the current long expression."""


def one_line(text: str) -> str:
    """Collapse whitespace in typed text to single spaces; text without a letter or digit becomes empty."""
    return " ".join(text.split()) if any(map(str.isalnum, text)) else ""


def timestamp(moment: datetime) -> str:
    """Format a time like `ReviewAnswer.answered_at`; a time without a zone is taken as UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat(timespec="microseconds")


def checked_answer(shown: str, answer: ReviewAnswer) -> ReviewAnswer:
    """Validate and normalize an answer.

    An annotator who accepts a text after changing it means the changed text, so the judgement becomes "fix".

    Args:
        shown: The long expression that the annotator saw.
        answer: The answer as typed.

    Raises:
        UnusableAnswerError: If it is empty or contradicts itself.
    """
    long, short, judgement = one_line(answer.long), one_line(answer.short), answer.judgement
    changed = long not in ("", one_line(shown))
    if judgement == "accept" and changed:
        judgement = "fix"
    if judgement == "fix" and not long:
        raise UnusableAnswerError("the corrected text is empty", fix="write it, or reject the expression")
    if judgement == "fix" and not changed:
        raise UnusableAnswerError("has the verdict fix and an unchanged text", fix="correct the text, or accept it")
    if judgement == "none" and changed:
        raise UnusableAnswerError("has a corrected text and no verdict", fix="give the verdict fix")
    if judgement == "none" and not short:
        raise UnusableAnswerError("has neither a verdict nor a short expression", fix="give one of them")
    reasons = tuple(sorted(set(answer.reasons))) if judgement in ("fix", "reject") else ()
    return replace(answer, judgement=judgement, reasons=reasons, long=long if judgement == "fix" else "", short=short)


def decide(answers: Iterable[ReviewAnswer], texts: Mapping[ObjectKey, str], rule: Rule) -> dict[ObjectKey, Decision]:
    """Decide on every object that has answers.

    A judgement counts only while the judged expression is unchanged. A short expression counts for the object, with any
    long expression, until the same annotator writes another.

    Args:
        answers: All answers, oldest first.
        texts: The current long expressions; answers about other objects are ignored.
        rule: "majority" takes each annotator's last judgement and leaves a tie open; "latest" takes the last answer.

    Returns:
        The decision on each object, sorted by key.
    """
    by_object: dict[ObjectKey, list[ReviewAnswer]] = {}
    for answer in answers:
        if answer.task.key in texts:
            by_object.setdefault(answer.task.key, []).append(answer)
    return {key: _decide_object(key, texts[key], given, rule) for key, given in sorted(by_object.items())}


def votes(answers: Iterable[ReviewAnswer], texts: Mapping[ObjectKey, str]) -> dict[ObjectKey, dict[str, Judgement]]:
    """Return each annotator's last judgement of every current long expression, by object and annotator."""
    judgements: dict[ObjectKey, dict[str, Judgement]] = {}
    for answer in answers:
        if _judges(answer, texts.get(answer.task.key)):
            judgements.setdefault(answer.task.key, {})[answer.annotator] = answer.judgement
    return judgements


def count_reasons(answers: Iterable[ReviewAnswer], texts: Mapping[ObjectKey, str]) -> dict[str, int]:
    """Count the reasons in each annotator's last judgement of every current long expression, most frequent first."""
    given: dict[tuple[ObjectKey, str], tuple[str, ...]] = {}
    for answer in answers:
        if _judges(answer, texts.get(answer.task.key)):
            given[answer.task.key, answer.annotator] = answer.reasons
    counts = Counter(reason for reasons in given.values() for reason in reasons)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _judges(answer: ReviewAnswer, text: str | None) -> bool:
    return text is not None and answer.judgement != "none" and answer.task == TaskName.of(answer.task.key, text)


def _decide_object(key: ObjectKey, text: str, answers: Sequence[ReviewAnswer], rule: Rule) -> Decision:
    judging = _last_per_annotator(answer for answer in answers if _judges(answer, text))
    writing = _last_per_annotator(answer for answer in answers if answer.short)
    judgement = _chosen_judgement([answer.judgement for answer in judging], rule)
    outcomes: Mapping[str, Outcome] = {"accept": "accepted", "fix": "edited", "reject": "rejected"}
    corrections = [answer.long for answer in judging if answer.judgement == "fix"]
    return Decision(
        key=key,
        outcome=outcomes.get(judgement, "candidate"),
        contested=bool(judging) and not judgement,
        long=_chosen_text(corrections, rule) if judgement == "fix" else "",
        short=_chosen_text([answer.short for answer in writing], rule),
        annotators=len(judging),
    )


def _last_per_annotator(answers: Iterable[ReviewAnswer]) -> list[ReviewAnswer]:
    """Keep the last answer of every annotator, in the order in which those were given."""
    by_annotator: dict[str, ReviewAnswer] = {}
    for answer in answers:
        by_annotator.pop(answer.annotator, None)
        by_annotator[answer.annotator] = answer
    return list(by_annotator.values())


def _chosen_judgement(judgements: Sequence[Judgement], rule: Rule) -> str:
    """Return the judgement that the rule chooses; "" if there is no judgement, or a tie."""
    if not judgements:
        return ""
    if rule == "latest":
        return judgements[-1]
    (first, votes), *others = Counter(judgements).most_common()
    return "" if others and others[0][1] == votes else first


def _chosen_text(texts: Sequence[str], rule: Rule) -> str:
    """Return the most frequent text, the latest if several are equally frequent; annotators rarely agree literally."""
    if not texts:
        return ""
    if rule == "latest":
        return texts[-1]
    counts = Counter(texts)
    return max(reversed(texts), key=counts.__getitem__)
