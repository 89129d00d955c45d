"""Training as a flow (paper, sections 3.2 and 4.1): a model learns from a dataset, and its curve is shown."""

import shlex
import subprocess
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path

import tomli_w
from prefect import flow, task

from refsav.child_process import child_process
from refsav.errors import RefSavError
from refsav.extras import require
from refsav.files import write_text
from refsav.flows.reporting.artifacts import ProgressArtifact, publish_picture
from refsav.flows.reporting.notifications import announced
from refsav.model.training.paths import TrainingDirectory
from refsav.model.training.step_log import StepFile
from refsav.model.training_config import TrainConfig
from refsav.stopping import look

# What needs the extra train is imported where it is used: a worker without it knows this flow, and builds.

ASKED = "asked.toml"
PACKAGES = ("torch", "transformers", "sam2", "peft", "matplotlib")
SHOW_EVERY_S = 2.0
ENDS_WITHIN_S = 30.0


@announced
@flow(name="train-sa2va")
def train_sa2va(config: TrainConfig, run: Path, *, cpu: bool = False, launcher: str = "") -> Path:
    """Train Sa2VA, from the run's last checkpoint if it has one; give the directory of the trained model.

    Args:
        config: All settings.
        run: Run directory of the training; one that is done is left alone.
        cpu: Leave GPUs alone.
        launcher: What starts a process for each device, as "accelerate launch --multi_gpu --num_processes 8".

    Raises:
        MissingExtraError: If the extra train is not installed.
        RefSavError: If the training does not come to its end, or the run is one of other settings.
    """
    require("train", *PACKAGES)
    from refsav.model.training.run import is_trained

    directory = TrainingDirectory(run)
    if not is_trained(directory, config):
        learn(config, run, cpu=cpu, launcher=launcher)
    show_curve(run)
    return directory.model


@task
def learn(config: TrainConfig, run: Path, *, cpu: bool, launcher: str) -> None:
    """Have `refsav train` train to the end, and show on Prefect's page how far it is.

    A process of its own: training forks processes that read for it, which a process with Prefect's threads must not,
    and on several devices it is several itself. In the terminal it speaks for itself.
    """
    asked = run / ASKED
    write_text(asked, tomli_w.dumps(config.model_dump(mode="json")))
    started = shlex.split(launcher) or [sys.executable]
    command = [*started, f"{sysconfig.get_path('scripts')}/refsav", "train", str(asked), str(run)]
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
        fix = f"see what it says: {shlex.join(command)}"
        raise RefSavError(f"{run}: the training ended with status {process.returncode}\n  fix: {fix}")


def _percent_done(run: TrainingDirectory, config: TrainConfig) -> int:
    learning, last = config.learning, StepFile.last(run.metrics)
    done = last.get("step", 0) / learning.steps if learning.steps else last.get("epoch", 0.0) / learning.epochs
    return min(100, int(100 * done))


@task
def show_curve(run: Path) -> None:
    """Draw the losses."""
    from refsav.model.training.loss_curve import draw_curve

    directory = TrainingDirectory(run)
    draw_curve(directory)
    publish_picture(f"{run.parent.name} {run.name} curve", "Losses of the training", directory.curve)
