"""A training in its run directory: begun or gone on with, with checkpoints on the way and a model at the end.

RUN/training.toml             configuration as used, versions, digests of data and of the model to begin with
RUN/metrics.jsonl             a line for every few steps, and one for every validation
RUN/curve.png                 a picture of it, where one was asked for
RUN/curves/                   the same for TensorBoard, where it is installed
RUN/checkpoints/step-000100/  what training goes on from
RUN/model/                    the trained model, adapters merged
RUN/untrained/                the model as it was before, where it was asked for
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs

from refsav.datasets.bad_examples import BadExamples
from refsav.datasets.data_config import open_mixture
from refsav.files import appearing_folder, remove_unfinished
from refsav.lock import exclusive
from refsav.model.origin import open_origin
from refsav.model.seg_design import adopt
from refsav.model.train_config import TrainConfig
from refsav.model.train_settings import digests_of, refuse_changes, write_settings
from refsav.model.training import Step, Training
from refsav.model.training_state import checkpoints_in, export, prune, restore, save
from refsav.model.validating import mean_iou
from refsav.model.watching import Metrics, MetricsFile, Watch, trackers

CURVES = "curves"
VALIDATION = "held_out_mean_iou"


@dataclass(frozen=True, slots=True)
class TrainRun:
    """Paths of one training. Knows names, reads and writes nothing."""

    root: Path

    @property
    def settings(self) -> Path:
        """Configuration as used."""
        return self.root / "training.toml"

    @property
    def metrics(self) -> Path:
        """One JSON object a line."""
        return self.root / "metrics.jsonl"

    @property
    def curve(self) -> Path:
        """Picture of the metrics."""
        return self.root / "curve.png"

    @property
    def checkpoints(self) -> Path:
        """A folder for each."""
        return self.root / "checkpoints"

    def checkpoint(self, step: int) -> Path:
        """The one after so many steps."""
        return self.checkpoints / f"step-{step:06}"

    @property
    def model(self) -> Path:
        """The trained model."""
        return self.root / "model"

    @property
    def untrained(self) -> Path:
        """The model as it was before."""
        return self.root / "untrained"


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


def train(
    run: TrainRun,
    config: TrainConfig,
    heard: Callable[[Progress], None],
    *,
    told: Callable[[str], None] | None = None,
    cpu: bool = False,
) -> None:
    """Train to the end, from the last checkpoint if there is one; every process of several runs this.

    Args:
        run: Where it goes.
        config: All settings.
        heard: Told after each step, in the first process.
        told: Likewise, of what was left out when the data was opened, and from where it goes on; a line each.
        cpu: Leave GPUs alone.

    Raises:
        ConfigError: If the configuration cannot be used, or is not that of the run.
        RecordError: If a file of model, data or checkpoint cannot be used.
        DiskError: If something cannot be written; the last checkpoint stays.
        TrainingError: If a loss is no number, or memory does not suffice.
    """
    if config.learning.threads:
        torch.set_num_threads(config.learning.threads)
    accelerator = accelerator_of(run, config, cpu=cpu)
    with _alone(run, accelerator):
        data = open_mixture(config.data)
        digests = digests_of(config, data) if accelerator.is_main_process else {}
        if accelerator.is_main_process and run.settings.exists():
            refuse_changes(run.settings, config, digests)
        model = open_origin(config, accelerator.device)
        adopt(model, config.seg.design, config.seg.frames)
        training = Training(model, data, config, accelerator)
        if accelerator.is_main_process:
            write_settings(run.settings, config, digests)
        lines = [f"{share.source.name}: {note}" for share in data.shares for note in share.notes]
        if known := checkpoints_in(run.checkpoints):
            restore(training, known[-1])
            lines.append(f"going on from step {training.done} of {training.steps}")
        if told is not None and accelerator.is_main_process:
            for line in lines:
                told(line)
        for progress in _Watched(run, config, training).steps():
            if accelerator.is_main_process:
                heard(progress)
        if not run.model.exists():
            export(training, run.model)
        accelerator.end_training()


def accelerator_of(run: TrainRun, config: TrainConfig, *, cpu: bool) -> Accelerator:
    """Find the devices, as many as `accelerate launch` has started processes for."""
    accelerator = Accelerator(
        cpu=cpu,
        mixed_precision="no",  # Teacher knows what may be computed in bfloat16, sharded or not
        log_with=trackers(config.watching) or None,
        project_dir=run.root,
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    if plugin := getattr(accelerator.state, "fsdp_plugin", None):
        plugin.cpu_ram_efficient_loading = False  # it takes all that is saved for weights; SAM-2 has buffers too
    return accelerator


def is_trained(run: TrainRun, config: TrainConfig) -> bool:
    """Tell whether a run holds the trained model of a configuration already.

    Raises:
        ConfigError: If it holds another one's: settings, data or the model to begin with have changed.
        RecordError: If data or model are not there any more, so that this cannot be told.
    """
    if not run.model.exists():
        return False
    refuse_changes(run.settings, config, digests_of(config, open_mixture(config.data)))
    return True


def save_untrained(run: TrainRun, config: TrainConfig) -> Path:
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
def _alone(run: TrainRun, accelerator: Accelerator) -> Iterator[None]:
    """Hold the run directory for this training; what a kill has left half-written goes."""
    if not accelerator.is_main_process:
        yield
        return
    with exclusive(run.root):
        remove_unfinished(run.root)
        yield


class _Watched:
    """A training that is written down, validated and saved whenever it is due."""

    def __init__(self, run: TrainRun, config: TrainConfig, training: Training) -> None:
        self._run, self._config, self._training = run, config, training
        self._first = training.accelerator.is_main_process
        self._watch = Watch(every=config.watching.every, batch=config.learning.batch, steps=training.steps)
        self._bad = BadExamples(config.data.bad_share)
        self._written = MetricsFile(run.metrics, training.done) if self._first else None
        self._held_out = open_mixture(config.validation.data) if config.validation.every else None
        training.accelerator.init_trackers(CURVES)

    def steps(self) -> Iterator[Progress]:
        """Train. Raises as `train` does."""
        for step in self._training.run():
            for example in step.examples:
                self._bad.note(example)
            metrics = self._watch.note(step, self._bad.count)
            found = self._validate(step)
            if metrics:
                self._write(step, metrics.line())
            if found is not None:
                self._write(step, {VALIDATION: found})
            yield Progress(
                step=step,
                steps=self._training.steps,
                metrics=metrics,
                left_s=self._watch.left_s,
                mean_iou=found,
                saved=self._save(step),
            )

    def _is_due(self, step: Step, every: int) -> bool:
        return step.number == self._training.steps or (every > 0 and step.number % every == 0)

    def _validate(self, step: Step) -> float | None:
        if self._held_out is None or not self._is_due(step, self._config.validation.every):
            return None
        return mean_iou(self._training, self._held_out, self._config.validation.examples)

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
