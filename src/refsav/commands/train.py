"""`refsav train`: a model learns; a line tells how it goes, and in the end where the model is."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from refsav.extras import require

if TYPE_CHECKING:
    from refsav.model.training.metrics import Metrics
    from refsav.model.training.run import TrainingProgress
    from refsav.model.training_config import TrainConfig

TOLD_LINES = 20
"""Lines of a whole training where there is no terminal to keep one up to date."""

out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)


def train(run: Path, config: "TrainConfig", *, cpu: bool) -> None:
    """Train to the end, and say what came out. Raises RefSavError if that is not possible."""
    require("model", "torch", "transformers", "sam2")
    if config.learns.language_model == "lora":
        require("train", "peft")
    with err.status("loading", spinner="line"):
        from refsav.model.training import run as training_run
        from refsav.model.training.paths import TrainingDirectory

    directory = TrainingDirectory(run)
    if training_run.is_trained(directory, config):
        out.print(f"trained already: {escape(str(directory.model))}")
        return
    with _Line() as line:
        training_run.train(directory, config, line.hear, report=line.tell, cpu=cpu)
    if line.heard is not None:  # it is the first of several processes
        _print_outcome(directory.model, line.heard)


class _Line:
    """One line that is kept up to date in a terminal; some lines where there is none."""

    def __init__(self) -> None:
        self.heard: TrainingProgress | None = None
        self._metrics: Metrics | None = None
        self._live = Live(console=err, auto_refresh=False, transient=True)

    def __enter__(self) -> "_Line":
        if err.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def tell(self, line: str) -> None:
        """Tell something once."""
        err.print(Text(line, style="dim"))

    def hear(self, progress: "TrainingProgress") -> None:
        """Tell of a step."""
        self.heard, self._metrics = progress, progress.metrics or self._metrics
        if self._metrics is None:
            return
        told = _told(progress, self._metrics)
        if err.is_terminal:
            self._live.update(Text(told), refresh=True)
        elif progress.step.number % max(1, progress.steps // TOLD_LINES) == 0:
            err.print(told, markup=False)


def _told(progress: "TrainingProgress", metrics: "Metrics") -> str:
    losses = f"loss {metrics.loss:.3f} (text {metrics.text:.3f}, pixels {metrics.pixels:.3f}, dice {metrics.dice:.3f})"
    speed = f"{metrics.examples_per_s:.1f} examples/s, {metrics.waiting_share:.0%} waiting"
    memory = f"{metrics.memory_mb / 1024:.1f} GB"
    return f"step {progress.step.number}/{progress.steps}  {losses}  {speed}  {memory}  {_time(progress.left_s)} left"


def _time(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def _print_outcome(model: Path, last: "TrainingProgress") -> None:
    parts = ", ".join(f"{name} {value:.3f}" for name, value in last.step.parts.items())
    out.print(f"steps: {last.step.number}, {last.step.epoch:.1f} epochs")
    out.print(f"last loss: {last.step.loss:.3f} ({parts})")
    out.print(f"model: {escape(str(model))}")
    out.print(f'\nNext: [bold]refsav predict {escape(shlex.quote(str(model)))} IMAGE "text"[/]')
