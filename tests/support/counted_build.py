"""A build in its own process, against a server that counts replies: for tests that stop it and compare the results."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.command import Finished
from tests.support.faulty_server import FaultyServer
from tests.support.run_content import content

ENDS_WITHIN_S = 300.0


def until(process: "subprocess.Popen[str]", met: Callable[[], bool]) -> None:
    end = time.monotonic() + ENDS_WITHIN_S
    while not met():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.02)


def finish(process: "subprocess.Popen[str]") -> Finished:
    try:
        out, err = process.communicate(timeout=ENDS_WITHIN_S)
    finally:
        process.kill()
    return Finished(process.returncode, out, err)


def quiet(server: FaultyServer) -> int:
    """Wait for the requests in flight; return the number of good answers that were sent."""
    while server.in_flight:
        time.sleep(0.02)
    return server.paid


def assert_same(run: Path, expected: dict[str, bytes]) -> None:
    after = content(run)
    assert after.keys() == expected.keys()
    assert [name for name in expected if after[name] != expected[name]] == []
