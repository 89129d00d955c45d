"""Published JSON files: parsed, and validated for the fields that RefSAV uses; errors name the file and the place."""

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from refsav.errors import RecordError

DOWNLOAD_AGAIN = "download the file again"


class Published(BaseModel):
    """Base of models of a published file's entries, with the fields that RefSAV uses; other keys are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)


Model = TypeVar("Model", bound=BaseModel)


def read_json(path: Path, fix: str = DOWNLOAD_AGAIN) -> Any:  # noqa: ANN401 - any JSON value
    """Parse a JSON file.

    Args:
        path: The file.
        fix: What the error advises if the file is missing.

    Raises:
        RecordError: If it is missing, cannot be read, or is not valid JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise RecordError(path, "", "is missing", fix) from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise RecordError(path, where, f"is not valid JSON: {error.msg}", DOWNLOAD_AGAIN) from None
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise RecordError(path, "", f"cannot be read: {reason}", DOWNLOAD_AGAIN) from None


def checked(model: type[Model], value: object, path: Path, where: str = "") -> Model:
    """Validate a parsed JSON value of a published file.

    Args:
        model: What to validate it as.
        value: The parsed value.
        path: The file that it comes from.
        where: Its key or index in the file.

    Raises:
        RecordError: If a field is missing or has the wrong type; names the first such field.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join([*([where] if where else []), *(str(key) for key in first["loc"])])
        problem = f"is not as published: {first['msg'].lower()}"
        raise RecordError(path, field, problem, DOWNLOAD_AGAIN) from None


def path_below(folder: Path, name: str, path: Path, where: str) -> Path:
    """Resolve a relative path that a published file names.

    Args:
        folder: The folder that it must lie below.
        name: The relative path, with forward slashes.
        path: The file that names it, for the error.
        where: The key or index in that file, for the error.

    Raises:
        RecordError: If the path is absolute or leads out of `folder`.
    """
    relative = PurePosixPath(name)
    if not relative.parts or relative.is_absolute() or ".." in relative.parts or "\\" in name or "\0" in name:
        raise RecordError(path, where, f"{name[:80]!r} is not a path below {folder.name}", DOWNLOAD_AGAIN)
    return folder / relative


def refuse_duplicates(ids: Sequence[str], path: Path, where: str) -> None:
    """Check that no id occurs more than once. Raises RecordError, which names the first duplicate."""
    seen: set[str] = set()
    for name in ids:
        if name in seen:
            raise RecordError(path, where, f"lists {name!r} more than once", DOWNLOAD_AGAIN)
        seen.add(name)
