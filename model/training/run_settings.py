"""The settings of a training, recorded in its run directory: it resumes only with the same settings, model and data."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from refsav.datasets.training_examples.mixture import Mixture
from refsav.disk.files import digest_of
from refsav.errors import ConfigError
from refsav.model.training.initial_model import digest_of_initial_model
from refsav.model.training_config import TrainConfig
from refsav.tied_settings import changed_settings, installed_versions, refuse_if_changed, write_record

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
"""Keys and tables that may change when a training resumes: they do not change what it learns."""


def digests_of(config: TrainConfig, data: Mixture) -> dict[str, str]:
    """Digests of what the configuration only points to, by configuration key: the initial model and each data source.

    Raises:
        ConfigError: If the TOML file of model sizes cannot be used.
        RecordError: If the checkpoint is missing or cannot be read.
    """
    sources = enumerate(share.source for share in data.sources)
    return {
        "model.origin": digest_of_initial_model(config.model),
        **{f"data.sources, {source.name} ({number})": digest_of(source.files) for number, source in sources},
    }


def write_settings(path: Path, config: TrainConfig, digests: Mapping[str, str]) -> None:
    """Write a run's training.toml. Raises DiskError."""
    versions = installed_versions(LIBRARIES)
    write_record(path, {"versions": versions, "digests": dict(digests), "config": config.model_dump(mode="json")})


def refuse_changes(path: Path, config: TrainConfig, digests: Mapping[str, str]) -> None:
    """Make sure that a training resumes with its own settings, initial model and data.

    Args:
        path: The training.toml of the run.
        config: The configuration now.
        digests: The digests now, from `digests_of`.

    Raises:
        ConfigError: If anything differs, with a list of the differences, or if the file is damaged.
    """
    before, digests_before = read_settings(path)
    changes = changed_settings(before, config, _is_tied)
    known = digests_before.items()
    changes += [f"{key}: holds something else than before" for key, old in known if digests.get(key, old) != old]
    fix = f"restore the previous settings, train into a new run directory, or remove {path.parent} to start again"
    refuse_if_changed(path, "training", changes, fix)


def read_settings(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Read the configuration of a run and its digests. Raises ConfigError."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        config, digests = content["config"], dict(content["digests"])
        TrainConfig.from_mapping(config, str(path))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        fix = "put it back as it was, or train into a new run directory"
        raise ConfigError(f"cannot be used: {error!r}", fix=fix, path=path) from None
    return dict(config), digests


def _is_tied(key: str) -> bool:
    return key.split(".")[0] not in FREE_TABLES and key not in FREE_KEYS
