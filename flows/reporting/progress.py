"""How far a flow is, in the terminal and on Prefect's page."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from refsav.annotators.bundles.plan import read_bundle
from refsav.datasets.run.run_directory import RunDirectory
from refsav.flows.config.build import RunnerConfig
from refsav.flows.reporting.artifacts import ProgressArtifact
from refsav.flows.reporting.progress_bars import bar, watched

CONSOLE = Console(stderr=True, highlight=False, soft_wrap=True)


def print_line(line: str) -> None:
    """Print a line to the terminal; a function, as a console cannot be sent to another process with a task."""
    CONSOLE.print(line, markup=False)


@contextmanager
def task_progress(title: str, description: str, total: int) -> Iterator[Callable[[], None]]:
    """Show how many of a flow's tasks are done, in the terminal and on Prefect's page.

    Args:
        title: Name of the bar in the terminal.
        description: Name of the artifact on Prefect's page.
        total: Number of tasks.

    Yields:
        A function to call when a task is done.
    """
    artifact = ProgressArtifact(description, total)
    with bar(title, total, CONSOLE) as advance:

        def on_progress() -> None:
            advance()
            artifact.advance()

        yield on_progress


@contextmanager
def annotation_progress(
    bundles: Sequence[str], source: Path, run: Path, runner: RunnerConfig
) -> Iterator[Callable[[], None]]:
    """Show the progress of annotation; yields a function to call when a bundle is done.

    Tasks in this process report every object. Tasks of a Ray cluster are counted when their bundle is done.
    """
    description = f"bundles of {run.name} annotated"
    if runner.kind == "ray":
        with task_progress("bundles", description, len(bundles)) as on_progress:
            yield on_progress
        return
    artifact = ProgressArtifact(description, len(bundles))
    plans = (RunDirectory(run).bundles / f"{bundle}.json" for bundle in bundles)
    with watched(run, CONSOLE, sum(len(read_bundle(plan, source).videos) for plan in plans)):
        yield artifact.advance
