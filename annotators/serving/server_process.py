"""A vLLM server as a child process: started, awaited until it is ready, and ended with its workers."""

import http.client
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from refsav.annotators.serving.profile import ServedModel, base_url, command, environment, reachable
from refsav.errors import ConfigError, RefSavError
from refsav.processes.child_process import (
    end_process,
    last_lines,
    port_problem,
    quoted_log,
    start_process,
    wait_until_ready,
)

ENDS_WITHIN_S = 20.0
"""Seconds that a server gets to end by itself before it is killed."""

CHECK_EVERY_S = 0.5
"""Seconds between two checks of a server that loads."""


class ServerError(RefSavError):
    """A server that did not become ready, or ended."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that answers requests."""

    address: str
    """For `addresses` of an engine's configuration."""
    process: "subprocess.Popen[str]"
    """Leader of a process group of its own."""
    log: Path

    def error(self, problem: str) -> ServerError:
        """Return an error with this problem, which quotes the end of the server's log."""
        return ServerError(f"{problem}\n{quoted_log(self.log)}", fix=f"read the complete log, {self.log}")


@contextmanager
def running(
    served: ServedModel,
    console: Console,
    *,
    python: str = "",
    host: str = "127.0.0.1",
    port: int = 0,
    ready_within_s: float = 3600.0,
    more: Sequence[str] = (),
    api_key: str = "",
    log: Path | None = None,
) -> Iterator[RunningServer]:
    """Start a server, wait until it is ready, and end it when the block is left, also by an error.

    Args:
        served: The model to serve.
        console: Gets one live line while the model loads.
        python: Interpreter of vLLM's environment; empty for the command `vllm`.
        host: Address to listen on; anything but 127.0.0.1 opens the server to others.
        port: Port to listen on; 0 for the profile's.
        ready_within_s: Seconds to wait; a large model is downloaded and loaded in this time.
        more: Further arguments for vLLM.
        api_key: Key that requests must bring; empty for no key.
        log: File to append the server's output to; None for a new temporary one.

    Raises:
        ConfigError: If it cannot be started.
        ServerError: If it ends, or is not ready in time.
    """
    port = port or served.port
    line = command(served, python=python, host=host, port=port, more=more)
    if served.made_by and not Path(served.model, "config.json").is_file():
        raise ConfigError("there is no model in this folder", fix=served.made_by, path=served.model)
    if problem := port_problem(host, port):
        raise ConfigError(problem, fix="choose another --port")
    log = log or _new_log(served, port)
    process = _started(line, served, log, api_key)
    server = RunningServer(base_url(served, host=host, port=port), process, log)
    try:
        _wait_until_ready(server, served, reachable(host), port, console, ready_within_s)
        yield server
    finally:
        end_process(process, ENDS_WITHIN_S)


def _new_log(served: ServedModel, port: int) -> Path:
    handle, name = tempfile.mkstemp(prefix=f"refsav-{served.served_model_name}-{port}-", suffix=".log")
    os.close(handle)
    return Path(name)


def _started(line: list[str], served: ServedModel, log: Path, api_key: str) -> "subprocess.Popen[str]":
    # vLLM reads its key from the environment, so that no list of processes shows it.
    key = {"VLLM_API_KEY": api_key} if api_key else {}
    try:
        return start_process(line, environment={**os.environ, **environment(served), **key}, log=log)
    except OSError as error:
        raise ConfigError(
            f"cannot be started: {error.strerror}",
            fix="give the python of an environment that holds vLLM (--python .venv-vllm/bin/python after "
            "`make vllm-cpu`), or run what --print shows on another machine",
            path=line[0],
        ) from None


def _wait_until_ready(
    server: RunningServer, served: ServedModel, host: str, port: int, console: Console, within_s: float
) -> None:
    with console.status(f"loading {served.model}") as live:

        def show(waited_s: float) -> None:
            latest = "".join(last_lines(server.log, 1))[-100:]
            live.update(f"loading {served.model}, {waited_s:.0f} s  [dim]{escape(latest)}[/]")

        state = wait_until_ready(
            lambda: _is_healthy(host, port),
            lambda: server.process.poll() is None,
            within_s,
            on_wait=show,
            check_every_s=CHECK_EVERY_S,
        )
    if state == "ended":
        status = server.process.returncode
        raise server.error(f"{served.model}: the server ended with status {status}")
    if state == "late":
        raise server.error(f"{served.model}: not ready after {within_s:.0f} s")


def _is_healthy(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
