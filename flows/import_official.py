"""Import an existing Ref-SAV.json as a run, which is then sharded, measured and shown like a build."""

from pathlib import Path

from prefect import flow, task

from refsav.annotators.bundles.import_objects import import_to_parts
from refsav.datasets.official.ref_sav_import import import_official
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.statistics.run_statistics import Statistics
from refsav.disk.files import sha256_of
from refsav.disk.lock import exclusive
from refsav.errors import RecordError
from refsav.flows.build import publish_report, split_by_video, write_shards
from refsav.flows.config.build import BuildConfig, keep_settings, refuse_changes
from refsav.flows.gallery_tasks import draw_gallery
from refsav.flows.running.open_run import open_run
from refsav.flows.running.run_storage import require_storage, upload
from refsav.flows.running.task_runner import require_runner


@flow(name="import-ref-sav")
def import_ref_sav(annotations: Path, source: Path, run: Path, config: BuildConfig | None = None) -> Statistics:
    """Turn a Ref-SAV.json into a run.

    Args:
        annotations: Ref-SAV.json in the layout that the official loader reads.
        source: Folder that its paths are relative to.
        run: Run directory; a new one, or one of the same file: objects that had failed are then imported again.
        config: Split, shards and report; the tables about models are not used.
    """
    config = config or BuildConfig()
    with open_run(run, config.runner):
        keep_settings(RunDirectory(run), source, config, imported=_digest_of(annotations))
        bundles = import_objects(annotations, source, run, config)
        upload(run)  # tasks on other machines read the parts
        assignments = split_by_video(run, config)
        write_shards(source, run, config, assignments)
        draw_gallery(bundles, source, run, config)
        return publish_report(run, config)


def check_import(annotations: Path, source: Path, run: Path, config: BuildConfig) -> None:
    """Check everything that would stop an import, before Prefect takes its seconds to start.

    Raises:
        RecordError: If the file cannot be read.
        MissingExtraError: If a package for Ray, or for the storage of the run, is missing.
        StorageError: If the storage does not answer, or denies access.
        ConfigError: If the run belongs to a build, to another file, or to other settings.
        LockedError: If another process works on the run.
        DiskError: If the run directory cannot be written.
    """
    imported = _digest_of(annotations)
    require_runner(config.runner)
    require_storage(config.runner)
    with exclusive(run):
        refuse_changes(RunDirectory(run), source, config, imported)


def _digest_of(annotations: Path) -> str:
    try:
        return sha256_of(annotations)
    except FileNotFoundError:
        raise RecordError(annotations, "", "there is no such file", "give a Ref-SAV.json") from None
    except OSError as error:
        raise RecordError(annotations, "", f"cannot be read: {error.strerror}", "give a Ref-SAV.json") from None


@task
def import_objects(annotations: Path, source: Path, run: Path, config: BuildConfig) -> list[str]:
    """Write the objects of the file as parts, one bundle of videos at a time, and return the names of all bundles."""
    entries = import_official(annotations, source)
    names = import_to_parts(entries, RunDirectory(run), source, config.runner.bundle_videos, config.measures)
    return list(names)
