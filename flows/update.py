"""The build as a schedule fires it: what is new in the source is added to the run, and nothing else is done."""

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from refsav.annotators.bundles.source_changes import find_changes
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.sav.source import discover
from refsav.datasets.statistics.run_statistics import Statistics
from refsav.flows.build import build_ref_sav
from refsav.flows.config.build import BuildConfig, is_finished
from refsav.flows.reporting.artifacts import publish_markdown
from refsav.flows.reporting.notifications import BUSY, NOTHING_NEW, announced
from refsav.flows.reporting.progress import say
from refsav.lock import LockedError, exclusive


@announced
@flow(name="update-ref-sav")
def update_ref_sav(
    source: Path,
    run: Path,
    config: BuildConfig = BuildConfig(),  # noqa: B008 - frozen; Prefect's form shows what it holds
) -> Statistics | State[Any]:
    """Describe the videos that are new in a folder, and those that have changed.

    With nothing to do it ends in seconds and asks no model; likewise while another process works on the run.

    Args:
        source: Folder with videos and masklets in one of SA-V's layouts; relative to where it was deployed.
        run: Run directory, likewise; made if new, completed if not.
        config: All settings of the build.
    """
    source, run = source.resolve(), run.resolve()
    try:
        with exclusive(run):
            news = find_changes(RunDirectory(run), source, discover(source, config.source))
        told_news = f"{source}: {news}"
        if not news and not _is_unfinished(RunDirectory(run), config):
            return _nothing_done(run, NOTHING_NEW, told_news)
        say(told_news)
        publish_markdown(f"{run.name} news", told_news, "What was new")
        return build_ref_sav(source, run, config)
    except LockedError as error:
        return _nothing_done(run, BUSY, str(error).partition("\n")[0])


def _is_unfinished(run: RunDirectory, config: BuildConfig) -> bool:
    """Tell whether an earlier build has left something to do after describing, or was told other settings."""
    return run.settings.exists() and not is_finished(run, config)


def _nothing_done(run: Path, name: str, reason: str) -> State[Any]:
    say(f"nothing done: {reason}")
    publish_markdown(f"{run.name} news", f"Nothing done: {reason}", "What was new")
    return Completed(name=name, message=reason)
