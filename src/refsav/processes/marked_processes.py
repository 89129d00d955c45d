"""Processes that carry a mark in their environment, which every process that they start inherits.

A process id alone does not identify a process, as the system reuses it; and children may outlive their parent.
"""

import signal
from contextlib import suppress

import psutil

from refsav.processes.child_process import signal_processes

MARK = "REFSAV_SERVICE"
"""Environment variable that holds the mark."""

ENDS_WITHIN_S = 30.0
"""Seconds that a build gets to end by itself; nothing is lost if it is killed."""


def variable_of(process: psutil.Process, name: str) -> str:
    """Read a variable of a process's environment; "" if it has no such variable, has ended, or is another user's."""
    with suppress(psutil.Error):
        return str(process.environ().get(name, ""))
    return ""


def is_marked(process_id: int, mark: str) -> bool:
    """Check whether a process runs and has this mark."""
    with suppress(psutil.Error):
        return variable_of(psutil.Process(process_id), MARK) == mark
    return False


def marked(mark: str) -> list[psutil.Process]:
    """List the processes that have this mark."""
    return [process for process in psutil.process_iter() if variable_of(process, MARK) == mark]


def values_of(name: str) -> frozenset[str]:
    """Collect the values that a variable has in the environments of this user's processes."""
    return frozenset(variable_of(process, name) for process in psutil.process_iter()) - {""}


def end_marked(process_id: int | None, mark: str) -> bool:
    """End all processes with a mark, and return whether there were any.

    Args:
        process_id: The process that has started the others: it is ended first, and can end its children itself.
        mark: Processes without this mark are left alone.
    """
    found = marked(mark)
    leader = [process for process in found if process.pid == process_id]
    signal_processes(leader, signal.SIGTERM, ENDS_WITHIN_S)
    signal_processes(marked(mark), signal.SIGTERM, ENDS_WITHIN_S)
    signal_processes(marked(mark), signal.SIGKILL, ENDS_WITHIN_S)
    return bool(found)
