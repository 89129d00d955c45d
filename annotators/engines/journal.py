"""The journal: every reply is on disk before it is used, and is found again by the digest of its request."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from refsav.annotators.engines.engine import STAGE_OF_TASK, Reply, Task
from refsav.disk.files import DiskError
from refsav.disk.lock import LockedError, lock
from refsav.errors import RecordError

GIVEN_BACK_WITHIN_S = 120.0
"""How long to wait for another process to release a journal: network file systems notice late that it has ended."""


class Journal:
    """The JSONL file of one bundle. It has one writer at a time; opening it removes a line that a kill cut short."""

    def __init__(self, path: Path) -> None:
        """Open or create a journal.

        Raises:
            RecordError: If a line in the middle is damaged.
            LockedError: If another process has it open.
            DiskError: If it cannot be written.
        """
        self._path = path
        self._replies: dict[str, Reply] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with ExitStack() as on_error:
                self._stream = on_error.enter_context(path.open("ab"))
                self._read_existing()
                on_error.pop_all()
        except OSError as error:
            raise DiskError(path, error) from error

    def _read_existing(self) -> None:
        """Lock the file, read its entries, and remove a line that a kill cut short."""
        if not lock(self._stream, GIVEN_BACK_WITHIN_S):
            fix = "stop the process that works on this bundle, then run the same command again"
            raise LockedError("another process is writing to it", fix=fix, path=self._path)
        end = 0
        for offset, entry in _whole_lines(self._path):
            self._replies[entry["digest"]] = _reply(entry)
            end = offset
        self._stream.truncate(end)

    def find(self, digest: str) -> Reply | None:
        """The reply to the request with this digest, if the journal has it."""
        return self._replies.get(digest)

    def append(self, digest: str, task: Task, reply: Reply) -> None:
        """Write a reply. Raises DiskError."""
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
        except OSError as error:  # closing writes what a full disk did not accept before
            raise DiskError(self._path, error) from error


def read_entries(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the journal's entries: digest, task, stage, and the fields of a Reply. Raises RecordError."""
    for _, entry in _whole_lines(path):
        yield {**entry, "stage": STAGE_OF_TASK[entry["task"]]}


def _reply(entry: dict[str, Any]) -> Reply:
    return Reply(**{key: value for key, value in entry.items() if key not in ("digest", "task")})


def _whole_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (offset of the line's end in bytes, entry); an incomplete last line is left out."""
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
        fix = "remove this line: its request is then sent again"
        raise RecordError(path, f"line {number}", "is damaged", fix)
    return dict(entry)


_KEYS = {"digest", "task", *(field.name for field in fields(Reply))}
