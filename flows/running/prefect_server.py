"""Prefect's API for one command: a small server of our own that ends with its command, however that ends.

Prefect can start one itself, but that one keeps running when its command is killed.
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
from pathlib import Path

import httpx
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_TO_API_ENABLED, get_current_settings, temporary_settings

from refsav.errors import RefSavError
from refsav.processes.child_process import child_process, quoted_log, wait_until_ready

READY_WITHIN_S = 180.0
ENDS_WITHIN_S = 10.0
CHECK_PARENT_EVERY_S = 1.0


class PrefectServerError(RefSavError):
    """Prefect's server did not become ready."""


@contextmanager
def prefect_server() -> Iterator[None]:
    """Provide an API for flows: the one that PREFECT_API_URL or a Prefect profile names, or an embedded one.

    The embedded server keeps no logs of runs, as it ends with the command.

    Raises:
        PrefectServerError: If it does not become ready; the message quotes the end of its log.
    """
    if get_current_settings().api.url:
        yield
        return
    with embedded_server() as url, temporary_settings({PREFECT_API_URL: url, PREFECT_LOGGING_TO_API_ENABLED: False}):
        yield


@contextmanager
def embedded_server() -> Iterator[str]:
    """Run a server while the block runs, and yield the address of its API. Raises PrefectServerError."""
    module = __spec__.name if __spec__ else __name__
    command = [sys.executable, "-P", "-m", module, str(os.getpid())]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        with child_process(command, log=log, stdout=subprocess.PIPE, ends_within_s=ENDS_WITHIN_S) as server:
            line = server.stdout.readline().strip() if server.stdout else ""
            url = f"http://127.0.0.1:{line}/api"
            if not line.isdecimal() or not _becomes_healthy(url, server):
                raise _not_ready(server, log)
            yield url


def _becomes_healthy(url: str, server: "subprocess.Popen[str]") -> bool:
    with httpx.Client(trust_env=False) as client:

        def is_healthy() -> bool:
            try:
                return client.get(f"{url}/health").is_success
            except httpx.TransportError:
                return False

        state = wait_until_ready(is_healthy, lambda: server.poll() is None, READY_WITHIN_S, check_every_s=0.1)
    return state == "ready"


def _not_ready(server: "subprocess.Popen[str]", log: Path) -> PrefectServerError:
    status = server.poll()
    state = f"ended with status {status}" if status is not None else f"did not answer within {READY_WITHIN_S:.0f} s"
    fix = "set PREFECT_API_URL to a Prefect server that runs, or free Prefect's database (PREFECT_HOME)"
    return PrefectServerError(f"Prefect's embedded server {state}\n{quoted_log(log)}", fix=fix)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(CHECK_PARENT_EVERY_S)
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
