"""One writer per run directory: a lock that the operating system gives back when its holder dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from refsav.errors import RecordError, RefSavError
from refsav.files import DiskError


class LockedError(RefSavError):
    """Somebody else works on this run."""


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process alone.

    Raises:
        LockedError: If another process holds it; the message names it.
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
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            holder = stream.read().strip() or "another process"
            fix = "wait until it has ended, or build into another run directory"
            raise LockedError(f"{folder}: {holder} is working on this run\n  fix: {fix}") from None
        stream.truncate(0)
        stream.write(f"process {os.getpid()} on {os.uname().nodename}\n")
        stream.flush()
        yield
        stream.truncate(0)
