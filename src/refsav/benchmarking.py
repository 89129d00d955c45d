"""`refsav bench`: a checkpoint is read, a suite is run with it, and what came out is put beside what is published."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from refsav.errors import ConfigError, RefSavError
from refsav.extras import require
from refsav.files import write_text

if TYPE_CHECKING:
    from refsav.benchmarks.result import Result, Setup
    from refsav.benchmarks.suite import AnySuite
    from refsav.model.sa2va import Sa2VA
    from refsav.model.settings import InferenceSettings

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
    """Run a suite and say what came out. Raises RefSavError if anything given cannot be used."""
    require("model", "torch", "transformers", "sam2")
    from refsav.benchmarks.suites import SuiteOptions, open_suite
    from refsav.model.settings import InferenceSettings

    _refuse_for_others(suite_name, ablate=ablate, predictions=predictions)
    settings = InferenceSettings.from_mapping(overrides, "command line")
    with err.status("opening the dataset", spinner="line"):
        suite = open_suite(suite_name, data, SuiteOptions(**given))
    items = min(limit, len(suite.dataset)) if limit else len(suite.dataset)
    with err.status("loading the checkpoint", spinner="line"):
        from refsav.benchmarks.result import checkpoint_digest
        from refsav.model.sa2va import Sa2VA

        model = Sa2VA.from_pretrained(
            checkpoint, device=device, dtype=dtype, original_sam2=original_sam2, allow_pickle=allow_pickle
        )
        digest = checkpoint_digest(checkpoint, *([original_sam2] if original_sam2 else []))
    name = checkpoint.resolve().name
    target = folder or Path(f"{name}-{suite_name}")
    results = {}
    for rule in KEY_FRAME_RULES if ablate else ("",):
        used = model.settled(settings.model_copy(update={"key_frames": rule}) if rule else settings)
        setup = _setup(suite, items, name, digest, model, used)
        place = target / rule if rule else target
        results[rule or name] = _run(suite, model, used, setup, place, failed_share)
        _write_masks(suite, place, predictions=predictions)
    _print(results, target / REPORT)


def _refuse_for_others(suite_name: str, *, ablate: bool, predictions: bool) -> None:
    from refsav.benchmarks.video_suites import VIDEO_SUITES

    if (ablate or predictions) and suite_name not in VIDEO_SUITES:
        option = "--ablate key-frames" if ablate else "--predictions"
        raise ConfigError(f"{option} is for video suites, not {suite_name}\n  fix: leave it out")


def report(folders: Sequence[Path], path: Path | None) -> None:
    """Put finished runs side by side. Raises RefSavError if they cannot be."""
    require("model", "torch", "transformers", "sam2")
    from refsav.benchmarks.result import read_result

    results = {folder.resolve().name: read_result(folder) for folder in folders}
    suites = {result.setup.suite for result in results.values()}
    if len(results) != len(folders) or len(suites) > 1:
        problem = f"runs of {', '.join(sorted(suites))}" if len(suites) > 1 else "runs in folders of one name"
        raise ConfigError(f"{problem} cannot stand in one table\n  fix: give folders of one suite, of different names")
    _print(results, path)


def _setup(suite: "AnySuite", items: int, name: str, digest: str, model: "Sa2VA", used: "InferenceSettings") -> "Setup":
    from refsav.benchmarks.result import Setup

    dtype = str(next(model.mllm.parameters()).dtype).removeprefix("torch.")
    settings = {**used.model_dump(exclude={"prompts_at_once", "objects_at_once"}), "dtype": dtype}
    return Setup.of(suite, items, name, digest, settings)


def _run(
    suite: "AnySuite", model: "Sa2VA", used: "InferenceSettings", setup: "Setup", folder: Path, failed_share: float
) -> "Result":
    import torch

    from refsav.benchmarks.asking import ModelAnswers
    from refsav.benchmarks.runner import run_suite

    with _progress(f"{suite.name} {used.key_frames}", setup.items) as bar:
        try:
            return run_suite(
                suite,
                ModelAnswers(model, used),
                folder,
                setup,
                failed_share=failed_share,
                progress=lambda done: bar.update(bar.task_ids[0], completed=done),
            )
        except torch.OutOfMemoryError as error:
            fix = "lower --objects_at_once and --prompts_at_once, then run the same command again: it goes on from here"
            raise RefSavError(f"the GPU's memory is not enough: {error}\n  fix: {fix}") from error


def _write_masks(suite: "AnySuite", folder: Path, *, predictions: bool) -> None:
    from refsav.benchmarks.predictions import write_predictions, write_submission
    from refsav.benchmarks.runner import RunFolder

    if suite.for_server:
        out.print(f"submission: {escape(str(write_submission(RunFolder(folder))))}")
    if predictions:
        out.print(f"predictions: {escape(str(write_predictions(RunFolder(folder))))}")


def _print(results: Mapping[str, "Result"], path: Path | None) -> None:
    from refsav.benchmarks.report import as_markdown, as_table, compare

    comparison = compare(results)
    out.print(as_table(comparison))
    for note in comparison.notes:
        out.print(escape(note))
    if path:
        write_text(path, as_markdown(comparison))
        out.print(f"report: {escape(str(path))}")


@contextmanager
def _progress(name: str, items: int) -> Iterator[Progress]:
    """Show how far a suite is, where somebody is looking."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        bar.add_task(name, total=items)
        yield bar
