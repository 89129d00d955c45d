"""Ctrl-C in the middle of a build: it is heard at once, nothing more is asked, and the same command goes on."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from refsav.annotators.engines.journal import read_entries
from refsav.datasets.run.run_directory import RunDirectory
from tests.support.command import refsav, start
from tests.support.faulty_server import FaultyServer, Options, running

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]
CopyClips = Callable[..., Path]
IN_FLIGHT = 2
WAIT_S = 120.0


def paid_in(run: Path) -> int:
    return sum(1 for path in RunDirectory(run).journal.glob("*.jsonl") for _ in read_entries(path))


def wait_for(process: "subprocess.Popen[str]", server: FaultyServer, requests: int) -> None:
    end = time.monotonic() + WAIT_S
    while server.paid < requests:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.02)


def test_ctrl_c_asks_nothing_more_and_the_same_command_resumes(copy_clips: CopyClips, tmp_path: Path) -> None:
    source = copy_clips(tmp_path / "source", "sav_000001_head")
    run, home = tmp_path / "run", tmp_path / "prefect"
    with running(Options(latency_s=0.3, agreement=1.0)) as server:
        asking = [
            f"--{engine}.{key}={value}"
            for engine in ("vlm", "judge")
            for key, value in {"kind": "vllm", "addresses": server.address, "in_flight_per_server": IN_FLIGHT}.items()
        ]
        arguments = ["build", source, run, "--views.frames=2", *asking]
        process = start(*arguments, home=home)
        wait_for(process, server, 6)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=WAIT_S)
        asked = server.seen.total()
        assert process.returncode == 130
        assert "stopping; Ctrl-C again stops at once" in said
        assert "stopped; run the same command again to resume" in said
        assert "Traceback" not in said
        paid = paid_in(run)
        assert asked - paid <= 2 * IN_FLIGHT
        assert asked < 40, "13 objects need 65 requests"

        done = refsav(*arguments, home=home)
        assert done.code == 0, done.err
        assert "13 objects = 13 expressions" in done.out
        assert server.seen.total() - 13 * 5 <= 2 * IN_FLIGHT
