"""What people say about the validation set: a question, an answer, and what is decided when several have answered."""

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
"""Of the long expression; "none" where an annotator has written a short one only."""

Outcome = Literal["candidate", "accepted", "edited", "rejected"]
"""What holds for a long expression; it is a candidate until somebody has judged it, and while annotators are tied."""

Rule = Literal["majority", "latest"]
"""How several annotators become one decision."""

REASONS = ("wrong object", "wrong appearance", "wrong place", "wrong action", "ambiguous", "bad mask", "bad language")
"""Why a long expression is not right as it is; none of them excludes another."""

_TASK = re.compile(rf"({VIDEO_ID.pattern})/(manual|auto)/([0-9]{{1,18}})#([0-9a-f]{{12}})")


class UnusableAnswerError(RefSavError):
    """An answer that says nothing, or two things at once."""


class TaskName(NamedTuple):
    """What names a question: the object, and the long expression that is shown. New words are a new question."""

    key: ObjectKey
    digest: str
    """First 12 hex digits of the SHA-256 of the long expression."""

    @staticmethod
    def of(key: ObjectKey, text: str) -> "TaskName":
        """Name the question about an object and its long expression."""
        return TaskName(key, hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:12])

    @staticmethod
    def parse(name: str) -> "TaskName":
        """Read what `str` gave. Raises UnusableAnswerError."""
        parts = _TASK.fullmatch(name)
        if parts is None:
            raise UnusableAnswerError(f"{name[:80]!r} names no task of refsav\n  fix: leave the task's key as it was")
        video_id, source, masklet_id, digest = parts.groups()
        return TaskName(ObjectKey(video_id, cast(Source, source), int(masklet_id)), digest)

    def __str__(self) -> str:
        return f"{self.key}#{self.digest}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What one annotator has said about one object; never changed, a later one takes its place."""

    task: TaskName
    judgement: Judgement
    reasons: tuple[str, ...]
    long: str
    """The corrected long expression; empty unless the judgement is "fix"."""
    short: str
    """A short expression for the same object; empty if none was written."""
    annotator: str
    answered_at: str
    """UTC, ISO 8601 with microseconds; empty until it is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gathered:
    """Answers from one place, and what in there was none."""

    answers: tuple[Answer, ...]
    problems: tuple[str, ...]
    """One line each: where, what is wrong, what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What holds for one object."""

    key: ObjectKey
    outcome: Outcome
    contested: bool
    """Annotators contradict each other, and none of them outweighs the rest."""
    long: str
    """The corrected long expression; empty unless it was edited."""
    short: str
    """The short expression; empty if nobody has written one."""
    annotators: int
    """How many have judged the long expression as it is now."""


def one_line(text: str) -> str:
    """Take line breaks and doubled spaces out of what somebody has typed; a dash, or what nobody sees, is nothing."""
    return " ".join(text.split()) if any(map(str.isalnum, text)) else ""


def timestamp(moment: datetime) -> str:
    """Write a moment as `Answer.answered_at` has it; one without a zone is taken as UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat(timespec="microseconds")


def checked_answer(shown: str, answer: Answer) -> Answer:
    """Make sure that an answer says one thing.

    Whoever accepts a text and has changed it means the changed one.

    Args:
        shown: The long expression that the annotator saw.
        answer: As it was typed.

    Raises:
        UnusableAnswerError: If it says nothing, or two things at once.
    """
    long, short, judgement = one_line(answer.long), one_line(answer.short), answer.judgement
    changed = long not in ("", one_line(shown))
    if judgement == "accept" and changed:
        judgement = "fix"
    if judgement == "fix" and not long:
        raise UnusableAnswerError("the corrected text is empty\n  fix: write it, or reject the expression")
    if judgement == "fix" and not changed:
        raise UnusableAnswerError("says fix and changes nothing\n  fix: correct the text, or accept it")
    if judgement == "none" and changed:
        raise UnusableAnswerError("has a corrected text and no verdict\n  fix: say fix")
    if judgement == "none" and not short:
        raise UnusableAnswerError("has neither a verdict nor a short expression\n  fix: give one of them")
    reasons = tuple(sorted(set(answer.reasons))) if judgement in ("fix", "reject") else ()
    return replace(answer, judgement=judgement, reasons=reasons, long=long if judgement == "fix" else "", short=short)


def decide(answers: Iterable[Answer], texts: Mapping[ObjectKey, str], rule: Rule) -> dict[ObjectKey, Decision]:
    """Settle every object that somebody has said something about.

    A judgement counts for the words that were judged; a short expression for the object, whatever was shown with it,
    until the same annotator writes another.

    Args:
        answers: All of them, oldest first.
        texts: The long expressions as they are now; objects without one are passed over.
        rule: "majority" takes what most annotators say, each by their last word, and leaves a tie open; "latest" takes
            the last word of all.
    """
    by_object: dict[ObjectKey, list[Answer]] = {}
    for answer in answers:
        if answer.task.key in texts:
            by_object.setdefault(answer.task.key, []).append(answer)
    return {key: _settle(key, texts[key], said, rule) for key, said in sorted(by_object.items())}


def votes(answers: Iterable[Answer], texts: Mapping[ObjectKey, str]) -> dict[ObjectKey, dict[str, Judgement]]:
    """Give each annotator's last judgement of every long expression as it is now, by object and annotator."""
    cast_by: dict[ObjectKey, dict[str, Judgement]] = {}
    for answer in answers:
        if _judges(answer, texts.get(answer.task.key)):
            cast_by.setdefault(answer.task.key, {})[answer.annotator] = answer.judgement
    return cast_by


def count_reasons(answers: Iterable[Answer], texts: Mapping[ObjectKey, str]) -> dict[str, int]:
    """Count why long expressions as they are now were not right, by each annotator's last word; most frequent first."""
    given: dict[tuple[ObjectKey, str], tuple[str, ...]] = {}
    for answer in answers:
        if _judges(answer, texts.get(answer.task.key)):
            given[answer.task.key, answer.annotator] = answer.reasons
    counts = Counter(reason for reasons in given.values() for reason in reasons)
    return dict(sorted(counts.items(), key=lambda told: (-told[1], told[0])))


def _judges(answer: Answer, text: str | None) -> bool:
    return text is not None and answer.judgement != "none" and answer.task == TaskName.of(answer.task.key, text)


def _settle(key: ObjectKey, text: str, answers: Sequence[Answer], rule: Rule) -> Decision:
    judging = _last_words(answer for answer in answers if _judges(answer, text))
    writing = _last_words(answer for answer in answers if answer.short)
    judgement = _chosen([answer.judgement for answer in judging], rule)
    outcomes: Mapping[str, Outcome] = {"accept": "accepted", "fix": "edited", "reject": "rejected"}
    corrections = [answer.long for answer in judging if answer.judgement == "fix"]
    return Decision(
        key=key,
        outcome=outcomes.get(judgement, "candidate"),
        contested=bool(judging) and not judgement,
        long=_most_written(corrections, rule) if judgement == "fix" else "",
        short=_most_written([answer.short for answer in writing], rule),
        annotators=len(judging),
    )


def _last_words(answers: Iterable[Answer]) -> list[Answer]:
    """Keep the last answer of every annotator, in the order in which these were given."""
    by_annotator: dict[str, Answer] = {}
    for answer in answers:
        by_annotator.pop(answer.annotator, None)
        by_annotator[answer.annotator] = answer
    return list(by_annotator.values())


def _chosen(judgements: Sequence[Judgement], rule: Rule) -> str:
    """The judgement that holds; "" where there is none, or a tie."""
    if not judgements:
        return ""
    if rule == "latest":
        return judgements[-1]
    (first, votes), *others = Counter(judgements).most_common()
    return "" if others and others[0][1] == votes else first


def _most_written(texts: Sequence[str], rule: Rule) -> str:
    """The text that most have written, the last of equals; annotators seldom find the same words."""
    if not texts:
        return ""
    if rule == "latest":
        return texts[-1]
    counts = Counter(texts)
    return max(reversed(texts), key=counts.__getitem__)
