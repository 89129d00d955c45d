"""Logs of a training with one JSON line per event, each with its step: metrics and skipped examples."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from refsav.disk.files import DiskError, write_text
from refsav.errors import RecordError

TAIL_BYTES = 16_384
"""Longer than any line."""


class StepLog:
    """A file with one JSON object per line, in the order of their key `step`."""

    def __init__(self, path: Path, done: int) -> None:
        """Open the log to append after step `done`; lines of an interrupted training beyond that step are dropped.

        Raises:
            RecordError: If it exists and cannot be read.
            DiskError: If it cannot be written.
        """
        self._path = path
        if path.exists():
            lines = self.read(path)
            write_text(path, "".join(f"{json.dumps(line)}\n" for line in lines if line["step"] <= done))

    @staticmethod
    def read(path: Path) -> list[dict[str, Any]]:
        """Read every complete line. Raises RecordError."""
        try:
            content = path.read_bytes()
        except OSError as error:
            fix = "give the run directory of a training, or train again"
            raise RecordError(path, "", f"cannot be read: {error.strerror}", fix) from None
        found = []
        for number, line in enumerate(content.splitlines(keepends=True), start=1):
            if not line.endswith(b"\n"):
                break  # the process was killed while writing
            try:
                values = dict(json.loads(line))
                found.append({**values, "step": int(values["step"])})
            except (ValueError, TypeError, KeyError, OverflowError) as error:
                problem = f"is not what a training writes: {error!r}"
                raise RecordError(path, f"line {number}", problem, "remove the line") from None
        return found

    @staticmethod
    def last(path: Path) -> dict[str, Any]:
        """Read the last complete line from the end of the file; {} if there is none or it cannot be decoded."""
        with suppress(OSError, ValueError), path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - TAIL_BYTES))
            complete, _, _ = stream.read().rpartition(b"\n")
            return dict(json.loads(complete.rpartition(b"\n")[2]))
        return {}

    def append(self, values: dict[str, Any]) -> None:
        """Append a line. Raises DiskError."""
        try:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(values) + "\n")
        except OSError as error:
            raise DiskError(self._path, error) from error
