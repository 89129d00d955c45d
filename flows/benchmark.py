"""Benchmarks as a flow: a checkpoint is measured on a suite, and put beside what is published."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect import flow, task
from rich.console import Console

from refsav.benchmarks.measuring import Candidate, items_of, measure
from refsav.benchmarks.report import as_markdown, compare
from refsav.benchmarks.result import Result
from refsav.benchmarks.strips import draw_strips
from refsav.benchmarks.suites import SuiteOptions, open_suite
from refsav.benchmarks.video_suites import VIDEO_SUITES
from refsav.files import write_text
from refsav.flows.artifacts import publish_markdown, publish_picture
from refsav.flows.live_progress import bar
from refsav.model.settings import InferenceSettings

CONSOLE = Console(stderr=True, highlight=False, soft_wrap=True)
REPORT = "report.md"


@flow(name="benchmark-sa2va")
def benchmark_sa2va(
    checkpoint: Path,
    data: Path,
    suite: str,
    run: Path,
    *,
    settings: InferenceSettings | None = None,
    options: SuiteOptions | None = None,
) -> Result:
    """Measure a checkpoint, or go on with it, and show the figures beside the published ones.

    Args:
        checkpoint: Directory of a Sa2VA checkpoint.
        data: Folder of the dataset, as it is published.
        suite: Name of the suite: docs/benchmarking.md.
        run: Where everything goes.
        settings: How the model is asked.
        options: What the suite can be told.
    """
    result = run_benchmark(checkpoint, data, suite, run, settings or InferenceSettings(), options or SuiteOptions())
    publish_figures(run, result)
    if suite in VIDEO_SUITES:
        show_masks(data, suite, run)
    return result


@task
def run_benchmark(
    checkpoint: Path, data: Path, suite: str, run: Path, settings: InferenceSettings, options: SuiteOptions
) -> Result:
    """Ask for everything in the suite."""
    opened = open_suite(suite, data, options)
    with _counted(f"{run.name}", items_of(opened, 0)) as told:
        return measure(Candidate.load(checkpoint), opened, settings, run, progress=told)


@task
def publish_figures(run: Path, result: Result) -> None:
    """Write the table beside the published one."""
    text = as_markdown(compare({run.name: result}))
    write_text(run / REPORT, text)
    publish_markdown(f"{run.parent.parent.name} {run.name} figures", text)


@task
def show_masks(data: Path, suite: str, run: Path) -> None:
    """Draw what was found in some videos."""
    for place, picture in enumerate(draw_strips(open_suite(suite, data), run), 1):
        publish_picture(f"{run.parent.parent.name} {run.name} masks {place}", "Masks that were found", picture)


@contextmanager
def _counted(title: str, total: int) -> Iterator[Callable[[int], None]]:
    with bar(title, total, CONSOLE) as advance:
        shown = 0

        def told(done: int) -> None:
            nonlocal shown
            for _ in range(done - shown):
                advance()
            shown = done

        yield told
