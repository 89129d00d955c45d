"""A run that is kept in a bucket, against a real S3 server: same bytes, gone on with elsewhere, held by one builder."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from refsav.datasets.lease import ENDS_AFTER_S, FOLDER
from refsav.datasets.run import RunDirectory
from refsav.datasets.synthetic import write_scenes
from refsav.datasets.synthetic_scene import SynthConfig
from tests.command import refsav, start
from tests.counted_build import assert_same, finish, quiet, until
from tests.faulty_server import FaultyServer, Options, running
from tests.ray_cluster import kill, workers_of
from tests.run_content import content, journalled
from tests.s3_server import BUCKET, S3Server, s3_server

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]

LATENCY_S = 0.5
AT_ONCE = 2
IN_FLIGHT = 6
LOST_AT_MOST = 100
"""Replies of some seconds, at this latency and with so many in flight."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made scenes, some thirty objects in five bundles."""
    folder = tmp_path_factory.mktemp("storage") / "source"
    list(write_scenes(folder, SynthConfig(videos=10, height=120, width=160, frames=24)))
    return folder


@pytest.fixture(scope="module")
def models() -> Iterator[FaultyServer]:
    with running(Options(latency_s=LATENCY_S)) as server:
        yield server


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[S3Server]:
    with s3_server(tmp_path / "s3") as server:
        yield server


@pytest.fixture
def environment(s3: S3Server, prefect: str) -> dict[str, str]:
    return {**s3.environment, "PREFECT_API_URL": prefect}


@pytest.fixture(scope="module")
def expected(
    source: Path, home: Path, prefect: str, models: FaultyServer, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """What a build leaves that is kept nowhere else."""
    run = tmp_path_factory.mktemp("plain") / "run"
    done = refsav(*build(source, run, models.address, "--runner.storage="), home=home, PREFECT_API_URL=prefect)
    assert done.code == 0, done.err
    return content(run)


def build(source: Path, run: Path, address: str, *more: str) -> list[str | Path]:
    options = {"kind": "vllm", "addresses": address, "in_flight_per_server": str(IN_FLIGHT)}
    asked = [f"--{engine}.{key}={value}" for engine in ("vlm", "judge") for key, value in options.items()]
    cut = ["--runner.bundle_videos=2", f"--runner.bundles_at_once={AT_ONCE}", "--shards.videos_per_shard=3"]
    kept = f"--runner.storage=s3://{BUCKET}/ref-sav"
    return ["build", source, run, *asked, *cut, kept, "--no-report.preview", *more]


def stored(s3: S3Server) -> Path:
    """The run as it lies in the bucket."""
    return s3.bucket / "ref-sav"


def claims(s3: S3Server) -> list[Path]:
    return list((stored(s3) / FOLDER).rglob("*.json"))


def whole(run: Path) -> dict[str, bytes]:
    """All of a run but what belongs to its folder."""
    own = {".lock", ".state/stored.json", ".state/part-digests.json"}
    files = {path.relative_to(run).as_posix(): path for path in run.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name not in own}


def test_the_same_bytes_here_and_in_the_bucket_and_another_machine_has_nothing_to_pay(
    source: Path,
    home: Path,
    models: FaultyServer,
    s3: S3Server,
    environment: dict[str, str],
    expected: dict[str, bytes],
    tmp_path: Path,
) -> None:
    run, elsewhere = tmp_path / "machine-1/run", tmp_path / "machine-2/run"
    done = refsav(*build(source, run, models.address), home=home, **environment)
    assert done.code == 0, done.err
    assert_same(run, expected)
    assert whole(stored(s3)) == whole(run)
    assert claims(s3) == []

    paid = quiet(models)
    again = refsav(*build(source, elsewhere, models.address), home=home, **environment)
    assert again.code == 0, again.err
    assert quiet(models) == paid
    assert whole(elsewhere) == whole(stored(s3))


def test_a_build_killed_on_one_machine_goes_on_on_another_that_has_nothing_but_the_bucket(
    source: Path,
    home: Path,
    models: FaultyServer,
    s3: S3Server,
    environment: dict[str, str],
    expected: dict[str, bytes],
    tmp_path: Path,
) -> None:
    before = quiet(models)
    process = start(*build(source, tmp_path / "machine-1/run", models.address), home=home, **environment)
    until(process, lambda: models.paid - before > 40 and len(journalled([stored(s3)])) > 20)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    lost = quiet(models) - before - len(journalled([stored(s3)]))
    assert 0 <= lost <= LOST_AT_MOST

    run = tmp_path / "machine-2/run"
    done = refsav(*build(source, run, models.address), home=home, **environment)
    assert done.code == 0, done.err
    assert_same(run, expected)
    digests = journalled([run])
    assert len(digests) == len(set(digests)) == quiet(models) - before - lost


def test_a_worker_of_ray_killed_and_then_the_build_with_it_costs_seconds_and_leaves_no_trace(
    source: Path,
    home: Path,
    models: FaultyServer,
    s3: S3Server,
    environment: dict[str, str],
    expected: dict[str, bytes],
    tmp_path: Path,
) -> None:
    before, run = quiet(models), tmp_path / "machine-1/run"
    arguments = build(source, run, models.address, "--runner.kind=ray")
    process = start(*arguments, home=home, **environment)
    until(process, lambda: len(journalled([stored(s3)])) > 10 and bool(workers_of(process.pid)))
    assert not (run / "journal").exists(), "workers have folders of their own"
    kill(workers_of(process.pid)[0])
    until(process, lambda: len(list((stored(s3) / "failed").glob("*.parquet"))) >= 2)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    lost = quiet(models) - before - len(journalled([stored(s3)]))
    assert 0 <= lost <= 2 * LOST_AT_MOST

    elsewhere = tmp_path / "machine-2/run"
    done = refsav(*build(source, elsewhere, models.address, "--runner.kind=ray"), home=home, **environment)
    assert done.code == 0, done.err
    assert_same(elsewhere, expected)
    digests = journalled([elsewhere])
    assert len(digests) == len(set(digests))
    assert whole(elsewhere) == whole(stored(s3))
    assert claims(s3) == []


def test_a_second_builder_is_refused_by_name_and_a_dead_one_of_another_machine_is_not_waited_for_for_ever(
    source: Path, home: Path, models: FaultyServer, s3: S3Server, environment: dict[str, str], tmp_path: Path
) -> None:
    before = quiet(models)
    process = start(*build(source, tmp_path / "machine-1/run", models.address), home=home, **environment)
    try:
        until(process, lambda: models.paid > before)
        second = refsav(*build(source, tmp_path / "machine-2/run", models.address), home=home, **environment)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert second.code == 1
    told = f"s3://{BUCKET}/ref-sav: process {process.pid} on {os.uname().nodename} is working on this run"
    assert told in second.err
    assert "Traceback" not in second.err

    (claim,) = (path for path in claims(s3) if path.parent.name == "run")
    holder = json.loads(claim.read_text())
    claim.write_text(json.dumps({**holder, "host": "far", "machine": "another"}))
    refused = refsav(*build(source, tmp_path / "machine-2/run", models.address), home=home, **environment)
    assert refused.code == 1
    assert f"process {process.pid} on far is working on this run" in refused.err
    then = time.time() - ENDS_AFTER_S
    os.utime(claim, (then, then))
    done = refsav(*build(source, tmp_path / "machine-2/run", models.address), home=home, **environment)
    assert done.code == 0, done.err
    assert not claim.exists()


def test_a_storage_that_cannot_be_used_is_said_before_any_work(
    source: Path, home: Path, models: FaultyServer, s3: S3Server, environment: dict[str, str], tmp_path: Path
) -> None:
    run, before = tmp_path / "run", quiet(models)

    def refused(*more: str, **changed: str) -> str:
        done = refsav(*build(source, run, models.address, *more), home=home, **{**environment, **changed})
        assert done.code == 1
        assert "Traceback" not in done.err
        return done.err

    assert "s3://none/run: is not there" in refused("--runner.storage=s3://none/run")
    assert f"s3://{BUCKET}/ref-sav: access is refused" in refused(AWS_ACCESS_KEY_ID="stranger")
    s3.end()
    down = refused()
    assert f"s3://{BUCKET}/ref-sav: cannot be reached: EndpointConnectionError" in down
    assert "\n  fix: see that the storage runs" in down
    assert quiet(models) == before
    assert not RunDirectory(run).bundles.exists()


def test_a_storage_that_ends_in_the_middle_ends_the_build_and_the_next_goes_on(
    source: Path,
    home: Path,
    models: FaultyServer,
    s3: S3Server,
    environment: dict[str, str],
    expected: dict[str, bytes],
    tmp_path: Path,
) -> None:
    before, run = quiet(models), tmp_path / "run"
    process = start(*build(source, run, models.address), home=home, **environment)
    until(process, lambda: models.paid - before > 40)
    s3.end()
    stopped = finish(process)
    assert stopped.code == 1
    assert f"s3://{BUCKET}/ref-sav/" in stopped.err
    assert "cannot be reached" in stopped.err
    assert "Traceback" not in stopped.err

    s3.start()
    done = refsav(*build(source, run, models.address), home=home, **environment)
    assert done.code == 0, done.err
    assert_same(run, expected)
    assert whole(run) == whole(stored(s3))
    digests = journalled([run])
    assert len(digests) == len(set(digests))
    assert quiet(models) - before - len(digests) <= IN_FLIGHT
