"""The build on a real Ray cluster: the same bytes as on threads, whatever dies meanwhile, and nothing left behind."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from refsav.benchmarks.speed.ray_cluster import LOOPBACK, ray_cluster
from refsav.datasets.synthetic.scene import SynthConfig
from refsav.datasets.synthetic.write_scenes import write_scenes
from tests.support.command import refsav, start
from tests.support.counted_build import assert_same, finish, quiet, until
from tests.support.faulty_server import FaultyServer, Options, running
from tests.support.ray_processes import descendants, is_alive, kill, kill_node, workers_of
from tests.support.run_content import content, journalled

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]

GONE_WITHIN_S = 150.0
"""Workers end at once; Ray's agents that have just begun look for their head for a minute."""
LATENCY_S = 0.08
AT_ONCE = 2
IN_FLIGHT = 6
"""Over the bundles that are worked on at once: each process has its share of it."""
ON_RAY = "--runner.kind=ray"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made scenes, some thirty objects in five bundles."""
    folder = tmp_path_factory.mktemp("ray") / "source"
    list(write_scenes(folder, SynthConfig(videos=10, height=240, width=320, frames=48)))
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[FaultyServer]:
    with running(Options(latency_s=LATENCY_S)) as server:
        yield server


@pytest.fixture(scope="module")
def expected(
    source: Path, home: Path, prefect: str, server: FaultyServer, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """What a build on threads of one process leaves."""
    run = tmp_path_factory.mktemp("threads") / "run"
    done = refsav(*build(source, run, server.address), home=home, PREFECT_API_URL=prefect)
    assert done.code == 0, done.err
    return content(run)


def build(source: Path, run: Path, address: str, *more: str) -> list[str | Path]:
    options = {"kind": "vllm", "addresses": address, "in_flight_per_server": str(IN_FLIGHT)}
    asked = [f"--{engine}.{key}={value}" for engine in ("vlm", "judge") for key, value in options.items()]
    cut = ["--runner.bundle_videos=2", f"--runner.bundles_at_once={AT_ONCE}", "--shards.videos_per_shard=3"]
    return ["build", source, run, *asked, *cut, "--no-report.preview", *more]


def test_a_worker_killed_in_the_middle_costs_what_was_in_flight_and_leaves_no_trace(
    source: Path, home: Path, prefect: str, server: FaultyServer, expected: dict[str, bytes], tmp_path: Path
) -> None:
    run, before = tmp_path / "run", quiet(server)
    process = start(*build(source, run, server.address, ON_RAY), home=home, PREFECT_API_URL=prefect)
    until(process, lambda: server.paid - before > 20 and bool(workers_of(process.pid)))
    kill(workers_of(process.pid)[0])
    done = finish(process)
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    assert_same(run, expected)
    digests = journalled([run])
    assert len(digests) == len(set(digests))
    assert 0 <= quiet(server) - before - len(digests) <= IN_FLIGHT // AT_ONCE


def test_a_node_killed_in_the_middle_leaves_its_bundle_to_another(
    source: Path, home: Path, prefect: str, server: FaultyServer, expected: dict[str, bytes], tmp_path: Path
) -> None:
    run, before = tmp_path / "run", quiet(server)
    with ray_cluster(1, 1) as cluster:
        arguments = build(source, run, server.address, ON_RAY, f"--runner.address={cluster.address}")
        process = start(*arguments, home=home, PREFECT_API_URL=prefect, **LOOPBACK)
        node = cluster.nodes[0]
        until(process, lambda: server.paid - before > 20 and bool(workers_of(node)))
        kill_node(node)
        done = finish(process)
    assert done.code == 0, done.err
    assert_same(run, expected)
    digests = journalled([run])
    assert len(digests) == len(set(digests))
    assert 0 <= quiet(server) - before - len(digests) <= IN_FLIGHT // AT_ONCE


def test_ctrl_c_ends_the_cluster_and_the_same_command_resumes(
    source: Path, home: Path, prefect: str, server: FaultyServer, expected: dict[str, bytes], tmp_path: Path
) -> None:
    run, before = tmp_path / "run", quiet(server)
    arguments = build(source, run, server.address, ON_RAY)
    process = start(*arguments, home=home, PREFECT_API_URL=prefect)
    until(process, lambda: server.paid - before > 20)
    started = descendants(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    stopped = finish(process)
    assert stopped.code == 130
    assert "stopped; run the same command again to resume" in stopped.err
    assert "Traceback" not in stopped.err
    gone(started)
    done = refsav(*arguments, home=home, PREFECT_API_URL=prefect)
    assert done.code == 0, done.err
    assert_same(run, expected)


def test_a_killed_build_leaves_no_cluster_behind(
    source: Path, home: Path, prefect: str, server: FaultyServer, tmp_path: Path
) -> None:
    before = quiet(server)
    process = start(*build(source, tmp_path / "run", server.address, ON_RAY), home=home, PREFECT_API_URL=prefect)
    until(process, lambda: server.paid - before > 5)
    started = descendants(process.pid)
    assert started
    process.kill()
    process.communicate()
    gone(started)


def test_no_cluster_at_the_address_is_said(
    source: Path, home: Path, prefect: str, server: FaultyServer, tmp_path: Path
) -> None:
    arguments = build(source, tmp_path / "run", server.address, ON_RAY, "--runner.address=127.0.0.1:1")
    done = refsav(*arguments, home=home, PREFECT_API_URL=prefect)
    assert done.code == 1
    assert "Ray on 127.0.0.1:1 cannot be used" in done.err
    assert "Traceback" not in done.err


def gone(processes: list[int]) -> None:
    end = time.monotonic() + GONE_WITHIN_S
    while any(map(is_alive, processes)):
        assert time.monotonic() < end, "what Ray has started still runs"
        time.sleep(0.1)
