"""The scheduled build: annotate new and changed videos of a source, and do nothing if there are none."""

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from refsav.annotators.bundles.source_changes import find_changes
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.sav.source import discover
from refsav.datasets.statistics.run_statistics import Statistics
from refsav.disk.lock import LockedError, exclusive
from refsav.flows.build import build_ref_sav
from refsav.flows.config.build import BuildConfig, is_finished
from refsav.flows.reporting.artifacts import publish_markdown
from refsav.flows.reporting.notifications import BUSY, NOTHING_NEW, notifies
from refsav.flows.reporting.progress import print_line


@notifies
@flow(name="update-ref-sav")
def update_ref_sav(
    source: Path,
    run: Path,
    config: BuildConfig = BuildConfig(),  # noqa: B008 - frozen; Prefect's form shows what it holds
) -> Statistics | State[Any]:
    """Annotate the videos of a folder that are new or have changed.

    Without any it ends in seconds, in the state NothingNew, and sends no request to a model. Ends in the state Busy
    while another process works on the run.

    Args:
        source: Folder with videos and masklets in one of SA-V's layouts; relative to the folder of the deployment.
        run: Run directory, relative to the same folder; created if it does not exist.
        config: All settings of the build.
    """
    source, run = source.resolve(), run.resolve()
    try:
        with exclusive(run):
            changes = find_changes(RunDirectory(run), source, discover(source, config.source))
        summary = f"{source}: {changes}"
        if not changes and not _is_unfinished(RunDirectory(run), config):
            return _nothing_done(run, NOTHING_NEW, summary)
        print_line(summary)
        publish_markdown(f"{run.name} news", summary, "Changes in the source")
        return build_ref_sav(source, run, config)
    except LockedError as error:
        return _nothing_done(run, BUSY, str(error).partition("\n")[0])


def _is_unfinished(run: RunDirectory, config: BuildConfig) -> bool:
    """Check whether an earlier build was interrupted after annotation, or had other settings."""
    return run.settings.exists() and not is_finished(run, config)


def _nothing_done(run: Path, name: str, reason: str) -> State[Any]:
    print_line(f"nothing done: {reason}")
    publish_markdown(f"{run.name} news", f"Nothing done: {reason}", "Changes in the source")
    return Completed(name=name, message=reason)
