"""The configuration of a build, and its record in the run directory."""

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
from refsav.disk.files import write_text
from refsav.errors import ConfigError
from refsav.tied_settings import changed_settings, installed_versions, refuse_if_changed, value_at, write_record

LIBRARIES = ("refsav", "prefect", "pyarrow", "opencv-python-headless", "av", "pycocotools", "webdataset", "openai")

TIED_TABLES = ("source", "views", "stages", "vlm", "judge")
"""Tables that the expressions depend on: they must not change within one run."""

TIED_KEYS = frozenset({"measures.frame_pairs", "measures.longest_side_px"})
"""Further keys that must not change: every bundle must be measured in the same way."""

FREE_KEYS = frozenset(
    f"{engine}.{key}"
    for engine in ("vlm", "judge")
    for key in EngineConfig.model_fields
    if key not in ("kind", "model")
)
"""Keys of these tables that may change: they configure how a model is reached, not what it answers."""


class RunnerConfig(Config):
    """How the work is divided, where it runs, and how much of it at the same time."""

    bundle_videos: int = Field(16, ge=1, description="Videos per bundle: one Prefect task, one journal, one part.")
    bundles_at_once: int = Field(
        2, ge=1, description="Bundles annotated at the same time, on this machine or on all Ray nodes together."
    )
    bundle_timeout_s: float = Field(
        21_600.0, gt=0, description="Seconds after which a bundle fails, retries of its requests included."
    )
    json_logs: bool = Field(
        False, description="Log the outcome of every object as JSON lines, one file per bundle in logs/."
    )
    kind: Literal["local", "ray"] = Field(
        "local",
        description="local: threads of this process. ray: processes of a Ray cluster, one core each.",
    )
    address: str = Field(
        "",
        description="Address of a Ray cluster, HOST:PORT or ray://HOST:PORT; empty to start one on this machine.",
    )
    storage: str = Field(
        "",
        description="Second place that keeps the run: s3://BUCKET/FOLDER, gs://BUCKET/FOLDER or a path.",
    )


class BuildConfig(AnnotationConfig):
    """All settings of a build. Each key has a default; a TOML file or the command line overrides it."""

    split: SplitConfig = Field(SplitConfig(), description="Split into train and val.")
    shards: ShardConfig = Field(ShardConfig(), description="WebDataset shards.")
    report: ReportConfig = Field(ReportConfig(), description="The gallery.")
    runner: RunnerConfig = Field(RunnerConfig(), description="Bundles, concurrency and the place where tasks run.")


def keep_settings(run: RunDirectory, source: Path, config: BuildConfig, imported: str = "") -> None:
    """Write run.toml, or check that a resumed run has the same settings as before.

    Args:
        run: The run.
        source: Folder of its videos.
        config: All settings.
        imported: Hex SHA-256 of the Ref-SAV.json that was imported; empty for a build.

    Raises:
        ConfigError: If the run belongs to another source, other settings or another file, or run.toml is damaged.
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
    """Read the source and the configuration of a run.

    Raises:
        ConfigError: If the directory is not a run, or its run.toml cannot be used.
    """
    content = _load(run.settings)
    return Path(content["source"]), BuildConfig.from_mapping(content["config"], str(run.settings))


def mark_finished(run: RunDirectory, config: BuildConfig) -> None:
    """Record that a build is complete. Raises DiskError."""
    write_text(run.finished, _digest_of(config) + "\n")


def is_finished(run: RunDirectory, config: BuildConfig) -> bool:
    """Check whether a build with this configuration, by this version of RefSAV, was completed."""
    try:
        return run.finished.read_text(encoding="utf-8").strip() == _digest_of(config)
    except OSError:
        return False


def _digest_of(config: BuildConfig) -> str:
    content = [version("refsav"), config.model_dump(mode="json")]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def refuse_changes(run: RunDirectory, source: Path, config: BuildConfig, imported: str = "") -> None:
    """Check that a run can be resumed with these settings; a new run accepts any. Raises ConfigError."""
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
    fix = "use the previous settings, or build into a new run directory"
    refuse_if_changed(run.settings, "run", changes, fix)


def _is_tied(key: str, imported: str) -> bool:
    if imported and key == "runner.bundle_videos":  # an import has no plan: its bundles follow from the file
        return True
    return key in TIED_KEYS or (key.split(".")[0] in TIED_TABLES and key not in FREE_KEYS)


def _refuse_other_origin(run: RunDirectory, before: str, now: str) -> None:
    if before == now:
        return
    if not now:
        problem = "was imported from a Ref-SAV.json, so there is nothing to caption"
        fix = "run `refsav import` again, which retries what has failed, or build into a new run directory"
    else:
        problem = "was imported from another Ref-SAV.json" if before else "belongs to a build"
        fix = "import into a new run directory"
    raise ConfigError(problem, fix=fix, path=run.root)


def _refuse_other_source(run: RunDirectory, before: str, source: Path) -> None:
    """Raise ConfigError unless the new source holds the same videos: a source may move as a whole."""
    videos = [video for bundle in read_plan(run, source) for video in bundle.videos]
    lost = [video for video in videos if not any(path.exists() for path in (video.media, *video.annotations))]
    if lost:
        raise ConfigError(
            f"this run was started with the source {before}, and {source} lacks {len(lost)} of its {len(videos)} "
            f"videos; the first is {lost[0].video_id}",
            fix="give the previous source, or build into a new run directory",
            path=run.root,
        )


def _load(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        fix = "give one that `refsav build` created"
        raise ConfigError("not a run directory", fix=fix, path=path.parent) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _damaged(path, f"cannot be used: {error}") from None
    tables = ("prompts", "config", *(f"config.{table}" for table in BuildConfig.model_fields))
    for key, kind in {"source": str, "imported": str, **dict.fromkeys(tables, dict)}.items():
        if not isinstance(value_at(content, key), kind):  # a missing table would be read as all its defaults
            raise _damaged(path, f"is incomplete: {key} is missing")
    return content


def _damaged(path: Path, problem: str) -> ConfigError:
    fix = "restore it, or delete it and run the same refsav build or import with the same settings again"
    return ConfigError(problem, fix=fix, path=path)
