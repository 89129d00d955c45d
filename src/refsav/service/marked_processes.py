"""Processes that carry a mark in their environment, which all that they start inherits.

An id alone does not tell who a process is: the system gives it to somebody else later. And what a process has started
may outlive it.
"""

import time
from collections.abc import Callable
from contextlib import suppress

import psutil

MARK = "REFSAV_SERVICE"
"""Environment variable."""

ENDS_WITHIN_S = 30.0
"""Seconds for a build to end in good order; nothing is lost when it is cut off."""
LOOK_EVERY_S = 0.1


def variable_of(process: psutil.Process, name: str) -> str:
    """Give a variable of a process's environment; "" if it has none, has ended, or is somebody else's."""
    with suppress(psutil.Error):
        return str(process.environ().get(name, ""))
    return ""


def is_marked(process_id: int, mark: str) -> bool:
    """Tell whether a process runs and has this mark."""
    with suppress(psutil.Error):
        return variable_of(psutil.Process(process_id), MARK) == mark
    return False


def marked(mark: str) -> list[psutil.Process]:
    """List the processes that have this mark."""
    return [process for process in psutil.process_iter() if variable_of(process, MARK) == mark]


def values_of(name: str) -> frozenset[str]:
    """Collect the values that a variable has in the environments of this user's processes."""
    return frozenset(variable_of(process, name) for process in psutil.process_iter()) - {""}


def end(process_id: int | None, mark: str) -> bool:
    """End all processes with a mark; tell whether there were any.

    Args:
        process_id: Of the one that has started the others: it goes first, and can end them in good order.
        mark: Whoever does not have it is left alone.
    """
    there = marked(mark)
    _end([process for process in there if process.pid == process_id], psutil.Process.terminate)
    for last_resort in (psutil.Process.terminate, psutil.Process.kill):
        _end(marked(mark), last_resort)
    return bool(there)


def _end(processes: list[psutil.Process], how: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        with suppress(psutil.Error):
            how(process)
    end_s = time.monotonic() + ENDS_WITHIN_S
    while time.monotonic() < end_s and any(variable_of(process, MARK) for process in processes):
        time.sleep(LOOK_EVERY_S)  # one that is dead and not waited for has no environment
