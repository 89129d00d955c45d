"""`refsav down` ends everything that was started and its descendants, and no process that reuses an id."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from refsav.disk.lock import LockedError, exclusive
from refsav.errors import ConfigError, RecordError
from refsav.processes.marked_processes import MARK, is_marked, marked
from refsav.service.directory import Service, ServiceDirectory
from refsav.service.service import start, stop

PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(100)'])"
"""A process with a child."""


@pytest.fixture
def directory(tmp_path: Path) -> ServiceDirectory:
    (tmp_path / "Süd 1").mkdir()
    return ServiceDirectory(tmp_path / "Süd 1")


@pytest.fixture
def worker(directory: ServiceDirectory) -> Iterator["subprocess.Popen[bytes]"]:
    """What `up` has started last, and written down."""
    environment = {**os.environ, MARK: directory.mark("worker")}
    with subprocess.Popen([sys.executable, "-c", PARENT], env=environment, start_new_session=True) as process:
        while len(marked(directory.mark("worker"))) < 2:
            pass
        directory.write(Service(address="http://127.0.0.1:1", processes={"worker": process.pid}))
        yield process
        for one in marked(directory.mark("worker")):
            one.kill()


@pytest.fixture
def stranger() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen([sys.executable, "-c", PARENT]) as process:
        yield process
        process.kill()


def lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_a_process_is_known_by_its_mark(directory: ServiceDirectory, worker: "subprocess.Popen[bytes]") -> None:
    service = directory.read()
    assert directory.runs(service, "worker") and not directory.runs(service, "server")
    assert not is_marked(worker.pid, directory.mark("server"))
    worker.kill()
    os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
    assert not directory.runs(service, "worker"), "dead, if not waited for yet"


def test_down_ends_what_was_started_and_its_children(
    directory: ServiceDirectory, worker: "subprocess.Popen[bytes]", stranger: "subprocess.Popen[bytes]"
) -> None:
    (child,) = psutil.Process(worker.pid).children()
    assert stop(directory) == ["worker"]
    assert not lives(child) and worker.poll() is not None
    assert stranger.poll() is None
    assert stop(directory) == []


@pytest.mark.parametrize("state", ["as it was", "gone", "damaged"])
def test_down_ends_what_has_outlived_the_worker(
    directory: ServiceDirectory, worker: "subprocess.Popen[bytes]", state: str
) -> None:
    (child,) = psutil.Process(worker.pid).children()
    worker.kill()
    worker.wait()
    assert lives(child)
    if state == "gone":  # as where `up` was killed before it could write it down
        directory.state.unlink()
    elif state == "damaged":
        directory.state.write_bytes(b"\xff")
    assert stop(directory) == ["worker"]
    assert not lives(child)
    assert not directory.state.exists()


def test_down_leaves_a_process_alone_that_has_the_id_of_one_that_ended(
    directory: ServiceDirectory, stranger: "subprocess.Popen[bytes]"
) -> None:
    directory.write(Service(address="http://127.0.0.1:1", processes={"worker": stranger.pid}))
    assert stop(directory) == []
    assert stranger.poll() is None


def test_down_leaves_the_service_of_another_folder_alone(
    tmp_path: Path, directory: ServiceDirectory, worker: "subprocess.Popen[bytes]"
) -> None:
    shutil.copytree(directory.root, tmp_path / "copy")
    assert stop(ServiceDirectory(tmp_path / "copy")) == []
    assert worker.poll() is None


def test_where_nothing_was_started_down_makes_nothing(tmp_path: Path) -> None:
    assert stop(ServiceDirectory(tmp_path / "none")) == []
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("content", [b"", b"{}", b'{"address": 1}', b"\xff"])
def test_a_damaged_state_starts_nothing_and_says_what_to_do(directory: ServiceDirectory, content: bytes) -> None:
    deployments = directory.root / "prefect.yaml"
    deployments.write_text(json.dumps({"name": "refsav", "deployments": []}))
    directory.state.write_bytes(content)
    with pytest.raises(RecordError, match=r"service\.json: cannot be read") as error:
        start(directory, deployments, 4200, report=print)
    assert "fix: refsav down" in str(error.value)


def test_two_at_once_are_one_and_a_refusal(directory: ServiceDirectory) -> None:
    with exclusive(directory.root), pytest.raises(LockedError, match="is working on this service"):
        stop(directory)


def test_no_deployments_start_nothing(directory: ServiceDirectory) -> None:
    for path in (directory.root / "lost.yaml", directory.root):
        with pytest.raises(ConfigError, match="fix: run this in a clone of RefSAV"):
            start(directory, path, 4200, report=print)
    assert not directory.state.exists()
