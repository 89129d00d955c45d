"""The configuration of a whole build, and its record in the run directory."""

import hashlib
import json
import tomllib
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from refsav.annotators.bundles.bundle_task import AnnotationConfig
from refsav.annotators.bundles.plan import read_plan
from refsav.annotators.engines.config import EngineConfig
from refsav.annotators.gallery.bundle_pages import ReportConfig
from refsav.config import Config
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.shards.plan import ShardConfig
from refsav.datasets.shards.splits import SplitConfig
from refsav.errors import ConfigError
from refsav.files import write_text
from refsav.tied_settings import changed_settings, installed_versions, refuse_if_changed, value_at, write_record

LIBRARIES = ("refsav", "prefect", "pyarrow", "opencv-python-headless", "av", "pycocotools", "webdataset", "openai")

TIED_TABLES = ("source", "views", "stages", "vlm", "judge")
"""Tables that the words of a dataset depend on: within one run they stay as they were."""

TIED_KEYS = frozenset({"measures.frame_pairs", "measures.longest_side_px"})
"""Keys beside those tables: what was measured in one bundle must be measured so in all."""

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
    bundles_at_once: int = Field(
        2, ge=1, description="Bundles worked on at the same time: on this machine, or on all nodes of Ray together."
    )
    bundle_timeout_s: float = Field(
        21_600.0, gt=0, description="Seconds for one bundle, all retries of its requests included; then it fails."
    )
    json_logs: bool = Field(
        False, description="Keep what became of every object as JSON lines, a file per bundle in logs/."
    )
    kind: Literal["local", "ray"] = Field(
        "local", description="local: threads of this process. ray: processes of a Ray cluster, on one core each."
    )
    address: str = Field(
        "",
        description="Of a Ray cluster, as HOST:PORT or ray://HOST:PORT; empty: one of the build's own on this machine.",
    )
    storage: str = Field(
        "",
        description="Where the run is kept beside its directory: s3://BUCKET/FOLDER, gs://BUCKET/FOLDER or a path.",
    )


class BuildConfig(AnnotationConfig):
    """Everything that a build can be told. Each key has a default; a TOML file or the command line sets it."""

    split: SplitConfig = Field(SplitConfig(), description="Train and val.")
    shards: ShardConfig = Field(ShardConfig(), description="WebDataset shards.")
    report: ReportConfig = Field(ReportConfig(), description="The gallery.")
    runner: RunnerConfig = Field(RunnerConfig(), description="Bundles and concurrency.")


def keep_settings(run: RunDirectory, source: Path, config: BuildConfig, imported: str = "") -> None:
    """Write run.toml, or make sure that a run that goes on is told the same things as before.

    Args:
        run: The run.
        source: Folder of its videos.
        config: All settings.
        imported: Hex SHA-256 of the Ref-SAV.json that the run is made of; empty for a build.

    Raises:
        ConfigError: If it is not the run of this source, of these settings, or of this file, or run.toml is damaged.
        DiskError: If the file cannot be written.
    """
    refuse_changes(run, source, config, imported)
    prompts = config.stages.load_prompts()
    content = {
        "source": str(source),
        "imported": imported,
        "versions": installed_versions(LIBRARIES),
        "prompts": {task: prompt.digest for task, prompt in sorted(prompts.items())},
        "config": config.model_dump(mode="json"),
    }
    write_record(run.settings, content)


def read_settings(run: RunDirectory) -> tuple[Path, BuildConfig]:
    """Read a run's source and configuration back.

    Raises:
        ConfigError: If the directory is no run, or its run.toml cannot be used.
    """
    content = _load(run.settings)
    return Path(content["source"]), BuildConfig.from_mapping(content["config"], str(run.settings))


def mark_finished(run: RunDirectory, config: BuildConfig) -> None:
    """Note that nothing of a build is left to do. Raises DiskError."""
    write_text(run.finished, _digest_of(config) + "\n")


def is_finished(run: RunDirectory, config: BuildConfig) -> bool:
    """Tell whether a build of this configuration, by this version, has nothing left to do but what is new."""
    try:
        return run.finished.read_text(encoding="utf-8").strip() == _digest_of(config)
    except OSError:
        return False


def _digest_of(config: BuildConfig) -> str:
    content = [version("refsav"), config.model_dump(mode="json")]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def refuse_changes(run: RunDirectory, source: Path, config: BuildConfig, imported: str = "") -> None:
    """Make sure that a run may go on with these settings; a new one may with any. Raises ConfigError."""
    if not run.settings.exists():
        return
    before = _load(run.settings)
    _refuse_other_origin(run, before["imported"], imported)
    if before["source"] != str(source):
        _refuse_other_source(run, before["source"], source)
    changes = changed_settings(before["config"], config, partial(_is_tied, imported=imported))
    changes += [
        f"the prompt {task} has changed"
        for task, prompt in config.stages.load_prompts().items()
        if before["prompts"].get(task) != prompt.digest
    ]
    fix = "use the settings of before, or build into a new run directory"
    refuse_if_changed(run.settings, "run", changes, fix)


def _is_tied(key: str, imported: str) -> bool:
    if imported and key == "runner.bundle_videos":  # nobody plans an import: its bundles follow from the file
        return True
    return key in TIED_KEYS or (key.split(".")[0] in TIED_TABLES and key not in FREE_KEYS)


def _refuse_other_origin(run: RunDirectory, before: str, now: str) -> None:
    if before == now:
        return
    if not now:
        problem = "was made of a Ref-SAV.json and has nothing to describe"
        fix = "run `refsav import` again, which takes up what has failed, or build into a new run directory"
    else:
        problem = "was made of another Ref-SAV.json" if before else "is the run of a build"
        fix = "import into a new run directory"
    raise ConfigError(f"{run.root}: {problem}\n  fix: {fix}")


def _refuse_other_source(run: RunDirectory, before: str, source: Path) -> None:
    """A source may move as a whole; what a run has described must still be there."""
    videos = [video for bundle in read_plan(run, source) for video in bundle.videos]
    lost = [video for video in videos if not any(path.exists() for path in (video.media, *video.annotations))]
    if lost:
        raise ConfigError(
            f"{run.root}: this run was begun with the source {before}, and {source} lacks {len(lost)} of its "
            f"{len(videos)} videos, the first is {lost[0].video_id}\n"
            "  fix: give the source of before, or build into a new run directory"
        )


def _load(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path.parent}: is no run directory\n  fix: give one that `refsav build` has made") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _damaged(path, f"cannot be used: {error}") from None
    tables = ("prompts", "config", *(f"config.{table}" for table in BuildConfig.model_fields))
    for key, kind in {"source": str, "imported": str, **dict.fromkeys(tables, dict)}.items():
        if not isinstance(value_at(content, key), kind):  # a table less would be read as all its defaults
            raise _damaged(path, f"is not whole: {key} is missing")
    return content


def _damaged(path: Path, problem: str) -> ConfigError:
    fix = "put it back as it was, or delete it and run the same refsav build or import with the same settings again"
    return ConfigError(f"{path}: {problem}\n  fix: {fix}")
