"""Files that a training adds lines to as it goes, each of a step: its metrics, and what it leaves out."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from refsav.errors import RecordError
from refsav.files import DiskError, write_text

TAIL_BYTES = 16_384
"""More than a line has."""


class StepFile:
    """One JSON object a line, with `step` and whatever else, in the order of steps."""

    def __init__(self, path: Path, done: int) -> None:
        """Open it to go on behind step `done`; what an interrupted training wrote beyond that is dropped.

        Raises:
            RecordError: If it is there and cannot be read.
            DiskError: If it cannot be written.
        """
        self._path = path
        if path.exists():
            lines = self.read(path)
            write_text(path, "".join(f"{json.dumps(line)}\n" for line in lines if line["step"] <= done))

    @staticmethod
    def read(path: Path) -> list[dict[str, Any]]:
        """Read every whole line. Raises RecordError."""
        try:
            content = path.read_bytes()
        except OSError as error:
            fix = "give the run directory of a training, or train again"
            raise RecordError(path, "", f"cannot be read: {error.strerror}", fix) from None
        found = []
        for number, line in enumerate(content.splitlines(keepends=True), start=1):
            if not line.endswith(b"\n"):
                break  # the process was killed as it wrote
            try:
                values = dict(json.loads(line))
                found.append({**values, "step": int(values["step"])})
            except (ValueError, TypeError, KeyError, OverflowError) as error:
                problem = f"is not what a training writes: {error!r}"
                raise RecordError(path, f"line {number}", problem, "remove the line") from None
        return found

    @staticmethod
    def last(path: Path) -> dict[str, Any]:
        """Read the last whole line, however long the file is; empty if there is none, or it is no such line."""
        with suppress(OSError, ValueError), path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - TAIL_BYTES))
            whole, _, _ = stream.read().rpartition(b"\n")
            return dict(json.loads(whole.rpartition(b"\n")[2]))
        return {}

    def append(self, values: dict[str, Any]) -> None:
        """Write a line. Raises DiskError."""
        try:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(values) + "\n")
        except OSError as error:
            raise DiskError(self._path, error) from error
