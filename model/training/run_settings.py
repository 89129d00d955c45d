"""The record of what a training was begun with, in its run directory: one that goes on, or is done, is that one."""

import tomllib
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import tomli_w

from refsav.config import leaves
from refsav.datasets.training_examples.mixture import Mixture
from refsav.errors import ConfigError
from refsav.files import digest_of, write_text
from refsav.model.training.initial_model import digest_of_origin
from refsav.model.training_config import TrainConfig

LIBRARIES = ("refsav", "torch", "transformers", "sam2", "accelerate", "peft")

FREE_TABLES = ("checkpoints", "watching", "validation")
FREE_KEYS = frozenset(
    {
        "model.attention",
        "learning.explodes_above",
        "learning.gradient_checkpointing",
        "learning.threads",
        "learning.workers",
        "data.bad_share",
    }
)
"""What may change while a training goes on: it learns the same."""


def digests_of(config: TrainConfig, data: Mixture) -> dict[str, str]:
    """Digest of what the configuration only points at, by the key that does: the model to begin with, each source.

    Raises:
        ConfigError: If the model's file of sizes cannot be used.
        RecordError: If there is no such checkpoint.
    """
    sources = enumerate(share.source for share in data.shares)
    return {
        "model.origin": digest_of_origin(config.model),
        **{f"data.sources, {source.name} ({number})": digest_of(source.files) for number, source in sources},
    }


def write_settings(path: Path, config: TrainConfig, digests: Mapping[str, str]) -> None:
    """Write a run's training.toml. Raises DiskError."""
    content = {"versions": _versions(), "digests": dict(digests), "config": config.model_dump(mode="json")}
    write_text(path, tomli_w.dumps(content))


def refuse_changes(path: Path, config: TrainConfig, digests: Mapping[str, str]) -> None:
    """Make sure that a run was begun with these settings, this model and this data.

    Args:
        path: Its training.toml.
        config: As it is now.
        digests: Likewise, as `digests_of` gives them.

    Raises:
        ConfigError: If it was not; what differs is named. Likewise if the file is damaged.
    """
    before, digests_before = read_settings(path)
    now = config.model_dump(mode="json")
    told = [f"  {key}: was {old!r}, now {new!r}" for key, old, new in _differences(before, now)]
    known = digests_before.items()
    told += [f"  {key}: holds something else than before" for key, old in known if digests.get(key, old) != old]
    if told:
        fix = f"use those of before, train into a new run directory, or remove {path.parent} to train anew"
        changes = "\n".join(told)
        raise ConfigError(f"{path}: this training was begun with other settings\n{changes}\n  fix: {fix}")


def _versions() -> dict[str, str]:
    """Versions of the libraries that are installed: without LoRA, peft need not be."""
    found = {}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def read_settings(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Read the configuration of a run, and the digests beside it. Raises ConfigError."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        config, digests = content["config"], dict(content["digests"])
        TrainConfig.from_mapping(config, str(path))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        fix = "put it back as it was, or train into a new run directory"
        raise ConfigError(f"{path}: cannot be used: {error!r}\n  fix: {fix}") from None
    return dict(config), digests


def _differences(before: dict[str, Any], now: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    tied = [key for key, _ in leaves(TrainConfig) if key.split(".")[0] not in FREE_TABLES and key not in FREE_KEYS]
    values = [(key, _value(before, key), _value(now, key)) for key in tied]
    return [(key, old, new) for key, old, new in values if old != new]


def _value(table: Any, dotted: str) -> Any:  # noqa: ANN401 - TOML holds anything
    for part in dotted.split("."):
        table = table.get(part) if isinstance(table, dict) else None
    return table
