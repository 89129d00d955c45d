"""A real Ray cluster of several nodes beside a test, all on 127.0.0.1, and who works on it.

As a process: python tests/ray_cluster.py 1 1      (a head without cores and two nodes of one; ends with its input)
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token"}
"""Ray's switch for a cluster that listens on 127.0.0.1 only; no word to its makers; its own token as key."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """A cluster that runs."""

    address: str
    nodes: tuple[int, ...]
    """Process ids of the raylets of all nodes but the head; a node's workers are below its raylet."""


@contextmanager
def ray_cluster(*cores: int) -> Iterator[Cluster]:
    """Run a head without cores, and a node for each number of cores."""
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:  # sockets' paths are short
        process = subprocess.Popen(
            [sys.executable, __file__, *map(str, cores)],
            env={**os.environ, **LOOPBACK, "RAY_TMPDIR": folder},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        assert process.stdin is not None and process.stdout is not None
        try:
            lines = (line.split() for line in process.stdout)
            address, *nodes = next(words[1:] for words in lines if words[:1] == ["cluster"])
            yield Cluster(address=address, nodes=tuple(map(int, nodes)))
        finally:
            below = descendants(process.pid)
            process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(60)
            for pid in (*below, process.pid):
                kill(pid)
            process.stdout.close()


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


def _serve(cores: list[int]) -> None:
    from ray.cluster_utils import Cluster as Nodes

    small = {"object_store_memory": 100 * 2**20}
    nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **small})
    added = [nodes.add_node(num_cpus=count, **small) for count in cores]
    raylets = [node.all_processes["raylet"][0].process.pid for node in added]
    print("cluster", nodes.address, *raylets, flush=True)
    sys.stdin.read()
    nodes.shutdown()


if __name__ == "__main__":
    _serve([int(word) for word in sys.argv[1:]])
