"""What a build checks before it starts: the source, the prompts, the models, and where its tasks run."""

import asyncio
from pathlib import Path

from refsav.annotators.bundles.bundle_task import settle_engines
from refsav.datasets.records import VideoFile
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.sav.source import discover, read_ids
from refsav.disk.lock import exclusive
from refsav.errors import RecordError
from refsav.flows.config.build import BuildConfig, refuse_changes
from refsav.flows.running.run_storage import require_storage
from refsav.flows.running.task_runner import require_runner


def check_build(source: Path, run: Path, config: BuildConfig) -> None:
    """Check everything that would stop a build, before Prefect takes its seconds to start.

    Raises:
        RecordError: If the source has no videos, or a prompt cannot be used.
        MissingExtraError: If a package for Ray, or for the storage of the run, is missing.
        StorageError: If the storage does not answer, or denies access.
        LockedError: If another process works on the run.
        DiskError: If the run directory cannot be written.
        ConfigError: If the run was started with other settings, or a model is not served.
        ServersDownError: If a server does not answer.
    """
    require_videos(source, config)
    config.stages.load_prompts()
    require_runner(config.runner)
    require_storage(config.runner)
    with exclusive(run):
        refuse_changes(RunDirectory(run), source, with_served_models(config))


def require_videos(source: Path, config: BuildConfig) -> None:
    """Check that a source has videos to annotate. Raises RecordError."""
    entries = discover(source, config.source)
    if config.source.videos:
        if not any(isinstance(entry, VideoFile) for entry in entries):
            ids = sorted(read_ids(Path(config.source.videos)))
            shown = ", ".join(ids[:3]) + (", …" if len(ids) > 3 else "")
            problem = f"names no video of {source} that can be used ({shown or 'it holds no id'})"
            fix = "list video ids without folder and ending, one a line, or leave source.videos empty"
            raise RecordError(Path(config.source.videos), "", problem, fix)
    elif next(entries, None) is None:
        fix = "give the folder that holds <id>.mp4 and <id>_manual.json, or JPEGImages_24fps and Annotations_6fps"
        raise RecordError(source, "", "holds no videos in either of SA-V's layouts", fix)


def with_served_models(config: BuildConfig) -> BuildConfig:
    """Fill in the names of the models that the servers serve. Raises ServersDownError, ConfigError."""
    vlm, judge = asyncio.run(settle_engines(config.vlm, config.judge))
    return config.model_copy(update={"vlm": vlm, "judge": judge})
