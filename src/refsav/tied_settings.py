"""The settings that a run is tied to: recorded in its directory, and compared when the run is resumed.

A build records them in run.toml, a training in training.toml. Which keys may change is the caller's decision.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import tomli_w

from refsav.config import Config, leaves
from refsav.disk.files import write_text
from refsav.errors import ConfigError


def write_record(path: Path, content: Mapping[str, object]) -> None:
    """Write the record of a run as TOML. Raises DiskError."""
    write_text(path, tomli_w.dumps(content))


def installed_versions(libraries: Iterable[str]) -> dict[str, str]:
    """Versions of those libraries that are installed: without LoRA, for example, peft is not needed."""
    found = {}
    for name in libraries:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def value_at(table: Any, dotted_key: str) -> Any:  # noqa: ANN401 - TOML holds anything
    """Value of a dotted key ("views.frames") in nested tables; None if there is no such key."""
    for part in dotted_key.split("."):
        table = table.get(part) if isinstance(table, dict) else None
    return table


def changed_settings(before: Mapping[str, Any], now: Config, is_tied: Callable[[str], bool]) -> list[str]:
    """List the settings that differ from those of a record, one line each, such as "views.frames: was 4, now 8".

    Args:
        before: The configuration as the record has it, in nested tables.
        now: The configuration of the command that resumes the run.
        is_tied: Whether a dotted key must stay as it was.
    """
    values = now.model_dump(mode="json")
    compared = [(key, value_at(before, key), value_at(values, key)) for key, _ in leaves(type(now)) if is_tied(key)]
    return [f"{key}: was {old!r}, now {new!r}" for key, old, new in compared if old != new]


def refuse_if_changed(path: Path, run: str, changes: Sequence[str], fix: str) -> None:
    """Refuse to resume a run with other settings.

    Args:
        path: The record of the run.
        run: What it is: "run" or "training".
        changes: One line for each difference; without any, the run may be resumed.
        fix: What the user can do.

    Raises:
        ConfigError: If there is a difference; the message lists them all.
    """
    if changes:
        listed = "".join(f"\n  {change}" for change in changes)
        raise ConfigError(f"this {run} was started with other settings{listed}", fix=fix, path=path)
