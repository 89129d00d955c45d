"""The configuration of a whole build, and its record in the run directory."""

import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import Field

from refsav.annotators.annotation import AnnotationConfig
from refsav.annotators.engine_config import EngineConfig
from refsav.annotators.gallery import ReportConfig
from refsav.config import Config, leaves
from refsav.datasets.run import RunDirectory
from refsav.datasets.shards import ShardConfig
from refsav.datasets.splits import SplitConfig
from refsav.errors import ConfigError
from refsav.files import write_text

LIBRARIES = ("refsav", "prefect", "pyarrow", "opencv-python-headless", "av", "pycocotools", "webdataset", "openai")

TIED_TABLES = ("source", "views", "stages", "vlm", "judge")
"""Tables that the words of a dataset depend on: within one run they stay as they were."""

FREE_KEYS = frozenset(
    f"{engine}.{key}"
    for engine in ("vlm", "judge")
    for key in EngineConfig.model_fields
    if key not in ("kind", "model")
)
"""Keys of those tables that say how a model is reached, not what it says."""


class RunnerConfig(Config):
    """How the work is cut and how much of it runs at a time."""

    bundle_videos: int = Field(16, ge=1, description="Videos per bundle: one Prefect task, one journal, one part.")
    bundles_at_once: int = Field(2, ge=1, description="Bundles worked on at the same time on this machine.")
    gpus: int = Field(0, ge=0, description="GPUs that serve the models: what the estimate of GPU-hours counts with.")


class BuildConfig(AnnotationConfig):
    """Everything that a build can be told. Each key has a default; a TOML file or the command line sets it."""

    split: SplitConfig = Field(SplitConfig(), description="Train and val.")
    shards: ShardConfig = Field(ShardConfig(), description="WebDataset shards.")
    report: ReportConfig = Field(ReportConfig(), description="The gallery.")
    runner: RunnerConfig = Field(RunnerConfig(), description="Bundles and concurrency.")


def keep_settings(run: RunDirectory, source: Path, config: BuildConfig) -> None:
    """Write run.toml, or make sure that a run that goes on is told the same things as before.

    Raises:
        ConfigError: If a key that the run's words depend on has changed, or the run.toml of before is damaged.
        DiskError: If the file cannot be written.
    """
    if run.settings.exists():
        _refuse_changes(run.settings, config)
    prompts = config.stages.load_prompts()
    content = {
        "source": str(source),
        "versions": {name: version(name) for name in LIBRARIES},
        "prompts": {task: prompt.digest for task, prompt in sorted(prompts.items())},
        "config": config.model_dump(mode="json"),
    }
    write_text(run.settings, tomli_w.dumps(content))


def read_settings(run: RunDirectory) -> tuple[Path, BuildConfig]:
    """Read a run's source and configuration back.

    Raises:
        ConfigError: If the directory is no run, or its run.toml cannot be used.
    """
    content = _load(run.settings)
    return Path(content["source"]), BuildConfig.from_mapping(content["config"], str(run.settings))


def _refuse_changes(path: Path, config: BuildConfig) -> None:
    before = _load(path)
    changes = [
        f"  {key}: was {old!r}, now {new!r}"
        for key, _ in leaves(BuildConfig)
        if key.split(".")[0] in TIED_TABLES and key not in FREE_KEYS
        for old, new in [(_value(before["config"], key), _value(config.model_dump(mode="json"), key))]
        if old != new
    ]
    changes += [
        f"  the prompt {task} has changed"
        for task, prompt in config.stages.load_prompts().items()
        if before["prompts"].get(task) != prompt.digest
    ]
    if changes:
        fix = "use the settings of before, or build into a new run directory"
        raise ConfigError(f"{path}: this run was begun with other settings\n" + "\n".join(changes) + f"\n  fix: {fix}")


def _load(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path.parent}: is no run directory\n  fix: give one that `refsav build` has made") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _damaged(path, f"cannot be used: {error}") from None
    tables = ("prompts", "config", *(f"config.{table}" for table in BuildConfig.model_fields))
    for key, kind in {"source": str, **dict.fromkeys(tables, dict)}.items():
        if not isinstance(_value(content, key), kind):  # a table less would be read as all its defaults
            raise _damaged(path, f"is not whole: {key} is missing")
    return content


def _damaged(path: Path, problem: str) -> ConfigError:
    fix = "put it back as it was, or delete it and run the same refsav build or import with the same settings again"
    return ConfigError(f"{path}: {problem}\n  fix: {fix}")


def _value(table: Any, dotted: str) -> Any:  # noqa: ANN401 - TOML holds anything
    for part in dotted.split("."):
        table = table.get(part) if isinstance(table, dict) else None
    return table
