"""One live bar a stage in the terminal; a plain line now and then where there is no terminal."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.text import Text

from refsav.datasets.records import STAGES, Stage

PLAIN_LINE_EVERY_S = 30.0


class PaceColumn(ProgressColumn):
    """Objects per second since the start, and the time left at that pace.

    Rich's own columns restart their measurement when a total changes, and here totals grow
    with every video that is read.
    """

    def render(self, task: Task) -> Text:
        """Show the pace and what is left, or how long it took."""
        if not task.completed or not task.elapsed:
            return Text("")
        pace = task.completed / task.elapsed
        left = (task.total or task.completed) - task.completed
        time_s = left / pace if left else task.elapsed
        shown = str(timedelta(seconds=round(time_s)))
        return Text(f"{pace:5.1f}/s  {shown} {'left' if left else 'taken'}", style="progress.remaining")


class LiveProgress:
    """Bars for the stages of one build. Called from several threads."""

    def __init__(self, console: Console, videos: int) -> None:
        self._lock = threading.Lock()
        self._console = console
        self._videos = videos
        self._videos_read = 0
        self._objects = 0
        self._left_out = 0
        self._outcomes = {"kept": 0, "dropped": 0, "failed": 0}
        self._last_line = time.monotonic()
        self._bars = Progress(
            TextColumn("{task.description:>7}"),
            BarColumn(),
            MofNCompleteColumn(),
            PaceColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[Stage, TaskID] = {stage: self._bars.add_task(stage, total=None, note="") for stage in STAGES}

    def __enter__(self) -> "LiveProgress":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            for stage in STAGES:
                self._bars.update(self._tasks[stage], total=self._bars.tasks[self._tasks[stage]].completed)
        self._bars.stop()

    def video_read(self, objects: int, left_out: int) -> None:
        with self._lock:
            self._videos_read += 1
            self._objects += objects
            self._left_out += left_out
            self._show_totals()

    def stage_done(self, stage: Stage) -> None:
        with self._lock:
            self._bars.advance(self._tasks[stage])

    def object_done(self, outcome: Literal["kept", "dropped", "failed"]) -> None:
        with self._lock:
            self._outcomes[outcome] += 1
            self._show_totals()
            if not self._console.is_terminal and time.monotonic() - self._last_line > PLAIN_LINE_EVERY_S:
                self._last_line = time.monotonic()
                self._console.print(f"{self._videos_read} of {self._videos} videos read; objects: {self._counts()}")

    def _show_totals(self) -> None:
        """Objects of videos that are not read yet are expected to be as many as in those that are."""
        expected = round(self._objects * self._videos / max(1, self._videos_read))
        gone = self._outcomes["dropped"] + self._outcomes["failed"]
        for stage in STAGES:
            self._bars.update(self._tasks[stage], total=expected if stage in ("object", "judge") else expected - gone)
        self._bars.update(self._tasks["video"], note=self._counts())

    def _counts(self) -> str:
        counts = {**self._outcomes, "left out": self._left_out}
        return ", ".join(f"{count} {name}" for name, count in counts.items() if count or name == "kept")


class Silent:
    """Progress that nobody watches: a worker of another process."""

    def video_read(self, objects: int, left_out: int) -> None:
        """Show nothing."""

    def stage_done(self, stage: Stage) -> None:
        """Show nothing."""

    def object_done(self, outcome: Literal["kept", "dropped", "failed"]) -> None:
        """Show nothing."""


@contextmanager
def bar(title: str, total: int, console: Console) -> Iterator[Callable[[], None]]:
    """Show a bar, or a line now and then where there is no terminal; yields a function that advances it by one."""
    columns = (TextColumn("{task.description:>7}"), BarColumn(), MofNCompleteColumn(), PaceColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=total)
        last_line = time.monotonic()

        def advance() -> None:
            nonlocal last_line
            progress.advance(task)
            if not console.is_terminal and time.monotonic() - last_line > PLAIN_LINE_EVERY_S:
                last_line = time.monotonic()
                console.print(f"{title}: {progress.tasks[task].completed:.0f} of {total}")

        yield advance


_WATCHED: dict[Path, LiveProgress] = {}


@contextmanager
def watched(run: Path, console: Console, videos: int) -> Iterator[None]:
    """Show the progress of the build of `run`, for tasks that work in this process."""
    with LiveProgress(console, videos) as progress:
        _WATCHED[run] = progress
        try:
            yield
        finally:
            del _WATCHED[run]


def progress_of(run: Path) -> LiveProgress | Silent:
    """Return where a task of this run reports its progress."""
    return _WATCHED.get(run) or Silent()
