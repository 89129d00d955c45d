"""The processes of a Ray cluster: find and kill them."""

import os
import signal
from contextlib import suppress
from pathlib import Path


def kill_node(raylet: int) -> None:
    """Kill all processes of a node at once, as a power cut would."""
    for pid in (raylet, *descendants(raylet)):
        kill(pid)


def workers_of(process_id: int, task: str = "annotate_bundle") -> list[int]:
    """Descendants that work on a task of this name now, by the titles that Ray gives them."""
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
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _title(process_id: int) -> str:
    try:
        return Path(f"/proc/{process_id}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""
