"""SIGKILL at twenty random moments, resumed each time: the same bytes as a build that nothing happened to.

The command runs as a user runs it, against a server that counts what is paid. The moments are seeded and spread over
all that a build does: two while it starts, ten while objects are described (after a random number of replies), three
while shards are written (after a random number of them), five at any time up to the end, most of it the gallery. Two
builds start Prefect's embedded server, the others use one that stays.
"""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.synthetic.scene import SynthConfig
from refsav.datasets.synthetic.write_scenes import write_scenes
from tests.support.command import start
from tests.support.faulty_server import FaultyServer, Options, running
from tests.support.prefect_server import prefect_server
from tests.support.run_content import content, journalled

pytestmark = [pytest.mark.services, pytest.mark.timeout(1500)]
CopyClips = Callable[..., Path]

EARLY, DESCRIBING, SHARDING, LATE = 2, 10, 3, 5
"""How many of the twenty kills fall into each part of a build."""
EMBEDDED = (4, 13)
"""Builds (by number) that start Prefect's own server."""
LATENCY_S = 0.08
IN_FLIGHT = 6
"""Over both bundles that are worked on at a time, and over VLM and judge, which are one server here."""


@dataclass
class Lives:
    """What the kills have met."""

    phases: list[str] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    """Replies paid for that the journal does not hold, per kill."""
    runs: list[Path] = field(default_factory=list)
    """The run that is built, killed and resumed, and a new one for each that was done too soon."""


@pytest.fixture(scope="module")
def source(copy_clips: CopyClips, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real clips and made scenes, some sixty objects."""
    folder = tmp_path_factory.mktemp("kill") / "source"
    list(write_scenes(folder, SynthConfig(videos=14, height=240, width=320, frames=48)))
    copy_clips(folder / "real", "sav_000001_head", "vos_000001", "vos_000002")
    return folder


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prefect_server(tmp_path_factory.mktemp("prefect")) as address:
        yield address


def build(source: Path, run: Path, server: FaultyServer, home: Path, prefect: str) -> "subprocess.Popen[str]":
    options = {"kind": "vllm", "addresses": server.address, "in_flight_per_server": str(IN_FLIGHT)}
    arguments = [f"--{engine}.{key}={value}" for engine in ("vlm", "judge") for key, value in options.items()]
    arguments += [
        "--runner.bundle_videos=3",
        "--runner.bundles_at_once=2",
        "--shards.videos_per_shard=3",
    ]
    arguments += ["--views.longest_side_px=480"]
    environment = {"PREFECT_API_URL": prefect} if prefect else {}
    return start("build", source, run, *arguments, home=home, **environment)


def paid_when_quiet(server: FaultyServer) -> int:
    """Good answers sent, once the requests of a killed build have run out."""
    while server.in_flight:
        time.sleep(0.02)
    return server.paid


def tars(run: RunDirectory) -> list[Path]:
    return list(run.shards.rglob("*.tar"))


def phase(run: RunDirectory) -> str:
    """How far a build has come, from what is on disk."""
    planned, done = len(list(run.bundles.glob("*.json"))), len(list(run.failed.glob("*.parquet")))
    if not planned:
        return "not planned"
    if done < planned:
        return "annotating" if done or list(run.journal.glob("*")) else "planned"
    if not (run.exports / "Ref-SAV.json").exists():
        return "sharding"
    return "exporting" if not run.report.exists() else "gallery and report"


def wait_for_work(process: "subprocess.Popen[str]", run: RunDirectory, since_ns: int) -> None:
    """Wait until a build has kept its settings: what it does next is work."""
    wait(process, lambda: run.settings.exists() and run.settings.stat().st_mtime_ns > since_ns)


def wait(process: "subprocess.Popen[str]", until: Callable[[], bool]) -> None:
    while process.poll() is None and not until():
        time.sleep(0.01)


def test_twenty_kills_leave_no_trace(source: Path, prefect: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with running(Options(latency_s=LATENCY_S)) as calm:
        undisturbed = RunDirectory(tmp_path / "undisturbed")
        process = build(source, undisturbed.root, calm, home, prefect)
        _, err = process.communicate(timeout=600)
        late_s = time.time() - max(part.stat().st_mtime for part in undisturbed.failed.iterdir())
        assert process.returncode == 0, err
        paid_undisturbed = calm.paid
    expected = content(undisturbed.root)
    assert paid_undisturbed == len(journalled([undisturbed.root])) > 200

    dice = random.Random(20)  # the seed of this test's moments
    early_s = [dice.uniform(0.1, 4.0) for _ in range(EARLY)]
    replies = sorted(dice.sample(range(paid_undisturbed), DESCRIBING))
    shards = sorted(dice.sample(range(1, len(tars(undisturbed))), SHARDING))
    lives = Lives(runs=[tmp_path / "run-0"])
    with running(Options(latency_s=LATENCY_S)) as server:

        def moment(process: "subprocess.Popen[str]", run: RunDirectory, kill: int, since_ns: int) -> None:
            """Wait for the moment of a kill, or for the end of the process if that comes first."""
            if kill < EARLY:
                time.sleep(early_s[kill])
            elif kill < EARLY + DESCRIBING:
                wait(process, lambda: server.paid >= replies[kill - EARLY])
            elif kill < EARLY + DESCRIBING + SHARDING:
                wait(process, lambda: len(tars(run)) >= shards[kill - EARLY - DESCRIBING])
            elif kill == EARLY + DESCRIBING + SHARDING:
                wait(process, run.report.exists)  # the last phase, however fast this machine is just now
            else:
                wait_for_work(process, run, since_ns)
                end = time.monotonic() + dice.uniform(0, 0.8 * late_s)
                wait(process, lambda: time.monotonic() > end)

        unjournalled = 0
        for kill in range(EARLY + DESCRIBING + SHARDING + LATE):
            while True:
                run, since_ns = RunDirectory(lives.runs[-1]), time.time_ns()
                process = build(source, run.root, server, home, "" if kill in EMBEDDED else prefect)
                moment(process, run, kill, since_ns)
                if process.poll() is None:
                    break
                _, err = process.communicate()  # it was done before its moment came: the rest hits a new one
                assert process.returncode == 0, err
                lives.runs.append(tmp_path / f"run-{len(lives.runs)}")
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            lives.phases.append(phase(run))
            now = paid_when_quiet(server) - len(journalled(lives.runs))
            lives.lost.append(now - unjournalled)
            unjournalled = now
        process = build(source, lives.runs[-1], server, home, prefect)
        _, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
        paid = paid_when_quiet(server)

    print(f"{paid_undisturbed} requests; phases {lives.phases}; lost {lives.lost}; {len(lives.runs)} runs")
    assert "Traceback" not in err
    for root in lives.runs:
        after = content(root)
        assert after.keys() == expected.keys()
        assert [name for name in expected if after[name] != expected[name]] == []
        digests = journalled([root])
        assert len(digests) == len(set(digests)) == paid_undisturbed
        assert list(root.rglob("*.part")) == []
    assert all(0 <= lost <= IN_FLIGHT for lost in lives.lost)
    assert paid == len(lives.runs) * paid_undisturbed + sum(lives.lost)
    assert {"annotating", "sharding", "gallery and report"} <= set(lives.phases)
