"""Training as a flow (paper, sections 3.2 and 4.1): the model learns, and its curve is put before people."""

from pathlib import Path

from prefect import flow, task

from refsav.flows.artifacts import publish_curve
from refsav.model.train_config import TrainConfig
from refsav.model.training_run import Progress, TrainRun, train


@flow(name="train-sa2va")
def train_sa2va(config: TrainConfig, run: Path, *, cpu: bool = False) -> Path:
    """Train Sa2VA, from the last checkpoint of the run if there is one; give the trained model's directory.

    Args:
        config: All settings.
        run: Run directory of the training.
        cpu: Leave GPUs alone.
    """
    directory = TrainRun(run)
    if not directory.model.exists():
        learn(config, run, cpu=cpu)
    publish_curve(directory)
    return directory.model


@task
def learn(config: TrainConfig, run: Path, *, cpu: bool) -> None:
    """Train to the end, and show how it goes."""
