"""A scheduled build to which things happen: cancelled, fired twice, worker killed, Prefect's server restarted."""

import json
import time
from collections.abc import Iterator

import pytest

from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.synthetic.scene import SynthConfig
from refsav.datasets.synthetic.write_scenes import write_scenes
from tests.support.faulty_server import FaultyServer, Options, running
from tests.support.prefect_service import Running, kill, service, until

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]

IN_FLIGHT = 4
LATENCY_S = 0.4


@pytest.fixture(scope="module")
def models() -> Iterator[FaultyServer]:
    with running(Options(latency_s=LATENCY_S)) as server:
        yield server


@pytest.fixture(scope="module")
def built_by(models: FaultyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("service")
    engine = {"kind": "vllm", "addresses": [models.address], "in_flight_per_server": IN_FLIGHT}
    config = {
        "vlm": engine,
        "judge": engine,
        "views": {"longest_side_px": 160, "frames": 4},
        "report": {"preview": False},
        "runner": {"bundle_videos": 4},
    }
    deployment = {"parameters": {"source": "videos", "run": "run", "config": config}}
    with service(folder, deployment) as running_service:
        yield running_service


@pytest.fixture
def run(built_by: Running, request: pytest.FixtureRequest) -> RunDirectory:
    """A new run of some forty objects, named for the test."""
    source = built_by.folder / "videos"
    if not source.exists():
        list(write_scenes(source, SynthConfig(videos=12, height=120, width=160, frames=16)))
    link = built_by.folder / "run"
    folder = built_by.folder / request.node.name
    folder.mkdir()
    link.unlink(missing_ok=True)
    link.symlink_to(folder)
    return RunDirectory(folder)


def paid_in(run: RunDirectory) -> list[str]:
    """Digests of the requests whose replies are on disk."""
    lines = [line for path in run.journal.glob("*") for line in path.read_bytes().splitlines(True)]
    return [json.loads(line)["digest"] for line in lines if line.endswith(b"\n")]


def half_way(built_by: Running, models: FaultyServer, before: int) -> str:
    """Fire, and wait until objects are being described."""
    fired = built_by.fire()
    until(lambda: models.paid >= before + 20, 90)
    return fired


def check_whole(run: RunDirectory, models: FaultyServer, before: int, cut_off: int = 1) -> None:
    """Every object is there, and no reply was paid twice but those that a kill met in flight."""
    statistics = json.loads(run.stats.read_text())
    assert statistics["failed"] == 0
    assert statistics["objects_read"] == statistics["expressions"] + statistics["dropped"] > 20
    digests = paid_in(run)
    assert len(digests) == len(set(digests))
    assert models.paid - before - len(digests) <= cut_off * 2 * IN_FLIGHT
    assert [json.loads(path.read_text())["samples"] for path in run.shards.glob("*/index.json")]


def test_a_second_firing_ends_at_once_and_a_cancelled_one_stops_its_requests_and_is_resumed(
    built_by: Running, models: FaultyServer, run: RunDirectory
) -> None:
    before = models.paid
    first = half_way(built_by, models, before)
    second = built_by.ended(built_by.fire(), 30)
    assert (second["state"]["type"], second["state"]["message"]) == (
        "CANCELLED",
        "Deployment concurrency limit reached.",
    )
    assert built_by.run(first)["state"]["type"] == "RUNNING"

    built_by.ask(f"flow_runs/{first}/set_state", state={"type": "CANCELLING"}, force=True)
    assert built_by.ended(first, 60)["state"]["type"] == "CANCELLED"
    paid = models.paid
    time.sleep(5 * LATENCY_S)
    assert models.paid == paid, "nobody asks any more"
    assert len(paid_in(run)) < 100

    assert built_by.ended(built_by.fire())["state"]["name"] == "Completed"
    check_whole(run, models, before)


def test_a_killed_worker_costs_what_was_in_flight(built_by: Running, models: FaultyServer, run: RunDirectory) -> None:
    before = models.paid
    dead = half_way(built_by, models, before)
    server, worker = built_by.process("server"), built_by.process("worker")
    kill(worker)
    again = built_by.up(PREFECT_WORKER_QUERY_SECONDS="2")
    assert (again.code, "starting a worker" in again.err) == (0, True), again.err
    assert built_by.process("server") == server
    assert built_by.process("worker") != worker

    assert "marking 1 run as crashed, which died with the worker" in again.err
    assert built_by.run(dead)["state"]["type"] == "CRASHED", "so its place is free"
    assert built_by.ended(built_by.fire())["state"]["name"] == "Completed"
    check_whole(run, models, before)


def test_a_worker_that_is_killed_alone_costs_nothing_whether_its_build_ends_with_it_or_continues(
    built_by: Running, models: FaultyServer, run: RunDirectory
) -> None:
    before = models.paid
    orphan = half_way(built_by, models, before)
    built_by.process("worker").kill()
    assert built_by.up(PREFECT_WORKER_QUERY_SECONDS="2").code == 0
    ended = built_by.ended(orphan)["state"]["type"]
    assert ended in ("CRASHED", "COMPLETED"), "what it writes to its worker's log may end it"
    after = built_by.ended(built_by.fire())["state"]["name"]
    assert after == ("Completed" if ended == "CRASHED" else "NothingNew")
    check_whole(run, models, before)


def test_a_server_that_is_restarted_loses_nothing(built_by: Running, models: FaultyServer, run: RunDirectory) -> None:
    before = models.paid
    fired = half_way(built_by, models, before)
    worker = built_by.process("worker")
    kill(built_by.process("server"))
    again = built_by.up()
    assert (again.code, "starting Prefect's server" in again.err) == (0, True), again.err
    assert built_by.process("worker") == worker, "the build goes on"
    assert built_by.ended(fired, 200)["state"]["name"] == "Completed"
    check_whole(run, models, before, cut_off=0)
