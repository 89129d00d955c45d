"""Two processes learn what one does: the same gradients, decisions and errors, one count of bad examples."""

import json
import math
import multiprocessing
import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState, PartialState

from refsav.datasets.training_examples.mixture import Mixture, TooManyBadError
from refsav.datasets.training_examples.weighted_source import WeightedSource
from refsav.datasets.training_sources.config import open_mixture
from refsav.model.training.errors import TrainingError
from refsav.model.training.loop import Training
from refsav.model.training.paths import TrainingDirectory
from refsav.model.training.run import train
from refsav.model.training_config import LearnsConfig, LoraConfig, LossConfig, TrainConfig, TrainingConfig
from refsav.model.training_step.data_loader import BatchPlan
from tests.support.data.training_data import Words, mixture, pocket, scenes, settings, write_config

SPAWN = multiprocessing.get_context("spawn")  # a fork has none of the threads that its parent's libraries wait for
PROCESSES = 2
WHOLE = settings(batch=4, steps=2, clip=0)
ADAPTED = WHOLE.model_copy(
    update={
        "learns": LearnsConfig(),
        "lora": LoraConfig(rank=4, alpha=8, dropout=0.2),
        "loss": LossConfig(points=256),
    }
)
"""Adapters with dropout, and points that are drawn at random: all that might differ by process."""

Job = Callable[[int, Path], None]


InTwoProcesses = Callable[[Job, Path], None]


@pytest.fixture(scope="module")
def in_two_processes() -> Iterator[InTwoProcesses]:
    """Runs a job in two processes at the same time, as `accelerate launch` does, with its rank and a folder.

    The processes serve all tests of this file: most of what a job costs is the import of torch and transformers.
    """
    with ProcessPoolExecutor(PROCESSES, mp_context=SPAWN) as pool:

        def run(job: Job, folder: Path) -> None:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            # Neither ends before the other has met it, so that no process takes both.
            ranks = [pool.submit(as_one_of_two, rank, port, folder, job) for rank in range(PROCESSES)]
            try:
                for rank in ranks:
                    rank.result(timeout=240)
            except BaseException:
                for process in multiprocessing.active_children():  # one that waits for the other would never end
                    process.kill()
                raise

        yield run


def as_one_of_two(rank: int, port: int, folder: Path, job: Job) -> None:
    AcceleratorState._reset_state()
    PartialState._reset_state()
    places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": PROCESSES, "MASTER_PORT": port}
    os.environ.update({"MASTER_ADDR": "127.0.0.1", **{name: str(value) for name, value in places.items()}})
    torch.set_num_threads(1)
    job(rank, folder)
    if torch.distributed.is_initialized():  # a whole training ends with it
        torch.distributed.destroy_process_group()


def alone_or_together() -> Accelerator:
    return Accelerator(cpu=True, kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)])


def learn(config: TrainingConfig) -> dict[str, torch.Tensor]:
    """Losses and gradients of two steps, before they are cut."""
    data = Mixture([WeightedSource(scenes()), WeightedSource(Words())], seed=0)
    learner = Training(pocket(), data, config, alone_or_together())
    gradients: dict[str, torch.Tensor] = {}

    def keep(*_: object) -> None:
        for name, weight in learner.model.named_parameters():
            if weight.grad is not None:
                gradients[f"{name} {learner.done}"] = weight.grad.clone()

    learner.optimizer.optimizer.register_step_pre_hook(keep)
    steps = list(learner.run())
    assert any(not one.objects for step in steps for one in step.examples), "words alone are among them"
    return {"losses": torch.tensor([[step.loss, *step.terms.values()] for step in steps]), **gradients}


def learn_twice(rank: int, folder: Path) -> None:
    torch.save([learn(WHOLE), learn(ADAPTED)], folder / f"{rank}.pt")


def test_two_processes_learn_as_one_does(in_two_processes: InTwoProcesses, tmp_path: Path) -> None:
    in_two_processes(learn_twice, tmp_path)
    for number, alone in enumerate(map(learn, (WHOLE, ADAPTED))):
        for rank in range(PROCESSES):
            found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)[number]
            assert found.keys() == alone.keys()
            for name, value in alone.items():
                assert torch.allclose(found[name], value, rtol=1e-3, atol=1e-5), (number, name)


def come_apart(rank: int, folder: Path) -> None:
    """Make the loss of the second process alone NaN, then far too large."""
    messages = []
    for limit, factor in ((0.0, math.nan), (1e3, 1e6)):
        learner = Training(pocket(), mixture(), settings(explodes_above=limit), alone_or_together())
        if rank == 1:
            learner.model.mllm.lm_head.register_forward_hook(lambda *given, by=factor: given[-1] * by)
        with pytest.raises(TrainingError) as error:
            next(learner.run())
        messages.append(str(error.value))
    (folder / f"{rank}.json").write_text(json.dumps(messages))


def test_a_loss_that_explodes_on_one_device_ends_all_of_them_with_its_name(
    in_two_processes: InTwoProcesses, tmp_path: Path
) -> None:
    in_two_processes(come_apart, tmp_path)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(PROCESSES))
    assert first == second
    theirs = [key.position for (key,) in BatchPlan(mixture(), 4, 1, PROCESSES).keys(0, 1, 1)]
    assert any(
        f"position {position}), loss nan: this is not finite; the same holds for 1 more" in first[0]
        for position in theirs
    )
    assert any(f"position {position})" in first[1] for position in theirs) and "explodes_above (1000)" in first[1]


def train_with_a_bad_picture(rank: int, folder: Path) -> None:
    lines: list[str] = []
    strict = TrainConfig.from_toml(folder / "train.toml", {"data.bad_share": 0.0})
    with pytest.raises(TooManyBadError, match="1 examples cannot be used of 2"):
        train(TrainingDirectory(folder / "strict"), strict, lambda _: None, report=lines.append, cpu=True)
    train(
        TrainingDirectory(folder / "run"),
        TrainConfig.from_toml(folder / "train.toml"),
        lambda _: None,
        report=lines.append,
        cpu=True,
    )
    (folder / f"{rank}.json").write_text(json.dumps(lines))


def test_what_the_second_process_skips_is_reported_and_counted(
    in_two_processes: InTwoProcesses, tmp_path: Path
) -> None:
    data = open_mixture(TrainConfig.from_toml(write_config(tmp_path, steps=2, batch=2)).data)
    (((key,), *_),) = [list(BatchPlan(data, 2, 1, PROCESSES).keys(0, 1, 1))]
    picture = f"{data.order(0)[key.position, 1]}.png"
    (tmp_path / "images-of-mine/images" / picture).write_bytes(b"no picture")
    in_two_processes(train_with_a_bad_picture, tmp_path)
    reported, silent = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(PROCESSES))
    assert silent == [] and len(reported) == 2 and all(line.startswith("skipped: own-images: ") for line in reported)
    (skipped,) = map(json.loads, (tmp_path / "run/left_out.jsonl").read_text().splitlines())
    assert picture in skipped["error"] and (skipped["step"], skipped["held_out"]) == (1, False)
    assert [json.loads(line)["bad_examples"] for line in (tmp_path / "run/metrics.jsonl").open()] == [1, 1]
    assert (tmp_path / "run/model/config.json").exists()
