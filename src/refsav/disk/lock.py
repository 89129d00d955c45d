"""One writer per run directory: a lock that the operating system releases when its holder dies."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from refsav.disk.files import DiskError
from refsav.errors import RecordError, RefSavError

LOOK_EVERY_S = 0.5


class LockedError(RefSavError):
    """Another process works on this run."""


def lock(stream: IO[Any], within_s: float = 0.0) -> bool:
    """Lock an open file for this process until the file is closed; returns False on timeout."""
    end = time.monotonic() + within_s
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(LOOK_EVERY_S)
        else:
            return True


@contextmanager
def exclusive(folder: Path, what: str = "run") -> Iterator[None]:
    """Lock `folder` for this process.

    Args:
        folder: Created if it does not exist.
        what: What the folder is, for the message.

    Raises:
        LockedError: If another process has locked it; the message names the process.
        RecordError: If it is a file.
        DiskError: If the folder cannot be written.
    """
    if folder.is_file():
        raise RecordError(folder, "", "is a file, not a folder", "name a new folder, or the run of an earlier build")
    path = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise DiskError(path, error) from error
    os.register_at_fork(after_in_child=stream.close)  # or processes that outlive this one would hold it for seconds
    with stream:
        if not lock(stream):
            stream.seek(0)
            holder = stream.read().strip() or "another process"
            fix = "wait until it has ended, or name another folder"
            raise LockedError(f"{holder} is working on this {what}", fix=fix, path=folder)
        stream.truncate(0)
        stream.write(f"process {os.getpid()} on {os.uname().nodename}\n")
        stream.flush()
        yield
        stream.truncate(0)
