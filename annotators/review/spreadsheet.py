"""For teams without Label Studio: writes the queue as a CSV or JSONL file, and reads the answers from it."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, cast, get_args

from refsav.annotators.review.queue import read_queue
from refsav.datasets.review.decisions import (
    CollectedAnswers,
    Judgement,
    ReviewAnswer,
    TaskName,
    UnusableAnswerError,
    checked_answer,
    one_line,
    timestamp,
)
from refsav.datasets.run.run_directory import RunDirectory
from refsav.disk.files import appearing
from refsav.errors import ConfigError, RecordError

SHOWN = ("task", "asks", "film", "strip", "text")
FILLED_IN = ("verdict", "reasons", "corrected_text", "short_text", "annotator", "answered_at")
"""What annotators write. Reasons are separated by semicolons; answered_at may stay empty."""
FORMATS = (".csv", ".jsonl")
EXPORT_FIX = "make one: refsav review export RUN --sheet FILE"
DELIMITERS = ",;\t"
"""Spreadsheets use the delimiter of the user's locale."""

_FORMULA = re.compile(r"'*[=+\-@]")
"""A cell that a spreadsheet would read as a formula; an apostrophe in front makes it text."""


def write_sheet(run: RunDirectory, path: Path) -> int:
    """Write the queue with empty columns for answers; return the number of rows.

    Media are listed as paths below the run's review folder.

    Raises:
        ConfigError: If the file is neither CSV nor JSONL, or exists: it may contain answers.
        RecordError: If there is no queue.
        DiskError: If it cannot be written.
    """
    _refuse_other_format(path)
    if path.exists():
        raise ConfigError("exists and may contain answers", fix="give another name, or move the file", path=path)
    rows = [
        {
            "task": str(task.name),
            "asks": "; ".join(task.asks),
            "film": task.media.film,
            "strip": task.media.strip,
            "text": task.text,
            **dict.fromkeys(FILLED_IN, ""),
        }
        for task in read_queue(run)
    ]
    with appearing(path) as temporary:
        if path.suffix == ".jsonl":
            lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            temporary.write_text("".join(lines), encoding="utf-8")
        else:
            with temporary.open("w", encoding="utf-8-sig", newline="") as stream:  # for spreadsheets
                writer = csv.DictWriter(stream, (*SHOWN, *FILLED_IN))
                writer.writeheader()
                writer.writerows({name: _as_cell(text) for name, text in row.items()} for row in rows)
    return len(rows)


def read_sheet(path: Path) -> CollectedAnswers:
    """Read the answers of a filled-in sheet; empty rows are skipped.

    Raises:
        ConfigError: If the file is neither CSV nor JSONL.
        RecordError: If it cannot be read, or lacks a column.
    """
    _refuse_other_format(path)
    found: list[ReviewAnswer | str] = []
    said: dict[tuple[TaskName, str, str], tuple[int, ReviewAnswer]] = {}
    for number, row in _rows(path):
        for one in _answers_of(row, f"{path}:row {number}"):
            if isinstance(one, ReviewAnswer):
                first, before = said.setdefault((one.task, one.annotator, one.answered_at), (number, one))
                if one != before:
                    problem = f"differs from row {first} of the same annotator"
                    one = RecordError(path, f"row {number}", problem, "keep one of them").line
            found.append(one)
    return CollectedAnswers(
        answers=tuple(one for one in found if isinstance(one, ReviewAnswer)),
        problems=tuple(one for one in found if isinstance(one, str)),
    )


def _refuse_other_format(path: Path) -> None:
    if path.suffix not in FORMATS:
        raise ConfigError("is not a sheet", fix=f"give a file that ends in {' or '.join(FORMATS)}", path=path)


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Yield (number, row), numbered as a spreadsheet or an editor shows them."""
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8; save it as such"
        raise RecordError(path, "", f"cannot be read: {reason}", EXPORT_FIX) from None
    for number, row in _json_rows(content, path) if path.suffix == ".jsonl" else _csv_rows(content, path):
        if missing := [name for name in ("task", "text", *FILLED_IN) if not isinstance(row.get(name), str)]:
            raise RecordError(path, f"row {number}", f"has no {', '.join(missing)}", EXPORT_FIX)
        yield number, row


def _csv_rows(content: str, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    delimiter = max(DELIMITERS, key=content.partition("\n")[0].count)
    rows = csv.DictReader(io.StringIO(content, newline=""), restval="", restkey="more", delimiter=delimiter)
    try:
        for number, row in enumerate(rows, 2):  # the header is row 1
            yield number, {name: _from_cell(text) if isinstance(text, str) else text for name, text in row.items()}
    except csv.Error as error:
        raise RecordError(path, "", f"is not CSV: {error}", EXPORT_FIX) from None


def _as_cell(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text


def _from_cell(text: str) -> str:
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def _json_rows(content: str, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(content.split("\n"), 1):
        if line.strip():
            yield number, _json_row(line, path, number)


def _json_row(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise RecordError(
            path, f"line {number}", "is not a JSON object", "write one object on each line, as in the exported file"
        )
    return row


def _answers_of(row: Mapping[str, str], where: str) -> Iterator[ReviewAnswer | str]:
    """Yield the answer in a row, or its problem; nothing for an empty row."""
    if not any(row[name].strip() for name in ("verdict", "reasons", "corrected_text", "short_text")):
        return
    try:
        yield _answer(row)
    except UnusableAnswerError as error:
        yield f"{where}: {error.line}"


def _answer(row: Mapping[str, str]) -> ReviewAnswer:
    name = TaskName.parse(row["task"].strip())
    if TaskName.of(name.key, row["text"]) != name:
        raise UnusableAnswerError(
            "the text in column text was changed", fix="restore it, and write corrections into corrected_text"
        )
    verdict = row["verdict"].strip().lower() or "none"
    if verdict not in get_args(Judgement):
        raise UnusableAnswerError(f"{verdict[:40]!r} is not a verdict", fix="write accept, fix or reject")
    annotator = one_line(row["annotator"])
    if not annotator:
        raise UnusableAnswerError("names no annotator", fix="fill in annotator")
    answer = ReviewAnswer(
        task=name,
        judgement=cast(Judgement, verdict),
        reasons=tuple(reason for part in row["reasons"].split(";") if (reason := one_line(part).lower())),
        long=row["corrected_text"],
        short=row["short_text"],
        annotator=annotator,
        answered_at=_moment(row["answered_at"].strip()),
    )
    return checked_answer(row["text"], answer)


def _moment(text: str) -> str:
    try:
        return timestamp(datetime.fromisoformat(text)) if text else ""
    except (ValueError, OverflowError):
        fix = "write it as 2026-11-22T10:30, or leave it empty"
        raise UnusableAnswerError(f"{text[:40]!r} is not a time", fix=fix) from None
