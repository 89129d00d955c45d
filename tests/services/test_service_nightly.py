"""A night that is cancelled while it trains: nothing trains on, and the next night goes on from the last checkpoint."""

from pathlib import Path

import psutil
import pytest

from refsav.datasets.synthetic.scene import SynthConfig
from refsav.datasets.synthetic.write_scenes import write_scenes
from refsav.flows.config.nightly import NightlyConfig, NightlyDirectory
from refsav.model.training.paths import TrainingDirectory
from refsav.model.training.step_log import StepLog
from tests.flows.test_end_to_end import loop_config
from tests.support.prefect_service import service, until

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]

STEPS = 60
CHECKPOINT_EVERY = 5


def test_a_night_that_is_cancelled_as_it_trains_is_resumed_by_the_next(tmp_path: Path) -> None:
    list(write_scenes(tmp_path / "videos", SynthConfig(videos=6, frames=16, height=128, width=128)))
    deployment = {
        "entrypoint": "refsav.flows.nightly:nightly",
        "parameters": {
            "source": "videos",
            "dataset": "dataset",
            "run": "nights",
            "config": nightly_config().model_dump(mode="json"),
        },
    }
    with service(tmp_path, deployment) as running:
        cancelled = running.fire()
        until(lambda: last_checkpoint(tmp_path / "nights") >= 2 * CHECKPOINT_EVERY, 240)
        assert trainers(tmp_path)
        running.ask(f"flow_runs/{cancelled}/set_state", state={"type": "CANCELLING"}, force=True)
        assert running.ended(cancelled, 90)["state"]["type"] == "CANCELLED"
        assert trainers(tmp_path) == []
        done = last_checkpoint(tmp_path / "nights")
        assert done < STEPS
        metrics = training(tmp_path / "nights").metrics
        kept = [line for line in StepLog.read(metrics) if line["step"] <= done]
        assert kept

        assert running.ended(running.fire(), 240)["state"]["name"] == "Completed"
    assert NightlyDirectory(tmp_path / "nights").read_promoted() is not None
    lines = StepLog.read(metrics)
    assert lines[: len(kept)] == kept, "these steps, with the seconds that they took, were not done again"
    assert max(line["step"] for line in lines) == STEPS


def nightly_config() -> NightlyConfig:
    loop = loop_config()
    learning = loop.training.learning.model_copy(update={"steps": STEPS})
    checkpoints = loop.training.checkpoints.model_copy(update={"every": CHECKPOINT_EVERY})
    longer = loop.training.model_copy(update={"learning": learning, "checkpoints": checkpoints})
    settings = {"build": loop.build, "examples": loop.examples, "training": longer, "inference": loop.inference}
    return NightlyConfig(**settings, gates={"min_new_expressions": 1})


def training(nights: Path) -> TrainingDirectory:
    (found,) = nights.glob("trials/*/training")
    return TrainingDirectory(found)


def last_checkpoint(nights: Path) -> int:
    """The step of the training's last checkpoint; 0 before there is one."""
    steps = [int(path.name.removeprefix("step-")) for path in nights.glob("trials/*/training/checkpoints/step-*")]
    return max(steps, default=0)


def trainers(folder: Path) -> list[int]:
    """Processes that train in this folder."""
    lines = {process.pid: process.info["cmdline"] or () for process in psutil.process_iter(["cmdline"])}
    return [pid for pid, line in lines.items() if "train" in line and any(str(folder) in word for word in line)]
