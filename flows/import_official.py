"""An existing Ref-SAV.json as a run: its expressions become parts, then it is sharded, measured and shown like any."""

from pathlib import Path

from prefect import flow, task

from refsav.annotators.bundles.import_objects import import_to_parts
from refsav.datasets.official.ref_sav_import import import_official
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.statistics.run_statistics import Statistics
from refsav.errors import RecordError
from refsav.files import sha256_of
from refsav.flows.build import publish_report, split_by_video, write_shards
from refsav.flows.config.build import BuildConfig, keep_settings, refuse_changes
from refsav.flows.gallery_tasks import draw_gallery
from refsav.flows.running.run_storage import held_in_storage, leave, refuse_storage
from refsav.flows.running.task_runner import refuse_runner, tasks_on
from refsav.lock import exclusive


@flow(name="import-ref-sav")
def import_ref_sav(annotations: Path, source: Path, run: Path, config: BuildConfig | None = None) -> Statistics:
    """Make a run of a Ref-SAV.json.

    Args:
        annotations: The file, in the layout that the official loader reads.
        source: Folder that its paths start from.
        run: Run directory; a new one, or one of the same file: what had failed is then taken up again.
        config: Split, shards, report; the tables about models are not used.
    """
    config = config or BuildConfig()
    with exclusive(run), held_in_storage(run, config.runner), tasks_on(config.runner):
        keep_settings(RunDirectory(run), source, config, imported=_digest_of(annotations))
        bundles = take_in(annotations, source, run, config)
        leave(run)
        assignments = split_by_video(run, config)
        write_shards(source, run, config, assignments)
        draw_gallery(bundles, source, run, config)
        statistics = publish_report(run, config)
        leave(run)
        return statistics


def refuse_early(annotations: Path, source: Path, run: Path, config: BuildConfig) -> None:
    """Raise at once what would stop an import after Prefect has taken its seconds to start.

    Raises:
        RecordError: If the file cannot be read.
        MissingExtraError: If tasks are to run on Ray, or the run is kept in a bucket, and a package for it is missing.
        StorageError: If the storage does not answer, or refuses.
        ConfigError: If the run is that of a build, of another file, or of other settings.
        LockedError: If another process works on the run.
        DiskError: If the run directory cannot be written.
    """
    imported = _digest_of(annotations)
    refuse_runner(config.runner)
    refuse_storage(config.runner)
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
def take_in(annotations: Path, source: Path, run: Path, config: BuildConfig) -> list[str]:
    """Write the file's objects as parts, a bundle of videos at a time; name all bundles."""
    entries = import_official(annotations, source)
    names = import_to_parts(entries, RunDirectory(run), source, config.runner.bundle_videos, config.measures)
    return list(names)
