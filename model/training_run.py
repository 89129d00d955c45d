"""A training in its run directory: begun or gone on with, checkpoints on the way, a model that anything reads at the end.

RUN/training.toml             configuration as used, versions
RUN/metrics.jsonl             a line for every few steps, and one for every validation
RUN/curves/                   the same for TensorBoard, where it is installed
RUN/checkpoints/step-000100/  what training goes on from
RUN/model/                    the trained model, adapters merged
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs

from refsav.datasets.bad_examples import BadExamples
from refsav.datasets.data_config import open_mixture
from refsav.datasets.mixture import Mixture
from refsav.files import remove_unfinished
from refsav.lock import exclusive
from refsav.model.creation import create, usual_tokenizer
from refsav.model.sa2va import Sa2VA
from refsav.model.shapes import ModelConfig
from refsav.model.train_config import OriginConfig, TrainConfig
from refsav.model.train_settings import keep_settings
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


def train(run: TrainRun, config: TrainConfig, heard: Callable[[Progress], None], *, cpu: bool = False) -> None:
    """Train to the end, from the last checkpoint if there is one; every process of several runs this.

    Args:
        run: Where it goes.
        config: All settings.
        heard: Told after each step, in the first process.
        cpu: Leave GPUs alone.

    Raises:
        ConfigError: If the configuration cannot be used, or is not that of the run.
        RecordError: If a file of model, data or checkpoint cannot be used.
        DiskError: If something cannot be written; the last checkpoint stays.
        TrainingError: If a loss is no number, or memory does not suffice.
    """
    accelerator = accelerator_of(run, config, cpu=cpu)
    with _alone(run, config, accelerator):
        training = Training(
            open_origin(config.model, accelerator.device), open_mixture(config.data), config, accelerator
        )
        if known := checkpoints_in(run.checkpoints):
            restore(training, known[-1])
        held_out = open_mixture(config.validation.data) if config.validation.every else None
        for progress in _watched(run, config, training, held_out):
            if accelerator.is_main_process:
                heard(progress)
        accelerator.end_training()
        if not run.model.exists():
            export(training, run.model)


def accelerator_of(run: TrainRun, config: TrainConfig, *, cpu: bool) -> Accelerator:
    """Find the devices, as many as `accelerate launch` has started processes for; bfloat16 on GPUs."""
    return Accelerator(
        cpu=cpu,
        mixed_precision="bf16" if torch.cuda.is_available() and not cpu else "no",
        log_with=trackers(config.watching),
        project_dir=run.root,
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )


def open_origin(config: OriginConfig, device: torch.device) -> Sa2VA:
    """Make or read the model to begin with.

    Raises:
        ConfigError: If it is a file of sizes that cannot be used.
        RecordError: If it is a checkpoint that cannot be read.
    """
    origin = Path(config.origin)
    if origin.is_file():
        sizes = ModelConfig.from_toml(origin)
        return create(sizes, usual_tokenizer(sizes), config.seed).to(device)
    model = Sa2VA.from_pretrained(origin, device=device, attention=config.attention)
    if config.keep_original_decoder and model.original_decoder is None:
        model.original_decoder = copy.deepcopy(model.sam2.sam_mask_decoder)
    return model


@contextmanager
def _alone(run: TrainRun, config: TrainConfig, accelerator: Accelerator) -> Iterator[None]:
    """Hold the run directory for this training; what a kill has left half-written goes."""
    if not accelerator.is_main_process:
        yield
        return
    with exclusive(run.root):
        keep_settings(run.settings, config)
        remove_unfinished(run.checkpoints)
        yield


def _watched(run: TrainRun, config: TrainConfig, training: Training, held_out: Mixture | None) -> Iterator[Progress]:
    """Train; write down, validate and save whenever it is due."""
    watch = Watch(every=config.watching.every, batch=config.learning.batch, steps=training.steps)
    bad = BadExamples(config.data.bad_share)
    written = MetricsFile(run.metrics, training.done) if training.accelerator.is_main_process else None
    training.accelerator.init_trackers(CURVES)
    for step in training.run():
        for example in step.examples:
            bad.note(example)
        metrics = watch.note(step, bad.count)
        last = step.number == training.steps
        found = saved = None
        if held_out and (last or step.number % config.validation.every == 0):
            found = mean_iou(training, held_out, config.validation.examples)
        lines = [*([metrics.line()] if metrics else []), *([{VALIDATION: found}] if found is not None else [])]
        for line in lines:
            training.accelerator.log(line, step=step.number)
            if written:
                written.append({"step": step.number, **line})
        if last or (config.checkpoints.every and step.number % config.checkpoints.every == 0):
            saved = run.checkpoint(step.number)
            save(training, saved)
            if training.accelerator.is_main_process:
                prune(run.checkpoints, config.checkpoints.keep)
        yield Progress(
            step=step, steps=training.steps, metrics=metrics, left_s=watch.left_s, mean_iou=found, saved=saved
        )
