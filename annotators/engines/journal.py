"""The journal: every reply that was paid for, on disk before it is used, found again by its request's digest."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from refsav.annotators.engines.engine import STAGE_OF_TASK, Reply, Task
from refsav.errors import RecordError
from refsav.files import DiskError
from refsav.lock import LockedError, lock

GIVEN_BACK_WITHIN_S = 120.0
"""How long a journal may stay with a process that is being ended elsewhere: network file systems notice late."""


class Journal:
    """One bundle's JSONL file. One writer at a time; a line that a kill cut short is taken off when it is opened."""

    def __init__(self, path: Path) -> None:
        """Open or begin a journal.

        Raises:
            RecordError: If a line in the middle is damaged.
            LockedError: If another process keeps it.
            DiskError: If it cannot be written.
        """
        self._path = path
        self._replies: dict[str, Reply] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with ExitStack() as on_error:
                self._stream = on_error.enter_context(path.open("ab"))
                self._take_up()
                on_error.pop_all()
        except OSError as error:
            raise DiskError(path, error) from error

    def _take_up(self) -> None:
        """Lock the file, read what it holds, take off what a kill cut short."""
        if not lock(self._stream, GIVEN_BACK_WITHIN_S):
            fix = "end what still works on this bundle, then run the same command again"
            raise LockedError(f"{self._path}: another process keeps writing\n  fix: {fix}")
        end = 0
        for offset, entry in _whole_lines(self._path):
            self._replies[entry["digest"]] = _reply(entry)
            end = offset
        self._stream.truncate(end)

    def find(self, digest: str) -> Reply | None:
        """The reply to the request of this digest, if it was paid for before."""
        return self._replies.get(digest)

    def append(self, digest: str, task: Task, reply: Reply) -> None:
        """Keep a reply. Raises DiskError."""
        entry = {"digest": digest, "task": task, **asdict(reply)}
        try:
            self._stream.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
            self._stream.flush()
        except OSError as error:
            raise DiskError(self._path, error) from error
        self._replies[digest] = reply

    def close(self) -> None:
        """Close the file. Raises DiskError."""
        try:
            self._stream.close()
        except OSError as error:  # what a full disk did not take is tried once more here
            raise DiskError(self._path, error) from error


def read_entries(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the journal's entries: digest, task, stage, and the fields of a Reply. Raises RecordError."""
    for _, entry in _whole_lines(path):
        yield {**entry, "stage": STAGE_OF_TASK[entry["task"]]}


def _reply(entry: dict[str, Any]) -> Reply:
    return Reply(**{key: value for key, value in entry.items() if key not in ("digest", "task")})


def _whole_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (offset of the line's end in bytes, entry); a last line without its end is left out."""
    if not path.exists():
        return
    offset = 0
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            yield offset, _entry(path, number, line)


def _entry(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(line)
        complete = isinstance(entry, dict) and entry.keys() == _KEYS
    except ValueError:
        complete = False
    if not complete:
        fix = "remove this line: its request is then asked again"
        raise RecordError(path, f"line {number}", "is damaged", fix)
    return dict(entry)


_KEYS = {"digest", "task", *(field.name for field in fields(Reply))}
