"""The answers of a run on disk: who said what when. Lines are added and never changed."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from refsav.datasets.records import ObjectKey
from refsav.datasets.review.config import read_review_config
from refsav.datasets.review.decisions import Answer, Decision, Judgement, TaskName, UnusableAnswerError, decide
from refsav.datasets.run.parts import read_texts
from refsav.datasets.run.run_directory import RunDirectory
from refsav.disk.files import write_bytes
from refsav.errors import RecordError


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    """All that people have said about a run, beside what the run says now."""

    answers: tuple[Answer, ...]
    """Oldest first."""
    texts: Mapping[ObjectKey, str]
    """The long expressions, as they are now, of objects that somebody has said something about."""
    decisions: Mapping[ObjectKey, Decision]

    def gone(self) -> list[ObjectKey]:
        """Objects that have answers and are no longer in the run."""
        return sorted({answer.task.key for answer in self.answers} - self.texts.keys())

    def outdated(self) -> list[ObjectKey]:
        """Objects whose long expression was judged, and has other words by now."""
        judged = {answer.task.key for answer in self.answers if answer.judgement != "none"}
        return sorted(key for key in judged & self.texts.keys() if not self.decisions[key].annotators)


def read_review(run: RunDirectory) -> Review:
    """Read all answers of a run and decide. Raises RecordError, ConfigError."""
    answers = sorted(read_answers(run), key=lambda answer: answer.answered_at)
    asked = {answer.task.key for answer in answers}
    texts = {text.key: text.text for text in read_texts(run) if text.key in asked} if asked else {}
    rule = read_review_config(run).rule
    return Review(answers=tuple(answers), texts=texts, decisions=decide(answers, texts, rule))


def read_decisions(run: RunDirectory) -> Mapping[ObjectKey, Decision]:
    """Give what holds for every object that people have said something about. Raises RecordError, ConfigError."""
    return read_review(run).decisions


def read_answers(run: RunDirectory) -> Iterator[Answer]:
    """Read all answers, in the order in which they came in. Raises RecordError."""
    path = run.answers
    try:
        lines = path.read_bytes().splitlines() if path.exists() else []
    except OSError as error:
        raise RecordError(path, "", f"cannot be read: {error.strerror}", "restore the file") from None
    for number, line in enumerate(lines, 1):
        yield _answer(line, path, number)


def keep_answers(run: RunDirectory, answers: Iterable[Answer], now: str) -> int:
    """Add the answers that are not there yet.

    An answer without a time is new if it says something else than the same annotator's last one to the same question.

    Args:
        run: The run.
        answers: From one place, in any order.
        now: The time of those that tell none, as `Answer.answered_at` has it.

    Returns:
        How many were added.

    Raises:
        RecordError: If the answers that are there cannot be read.
        DiskError: If the file cannot be written.
    """
    known = list(read_answers(run))
    new = list(_new(known, answers, now))
    if new:
        write_bytes(run.answers, b"".join(map(_line, [*known, *new])))
    return len(new)


def _new(known: Sequence[Answer], answers: Iterable[Answer], now: str) -> Iterator[Answer]:
    there = set(known)
    last = {(answer.task, answer.annotator): answer for answer in sorted(known, key=lambda one: one.answered_at)}
    for answer in sorted(answers, key=lambda one: (one.answered_at or now, str(one.task), one.annotator)):
        place = (answer.task, answer.annotator)
        before = last.get(place)
        if not answer.answered_at and before and replace(before, answered_at="") == answer:
            continue
        dated = replace(answer, answered_at=answer.answered_at or now)
        if dated in there:
            continue
        there.add(dated)
        last[place] = dated
        yield dated


def _line(answer: Answer) -> bytes:
    told = {"task": str(answer.task)} | {name: getattr(answer, name) for name in Answer.__slots__ if name != "task"}
    return json.dumps(told, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


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


def _answer(line: bytes, path: Path, number: int) -> Answer:
    try:
        told = _LINE.validate_json(line)
        task = TaskName.parse(told.task)
    except (ValidationError, UnusableAnswerError):
        fix = "put the line back as it was, or remove it: an answer that Label Studio still has is pulled again"
        raise RecordError(path, f"line {number}", "is damaged", fix) from None
    return Answer(task=task, **{name: getattr(told, name) for name in Answer.__slots__ if name != "task"})
