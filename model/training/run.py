"""A training in its run directory: begun or gone on with, with checkpoints on the way and a model at the end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator

from refsav.datasets.training_sources.config import open_mixture
from refsav.files import appearing_folder, remove_unfinished
from refsav.lock import exclusive
from refsav.model.creation.seg_design import adopt
from refsav.model.training.distributed import as_first_finds, begin_curves, find_devices
from refsav.model.training.initial_model import open_origin
from refsav.model.training.loop import Step, Training
from refsav.model.training.metrics import Metrics, Watch
from refsav.model.training.paths import VALIDATION, TrainingDirectory
from refsav.model.training.run_settings import digests_of, refuse_changes, write_settings
from refsav.model.training.skipped_examples import LeftOut
from refsav.model.training.step_log import StepFile
from refsav.model.training.training_checkpoints import checkpoints_in, export, prune, restore, save
from refsav.model.training.validation import validate
from refsav.model.training_config import TrainConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """What a training has come to after a step."""

    step: Step
    steps: int
    """Of the whole training."""
    metrics: Metrics | None
    """If a line of them was due."""
    left_s: float
    mean_iou: float | None
    """0-1, if a validation was due."""
    saved: Path | None
    """Checkpoint, if one was due."""


def _silent(_: object) -> None:
    """Tell nobody."""


def train(
    run: TrainingDirectory,
    config: TrainConfig,
    heard: Callable[[Progress], None],
    *,
    told: Callable[[str], None] = _silent,
    cpu: bool = False,
) -> None:
    """Train to the end, from the last checkpoint if there is one; every process of several runs this.

    Args:
        run: Where it goes.
        config: All settings.
        heard: Told after each step, in the first process.
        told: Likewise, of what is left out, from where it goes on, and how it does on held-out examples; a line each.
        cpu: Leave GPUs alone.

    Raises:
        ConfigError: If the configuration cannot be used, or is not that of the run.
        RecordError: If a file of model, data or checkpoint cannot be used.
        DiskError: If something cannot be written; the last checkpoint stays.
        TrainingError: If a loss is no number, or memory does not suffice.
    """
    if config.learning.threads:
        torch.set_num_threads(config.learning.threads)
    accelerator = find_devices(run.root, run.curves, config.watching, cpu=cpu)
    with _alone(run, accelerator):
        data = open_mixture(config.data)
        digests = digests_of(config, data) if accelerator.is_main_process else {}
        if accelerator.is_main_process and (run.settings.exists() or checkpoints_in(run.checkpoints)):
            refuse_changes(run.settings, config, digests)
        model = open_origin(config, accelerator.device)
        adopt(model, config.seg.design, config.seg.frames)
        training = Training(model, data, config, accelerator)
        if accelerator.is_main_process:
            write_settings(run.settings, config, digests)
        lines = [f"{share.source.name}: {note}" for share in data.shares for note in share.notes]
        if known := as_first_finds(checkpoints_in(run.checkpoints)):
            restore(training, known[-1])
            lines.append(f"going on from step {training.done} of {training.steps}")
        if not accelerator.is_main_process:
            heard = told = _silent
        for line in lines:
            told(line)
        for progress in _Watched(run, config, training, told).steps():
            heard(progress)
        if not as_first_finds(run.model.exists()):
            export(training, run.model)
        accelerator.end_training()


def is_trained(run: TrainingDirectory, config: TrainConfig) -> bool:
    """Tell whether a run holds the trained model of a configuration already.

    Raises:
        ConfigError: If it holds another one's: settings, data or the model to begin with have changed.
        RecordError: If data or model are not there any more, so that this cannot be told.
    """
    if not run.model.exists():
        return False
    refuse_changes(run.settings, config, digests_of(config, open_mixture(config.data)))
    return True


def save_untrained(run: TrainingDirectory, config: TrainConfig) -> Path:
    """Write the model as the training of a run begins with it, to be compared with what comes out; give its folder.

    Raises:
        ConfigError: As `train`; likewise RecordError.
        DiskError: If it cannot be written.
    """
    with exclusive(run.root):
        digests = digests_of(config, open_mixture(config.data))
        if run.settings.exists():
            refuse_changes(run.settings, config, digests)
        if not run.untrained.exists():
            model = open_origin(config, torch.device("cpu"))
            adopt(model, config.seg.design, config.seg.frames)
            if not run.settings.exists():
                write_settings(run.settings, config, digests)
            with appearing_folder(run.untrained) as temporary:
                model.save_pretrained(temporary)
    return run.untrained


@contextmanager
def _alone(run: TrainingDirectory, accelerator: Accelerator) -> Iterator[None]:
    """Hold the run directory for this training; what a kill has left half-written goes."""
    if not accelerator.is_main_process:
        yield
        return
    with exclusive(run.root):
        remove_unfinished(run.root)
        yield


class _Watched:
    """A training that is written down, validated and saved whenever it is due."""

    def __init__(
        self, run: TrainingDirectory, config: TrainConfig, training: Training, told: Callable[[str], None]
    ) -> None:
        self._run, self._config, self._training, self._told = run, config, training, told
        self._first = training.accelerator.is_main_process
        self._watch = Watch(every=config.watching.every, batch=config.learning.batch, steps=training.steps)
        path = run.left_out if self._first else None
        self._left_out = LeftOut(path, training.done, config.data.bad_share, told)
        self._written = StepFile(run.metrics, training.done) if self._first else None
        self._held_out = open_mixture(config.validation.data) if config.validation.every else None
        begin_curves(training.accelerator, run.root)

    def steps(self) -> Iterator[Progress]:
        """Train. Raises as `train` does."""
        for step in self._training.run():
            self._left_out.note(step.examples)
            if self._is_due(step, self._config.watching.every):
                self._left_out.compare(step.number)
            metrics = self._watch.note(step, self._left_out.count)
            found = self._validate(step)
            if metrics:
                self._write(step, metrics.line())
            if found:
                self._write(step, found)
            yield Progress(
                step=step,
                steps=self._training.steps,
                metrics=metrics,
                left_s=self._watch.left_s,
                mean_iou=found.get(VALIDATION),
                saved=self._save(step),
            )

    def _is_due(self, step: Step, every: int) -> bool:
        return step.number == self._training.steps or (every > 0 and step.number % every == 0)

    def _validate(self, step: Step) -> dict[str, float]:
        """A line of metrics, empty if none is due."""
        if self._held_out is None or not self._is_due(step, self._config.validation.every):
            return {}
        found = validate(self._training, self._held_out, self._config.validation.examples)
        self._told(f"step {step.number}: mean IoU of held-out examples {found.mean_iou:.3f}")
        bad = self._left_out.judge_held_out(step.number, found.examples, self._config.validation.data.bad_share)
        return {VALIDATION: found.mean_iou, "held_out_bad_examples": bad}

    def _save(self, step: Step) -> Path | None:
        if not self._is_due(step, self._config.checkpoints.every):
            return None
        folder = self._run.checkpoint(step.number)
        save(self._training, folder)
        if self._first:
            prune(self._run.checkpoints, self._config.checkpoints.keep)
        return folder

    def _write(self, step: Step, line: dict[str, float]) -> None:
        self._training.accelerator.log(line, step=step.number)
        if self._written:
            self._written.append({"step": step.number, **line})
