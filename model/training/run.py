"""Start or resume a training run: checkpoints on the way, the trained model at the end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator

from refsav.datasets.training_sources.config import open_mixture
from refsav.disk.files import appearing_folder, remove_unfinished
from refsav.disk.lock import exclusive
from refsav.model.creation.seg_design import adopt
from refsav.model.training.distributed import from_main_process, make_accelerator, start_trackers
from refsav.model.training.initial_model import open_initial_model
from refsav.model.training.loop import Step, Training
from refsav.model.training.metrics import Metrics, MetricsWindow
from refsav.model.training.paths import VALIDATION, TrainingDirectory
from refsav.model.training.run_settings import digests_of, refuse_changes, write_settings
from refsav.model.training.skipped_examples import SkippedExamples
from refsav.model.training.step_log import StepLog
from refsav.model.training.training_checkpoints import checkpoints_in, export, prune, restore, save
from refsav.model.training.validation import validate
from refsav.model.training_config import TrainConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingProgress:
    """The state of a training after a step."""

    step: Step
    steps: int
    """Number of steps of the complete training."""
    metrics: Metrics | None
    """A line of metrics, if one was due."""
    left_s: float
    """Remaining seconds, estimated."""
    mean_iou: float | None
    """Of held-out examples, 0-1, if a validation was due."""
    saved: Path | None
    """The checkpoint, if one was due."""


def _ignore(_: object) -> None:
    """Do nothing."""


def train(
    run: TrainingDirectory,
    config: TrainConfig,
    on_progress: Callable[[TrainingProgress], None],
    *,
    report: Callable[[str], None] = _ignore,
    cpu: bool = False,
) -> None:
    """Train to the end, from the last checkpoint if there is one. With several devices, each process calls this.

    Args:
        run: The run directory.
        config: All settings.
        on_progress: Called after each step, in the main process.
        report: Called with a line for each skipped example, each validation and the step that training resumes from, in
            the main process.
        cpu: Do not use GPUs.

    Raises:
        ConfigError: If the configuration cannot be used, or differs from that of the run.
        RecordError: If a file of the model, the data or a checkpoint cannot be used.
        DiskError: If something cannot be written; the last checkpoint stays.
        TrainingError: If a loss is not finite, or memory runs out.
    """
    if config.learning.threads:
        torch.set_num_threads(config.learning.threads)
    accelerator = make_accelerator(run.root, run.curves, config.watching, cpu=cpu)
    with _locked(run, accelerator):
        data = open_mixture(config.data)
        digests = digests_of(config, data) if accelerator.is_main_process else {}
        if accelerator.is_main_process and (run.settings.exists() or checkpoints_in(run.checkpoints)):
            refuse_changes(run.settings, config, digests)
        model = open_initial_model(config, accelerator.device)
        adopt(model, config.seg.design, config.seg.frames)
        training = Training(model, data, config, accelerator)
        if accelerator.is_main_process:
            write_settings(run.settings, config, digests)
        lines = [f"{share.source.name}: {note}" for share in data.sources for note in share.notes]
        if known := from_main_process(checkpoints_in(run.checkpoints)):
            restore(training, known[-1])
            lines.append(f"resuming from step {training.done} of {training.steps}")
        if not accelerator.is_main_process:
            on_progress = report = _ignore
        for line in lines:
            report(line)
        for progress in _RecordedTraining(run, config, training, report).steps():
            on_progress(progress)
        if not from_main_process(run.model.exists()):
            export(training, run.model)
        accelerator.end_training()


def is_trained(run: TrainingDirectory, config: TrainConfig) -> bool:
    """Whether a run already has the trained model of a configuration.

    Raises:
        ConfigError: If settings, data or the initial model have changed since the run was started.
        RecordError: If the data or the initial model cannot be read any more.
    """
    if not run.model.exists():
        return False
    refuse_changes(run.settings, config, digests_of(config, open_mixture(config.data)))
    return True


def save_untrained(run: TrainingDirectory, config: TrainConfig) -> Path:
    """Write the initial model of a training run, for a comparison with the trained one; return its folder.

    Raises:
        ConfigError: If the configuration cannot be used, or differs from that of the run.
        RecordError: If a file of the model or the data cannot be used.
        DiskError: If the model cannot be written.
    """
    with exclusive(run.root):
        digests = digests_of(config, open_mixture(config.data))
        if run.settings.exists():
            refuse_changes(run.settings, config, digests)
        if not run.untrained.exists():
            model = open_initial_model(config, torch.device("cpu"))
            adopt(model, config.seg.design, config.seg.frames)
            if not run.settings.exists():
                write_settings(run.settings, config, digests)
            with appearing_folder(run.untrained) as temporary:
                model.save_pretrained(temporary)
    return run.untrained


@contextmanager
def _locked(run: TrainingDirectory, accelerator: Accelerator) -> Iterator[None]:
    """Lock the run directory, and remove the partial files that a killed process has left."""
    if not accelerator.is_main_process:
        yield
        return
    with exclusive(run.root):
        remove_unfinished(run.root)
        yield


class _RecordedTraining:
    """Runs a training; metrics, validations and checkpoints are made when they are due."""

    def __init__(
        self, run: TrainingDirectory, config: TrainConfig, training: Training, report: Callable[[str], None]
    ) -> None:
        self._run, self._config, self._training, self._report = run, config, training, report
        self._is_main = training.accelerator.is_main_process
        self._metrics = MetricsWindow(every=config.watching.every, batch=config.learning.batch, steps=training.steps)
        path = run.skipped_examples if self._is_main else None
        self._skipped = SkippedExamples(path, training.done, config.data.bad_share, report)
        self._log = StepLog(run.metrics, training.done) if self._is_main else None
        self._held_out = open_mixture(config.validation.data) if config.validation.every else None
        start_trackers(training.accelerator, run.root)

    def steps(self) -> Iterator[TrainingProgress]:
        """Train. Raises as `train` does."""
        for step in self._training.run():
            self._skipped.add(step.examples)
            if self._is_due(step, self._config.watching.every):
                self._skipped.synchronize(step.number)
            metrics = self._metrics.add(step, self._skipped.count)
            validated = self._validate(step)
            if metrics:
                self._write(step, metrics.line())
            if validated:
                self._write(step, validated)
            yield TrainingProgress(
                step=step,
                steps=self._training.steps,
                metrics=metrics,
                left_s=self._metrics.left_s,
                mean_iou=validated.get(VALIDATION),
                saved=self._save(step),
            )

    def _is_due(self, step: Step, every: int) -> bool:
        return step.number == self._training.steps or (every > 0 and step.number % every == 0)

    def _validate(self, step: Step) -> dict[str, float]:
        """Validate if it is due; return a line of metrics, else {}."""
        if self._held_out is None or not self._is_due(step, self._config.validation.every):
            return {}
        found = validate(self._training, self._held_out, self._config.validation.examples)
        self._report(f"step {step.number}: mean IoU of held-out examples {found.mean_iou:.3f}")
        bad = self._skipped.count_held_out(step.number, found.examples, self._config.validation.data.bad_share)
        return {VALIDATION: found.mean_iou, "held_out_bad_examples": bad}

    def _save(self, step: Step) -> Path | None:
        if not self._is_due(step, self._config.checkpoints.every):
            return None
        folder = self._run.checkpoint(step.number)
        save(self._training, folder)
        if self._is_main:
            prune(self._run.checkpoints, self._config.checkpoints.keep)
        return folder

    def _write(self, step: Step, line: dict[str, float]) -> None:
        self._training.accelerator.log(line, step=step.number)
        if self._log:
            self._log.append({"step": step.number, **line})
