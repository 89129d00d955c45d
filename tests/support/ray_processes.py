"""Who works on a Ray cluster, and the end of them."""

import os
import signal
from contextlib import suppress
from pathlib import Path


def kill_node(raylet: int) -> None:
    """End a node as a power cut does: every process of it at once."""
    for pid in (raylet, *descendants(raylet)):
        kill(pid)


def workers_of(process_id: int, task: str = "annotate_bundle") -> list[int]:
    """Processes below this one that work on a task of this name just now, as Ray titles them."""
    return [pid for pid in descendants(process_id) if _title(pid).startswith(f"ray::{task}")]


def descendants(process_id: int) -> list[int]:
    found: list[int] = []
    for children in Path(f"/proc/{process_id}/task").glob("*/children"):
        try:
            pids = [int(word) for word in children.read_text().split()]
        except OSError:  # a thread that has ended meanwhile
            continue
        for pid in pids:
            found += [pid, *descendants(pid)]
    return found


def kill(process_id: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process_id, signal.SIGKILL)


def is_alive(process_id: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _title(process_id: int) -> str:
    try:
        return Path(f"/proc/{process_id}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""
