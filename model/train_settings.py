"""The record of a training's configuration in its run directory: a training that goes on is told the same as before."""

import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tomli_w

from refsav.config import leaves
from refsav.errors import ConfigError
from refsav.files import write_text
from refsav.model.train_config import TrainConfig

LIBRARIES = ("refsav", "torch", "transformers", "sam2", "accelerate", "peft")

FREE_TABLES = ("checkpoints", "watching", "validation")
FREE_KEYS = frozenset(
    {
        "model.attention",
        "learning.at_once",
        "learning.explodes_above",
        "learning.gradient_checkpointing",
        "learning.threads",
        "learning.workers",
        "data.bad_share",
    }
)
"""What may change while a training goes on: it learns the same."""


def keep_settings(path: Path, config: TrainConfig) -> None:
    """Write a run's training.toml, or make sure that a training that goes on has the same settings.

    Raises:
        ConfigError: If it has not, or the file is damaged.
        DiskError: If it cannot be written.
    """
    now = config.model_dump(mode="json")
    if path.exists():
        before = read_settings(path)
        changes = [f"  {key}: was {old!r}, now {new!r}" for key, old, new in _differences(before, now)]
        if changes:
            told = "\n".join(changes)
            fix = "use the settings of before, or train into a new run directory"
            raise ConfigError(f"{path}: this training was begun with other settings\n{told}\n  fix: {fix}")
    write_text(path, tomli_w.dumps({"versions": {name: version(name) for name in LIBRARIES}, "config": now}))


def read_settings(path: Path) -> dict[str, Any]:
    """Read the configuration of a run. Raises ConfigError."""
    try:
        config = tomllib.loads(path.read_text(encoding="utf-8"))["config"]
        TrainConfig.from_mapping(config, str(path))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError) as error:
        fix = "put it back as it was, or train into a new run directory"
        raise ConfigError(f"{path}: cannot be used: {error!r}\n  fix: {fix}") from None
    return dict(config)


def _differences(before: dict[str, Any], now: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    tied = [key for key, _ in leaves(TrainConfig) if key.split(".")[0] not in FREE_TABLES and key not in FREE_KEYS]
    values = [(key, _value(before, key), _value(now, key)) for key in tied]
    return [(key, old, new) for key, old, new in values if old != new]


def _value(table: Any, dotted: str) -> Any:  # noqa: ANN401 - TOML holds anything
    for part in dotted.split("."):
        table = table.get(part) if isinstance(table, dict) else None
    return table
