"""Share of a training step spent waiting for data: `refsav train` with the pocket configuration."""

import json
import os
from pathlib import Path

from refsav.benchmarks.speed.ratios import Bar, Measurement, Quantity, Ratio
from refsav.benchmarks.speed.scale import fail_if_failed, make_scenes, start_command
from refsav.model.training.metrics import RECENT_STEPS
from refsav.model.training.paths import TrainingDirectory
from refsav.model.training.step_log import StepLog
from refsav.model.training_config import TrainConfig

VIDEOS = 40


def measure_training(config: Path, work: Path, rounds: int = 5) -> Measurement:
    """Train the pocket model on synthetic scenes; a round is the number of steps that one line of metrics covers.

    Args:
        config: The training's TOML file.
        work: Folder for scenes, dataset and training.
        rounds: Lines of metrics to use; the first line is skipped because reading starts in it.

    Raises:
        BuildFailedError: If the build or the training fails.
    """
    scenes, dataset, run = make_scenes(work / "scenes", VIDEOS), work / "dataset", TrainingDirectory(work / "training")
    environment = {**os.environ, "PREFECT_HOME": str(work / "prefect")}
    fail_if_failed(start_command(["build", str(scenes), str(dataset)], environment))
    layer = work / "data.toml"
    layer.write_text(f'[[data.sources]]\nkind = "ref-sav"\nframes = 1\npath = {json.dumps(str(dataset))}\n')
    steps = str(RECENT_STEPS * (rounds + 1))
    train = ["train", str(config), str(run.root), "--with", str(layer), "--cpu", "--learning.steps", steps]
    fail_if_failed(start_command(train, environment))
    lines = StepLog.read(run.metrics)[2 * RECENT_STEPS - 1 :: RECENT_STEPS]
    batch = TrainConfig.from_toml(config).learning.batch
    seconds = [batch / line["examples_per_s"] for line in lines]
    whole = Quantity(name="a step", unit="ms", rounds=tuple(1000 * one for one in seconds))
    waiting = [1000 * one * line["waiting_share"] for one, line in zip(seconds, lines, strict=True)]
    waited = Quantity(name="waiting for data", unit="ms a step", rounds=tuple(waiting))
    return Measurement(
        title=f"training: the pocket model on made scenes, {RECENT_STEPS} steps a round",
        quantities=(whole, waited),
        ratios=(Ratio.of("share of a step spent waiting for data", waited, whole, Bar("at most", 0.05)),),
    )
