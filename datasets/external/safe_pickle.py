"""Reads the pickles of published datasets as plain data; a pickle that would run code is refused."""

import io
import pickle
from collections.abc import Callable
from pathlib import Path

from refsav.errors import RecordError

PLAIN_ONLY = "take the dataset's published file; a pickle that names functions can run any code and is not read"


class _ForbiddenGlobalError(pickle.UnpicklingError):
    """A pickle refers to something that is not plain data."""


def read_plain_pickle(path: Path) -> object:
    """Read a pickle of dicts, lists, tuples, sets, texts, bytes, numbers and None, as in RefCOCO and Ref-YouTube-VOS.

    The reader looks up no global of the pickle, so nothing in it is imported or called. It accepts two names, for which
    it calls its own functions: `_codecs.encode` and `bytes`, with which protocols 0 to 2 write bytes. Python 2 strings
    are read as UTF-8.

    Raises:
        RecordError: If it cannot be read, is truncated, or holds anything else; names a forbidden global.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecordError(
            path, "", f"cannot be read: {error.strerror}", "unpack the dataset's published file"
        ) from None
    reader = _PlainUnpickler(io.BytesIO(content), encoding="utf-8", errors="backslashreplace")
    try:
        return reader.load()
    except _ForbiddenGlobalError as error:
        raise RecordError(path, "", str(error), PLAIN_ONLY) from None
    except _DAMAGE as error:
        reason = str(error) or type(error).__name__
        raise RecordError(
            path, "", f"is not a complete pickle of plain data: {reason}", "download the file again"
        ) from None


_DAMAGE = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What Python's unpickler raises on bytes that are not a pickle, or on a truncated one."""


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Callable[..., bytes]:
        if (module, name) == ("_codecs", "encode"):
            return _latin_bytes
        if (module, name) == ("__builtin__", "bytes"):
            return _empty_bytes
        raise _ForbiddenGlobalError(f"holds {module}.{name}, which is not plain data")

    def persistent_load(self, pid: object) -> object:
        raise _ForbiddenGlobalError(f"refers to an object outside the pickle: {str(pid)[:40]!r}")


def _latin_bytes(text: str, encoding: str) -> bytes:
    """Decode bytes as protocols 0 to 2 write them: one Latin-1 character per byte."""
    if encoding not in ("latin1", "latin-1"):
        raise _ForbiddenGlobalError(f"holds bytes encoded as {encoding[:40]!r}, which no pickler writes")
    return text.encode("latin-1")


def _empty_bytes() -> bytes:
    """Return empty bytes, which those protocols write as a call of `bytes`."""
    return b""
