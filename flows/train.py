"""Training as a flow (paper, sections 3.2 and 4.1): a model learns from a dataset, and its curve is shown."""

from pathlib import Path

from prefect import flow, task
from rich.console import Console

from refsav.flows.artifacts import ProgressArtifact, publish_picture
from refsav.flows.live_progress import bar
from refsav.model.curve import draw_curve
from refsav.model.train_config import TrainConfig
from refsav.model.training_run import Progress, TrainRun, is_trained, train

CONSOLE = Console(stderr=True, highlight=False, soft_wrap=True)
TITLE = "training"


@flow(name="train-sa2va")
def train_sa2va(config: TrainConfig, run: Path, *, cpu: bool = False) -> Path:
    """Train Sa2VA, from the run's last checkpoint if it has one; give the directory of the trained model.

    Args:
        config: All settings.
        run: Run directory of the training; one that is done is left alone.
        cpu: Leave GPUs alone.

    Raises:
        RefSavError: As `refsav.model.training_run.train`; also if the run is one of other settings.
    """
    directory = TrainRun(run)
    if not is_trained(directory, config):
        learn(config, run, cpu=cpu)
    show_curve(run)
    return directory.model


@task
def learn(config: TrainConfig, run: Path, *, cpu: bool) -> None:
    """Train to the end, and show how it goes, in the terminal and on Prefect's page."""
    artifact = ProgressArtifact(f"training of {run.parent.name} {run.name}", 100)
    with bar(TITLE, 100, CONSOLE) as advance:
        shown = 0

        def hear(progress: Progress) -> None:
            nonlocal shown
            percent = 100 * progress.step.number // progress.steps
            for _ in range(percent - shown):
                advance()
                artifact.advance()
            shown = percent

        train(TrainRun(run), config, hear, told=tell, cpu=cpu)


def tell(line: str) -> None:
    """Tell something once, as `refsav train` does."""
    CONSOLE.print(line, markup=False)


@task
def show_curve(run: Path) -> None:
    """Draw the losses."""
    directory = TrainRun(run)
    draw_curve(directory)
    publish_picture(f"{run.parent.name} {run.name} curve", "Losses of the training", directory.curve)
