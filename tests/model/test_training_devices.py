"""Two processes learn what one does: the same gradients of the same global batch, and weights that are shared out."""

import multiprocessing
import os
import socket
from pathlib import Path

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState, PartialState

from refsav.datasets.mixture import Mixture
from refsav.datasets.share import Share
from refsav.model.training import Training
from tests.model.training_data import Words, pocket, scenes, settings

SPAWN = multiprocessing.get_context("spawn")  # a fork has none of the threads that its parent's libraries wait for
PROCESSES = 2
CONFIG = settings(batch=4, steps=2, clip=0)


def learn(accelerator: Accelerator) -> dict[str, torch.Tensor]:
    """Losses and gradients of two steps, before they are cut."""
    learner = Training(pocket(), Mixture([Share(scenes()), Share(Words())], seed=0), CONFIG, accelerator)
    gradients: dict[str, torch.Tensor] = {}

    def keep(*_: object) -> None:
        for name, weight in learner.model.named_parameters():
            if weight.grad is not None:
                gradients[f"{name} {learner.done}"] = weight.grad.clone()

    learner.optimizer.optimizer.register_step_pre_hook(keep)
    steps = list(learner.run())
    assert any(not len(one.prepared.masks) for step in steps for one in step.examples), "words alone are among them"
    return {"losses": torch.tensor([[step.loss, *step.parts.values()] for step in steps]), **gradients}


def learn_as_one_of_two(rank: int, port: int, out: Path) -> None:
    AcceleratorState._reset_state()
    PartialState._reset_state()
    places = {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "WORLD_SIZE": PROCESSES,
        "MASTER_PORT": port,
        "MASTER_ADDR": "127.0.0.1",
    }
    os.environ.update({"MASTER_ADDR": "127.0.0.1", **{name: str(value) for name, value in places.items()}})
    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=True, kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)])
    assert accelerator.num_processes == PROCESSES
    torch.save(learn(accelerator), out / f"{rank}.pt")
    accelerator.end_training()


def test_two_processes_learn_as_one_does(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    others = [SPAWN.Process(target=learn_as_one_of_two, args=(rank, port, tmp_path)) for rank in range(PROCESSES)]
    for process in others:
        process.start()
    alone = learn(Accelerator(cpu=True))
    for process in others:
        process.join(timeout=120)
        assert process.exitcode == 0
    for rank in range(PROCESSES):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert found.keys() == alone.keys()
        for name, value in alone.items():
            assert torch.allclose(found[name], value, rtol=1e-3, atol=1e-5), name
