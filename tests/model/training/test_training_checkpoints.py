"""Checkpoints of a training: gone on from exactly, whole or not at all, and only into the same training."""

import json
import resource
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from refsav.disk.files import DiskError
from refsav.errors import RecordError
from refsav.model.sa2va import Sa2VA
from refsav.model.training.loop import Training
from refsav.model.training.training_checkpoints import LEARNT, OPTIMIZER, checkpoints_in, export, prune, restore, save
from refsav.model.training_config import LearnsConfig, LoraConfig, LossConfig, TrainingConfig
from tests.support.data.training_data import WHOLE, mixture, pocket, settings

LORA = settings(batch=2).model_copy(
    update={
        "learns": LearnsConfig(),
        "lora": LoraConfig(rank=4, alpha=8, dropout=0.2),
        "loss": LossConfig(points=256),
    }
)
"""Adapters with dropout, and points that are drawn at random: all that a continuation could get wrong."""


def training(config: TrainingConfig = LORA, name: str = "pocket") -> Training:
    return Training(pocket(name), mixture(), config, Accelerator(cpu=True))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[float], Path]:
    """The losses of four steps, and a checkpoint after the second."""
    learner, folder, losses = training(), tmp_path_factory.mktemp("run") / "step-000002", []
    for step in learner.run():
        losses.append(step.loss)
        if step.number == 2:
            save(learner, folder)
    return losses, folder


def test_a_training_resumes_as_if_nothing_had_happened(undisturbed: tuple[list[float], Path]) -> None:
    losses, folder = undisturbed
    learner = training()
    restore(learner, folder)
    torch.rand(100)  # other random numbers were drawn in between
    assert learner.done == 2
    assert [step.loss for step in learner.run()] == losses[2:]


def test_a_checkpoint_holds_what_learns_and_no_pickle(undisturbed: tuple[list[float], Path]) -> None:
    _, folder = undisturbed
    assert sorted(path.name for path in folder.iterdir()) == [
        "learnt.safetensors",
        "optimizer.safetensors",
        "state.json",
    ]
    assert json.loads((folder / "state.json").read_text())["step"] == 2


def test_adapters_are_merged_into_the_model_that_is_saved(tmp_path: Path) -> None:
    learner = training()
    next(steps := learner.run())
    with torch.no_grad():
        for name, weight in learner.model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1)
    del steps
    export(learner, tmp_path / "model")
    merged = Sa2VA.from_pretrained(tmp_path / "model", device="cpu")
    frame = mixture().draw(0, 0).example.frames[0]
    asked, answer = "Please segment the red object.", "Sure, [SEG]."
    one, other = (model.ground([frame], asked, answer)[0] for model in (learner.model, merged))
    untrained = pocket().ground([frame], asked, answer)[0]
    assert torch.allclose(one.seg_hidden, other.seg_hidden, atol=1e-4)
    assert not torch.allclose(untrained.seg_hidden, other.seg_hidden, atol=1e-2)
    assert not any("lora" in name or "base_layer" in name for name, _ in merged.named_parameters())


def test_a_checkpoint_of_another_training_lists_the_differences(
    undisturbed: tuple[list[float], Path],
) -> None:
    _, folder = undisturbed
    wider = LORA.model_copy(update={"lora": LoraConfig(rank=8)})
    with pytest.raises(
        RecordError, match=r"q_proj.lora_A.default.weight has shape \[4, 128\], the model \[8"
    ) as caught:
        restore(training(wider), folder)
    message = str(caught.value)
    assert "step-000002: is a checkpoint of another configuration" in message and "more" in message
    whole = LORA.model_copy(update={"learns": WHOLE})
    with pytest.raises(RecordError, match=r"patch_embed.proj.weight is missing"):
        restore(training(whole), folder)
    fewer = LORA.model_copy(update={"learns": LearnsConfig(seg_projection="frozen")})
    with pytest.raises(RecordError, match=r"text_hidden_fcs.0.weight is frozen in this"):
        restore(training(fewer), folder)


def test_a_damaged_checkpoint_is_reported_with_a_fix(undisturbed: tuple[list[float], Path], tmp_path: Path) -> None:
    _, folder = undisturbed
    for name, content in ((LEARNT, b"short"), (OPTIMIZER, b""), ("state.json", b"[]"), ("state.json", b"{")):
        copy = tmp_path / "step-000002"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        (copy / name).write_bytes(content)
        with pytest.raises(RecordError, match=rf"{name}: is damaged.*\n  fix: remove step-000002"):
            restore(training(), copy)


def test_only_the_last_checkpoints_are_kept(tmp_path: Path) -> None:
    for number in (100, 99, 1_000_000, 7):
        (tmp_path / f"step-{number:06}").mkdir()
    (tmp_path / "step-other").mkdir()
    (tmp_path / ".step-000101.x.part").mkdir()
    assert [path.name for path in checkpoints_in(tmp_path)] == [
        "step-000007",
        "step-000099",
        "step-000100",
        "step-1000000",
    ]
    prune(tmp_path, 2)
    assert [path.name for path in checkpoints_in(tmp_path)] == ["step-000100", "step-1000000"]
    assert (tmp_path / "step-other").is_dir()


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file can grow beyond 100 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "step-000002").mkdir()
    with pytest.raises(DiskError, match="step-000003: cannot be written"):
        save(training(), tmp_path / "step-000003")
    assert names_in(tmp_path) == ["step-000002"]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
