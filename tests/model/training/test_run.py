"""A complete training in its run directory: killed and resumed, and what it refuses."""

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
import torch

from refsav.datasets.training_examples.mixture import TooManyBadError
from refsav.disk.lock import LockedError, exclusive
from refsav.errors import ConfigError
from refsav.model.sa2va import Sa2VA
from refsav.model.training.paths import TrainingDirectory
from refsav.model.training.run import TrainingProgress, train
from refsav.model.training_config import TrainConfig
from tests.support.data.training_data import pocket, write_config, write_own_images

SPAWN = multiprocessing.get_context("spawn")  # a fork has none of the threads that its parent's libraries wait for
STEPS = 5


def config_of(folder: Path, **overrides: object) -> TrainConfig:
    path = folder / "train.toml"
    return TrainConfig.from_toml(path if path.exists() else write_config(folder, steps=STEPS, batch=2), overrides)


def lines_of(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def silent(progress: TrainingProgress) -> None:
    """Ignore progress."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training")
    write_config(folder, steps=STEPS, batch=2)
    return folder


@pytest.fixture(scope="module")
def undisturbed(data: Path) -> Path:
    """A complete run without interruption, validated on the way."""
    progress: list[TrainingProgress] = []
    held_out = {"validation.every": 3, "validation.examples": 3, "checkpoints.every": 2}
    config = config_of(data, **held_out)
    config = config.model_copy(update={"validation": config.validation.model_copy(update={"data": config.data})})
    train(TrainingDirectory(data / "whole"), config, progress.append, cpu=True)
    assert [one.step.number for one in progress] == [1, 2, 3, 4, 5] and progress[-1].left_s == 0
    assert [one.saved and one.saved.name for one in progress] == [
        None,
        "step-000002",
        None,
        "step-000004",
        "step-000005",
    ]
    return data / "whole"


def test_a_run_leaves_metrics_checkpoints_and_a_model(undisturbed: Path) -> None:
    assert sorted(path.name for path in undisturbed.iterdir()) == [
        *(".lock", "checkpoints", "metrics.jsonl", "model", "training.toml")
    ]
    assert sorted(path.name for path in (undisturbed / "checkpoints").iterdir()) == ["step-000004", "step-000005"]
    lines = lines_of(undisturbed)
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4, 5]
    looked = {line["step"]: line["held_out_mean_iou"] for line in lines if "held_out_mean_iou" in line}
    assert looked.keys() == {3, 5} and all(0 <= value <= 1 for value in looked.values())
    assert lines[0]["examples_per_s"] > 0 and 0 <= lines[0]["waiting_share"] < 1 and lines[0]["memory_mb"] > 100
    assert Sa2VA.from_pretrained(undisturbed / "model", device="cpu").original_decoder is None


def test_held_out_examples_that_cannot_be_used_are_reported_and_limited(data: Path, tmp_path: Path) -> None:
    write_own_images(tmp_path / "held-out")
    (tmp_path / "held-out/images/3.png").write_bytes(b"no picture")
    config = config_of(data, **{"learning.steps": 1, "validation.every": 1, "validation.examples": 12})
    source = config.data.sources[0].model_copy(update={"path": str(tmp_path / "held-out")})

    def allowing(share: float) -> TrainConfig:
        held_out = config.data.model_copy(update={"sources": (source,), "bad_share": share})
        return config.model_copy(update={"validation": config.validation.model_copy(update={"data": held_out})})

    lines: list[str] = []
    train(TrainingDirectory(tmp_path / "run"), allowing(0.01), silent, report=lines.append, cpu=True)
    assert any(line.startswith("skipped (held-out): own-images: ") and "3.png" in line for line in lines)
    (line,) = (line for line in lines_of(tmp_path / "run") if "held_out_mean_iou" in line)
    assert line["held_out_bad_examples"] == 1
    (skipped,) = map(json.loads, (tmp_path / "run/left_out.jsonl").read_text().splitlines())
    assert skipped["held_out"] is True and "3.png" in skipped["error"]
    with pytest.raises(TooManyBadError, match=r"more than validation.data.bad_share = 0 allows"):
        train(TrainingDirectory(tmp_path / "strict"), allowing(0), silent, cpu=True)


def train_slowly(run: Path, config: TrainConfig) -> None:
    """Train in a separate process, slowly enough to kill it."""
    torch.set_num_threads(1)
    train(TrainingDirectory(run), config, lambda _: time.sleep(0.2), cpu=True)


def test_a_killed_training_resumes_to_the_same_losses(data: Path, undisturbed: Path) -> None:
    run = data / "killed"
    config = config_of(data, **{"checkpoints.every": 2, "learning.workers": 1})
    process = SPAWN.Process(target=train_slowly, args=(run, config))
    process.start()
    deadline = time.monotonic() + 60
    while not (run / "checkpoints/step-000002").exists() or len(lines_of(run)) < 3:
        assert process.is_alive() and time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not (run / "model").exists()
    with (run / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 4, "lo')  # as a kill in the middle of writing leaves it
    progress: list[TrainingProgress] = []
    train(TrainingDirectory(run), config, progress.append, cpu=True)
    assert progress[0].step.number in (3, 5), "it resumes from a checkpoint"
    expected = [line["loss"] for line in lines_of(undisturbed) if "loss" in line]
    assert [line["loss"] for line in lines_of(run)] == expected
    assert [line["step"] for line in lines_of(run)] == [1, 2, 3, 4, 5]
    one, other = (Sa2VA.from_pretrained(folder / "model", device="cpu").state_dict() for folder in (run, undisturbed))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_is_not_resumed_with_other_settings(data: Path, undisturbed: Path) -> None:
    with pytest.raises(ConfigError, match=r"started with other settings\n  learning.rate: was 0.0005, now 0.001\n"):
        train(TrainingDirectory(undisturbed), config_of(data, **{"learning.rate": 1e-3}), silent, cpu=True)
    with exclusive(undisturbed), pytest.raises(LockedError):
        train(TrainingDirectory(undisturbed), config_of(data), silent, cpu=True)


def test_a_checkpoint_is_trained_and_its_original_mask_decoder_kept(data: Path, tmp_path: Path) -> None:
    origin = pocket()
    origin.save_pretrained(tmp_path / "origin")
    changes = {"model.origin": str(tmp_path / "origin"), "learning.steps": 1, "learns.language_model": "lora"}
    config = config_of(data, **changes, **{"lora.rank": 4, "lora.alpha": 8})
    train(TrainingDirectory(tmp_path / "run"), config, silent, cpu=True)
    trained = Sa2VA.from_pretrained(tmp_path / "run/model", device="cpu")
    assert trained.original_decoder is not None
    before, kept, now = (
        dict(decoder.named_parameters())
        for decoder in (origin.sam2.sam_mask_decoder, trained.original_decoder, trained.sam2.sam_mask_decoder)
    )
    assert all(torch.equal(kept[name], weight) for name, weight in before.items())
    assert not torch.equal(now["conv_s0.weight"], before["conv_s0.weight"])
    assert trained.resolve_settings().propagation == "consistent"
    train(
        TrainingDirectory(tmp_path / "more"),
        config_of(data, **{**changes, "model.origin": str(tmp_path / "run/model")}),
        silent,
        cpu=True,
    )
    again = Sa2VA.from_pretrained(tmp_path / "more/model", device="cpu")
    assert torch.equal(again.original_decoder.conv_s0.weight, before["conv_s0.weight"])
