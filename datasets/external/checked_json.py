"""JSON that others have published: read whole, checked for what is needed of it, and told with its place."""

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from refsav.errors import RecordError

DOWNLOAD_AGAIN = "download the file again"


class Published(BaseModel):
    """Base of what is needed of an entry in a published file; other keys of it are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)


Kind = TypeVar("Kind", bound=BaseModel)


def read_json(path: Path, fix: str = DOWNLOAD_AGAIN) -> Any:  # noqa: ANN401 - whatever a file holds
    """Parse a JSON file.

    Args:
        path: Of the file.
        fix: What to do if it is missing.

    Raises:
        RecordError: If it is missing, cannot be read, or is not whole.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise RecordError(path, "", "is missing", fix) from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise RecordError(path, where, f"is not whole JSON: {error.msg}", DOWNLOAD_AGAIN) from None
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise RecordError(path, "", f"cannot be read: {reason}", DOWNLOAD_AGAIN) from None


def checked(kind: type[Kind], value: object, path: Path, where: str = "") -> Kind:
    """Take from a part of a file what is needed of it.

    Args:
        kind: What that is.
        value: The part, as JSON has it.
        path: The file that it comes from.
        where: Its place in there.

    Raises:
        RecordError: If something is missing or of another type; the first such place is named.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join([*([where] if where else []), *(str(part) for part in first["loc"])])
        problem = f"is not as published: {first['msg'].lower()}"
        raise RecordError(path, place, problem, DOWNLOAD_AGAIN) from None


def path_below(folder: Path, name: str, path: Path, where: str) -> Path:
    """Give the file or folder that a published file names, which must lie below `folder`.

    Raises:
        RecordError: If it leads out of there; `path` and `where` say which file names it, and at what place.
    """
    relative = PurePosixPath(name)
    if not relative.parts or relative.is_absolute() or ".." in relative.parts or "\\" in name or "\0" in name:
        raise RecordError(path, where, f"{name[:80]!r} is no path below {folder.name}", DOWNLOAD_AGAIN)
    return folder / relative


def refuse_twice(ids: Sequence[str], path: Path, where: str) -> None:
    """Make sure that every id is there once. Raises RecordError; the first that is not is named."""
    seen: set[str] = set()
    for one in ids:
        if one in seen:
            raise RecordError(path, where, f"has {one!r} twice", DOWNLOAD_AGAIN)
        seen.add(one)
