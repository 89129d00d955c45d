"""A Ray cluster of several nodes on this machine, all of it on 127.0.0.1, for as long as it is wanted.

As a process that ends with its input, for a head and two nodes of one core:
    python -m refsav.benchmarks.speed.ray_cluster 1 1
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psutil

from refsav.errors import RefSavError

LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token"}
"""Ray's switch for a cluster that listens on 127.0.0.1 only; no word to its makers; its own token as key."""
ENDS_WITHIN_S = 60.0


class ClusterStartError(RefSavError):
    """The cluster did not come up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """A cluster that runs. Whoever uses it needs LOOPBACK in the environment."""

    address: str
    nodes: tuple[int, ...]
    """Process ids of the raylets of all nodes but the head; a node's workers are below its raylet."""


@contextmanager
def ray_cluster(*cores: int, pinned: bool = False) -> Iterator[Cluster]:
    """Run a head without cores, and a node for each number of cores.

    Args:
        cores: How many cores a node offers.
        pinned: Keep each node to as many cores of this machine as it offers, as a container of that size does. Ray
            itself counts cores and keeps nobody to them.

    Raises:
        ClusterStartError: If it does not come up, or has more cores than this machine.
    """
    if pinned and sum(cores) > len(os.sched_getaffinity(0)):
        raise ClusterStartError(
            f"this machine has {len(os.sched_getaffinity(0))} cores, not the {sum(cores)} of the nodes"
        )
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:  # sockets' paths are short
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, *map(str, cores), *(["--pinned"] if pinned else [])],
            env={**os.environ, **LOOPBACK, "RAY_TMPDIR": folder},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        try:
            lines = (line.split() for line in process.stdout or ())
            address, *nodes = next((words[1:] for words in lines if words[:1] == ["cluster"]), [""])
            if not address:
                raise ClusterStartError(f"no Ray cluster came up\n  fix: see what `python -m {__name__} 1 1` says")
            yield Cluster(address=address, nodes=tuple(map(int, nodes)))
        finally:
            _end(process)


def _end(process: "subprocess.Popen[str]") -> None:
    everybody: list[psutil.Process | subprocess.Popen[str]] = [process]
    with suppress(psutil.Error):
        everybody += psutil.Process(process.pid).children(recursive=True)
    if process.stdin:
        process.stdin.close()  # its sign
    with suppress(subprocess.TimeoutExpired):
        process.wait(ENDS_WITHIN_S)
    for left in everybody:
        with suppress(psutil.Error):
            left.kill()
    process.wait()
    if process.stdout:
        process.stdout.close()


def _serve(cores: Sequence[int], pinned: bool) -> None:
    from ray.cluster_utils import Cluster as Nodes

    small = {"object_store_memory": 100 * 2**20}
    nodes: Any = Nodes(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **small})
    there = os.sched_getaffinity(0)
    free, raylets = sorted(there), []
    for count in cores:
        if pinned:
            os.sched_setaffinity(0, [free.pop(0) for _ in range(count)])  # what a thread starts, inherits it
        raylets.append(nodes.add_node(num_cpus=count, **small).all_processes["raylet"][0].process.pid)
        os.sched_setaffinity(0, there)
    print("cluster", nodes.address, *raylets, flush=True)  # what the parent waits for
    sys.stdin.read()
    nodes.shutdown()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cores", type=int, nargs="+")
    parser.add_argument("--pinned", action="store_true")
    given = parser.parse_args()
    _serve(given.cores, given.pinned)
