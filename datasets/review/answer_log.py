"""The log of a run's review: who answered what and when. Lines are appended and never changed."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from refsav.datasets.records import ObjectKey
from refsav.datasets.review.config import read_review_config
from refsav.datasets.review.decisions import Decision, Judgement, ReviewAnswer, TaskName, UnusableAnswerError, decide
from refsav.datasets.run.parts import read_texts
from refsav.datasets.run.run_directory import RunDirectory
from refsav.disk.files import write_bytes
from refsav.errors import RecordError


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    """All answers about a run, with the current expressions that they are compared with."""

    answers: tuple[ReviewAnswer, ...]
    """Oldest first."""
    texts: Mapping[ObjectKey, str]
    """The current long expressions of objects that have answers."""
    decisions: Mapping[ObjectKey, Decision]

    def gone(self) -> list[ObjectKey]:
        """List objects that have answers and are no longer in the run."""
        return sorted({answer.task.key for answer in self.answers} - self.texts.keys())

    def outdated(self) -> list[ObjectKey]:
        """List objects whose long expression has changed since it was judged."""
        judged = {answer.task.key for answer in self.answers if answer.judgement != "none"}
        return sorted(key for key in judged & self.texts.keys() if not self.decisions[key].annotators)


def read_review(run: RunDirectory) -> Review:
    """Read all answers of a run and decide on every object. Raises RecordError, ConfigError."""
    answers = sorted(read_answers(run), key=lambda answer: answer.answered_at)
    answered = {answer.task.key for answer in answers}
    texts = {text.key: text.text for text in read_texts(run) if text.key in answered} if answered else {}
    rule = read_review_config(run).rule
    return Review(answers=tuple(answers), texts=texts, decisions=decide(answers, texts, rule))


def read_decisions(run: RunDirectory) -> Mapping[ObjectKey, Decision]:
    """Return the decision on every object that has answers. Raises RecordError, ConfigError."""
    return read_review(run).decisions


def read_answers(run: RunDirectory) -> Iterator[ReviewAnswer]:
    """Read all answers in the order in which they were logged. Raises RecordError."""
    path = run.answers
    try:
        lines = path.read_bytes().splitlines() if path.exists() else []
    except OSError as error:
        raise RecordError(path, "", f"cannot be read: {error.strerror}", "restore the file") from None
    for number, line in enumerate(lines, 1):
        yield _answer(line, path, number)


def append_answers(run: RunDirectory, answers: Iterable[ReviewAnswer], now: str) -> int:
    """Append the answers that are not in the log yet.

    An answer without a time is new if it differs from the same annotator's last answer to the same question.

    Args:
        run: The run.
        answers: The answers of one import or pull, in any order.
        now: The time for answers that have none, in the form of `ReviewAnswer.answered_at`.

    Returns:
        The number of answers appended.

    Raises:
        RecordError: If the existing log cannot be read.
        DiskError: If the log cannot be written.
    """
    known = list(read_answers(run))
    new = list(_new(known, answers, now))
    if new:
        write_bytes(run.answers, b"".join(map(_line, [*known, *new])))
    return len(new)


def _new(known: Sequence[ReviewAnswer], answers: Iterable[ReviewAnswer], now: str) -> Iterator[ReviewAnswer]:
    logged = set(known)
    last = {(answer.task, answer.annotator): answer for answer in sorted(known, key=lambda answer: answer.answered_at)}
    for answer in sorted(answers, key=lambda answer: (answer.answered_at or now, str(answer.task), answer.annotator)):
        question = (answer.task, answer.annotator)
        previous = last.get(question)
        if not answer.answered_at and previous and replace(previous, answered_at="") == answer:
            continue
        dated = replace(answer, answered_at=answer.answered_at or now)
        if dated in logged:
            continue
        logged.add(dated)
        last[question] = dated
        yield dated


def _line(answer: ReviewAnswer) -> bytes:
    others = {name: getattr(answer, name) for name in ReviewAnswer.__slots__ if name != "task"}
    return (
        json.dumps({"task": str(answer.task)} | others, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Line:
    task: str
    judgement: Judgement
    reasons: tuple[str, ...]
    long: str
    short: str
    annotator: str
    answered_at: str


_LINE: TypeAdapter[Any] = TypeAdapter(_Line)


def _answer(line: bytes, path: Path, number: int) -> ReviewAnswer:
    try:
        fields = _LINE.validate_json(line)
        task = TaskName.parse(fields.task)
    except (ValidationError, UnusableAnswerError):
        fix = "restore the line, or remove it: an answer that is still in Label Studio is pulled again"
        raise RecordError(path, f"line {number}", "is damaged", fix) from None
    return ReviewAnswer(task=task, **{name: getattr(fields, name) for name in ReviewAnswer.__slots__ if name != "task"})
