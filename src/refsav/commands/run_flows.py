"""Flows as commands start them: on a Prefect server, without Prefect's own lines, stopped soon after Ctrl-C."""

import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from refsav.datasets.review.config import read_review_config, write_review_config
from refsav.errors import RefSavError
from refsav.extras import require
from refsav.flows.config.build import BuildConfig, read_settings
from refsav.processes.cancellation import interruptible

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

    from refsav.flows.config.end_to_end import EndToEndConfig

# Prefect takes two seconds to load, so flows are imported where they are started: a wrong input is reported at once.

QUIET_PREFECT = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "refsav",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "DO_NOT_TRACK": "1",
}
"""Prefect's own lines would tear the progress bars; the server that PREFECT_API_URL names still gets them, and ours."""

out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)


def build(source: Path, run: Path, config: BuildConfig, *, retry_failed: bool = False) -> None:
    """Build, and report the result. Raises RefSavError if it is empty, or if the build cannot start or end."""
    quiet_prefect()
    from refsav.commands.summary import print_outcome
    from refsav.flows.build import build_ref_sav
    from refsav.flows.build_checks import check_build

    check_build(source.resolve(), run.resolve(), config)
    with _prefect():
        statistics = build_ref_sav(source.resolve(), run.resolve(), config, retry_failed=retry_failed)
    again = f"refsav retry {shlex.quote(str(run))}"
    print_outcome(out, run, statistics, again)
    if not statistics.expressions + statistics.dropped:
        fix = f"see the problems above; all of them are in {run / 'problems.txt'}; fix them, then run {again}"
        raise RefSavError("no object could be captioned", fix=fix, path=source)


def import_official(annotations: Path, source: Path, run: Path, config: BuildConfig) -> None:
    """Import a Ref-SAV.json, and report the result. Raises RefSavError if it is empty, or the file cannot be used."""
    quiet_prefect()
    from refsav.commands.summary import print_outcome
    from refsav.flows.import_official import check_import, import_ref_sav

    check_import(annotations.resolve(), source.resolve(), run.resolve(), config)
    with _prefect():
        statistics = import_ref_sav(annotations.resolve(), source.resolve(), run.resolve(), config)
    print_outcome(out, run, statistics, again="fix them, then import again")
    if not statistics.expressions:
        fix = f"give a Ref-SAV.json, and the folder that its paths start from; {source} was given"
        raise RefSavError("nothing could be imported", fix=fix, path=annotations)


def end_to_end(source: Path, run: Path, config: "EndToEndConfig") -> None:
    """Build, train and benchmark, and report the result. Raises RefSavError where a step cannot be done."""
    require("train", "torch", "transformers", "sam2", "peft", "matplotlib")
    quiet_prefect()
    from refsav.flows import end_to_end as flows
    from refsav.flows.build_checks import check_build
    from refsav.flows.config.end_to_end import LoopDirectory

    directory = LoopDirectory(run.resolve())
    check_build(source.resolve(), directory.dataset, config.build)
    with _prefect():
        outcome = flows.end_to_end(source.resolve(), directory.root, config)
    shown = LoopDirectory(run)
    out.print(f"[bold]J&F {outcome.jf:.1f}[/] of {outcome.expressions} held-out expressions")
    out.print(f"  {outcome.jf_untrained:5.1f} before training")
    out.print(f"  {outcome.jf_shuffled:5.1f} prompted with another object's expression")
    for name, path in (("model", shown.model), ("figures", shown.outcome), ("report", shown.page)):
        out.print(f"  {name:<11}{escape(str(path))}")


def redraw_gallery(run: Path) -> None:
    """Redraw the gallery of a run, and print where it is. Raises RefSavError if the run cannot be used."""
    quiet_prefect()
    from refsav.annotators.bundles.plan import remaining
    from refsav.commands.summary import print_remaining
    from refsav.datasets.run.run_directory import RunDirectory
    from refsav.flows import gallery_tasks as drawing

    source, _ = read_settings(RunDirectory(run))
    with _prefect():
        out.print(f"gallery: {escape(str(drawing.redraw_gallery(run.resolve())))}")
    print_remaining(out, remaining(RunDirectory(run), source))


def export_review(run: Path, overrides: Mapping[str, Any], sheet: Path | None) -> None:
    """Write the queue of a review, and report its size. Raises RefSavError if the run cannot be used."""
    quiet_prefect()
    from refsav.annotators.review.spreadsheet import write_sheet
    from refsav.commands.summary import print_problems
    from refsav.datasets.run.run_directory import RunDirectory
    from refsav.disk.lock import exclusive
    from refsav.flows.review import export_review as flow

    read_settings(RunDirectory(run))
    with exclusive(run):
        config = read_review_config(RunDirectory(run), overrides)
    with _prefect():
        exported = _outcome(flow(run.resolve(), config, return_state=True))
    print_problems(out, exported.problems)
    out.print(f"[bold]{exported.tasks} tasks[/] in {escape(str(RunDirectory(run).queue))}")
    if sheet:
        rows, media = write_sheet(RunDirectory(run), sheet), RunDirectory(run).review
        out.print(f"  {rows} rows in {escape(str(sheet))}; its paths start from {escape(str(media))}")


def push_review(run: Path, overrides: Mapping[str, Any]) -> None:
    """Send the queue of a review to Label Studio. Raises RefSavError if that cannot be done."""
    from refsav.annotators.review.project import push
    from refsav.datasets.run.run_directory import RunDirectory
    from refsav.disk.lock import exclusive

    directory = RunDirectory(run)
    read_settings(directory)
    config = read_review_config(directory, overrides)
    with exclusive(run), err.status("sending", spinner="line"):
        write_review_config(directory, config)
        pushed = push(directory, config)
    if pushed.recreated:
        out.print("the previous project was deleted in Label Studio; a new one was created")
    changed = f"; {pushed.changed} of them were outdated and were updated" if pushed.changed else ""
    out.print(f"[bold]{pushed.added} tasks[/] sent, {pushed.there} existed already{changed}")
    out.print(f"  label them: {escape(pushed.location.address)}/projects/{pushed.location.project}/data")


def import_review(run: Path, overrides: Mapping[str, Any], sheet: Path | None) -> None:
    """Import answers from a sheet or from Label Studio, and report the result. Raises RefSavError."""
    quiet_prefect()
    from refsav.commands.summary import print_review
    from refsav.datasets.run.run_directory import RunDirectory
    from refsav.flows import review as flows

    flows.check_review_import(run, sheet)
    config = read_review_config(RunDirectory(run), overrides)
    with _prefect():
        given = sheet.resolve() if sheet else None
        imported = _outcome(flows.import_review(run.resolve(), config, sheet=given, return_state=True))
    out.print(f"[bold]{imported.added} new answers[/] in {escape(str(RunDirectory(run).answers))}")
    print_review(out, imported.summary, imported.problems)


def _outcome(state: "State[Any]") -> Any:  # noqa: ANN401 - the result of any flow
    """The result of a flow. Raises what it raised, and RefSavError if another process works on the run."""
    from refsav.flows.reporting.notifications import BUSY

    if state.name == BUSY:
        raise RefSavError(str(state.message), fix="wait until it has ended")
    return state.result()


@contextmanager
def _prefect() -> Iterator[None]:
    from refsav.flows.running.prefect_server import prefect_server

    err.print("starting Prefect; this takes some seconds", style="dim")
    with prefect_server(), interruptible(_stopping):
        yield


def quiet_prefect() -> None:
    """Set how much Prefect prints, before it is imported; environment variables take precedence."""
    for name, value in QUIET_PREFECT.items():
        os.environ.setdefault(name, value)


def _stopping() -> None:
    err.print("\nstopping; Ctrl-C again stops at once", style="dim")
