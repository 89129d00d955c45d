"""Benchmarks as a flow: evaluate a checkpoint on a suite, and report it next to the published figures."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect import flow, task

from refsav.benchmarks.report import as_markdown, compare
from refsav.benchmarks.result import BenchmarkResult
from refsav.benchmarks.suites.options import SuiteOptions
from refsav.disk.files import write_text
from refsav.extras import require
from refsav.flows.reporting.artifacts import publish_markdown, publish_picture
from refsav.flows.reporting.notifications import notifies
from refsav.flows.reporting.progress import task_progress
from refsav.model.inference_settings import InferenceSettings

# Modules that need the extra model are imported where they are used: a worker without it can import this flow.

REPORT = "report.md"


@notifies
@flow(name="benchmark-sa2va")
def benchmark_sa2va(
    checkpoint: Path,
    data: Path,
    suite: str,
    run: Path,
    *,
    settings: InferenceSettings = InferenceSettings(),  # noqa: B008 - frozen; Prefect's form shows what it holds
    options: SuiteOptions = SuiteOptions(),  # noqa: B008
) -> BenchmarkResult:
    """Evaluate a checkpoint on a suite, resuming an earlier run, and publish the scores next to the published ones.

    Args:
        checkpoint: Directory of a Sa2VA checkpoint.
        data: Folder of the dataset, in its published layout.
        suite: Name of the suite; docs/benchmarking.md lists them.
        run: Directory of the benchmark.
        settings: Settings of inference.
        options: Options of the suite.

    Raises:
        MissingExtraError: If the extra model is not installed.
        RefSavError: If the checkpoint or the dataset cannot be used, or too many items fail.
    """
    require("model", "torch", "transformers", "sam2")
    result = run_benchmark(checkpoint, data, suite, run, settings, options)
    publish_scores(run, result)
    publish_masks(data, suite, run)
    return result


@task
def run_benchmark(
    checkpoint: Path, data: Path, suite: str, run: Path, settings: InferenceSettings, options: SuiteOptions
) -> BenchmarkResult:
    """Evaluate every item of the suite."""
    from refsav.benchmarks.benchmark import EvaluatedModel, items_of, measure
    from refsav.benchmarks.suites.registry import open_suite

    opened = open_suite(suite, data, options)
    with _item_progress(run.name, items_of(opened, 0)) as on_progress:
        return measure(EvaluatedModel.load(checkpoint), opened, settings, run, on_progress=on_progress)


@task
def publish_scores(run: Path, result: BenchmarkResult) -> None:
    """Write the scores next to the published ones, and publish them as an artifact."""
    text = as_markdown(compare({run.name: result}))
    write_text(run / REPORT, text)
    publish_markdown(f"{run.parent.parent.name} {run.name} figures", text, "Scores next to the published ones")


@task
def publish_masks(data: Path, suite: str, run: Path) -> None:
    """Publish the predicted masks of some videos, if it is a video suite."""
    from refsav.benchmarks.contact_sheets import draw_strips
    from refsav.benchmarks.suites.registry import SUITES, open_suite

    if not SUITES[suite].is_video:
        return
    for number, picture in enumerate(draw_strips(open_suite(suite, data), run), 1):
        publish_picture(f"{run.parent.parent.name} {run.name} masks {number}", "Predicted masks", picture)


@contextmanager
def _item_progress(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show the progress of a suite; yields a function to call with the number of items that are done."""
    with task_progress(name, f"items of {name} evaluated", total) as advance:
        shown = 0

        def on_progress(done: int) -> None:
            nonlocal shown
            for _ in range(done - shown):
                advance()
            shown = done

        yield on_progress
