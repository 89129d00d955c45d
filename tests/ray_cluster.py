"""A real Ray cluster beside a test: `ray start` once for each node, on 127.0.0.1, and who works on it."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

READY_WITHIN_S = 90.0
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token"}
"""Ray's switch for a cluster that listens on 127.0.0.1 only; no word to its makers; its own token as key."""


@dataclass
class Cluster:
    """Nodes of one machine."""

    address: str
    folder: Path
    """Of the nodes' own files. Its path is short: sockets below it may have 107 characters."""
    nodes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def add(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start a node."""
        line = [Path(sys.executable).with_name("ray"), "start", "--block", "--disable-usage-stats", *arguments]
        with (self.folder / f"node-{len(self.nodes)}.log").open("wb") as log:
            node = subprocess.Popen(
                line,
                env={**os.environ, **LOOPBACK, "RAY_TMPDIR": str(self.folder)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.nodes.append(node)
        return node

    def kill(self, node: "subprocess.Popen[bytes]") -> None:
        """End a node as a power cut does: every process of it at once."""
        for pid in [*descendants(node.pid), node.pid]:
            kill(pid)
        node.wait()


@contextmanager
def ray_cluster(*cores: int) -> Iterator[Cluster]:
    """Run a head without cores for tasks, and a node for each number of cores."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
    small = f"--object-store-memory={100 * 2**20}"
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        cluster = Cluster(f"127.0.0.1:{port}", Path(folder))
        try:
            head = cluster.add("--head", f"--port={port}", "--num-cpus=0", "--include-dashboard=false", small)
            _wait(head, port)
            for count in cores:
                cluster.add(f"--address={cluster.address}", f"--num-cpus={count}", small)
            yield cluster
        finally:
            for node in reversed(cluster.nodes):
                if node.poll() is None:
                    cluster.kill(node)


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


def _wait(head: "subprocess.Popen[bytes]", port: int) -> None:
    end = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < end and head.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise RuntimeError("Ray's head does not answer")
