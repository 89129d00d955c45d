"""Files that appear whole or not at all, and digests of content."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from refsav.errors import RefSavError


class DiskError(RefSavError):
    """A file could not be written: the disk is full, or the place is not ours to write to."""

    def __init__(self, path: Path, error: OSError) -> None:
        reason = os.strerror(error.errno) if error.errno else str(error)  # libraries wrap the system's words
        super().__init__(
            f"{path}: cannot be written: {reason}\n"
            "  fix: free space or choose another run directory, then run the same command again; finished work is kept"
        )


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on leaving without an error it is renamed to `path`.

    A reader sees the old file or the new one, never half of one, wherever the process is killed.

    Raises:
        DiskError: If the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise DiskError(path, error) from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise DiskError(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what a kill has left half-written below `folder`; nobody else may write there. Raises DiskError."""
    for path in folder.rglob(".*.part"):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise DiskError(path, error) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file by rename. Raises DiskError."""
    with appearing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 file by rename. Raises DiskError."""
    write_bytes(path, text.encode())


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
