"""Pickles of published datasets, read as what they are: plain data. Anything that would run code is refused."""

import io
import pickle
from collections.abc import Callable
from pathlib import Path

from refsav.errors import RecordError

PLAIN_ONLY = "take the dataset's published file; a pickle that names functions can run anything, and is not read here"


class _ForbiddenGlobalError(pickle.UnpicklingError):
    """A pickle names something that is not plain data."""


def read_plain_pickle(path: Path) -> object:
    """Read a pickle of dicts, lists, tuples, sets, texts, bytes, numbers and None, as RefCOCO and Ref-YouTube-VOS have.

    No global of a pickle is looked up, so nothing in it is imported or called. Two names are let through and stand for
    functions of ours: `_codecs.encode` and `bytes`, which is how pickles of protocols 0 to 2 write bytes. Texts of
    Python 2 are read as UTF-8.

    Raises:
        RecordError: If it cannot be read, is cut short, or holds anything else; a forbidden global is named.
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
            path, "", f"is not a whole pickle of plain data: {reason}", "download the file again"
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
"""What Python's reader raises on bytes that are no pickle, or a part of one."""


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Callable[..., bytes]:
        if (module, name) == ("_codecs", "encode"):
            return _latin_bytes
        if (module, name) == ("__builtin__", "bytes"):
            return _no_bytes
        raise _ForbiddenGlobalError(f"holds {module}.{name}, which is not plain data")

    def persistent_load(self, pid: object) -> object:
        raise _ForbiddenGlobalError(f"refers to something outside of itself: {str(pid)[:40]!r}")


def _latin_bytes(text: str, encoding: str) -> bytes:
    """Bytes as protocols 0 to 2 write them: each as the character of its number."""
    if encoding not in ("latin1", "latin-1"):
        raise _ForbiddenGlobalError(f"holds bytes in {encoding[:40]!r}, which no pickle writes")
    return text.encode("latin-1")


def _no_bytes() -> bytes:
    """Empty bytes, which those protocols write in another way."""
    return b""
