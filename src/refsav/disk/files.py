"""Files and folders that appear complete or not at all, and digests of content."""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from refsav.errors import RefSavError


class DiskError(RefSavError):
    """A file could not be written: the disk is full, or the folder is not writable."""

    FORBIDDEN = frozenset((errno.EACCES, errno.EPERM, errno.EROFS))
    NO_PLACE = frozenset((errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENOENT))

    def __init__(self, path: Path, error: OSError) -> None:
        reason = os.strerror(error.errno) if error.errno else str(error)  # libraries wrap the system's words
        if error.errno in self.FORBIDDEN:
            fix = "choose a place that you may write to, or get the right to write here"
        elif error.errno in self.NO_PLACE:
            fix = "choose another place: a part of this path is no folder, or cannot be made"
        else:
            fix = "free space or choose another place"
        fix += ", then run the same command again; finished work is kept"
        super().__init__(f"cannot be written: {reason}", fix=fix, path=path)


@contextmanager
def appearing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Give a temporary path next to `path`; on leaving without an error it is renamed to `path`.

    A reader sees the old file or the new one, never half of one, wherever the process is killed.

    Args:
        path: The file that appears.
        durable: Whether that holds for a power cut too: the bytes are on the disk before they get their name. It costs
            milliseconds, too many for small files that can be rebuilt from others.

    Raises:
        DiskError: If the file cannot be written.
    """
    try:
        _make_folder(path.parent, durable=durable)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise DiskError(path, error) from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        if durable:
            _flush(temporary)
        temporary.replace(path)
        if durable:
            _flush(path.parent)
    except OSError as error:
        raise DiskError(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def appearing_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder next to `path`; on leaving without an error it is renamed to `path`, which must be new.

    A reader sees all of its files or none, wherever the process is killed, and after a power cut.

    Raises:
        DiskError: If the folder cannot be written.
    """
    try:
        _make_folder(path.parent, durable=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    except OSError as error:
        raise DiskError(path, error) from error
    try:
        yield temporary
        for inner in (*temporary.rglob("*"), temporary):
            inner.chmod(0o755 if inner.is_dir() else 0o644)
            _flush(inner)
        temporary.rename(path)
        _flush(path.parent)
    except OSError as error:
        raise DiskError(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def flush_to_disk(path: Path) -> None:
    """Wait until the content of a closed file is on the disk, safe from a power cut. Raises DiskError."""
    try:
        _flush(path)
    except OSError as error:
        raise DiskError(path, error) from error


def _make_folder(folder: Path, *, durable: bool) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent, durable=durable)
    folder.mkdir(exist_ok=True)
    if durable:
        _flush(folder.parent)  # a file in a folder that a power cut takes would be lost anyway


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems cannot flush a folder; they keep names in order by themselves.
        if not (path.is_dir() and error.errno in (errno.EINVAL, errno.ENOTSUP)):
            raise
    finally:
        os.close(handle)


def remove_unfinished(folder: Path) -> None:
    """Remove the incomplete files below `folder` that a kill has left. Raises DiskError.

    No other process may write there meanwhile.
    """
    for path in folder.rglob(".*.part"):
        try:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise DiskError(path, error) from error


def write_bytes(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file by rename; `durable` as in `appearing`. Raises DiskError."""
    with appearing(path, durable=durable) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file by rename. Raises DiskError."""
    write_bytes(path, text.encode())


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_of(files: Iterable[Path]) -> str:
    """SHA-256 over names and contents of files; their order does not matter."""
    listed = sorted((path.name, sha256_of(path)) for path in files)
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()
