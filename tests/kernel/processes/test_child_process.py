"""Child processes: a well-behaved one, one that ignores SIGTERM, one that dies at once, one that is never ready."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from refsav.processes.child_process import (
    child_process,
    end_process,
    is_alive,
    last_lines,
    port_problem,
    quoted_log,
    signal_processes,
    start_process,
    wait_until_ready,
)

READY = "print('ready', flush=True);"
SLEEPS = f"import time; {READY} time.sleep(100)"
IGNORES = f"import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY} time.sleep(100)"
HAS_A_CHILD = (
    "import subprocess, sys;"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)'], start_new_session={session});"
    f"{READY} child.wait()"
)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def wait_for(process: "subprocess.Popen[str]") -> None:
    assert process.stdout and process.stdout.readline() == "ready\n"


def test_a_process_runs_inside_the_block_and_not_after_it() -> None:
    begin_s = time.monotonic()
    with child_process(python(SLEEPS), stdout=subprocess.PIPE) as process:
        wait_for(process)
        assert process.poll() is None
        assert os.getpgid(process.pid) == process.pid, "Ctrl-C in the terminal does not reach it"
    assert process.returncode == -signal.SIGTERM
    assert time.monotonic() - begin_s < 15


def test_an_error_in_the_block_ends_the_process() -> None:
    with pytest.raises(RuntimeError), child_process(python(SLEEPS)) as process:
        raise RuntimeError
    assert process.returncode is not None


def test_a_process_that_ignores_sigterm_is_killed() -> None:
    with child_process(python(IGNORES), stdout=subprocess.PIPE, ends_within_s=0.3) as process:
        wait_for(process)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("session", [False, True], ids=["in its group", "in a session of its own"])
def test_descendants_end_with_the_process(session: bool) -> None:
    with child_process(python(HAS_A_CHILD.format(session=session)), stdout=subprocess.PIPE) as process:
        wait_for(process)
        (child,) = psutil.Process(process.pid).children()
    signal_processes([child], signal.SIGTERM, 5.0)  # gives the system time to remove it
    assert not is_alive(child)


def test_a_process_that_reads_from_a_pipe_is_asked_by_closing_it() -> None:
    reads = f"import sys; {READY} sys.stdin.read(); sys.exit(7)"
    with child_process(python(reads), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        wait_for(process)
    assert process.returncode == 7


def test_a_process_that_dies_at_once_is_quoted(tmp_path: Path) -> None:
    log = tmp_path / "log"
    dies = "import sys; print('one\\x1b[31mred\\x1b[0m\\rtwo'); print(); sys.exit('no such weights')"
    with child_process(python(dies), log=log) as process:
        assert wait_until_ready(lambda: False, lambda: process.poll() is None, 20.0) == "ended"
    assert process.returncode == 1
    assert set(last_lines(log)) == {"onered", "two", "no such weights"}
    assert "  | no such weights" in quoted_log(log).splitlines()
    assert len(last_lines(log, 1)) == 1


def test_waiting_for_a_process_that_is_never_ready_is_bounded() -> None:
    waited: list[float] = []
    with child_process(python(SLEEPS), stdout=subprocess.PIPE) as process:
        state = wait_until_ready(
            lambda: False, lambda: process.poll() is None, 0.3, on_wait=waited.append, check_every_s=0.05
        )
    assert state == "late"
    assert waited == sorted(waited) and len(waited) > 1 and waited[-1] <= 0.3


def test_a_process_that_is_ready_is_not_waited_for() -> None:
    assert wait_until_ready(lambda: True, lambda: True, 0.0) == "ready"


def test_logs_are_appended(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for word in ("first", "second"):
        with child_process(python(f"print('{word}')"), log=log) as process:
            process.wait(20)
    assert last_lines(log) == ["first", "second"]


def test_a_command_that_does_not_exist_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        start_process([str(tmp_path / "missing")])


@pytest.fixture
def outsider() -> Iterator["subprocess.Popen[str]"]:
    process = start_process(python(SLEEPS), stdout=subprocess.PIPE)
    wait_for(process)
    yield process
    end_process(process, 1.0)


def test_processes_are_signalled_and_a_zombie_counts_as_ended(outsider: "subprocess.Popen[str]") -> None:
    found = psutil.Process(outsider.pid)
    assert is_alive(found)
    begin_s = time.monotonic()
    signal_processes([found], signal.SIGTERM, 20.0)
    assert time.monotonic() - begin_s < 15
    assert not is_alive(found)
    signal_processes([found], signal.SIGKILL, 20.0)
    assert outsider.wait(5) == -signal.SIGTERM


def test_a_taken_port_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert port_problem("127.0.0.1", port) == f"127.0.0.1:{port} cannot be listened on: Address already in use"
    assert port_problem("127.0.0.1", port) == ""
