"""Runs a Ray cluster of several nodes on this machine for the length of a `with` block, on 127.0.0.1 only.

As a process that ends when its input is closed, with a head and two nodes of one core each:
    python -m refsav.benchmarks.speed.ray_cluster 1 1
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refsav.errors import RefSavError
from refsav.processes.child_process import child_process

LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token"}
"""Environment that makes Ray listen on 127.0.0.1 only, send no usage statistics, and require its own token."""
ENDS_WITHIN_S = 60.0


class ClusterStartError(RefSavError):
    """The cluster did not start."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """A running cluster. Clients need LOOPBACK in their environment."""

    address: str
    nodes: tuple[int, ...]
    """Process ids of the raylets of all nodes but the head; the workers of a node are children of its raylet."""


@contextmanager
def ray_cluster(*cores: int, pinned: bool = False) -> Iterator[Cluster]:
    """Run a head without cores, and one node per number of cores.

    Args:
        cores: Number of cores that each node offers.
        pinned: Restrict each node to as many cores of this machine as it offers, as a container of that size does. Ray
            itself counts cores and restricts no process to them.

    Raises:
        ClusterStartError: If the cluster does not start, or needs more cores than this machine has.
    """
    if pinned and sum(cores) > len(os.sched_getaffinity(0)):
        raise ClusterStartError(f"this machine has {len(os.sched_getaffinity(0))} cores, the nodes need {sum(cores)}")
    command = [sys.executable, "-P", "-m", __name__, *map(str, cores), *(["--pinned"] if pinned else [])]
    with (
        tempfile.TemporaryDirectory(
            prefix="ray-", ignore_cleanup_errors=True
        ) as folder,  # paths of sockets must be short
        child_process(
            command,
            environment={**os.environ, **LOOPBACK, "RAY_TMPDIR": folder},
            log=Path(os.devnull),
            stdin=subprocess.PIPE,  # closed to end the cluster
            stdout=subprocess.PIPE,
            ends_within_s=ENDS_WITHIN_S,
        ) as process,
    ):
        lines = (line.split() for line in process.stdout or ())
        address, *nodes = next((words[1:] for words in lines if words[:1] == ["cluster"]), [""])
        if not address:
            raise ClusterStartError("no Ray cluster started", fix=f"run `python -m {__name__} 1 1` to see its error")
        yield Cluster(address=address, nodes=tuple(map(int, nodes)))


def _serve(cores: Sequence[int], pinned: bool) -> None:
    from ray.cluster_utils import Cluster as Nodes

    small = {"object_store_memory": 100 * 2**20}
    nodes: Any = Nodes(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **small})
    there = os.sched_getaffinity(0)
    free, raylets = sorted(there), []
    for count in cores:
        if pinned:
            os.sched_setaffinity(0, [free.pop(0) for _ in range(count)])  # processes started by this thread inherit it
        raylets.append(nodes.add_node(num_cpus=count, **small).all_processes["raylet"][0].process.pid)
        os.sched_setaffinity(0, there)
    print("cluster", nodes.address, *raylets, flush=True)  # the parent process waits for this line
    sys.stdin.read()
    nodes.shutdown()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cores", type=int, nargs="+")
    parser.add_argument("--pinned", action="store_true")
    given = parser.parse_args()
    _serve(given.cores, given.pinned)
