"""Prefect's API for one command: a small server of our own that ends with its command, however that ends.

Prefect can start one itself, but that one stays behind when its command is killed.
"""

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import httpx
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_TO_API_ENABLED, get_current_settings, temporary_settings

from refsav.errors import RefSavError

READY_WITHIN_S = 180.0
ENDS_WITHIN_S = 10.0
LOOK_EVERY_S = 1.0
TOLD_CHARACTERS = 2000


class PrefectServerError(RefSavError):
    """Prefect's server did not come up."""


@contextmanager
def prefect_server() -> Iterator[None]:
    """Make sure that flows have an API: the one that PREFECT_API_URL or a Prefect profile names, or one of our own.

    Ours keeps no logs, as it ends with the command.

    Raises:
        PrefectServerError: If ours does not come up; the message holds the end of its log.
    """
    if get_current_settings().api.url:
        yield
        return
    with tempfile.TemporaryFile("w+") as log, _child(log) as server:
        url = f"http://127.0.0.1:{_port_of(server, log)}/api"
        _wait_until_well(url, server, log)
        with temporary_settings({PREFECT_API_URL: url, PREFECT_LOGGING_TO_API_ENABLED: False}):
            yield


@contextmanager
def _child(log: IO[str]) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-P", "-m", __spec__.name if __spec__ else __name__, str(os.getpid())]
    # Ctrl-C goes to every process of a terminal's group: the build must find its server well while it stops.
    server = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
    )
    try:
        yield server
    finally:
        server.terminate()
        try:
            server.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        if server.stdout:
            server.stdout.close()


def _port_of(server: "subprocess.Popen[str]", log: IO[str]) -> int:
    line = server.stdout.readline() if server.stdout else ""
    if not line.strip().isdecimal():
        raise _not_up(server, log)
    return int(line)


def _wait_until_well(url: str, server: "subprocess.Popen[str]", log: IO[str]) -> None:
    end = time.monotonic() + READY_WITHIN_S
    with httpx.Client(trust_env=False) as client:
        while time.monotonic() < end and server.poll() is None:
            try:
                if client.get(f"{url}/health").is_success:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
    raise _not_up(server, log)


def _not_up(server: "subprocess.Popen[str]", log: IO[str]) -> PrefectServerError:
    log.seek(0)
    status = server.poll()
    state = f"ended with status {status}" if status is not None else f"did not answer within {READY_WITHIN_S:.0f} s"
    fix = "set PREFECT_API_URL to a Prefect server that runs, or free Prefect's database (PREFECT_HOME)"
    return PrefectServerError(f"Prefect's embedded server {state}\n{log.read()[-TOLD_CHARACTERS:]}\n  fix: {fix}")


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY_S)
    os._exit(0)


def _serve(parent: int) -> None:
    """Serve Prefect's API on a free port of this machine, print the port, and end with the process `parent`."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()

    import uvicorn
    from prefect.server.api.server import create_app

    server = uvicorn.Server(uvicorn.Config(create_app(ephemeral=True), log_level="error", lifespan="on"))
    server.run(sockets=[listener])


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
