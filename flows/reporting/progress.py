"""What whoever watches a build sees of it, in the terminal and on Prefect's page."""

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


def say(line: str) -> None:
    """Print a line; tasks call it, as a console cannot be sent to another process with them."""
    CONSOLE.print(line, markup=False)


@contextmanager
def counted(title: str, description: str, total: int) -> Iterator[Callable[[], None]]:
    """Count to a total, in the terminal and on Prefect's page; call what is given to count one."""
    artifact = ProgressArtifact(description, total)
    with bar(title, total, CONSOLE) as advance:

        def count() -> None:
            advance()
            artifact.advance()

        yield count


@contextmanager
def described(bundles: Sequence[str], source: Path, run: Path, runner: RunnerConfig) -> Iterator[Callable[[], None]]:
    """Show how the description of objects gets on; call what is given when a bundle is done.

    Tasks that work in this process tell of every object. Those of a Ray cluster are seen when their bundle is done.
    """
    description = f"bundles of {run.name} described"
    if runner.kind == "ray":
        with counted("bundles", description, len(bundles)) as count:
            yield count
        return
    artifact = ProgressArtifact(description, len(bundles))
    places = (RunDirectory(run).bundles / f"{bundle}.json" for bundle in bundles)
    with watched(run, CONSOLE, sum(len(read_bundle(place, source).videos) for place in places)):
        yield artifact.advance
