"""`refsav train`: train a model, with one line of progress, and print where the model is."""

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

PRINTED_STEPS = 20
"""Lines printed over a complete training where there is no terminal with a live line."""

out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)


def train(run: Path, config: "TrainConfig", *, cpu: bool) -> None:
    """Train to the end, and report the result. Raises RefSavError if that is not possible."""
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
        training_run.train(directory, config, line.on_progress, report=line.report, cpu=cpu)
    if line.last is not None:  # only the first of several processes has one
        _print_outcome(directory.model, line.last)


class _Line:
    """A live line in a terminal; some printed lines where there is none."""

    def __init__(self) -> None:
        self.last: TrainingProgress | None = None
        self._metrics: Metrics | None = None
        self._live = Live(console=err, auto_refresh=False, transient=True)

    def __enter__(self) -> "_Line":
        if err.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def report(self, line: str) -> None:
        """Print a line that stays."""
        err.print(Text(line, style="dim"))

    def on_progress(self, progress: "TrainingProgress") -> None:
        """Show a step."""
        self.last, self._metrics = progress, progress.metrics or self._metrics
        if self._metrics is None:
            return
        shown = _described(progress, self._metrics)
        if err.is_terminal:
            self._live.update(Text(shown), refresh=True)
        elif progress.step.number % max(1, progress.steps // PRINTED_STEPS) == 0:
            err.print(shown, markup=False)


def _described(progress: "TrainingProgress", metrics: "Metrics") -> str:
    losses = f"loss {metrics.loss:.3f} (text {metrics.text:.3f}, pixels {metrics.pixels:.3f}, dice {metrics.dice:.3f})"
    speed = f"{metrics.examples_per_s:.1f} examples/s, {metrics.waiting_share:.0%} waiting"
    memory = f"{metrics.memory_mb / 1024:.1f} GB"
    return f"step {progress.step.number}/{progress.steps}  {losses}  {speed}  {memory}  {_time(progress.left_s)} left"


def _time(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def _print_outcome(model: Path, last: "TrainingProgress") -> None:
    terms = ", ".join(f"{name} {value:.3f}" for name, value in last.step.terms.items())
    out.print(f"steps: {last.step.number}, {last.step.epoch:.1f} epochs")
    out.print(f"last loss: {last.step.loss:.3f} ({terms})")
    out.print(f"model: {escape(str(model))}")
    out.print(f'\nNext: [bold]refsav predict {escape(shlex.quote(str(model)))} IMAGE "text"[/]')
