"""What `refsav down` ends: all that was started and whatever that has started, and nobody who has its id later."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from refsav.errors import ConfigError, RecordError
from refsav.lock import LockedError, exclusive
from refsav.service.folder import Service, ServiceFolder
from refsav.service.marked_processes import MARK, is_marked, marked
from refsav.service.service import start, stop

PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(100)'])"
"""A process with a child."""


@pytest.fixture
def folder(tmp_path: Path) -> ServiceFolder:
    (tmp_path / "Süd 1").mkdir()
    return ServiceFolder(tmp_path / "Süd 1")


@pytest.fixture
def worker(folder: ServiceFolder) -> Iterator["subprocess.Popen[bytes]"]:
    """What `up` has started last, and written down."""
    environment = {**os.environ, MARK: folder.mark("worker")}
    with subprocess.Popen([sys.executable, "-c", PARENT], env=environment, start_new_session=True) as process:
        while len(marked(folder.mark("worker"))) < 2:
            pass
        folder.write(Service(address="http://127.0.0.1:1", processes={"worker": process.pid}))
        yield process
        for one in marked(folder.mark("worker")):
            one.kill()


@pytest.fixture
def stranger() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen([sys.executable, "-c", PARENT]) as process:
        yield process
        process.kill()


def lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_a_process_is_known_by_its_mark(folder: ServiceFolder, worker: "subprocess.Popen[bytes]") -> None:
    service = folder.read()
    assert folder.runs(service, "worker") and not folder.runs(service, "server")
    assert not is_marked(worker.pid, folder.mark("server"))
    worker.kill()
    os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
    assert not folder.runs(service, "worker"), "dead, if not waited for yet"


def test_down_ends_what_was_started_and_its_children(
    folder: ServiceFolder, worker: "subprocess.Popen[bytes]", stranger: "subprocess.Popen[bytes]"
) -> None:
    (child,) = psutil.Process(worker.pid).children()
    assert stop(folder) == ["worker"]
    assert not lives(child) and worker.poll() is not None
    assert stranger.poll() is None
    assert stop(folder) == []


@pytest.mark.parametrize("state", ["as it was", "gone", "damaged"])
def test_down_ends_what_has_outlived_the_worker(
    folder: ServiceFolder, worker: "subprocess.Popen[bytes]", state: str
) -> None:
    (child,) = psutil.Process(worker.pid).children()
    worker.kill()
    worker.wait()
    assert lives(child)
    if state == "gone":  # as where `up` was killed before it could write it down
        folder.state.unlink()
    elif state == "damaged":
        folder.state.write_bytes(b"\xff")
    assert stop(folder) == ["worker"]
    assert not lives(child)
    assert not folder.state.exists()


def test_down_leaves_a_process_alone_that_has_the_id_of_one_that_ended(
    folder: ServiceFolder, stranger: "subprocess.Popen[bytes]"
) -> None:
    folder.write(Service(address="http://127.0.0.1:1", processes={"worker": stranger.pid}))
    assert stop(folder) == []
    assert stranger.poll() is None


def test_down_leaves_the_service_of_another_folder_alone(
    tmp_path: Path, folder: ServiceFolder, worker: "subprocess.Popen[bytes]"
) -> None:
    shutil.copytree(folder.root, tmp_path / "copy")
    assert stop(ServiceFolder(tmp_path / "copy")) == []
    assert worker.poll() is None


def test_where_nothing_was_started_down_makes_nothing(tmp_path: Path) -> None:
    assert stop(ServiceFolder(tmp_path / "none")) == []
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("content", [b"", b"{}", b'{"address": 1}', b"\xff"])
def test_a_damaged_state_starts_nothing_and_says_what_to_do(folder: ServiceFolder, content: bytes) -> None:
    deployments = folder.root / "prefect.yaml"
    deployments.write_text(json.dumps({"name": "refsav", "deployments": []}))
    folder.state.write_bytes(content)
    with pytest.raises(RecordError, match=r"service\.json: cannot be read") as told:
        start(folder, deployments, 4200, tell=print)
    assert "fix: refsav down" in str(told.value)


def test_two_at_once_are_one_and_a_refusal(folder: ServiceFolder) -> None:
    with exclusive(folder.root), pytest.raises(LockedError, match="is working on this service"):
        stop(folder)


def test_no_deployments_start_nothing(folder: ServiceFolder) -> None:
    for path in (folder.root / "lost.yaml", folder.root):
        with pytest.raises(ConfigError, match="fix: run this in a clone of RefSAV"):
            start(folder, path, 4200, tell=print)
    assert not folder.state.exists()
