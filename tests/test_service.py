"""What `refsav down` may end: the very processes that were started, and none that has their id later."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from refsav.errors import RecordError
from refsav.service import Part, Service, ServiceFolder, stop

PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(100)'])"


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """A process with a child."""
    with subprocess.Popen([sys.executable, "-c", PARENT]) as process:
        yield process
        process.kill()


@pytest.fixture
def folder(tmp_path: Path) -> ServiceFolder:
    (tmp_path / "service").mkdir()
    return ServiceFolder(tmp_path / "service")


def test_a_process_is_known_by_its_start_too(sleeper: "subprocess.Popen[bytes]") -> None:
    part = Part.of("worker", sleeper.pid)
    assert part.process() is not None
    assert replace(part, started_s=part.started_s - 60).process() is None
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert part.process() is None, "dead, if not waited for yet"


def test_down_ends_what_was_started_and_its_children(sleeper: "subprocess.Popen[bytes]", folder: ServiceFolder) -> None:
    part = Part.of("worker", sleeper.pid)
    folder.write(Service(address="http://127.0.0.1:1", parts=(part,)))
    process = part.process()
    while not process.children():
        pass
    (child,) = process.children()
    assert stop(folder) == ["worker"]
    assert not child.is_running() and sleeper.poll() is not None
    assert stop(folder) == []


def test_down_leaves_a_process_alone_that_has_the_id_of_one_that_ended(
    sleeper: "subprocess.Popen[bytes]", folder: ServiceFolder
) -> None:
    part = Part.of("worker", sleeper.pid)
    folder.write(Service(address="http://127.0.0.1:1", parts=(replace(part, started_s=1.0),)))
    assert stop(folder) == []
    assert sleeper.poll() is None


@pytest.mark.parametrize("content", [b"", b"{}", b'{"address": 1}', b"\xff"])
def test_a_damaged_state_is_told_and_nothing_is_ended(folder: ServiceFolder, content: bytes) -> None:
    folder.state.write_bytes(content)
    with pytest.raises(RecordError, match=r"service\.json: cannot be read") as told:
        stop(folder)
    assert "fix: end what is left of the service by hand" in str(told.value)
    assert folder.state.exists()
