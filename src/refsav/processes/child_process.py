"""A child process: started in a group of its own, awaited until it is ready, quoted from its log, and ended.

vLLM and Prefect servers, a training run, the service's worker and a Ray cluster all run as such a process.
"""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Literal

import psutil

CHECK_EVERY_S = 0.2
"""Seconds between two checks of a process that starts or ends."""

QUOTED_LINES = 15
"""Lines of a log that an error message shows."""

QUOTED_BYTES = 32768
"""Bytes at the end of a log in which these lines are looked for."""


@contextmanager
def child_process(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    log: Path | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int | None = None,
    ends_within_s: float = 20.0,
) -> Iterator["subprocess.Popen[str]"]:
    """Run a command while the block runs; end it and its descendants when the block is left, also by an error.

    Args:
        command: Program and arguments.
        environment: Its environment variables; None for those of this process.
        log: File to append its output to; None for the terminal.
        stdin: Where it reads from; a pipe is closed to ask the process to end.
        stdout: Where it writes its standard output; None for `log`.
        ends_within_s: Seconds that it gets to end by itself before it is killed.

    Raises:
        OSError: If the command cannot be started or the log cannot be written.
    """
    process = start_process(command, environment=environment, log=log, stdin=stdin, stdout=stdout)
    try:
        yield process
    finally:
        end_process(process, ends_within_s)


def start_process(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    log: Path | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int | None = None,
) -> "subprocess.Popen[str]":
    """Start a command that may outlive this process; the arguments are those of `child_process`. Raises OSError.

    It gets a session of its own: Ctrl-C in the terminal reaches this process only, which then ends the child.
    """
    sink = log.open("ab") if log else None
    try:
        return subprocess.Popen(
            command,
            env=environment,
            stdin=stdin,
            stdout=sink if stdout is None else stdout,
            stderr=sink,
            text=True,
            start_new_session=True,
        )
    finally:
        if sink:
            sink.close()


def wait_until_ready(
    is_ready: Callable[[], bool],
    is_running: Callable[[], bool],
    within_s: float,
    *,
    on_wait: Callable[[float], None] = lambda _waited_s: None,
    check_every_s: float = CHECK_EVERY_S,
) -> Literal["ready", "ended", "late"]:
    """Wait until a process is ready, has ended, or the time is up, and return which of these.

    Args:
        is_ready: Checks whether the process does its work, for example answers a request.
        is_running: Checks whether the process still runs.
        within_s: Seconds to wait.
        on_wait: Gets the seconds waited so far, after each check.
        check_every_s: Seconds between two checks.
    """
    begin_s = time.monotonic()
    while is_running():
        if is_ready():
            return "ready"
        waited_s = time.monotonic() - begin_s
        if waited_s > within_s:
            return "late"
        on_wait(waited_s)
        time.sleep(check_every_s)
    return "ended"


def end_process(process: "subprocess.Popen[str]", within_s: float) -> None:
    """End a process with its descendants: ask it to end, wait, then kill everything that is left.

    A process that reads from a pipe is asked by closing the pipe, any other by SIGTERM to its group.
    """
    descendants = _descendants(process)
    if process.stdin:
        with suppress(OSError):
            process.stdin.close()
    else:
        _signal_group(process, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(within_s)
    _signal_group(process, signal.SIGKILL)  # what the process has left behind
    for descendant in descendants:  # one may have left the group
        with suppress(psutil.Error):
            descendant.kill()
    process.wait()
    if process.stdout:
        process.stdout.close()


def signal_processes(processes: Iterable[psutil.Process], number: signal.Signals, within_s: float) -> None:
    """Send a signal to processes, children of this one or not, and wait until all have ended or the time is up."""
    signalled = list(processes)
    for process in signalled:
        with suppress(psutil.Error):
            process.send_signal(number)
    end_s = time.monotonic() + within_s
    while any(map(is_alive, signalled)) and time.monotonic() < end_s:
        time.sleep(CHECK_EVERY_S)


def is_alive(process: psutil.Process) -> bool:
    """Check whether a process runs; a zombie does not."""
    with suppress(psutil.Error):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def last_lines(log: Path, count: int = QUOTED_LINES) -> list[str]:
    """Read the last lines of a log, without colours, empty lines and carriage returns. Raises OSError."""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - QUOTED_BYTES))
        text = stream.read().decode("utf-8", "replace")
    lines = (re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in re.split(r"[\r\n]+", text))
    return [line for line in lines if line][-count:]


def quoted_log(log: Path) -> str:
    """Quote the end of a log for an error message, one line each after a bar. Raises OSError."""
    return "\n".join(f"  | {line}" for line in last_lines(log))


def port_problem(host: str, port: int) -> str:
    """Return why a port cannot be listened on, or "" if it is free.

    Check this before a server is started, so that another server there is not mistaken for it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with closing(socket.create_server((host, port), family=family)):
            return ""
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        return f"{host}:{port} cannot be listened on: {reason}"


def _signal_group(process: "subprocess.Popen[str]", number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _descendants(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    with suppress(psutil.Error):
        return list(psutil.Process(process.pid).children(recursive=True))
    return []
