"""`refsav bench`: run a suite with a checkpoint and show its scores next to the published ones."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from refsav.disk.files import write_text
from refsav.errors import ConfigError
from refsav.extras import require

if TYPE_CHECKING:
    from refsav.benchmarks.result import BenchmarkResult
    from refsav.benchmarks.suites.suite import AnySuite

KEY_FRAME_RULES = ("first-1", "first-5", "first-10", "uniform-5", "uniform-10")
"""What `--ablate key-frames` compares."""

REPORT = "report.md"

out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)


def bench(
    checkpoint: Path,
    data: Path,
    suite_name: str,
    *,
    folder: Path | None,
    given: Mapping[str, Any],
    ablate: bool,
    predictions: bool,
    limit: int,
    failed_share: float,
    device: str | None,
    dtype: str | None,
    original_sam2: Path | None,
    allow_pickle: bool,
    overrides: Mapping[str, Any],
) -> None:
    """Run a suite and print its scores. Raises RefSavError if an input cannot be used."""
    require("model", "torch", "transformers", "sam2")
    from refsav.benchmarks.suites.options import SuiteOptions
    from refsav.benchmarks.suites.registry import open_suite
    from refsav.model.inference_settings import InferenceSettings

    _refuse_for_others(suite_name, ablate=ablate, predictions=predictions)
    settings = InferenceSettings.from_mapping(overrides, "command line")
    with err.status("opening the dataset", spinner="line"):
        suite = open_suite(suite_name, data, SuiteOptions(**given))
    with err.status("loading the checkpoint", spinner="line"):
        from refsav.benchmarks.benchmark import EvaluatedModel, items_of, measure

        candidate = EvaluatedModel.load(
            checkpoint, device=device, dtype=dtype, original_sam2=original_sam2, allow_pickle=allow_pickle
        )
    target = folder or Path(f"{candidate.name}-{suite_name}")
    results = {}
    for rule in KEY_FRAME_RULES if ablate else ("",):
        used = settings.model_copy(update={"key_frames": rule}) if rule else settings
        run = target / rule if rule else target
        with _progress(f"{suite.name} {rule}".strip(), items_of(suite, limit)) as report_item:
            result = measure(
                candidate, suite, used, run, limit=limit, failed_share=failed_share, on_progress=report_item
            )
        results[rule or candidate.name] = result
        _write_masks(suite, run, result, predictions=predictions)
    _print(results, target / REPORT)


def _refuse_for_others(suite_name: str, *, ablate: bool, predictions: bool) -> None:
    from refsav.benchmarks.suites.registry import SUITES

    if (ablate or predictions) and not SUITES[suite_name].is_video:
        option = "--ablate key-frames" if ablate else "--predictions"
        raise ConfigError(f"{option} is for video suites, not {suite_name}", fix="leave it out")


def report(folders: Sequence[Path], path: Path | None) -> None:
    """Compare finished runs in one table. Raises RefSavError if they are of several suites."""
    require("model", "torch", "transformers", "sam2")
    from refsav.benchmarks.result import read_result

    results = {folder.resolve().name: read_result(folder) for folder in folders}
    suites = {result.setup.suite for result in results.values()}
    if len(results) != len(folders) or len(suites) > 1:
        problem = f"runs of {', '.join(sorted(suites))}" if len(suites) > 1 else "runs in folders of one name"
        raise ConfigError(
            f"{problem} cannot be compared in one table", fix="give folders of one suite, of different names"
        )
    _print(results, path)


def _write_masks(suite: "AnySuite", folder: Path, result: "BenchmarkResult", *, predictions: bool) -> None:
    """Write the archive for a test server, and list missing videos: a server counts them as wrong, or refuses it."""
    from refsav.benchmarks.submissions import write_predictions, write_submission
    from refsav.benchmarks.suite_runner import BenchmarkDirectory

    missing = result.setup.dataset_items - result.setup.items + len(result.failed)
    without = f", without {missing} of {result.setup.dataset_items} videos" if missing else ""
    if suite.for_server:
        out.print(f"submission: {escape(str(write_submission(BenchmarkDirectory(folder))))}{without}")
    if predictions:
        out.print(f"predictions: {escape(str(write_predictions(BenchmarkDirectory(folder))))}{without}")
    if suite.for_server or predictions:
        for line in result.failed:
            out.print(f"  not in it: {escape(line)}")


def _print(results: Mapping[str, "BenchmarkResult"], path: Path | None) -> None:
    from refsav.benchmarks.report import as_markdown, as_table, compare

    comparison = compare(results)
    out.print(as_table(comparison))
    for note in comparison.notes:
        out.print(escape(note))
    if path:
        write_text(path, as_markdown(comparison))
        out.print(f"report: {escape(str(path))}")


@contextmanager
def _progress(name: str, items: int) -> Iterator[Callable[[int], None]]:
    """Show the progress of a suite in a terminal; yields a function to call with the number of items that are done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(name, total=items)
        yield lambda done: bar.update(task, completed=done)
