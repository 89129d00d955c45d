"""Benchmarks as a flow: a checkpoint is measured on a suite, and put beside what is published."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect import flow, task

from refsav.benchmarks.report import as_markdown, compare
from refsav.benchmarks.result import Result
from refsav.benchmarks.suites.options import SuiteOptions
from refsav.extras import require
from refsav.files import write_text
from refsav.flows.reporting.artifacts import publish_markdown, publish_picture
from refsav.flows.reporting.notifications import announced
from refsav.flows.reporting.progress import counted
from refsav.model.inference_settings import InferenceSettings

# What needs the extra model is imported where it is used: a worker without it knows this flow, and builds.

REPORT = "report.md"


@announced
@flow(name="benchmark-sa2va")
def benchmark_sa2va(
    checkpoint: Path,
    data: Path,
    suite: str,
    run: Path,
    *,
    settings: InferenceSettings = InferenceSettings(),  # noqa: B008 - frozen; Prefect's form shows what it holds
    options: SuiteOptions = SuiteOptions(),  # noqa: B008
) -> Result:
    """Measure a checkpoint, or go on with it, and show the figures beside the published ones.

    Args:
        checkpoint: Directory of a Sa2VA checkpoint.
        data: Folder of the dataset, as it is published.
        suite: Name of the suite: docs/benchmarking.md.
        run: Where everything goes.
        settings: How the model is asked.
        options: What the suite can be told.

    Raises:
        MissingExtraError: If the extra model is not installed.
        RefSavError: As `refsav bench`.
    """
    require("model", "torch", "transformers", "sam2")
    result = run_benchmark(checkpoint, data, suite, run, settings, options)
    publish_figures(run, result)
    show_masks(data, suite, run)
    return result


@task
def run_benchmark(
    checkpoint: Path, data: Path, suite: str, run: Path, settings: InferenceSettings, options: SuiteOptions
) -> Result:
    """Ask for everything in the suite."""
    from refsav.benchmarks.benchmark import Candidate, items_of, measure
    from refsav.benchmarks.suites.registry import open_suite

    opened = open_suite(suite, data, options)
    with _counted(run.name, items_of(opened, 0)) as told:
        return measure(Candidate.load(checkpoint), opened, settings, run, progress=told)


@task
def publish_figures(run: Path, result: Result) -> None:
    """Write the table beside the published one."""
    text = as_markdown(compare({run.name: result}))
    write_text(run / REPORT, text)
    publish_markdown(f"{run.parent.parent.name} {run.name} figures", text, "Figures beside the published ones")


@task
def show_masks(data: Path, suite: str, run: Path) -> None:
    """Draw what was found in some videos, if it is a suite of videos."""
    from refsav.benchmarks.contact_sheets import draw_strips
    from refsav.benchmarks.suites.registry import open_suite
    from refsav.benchmarks.suites.video_suites import VIDEO_SUITES

    if suite not in VIDEO_SUITES:
        return
    for place, picture in enumerate(draw_strips(open_suite(suite, data), run), 1):
        publish_picture(f"{run.parent.parent.name} {run.name} masks {place}", "Masks that were found", picture)


@contextmanager
def _counted(name: str, total: int) -> Iterator[Callable[[int], None]]:
    with counted(name, f"items of {name} asked", total) as advance:
        shown = 0

        def told(done: int) -> None:
            nonlocal shown
            for _ in range(done - shown):
                advance()
            shown = done

        yield told
