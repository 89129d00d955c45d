"""The embedded Prefect server works for its command, and ends with it even when the command is killed."""

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.services

HOLDS_A_SERVER = """
import os, sys, time
from refsav.flows.running.prefect_server import prefect_server
from prefect import flow, get_client
from prefect.settings import PREFECT_API_URL

@flow
def answer():
    return 42

with prefect_server():
    assert answer() == 42
    print(PREFECT_API_URL.value(), flush=True)
    if sys.argv[1] == "wait":
        time.sleep(120)
"""


def children_of(process_id: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process_id)], capture_output=True, text=True, check=False
    )
    return [int(word) for word in listed.stdout.split()]


def is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("end", ["killed", "ended"])
def test_the_server_ends_with_its_command(end: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PREFECT_API_URL"}
    mode = "wait" if end == "killed" else "go"
    command = [sys.executable, "-c", HOLDS_A_SERVER, mode]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as holder:
        servers: list[int] = []
        while not servers and holder.poll() is None:
            servers = children_of(holder.pid)
            time.sleep(0.05)
        assert holder.stdout is not None
        address = holder.stdout.readline()
        assert address.startswith("http://127.0.0.1:")
        if end == "killed":
            holder.send_signal(signal.SIGKILL)
        holder.wait(timeout=60)
    deadline = time.monotonic() + 20
    while any(map(is_alive, servers)):
        assert time.monotonic() < deadline, f"{servers} still run"
        time.sleep(0.1)
