"""Training as a flow (Sa2VA, sections 3.2 and 4.1): train a model on a dataset, and publish its loss curve."""

import shlex
import subprocess
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path

import tomli_w
from prefect import flow, task

from refsav.disk.files import write_text
from refsav.errors import RefSavError
from refsav.extras import require
from refsav.flows.reporting.artifacts import ProgressArtifact, publish_picture
from refsav.flows.reporting.notifications import notifies
from refsav.model.training.paths import TrainingDirectory
from refsav.model.training.step_log import StepLog
from refsav.model.training_config import TrainConfig
from refsav.processes.cancellation import look
from refsav.processes.child_process import child_process

# Modules that need the extra train are imported where they are used: a worker without it can import this flow.

REQUESTED_CONFIG = "asked.toml"
"""Configuration of the flow, which the command of the training reads."""

PACKAGES = ("torch", "transformers", "sam2", "peft", "matplotlib")
SHOW_EVERY_S = 2.0
ENDS_WITHIN_S = 30.0


@notifies
@flow(name="train-sa2va")
def train_sa2va(config: TrainConfig, run: Path, *, cpu: bool = False, launcher: str = "") -> Path:
    """Train Sa2VA, resuming from the last checkpoint of the run if there is one.

    Args:
        config: All settings.
        run: Run directory of the training; a finished training is not repeated.
        cpu: Do not use GPUs.
        launcher: Command that starts a process for each device, as "accelerate launch --multi_gpu --num_processes 8".

    Returns:
        The directory of the trained model.

    Raises:
        MissingExtraError: If the extra train is not installed.
        RefSavError: If the training fails, or the run was started with other settings.
    """
    require("train", *PACKAGES)
    from refsav.model.training.run import is_trained

    directory = TrainingDirectory(run)
    if not is_trained(directory, config):
        run_training(config, run, cpu=cpu, launcher=launcher)
    publish_curve(run)
    return directory.model


@task
def run_training(config: TrainConfig, run: Path, *, cpu: bool, launcher: str) -> None:
    """Run `refsav train` to its end, and show its progress on Prefect's page.

    It is a process of its own, because its data loader forks processes, which is unsafe in a process with Prefect's
    threads, and because there are several of it on several devices. It prints its own progress to the terminal.
    """
    requested = run / REQUESTED_CONFIG
    write_text(requested, tomli_w.dumps(config.model_dump(mode="json")))
    started = shlex.split(launcher) or [sys.executable]
    command = [*started, f"{sysconfig.get_path('scripts')}/refsav", "train", str(requested), str(run)]
    command = [*command, "--cpu"] if cpu else command
    artifact = ProgressArtifact(f"training of {run.parent.name} {run.name}", 100)
    shown = 0
    with child_process(command, stdout=subprocess.DEVNULL, ends_within_s=ENDS_WITHIN_S) as process:
        while process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(SHOW_EVERY_S)
            look()
            percent = _percent_done(TrainingDirectory(run), config)
            for _ in range(percent - shown):
                artifact.advance()
            shown = max(shown, percent)
    if process.returncode:
        fix = f"run it in a terminal to see its error: {shlex.join(command)}"
        raise RefSavError(f"the training ended with status {process.returncode}", fix=fix, path=run)


def _percent_done(run: TrainingDirectory, config: TrainConfig) -> int:
    learning, last = config.learning, StepLog.last(run.metrics)
    done = last.get("step", 0) / learning.steps if learning.steps else last.get("epoch", 0.0) / learning.epochs
    return min(100, int(100 * done))


@task
def publish_curve(run: Path) -> None:
    """Draw the loss curve, and publish it as an artifact."""
    from refsav.model.training.loss_curve import draw_curve

    directory = TrainingDirectory(run)
    draw_curve(directory)
    publish_picture(f"{run.parent.name} {run.name} curve", "Training loss", directory.curve)
