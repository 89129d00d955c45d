"""A run that is kept in a bucket, against a real S3 server: same bytes, gone on with elsewhere, held by one builder."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir

import pytest

from refsav.datasets.run.lease import ENDS_AFTER_S, LEASES_FOLDER
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.synthetic.scene import SynthConfig
from refsav.datasets.synthetic.write_scenes import write_scenes
from tests.support.command import refsav, start
from tests.support.counted_build import assert_same, finish, quiet, until
from tests.support.faulty_server import FaultyServer, Options, running
from tests.support.ray_processes import kill, workers_of
from tests.support.run_content import content, journalled
from tests.support.s3_server import BUCKET, S3Server, s3_server
from tests.support.small_disk import small_disk

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]

LATENCY_S = 0.5
AT_ONCE = 2
IN_FLIGHT = 6
ON_RAY = "--runner.kind=ray"
LOST_AT_MOST = 100
"""Replies of some seconds, at this latency and with so many in flight."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Builder:
    """Builds from one source into the bucket of one S3 server, into the folder that it is given."""

    source: Path
    home: Path
    models: FaultyServer
    s3: S3Server
    environment: dict[str, str]

    @property
    def stored(self) -> Path:
        """The run as it lies in the bucket."""
        return self.s3.bucket / "ref-sav"

    @property
    def claims(self) -> list[Path]:
        return list((self.stored / LEASES_FOLDER).rglob("*.json"))

    def start(self, run: Path, *more: str) -> "subprocess.Popen[str]":
        return start(*build(self.source, run, self.models.address, *more), home=self.home, **self.environment)

    def finish(self, run: Path, *more: str) -> None:
        done = refsav(*build(self.source, run, self.models.address, *more), home=self.home, **self.environment)
        assert done.code == 0, done.err

    def refused(self, run: Path, *more: str, **changed: str) -> str:
        """What a build says that does not come through."""
        line = build(self.source, run, self.models.address, *more)
        done = refsav(*line, home=self.home, **{**self.environment, **changed})
        assert done.code == 1
        assert "Traceback" not in done.err
        return done.err


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
def builder(source: Path, home: Path, prefect: str, models: FaultyServer, tmp_path: Path) -> Iterator[Builder]:
    with s3_server(tmp_path / "s3") as s3:
        environment = {**s3.environment, "PREFECT_API_URL": prefect}
        yield Builder(source=source, home=home, models=models, s3=s3, environment=environment)


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


def whole(run: Path) -> dict[str, bytes]:
    """All of a run but what belongs to its folder."""
    own = {".lock", ".state/stored.json", ".state/part-digests.json"}
    files = {path.relative_to(run).as_posix(): path for path in run.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name not in own}


def test_the_same_bytes_here_and_in_the_bucket_and_another_machine_has_nothing_to_pay(
    builder: Builder, expected: dict[str, bytes], tmp_path: Path
) -> None:
    run, elsewhere = tmp_path / "machine-1/run", tmp_path / "machine-2/run"
    builder.finish(run)
    assert_same(run, expected)
    assert whole(builder.stored) == whole(run)
    assert builder.claims == []

    paid = quiet(builder.models)
    builder.finish(elsewhere)
    assert quiet(builder.models) == paid
    assert whole(elsewhere) == whole(builder.stored)


def test_a_build_killed_on_one_machine_resumes_on_another_that_has_nothing_but_the_bucket(
    builder: Builder, expected: dict[str, bytes], tmp_path: Path
) -> None:
    before = quiet(builder.models)
    process = builder.start(tmp_path / "machine-1/run")
    until(process, lambda: builder.models.paid - before > 40 and len(journalled([builder.stored])) > 20)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    lost = quiet(builder.models) - before - len(journalled([builder.stored]))
    assert 0 <= lost <= LOST_AT_MOST

    run = tmp_path / "machine-2/run"
    builder.finish(run)
    assert_same(run, expected)
    digests = journalled([run])
    assert len(digests) == len(set(digests)) == quiet(builder.models) - before - lost


def test_a_worker_of_ray_killed_and_then_the_build_with_it_costs_seconds_and_leaves_no_trace(
    builder: Builder, expected: dict[str, bytes], tmp_path: Path
) -> None:
    before, run = quiet(builder.models), tmp_path / "machine-1/run"
    process = builder.start(run, ON_RAY)
    until(process, lambda: len(journalled([builder.stored])) > 10 and bool(workers_of(process.pid)))
    assert not (run / "journal").exists(), "workers have folders of their own"
    kill(workers_of(process.pid)[0])
    until(process, lambda: len(list((builder.stored / "failed").glob("*.parquet"))) >= 2)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    lost = quiet(builder.models) - before - len(journalled([builder.stored]))
    assert 0 <= lost <= 2 * LOST_AT_MOST

    elsewhere = tmp_path / "machine-2/run"
    builder.finish(elsewhere, ON_RAY)
    assert_same(elsewhere, expected)
    digests = journalled([elsewhere])
    assert len(digests) == len(set(digests))
    assert whole(elsewhere) == whole(builder.stored)
    assert builder.claims == []


def test_workers_of_ray_whose_own_disk_is_full_end_the_build_with_one_line_and_it_resumes_with_more_room(
    builder: Builder, expected: dict[str, bytes], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with small_disk(tmp_path / "disk", "48k") as disk:
        reported = builder.refused(run, ON_RAY, TMPDIR=str(disk.folder), RAY_TMPDIR=gettempdir())
        assert "No space left on device" in reported
        assert "fix: free space" in reported
        disk.grow("200m")
        builder.finish(run, ON_RAY)
    assert_same(run, expected)


def test_a_second_builder_is_refused_by_name_and_a_dead_one_of_another_machine_is_not_waited_for_for_ever(
    builder: Builder, tmp_path: Path
) -> None:
    before, elsewhere = quiet(builder.models), tmp_path / "machine-2/run"
    process = builder.start(tmp_path / "machine-1/run")
    try:
        until(process, lambda: builder.models.paid > before)
        second = builder.refused(elsewhere)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert f"s3://{BUCKET}/ref-sav: process {process.pid} on {os.uname().nodename} is working on this run" in second

    (claim,) = (path for path in builder.claims if path.parent.name == "run")
    holder = json.loads(claim.read_text())
    claim.write_text(json.dumps({**holder, "host": "far", "machine": "another"}))
    assert f"process {process.pid} on far is working on this run" in builder.refused(elsewhere)
    then = time.time() - ENDS_AFTER_S
    os.utime(claim, (then, then))
    builder.finish(elsewhere)
    assert not claim.exists()


def test_a_storage_that_cannot_be_used_is_said_before_any_work(builder: Builder, tmp_path: Path) -> None:
    run, before = tmp_path / "run", quiet(builder.models)
    assert "s3://none/run: does not exist" in builder.refused(run, "--runner.storage=s3://none/run")
    assert f"s3://{BUCKET}/ref-sav: access is denied" in builder.refused(run, AWS_ACCESS_KEY_ID="stranger")
    builder.s3.end()
    down = builder.refused(run)
    assert f"s3://{BUCKET}/ref-sav: cannot be reached: EndpointConnectionError" in down
    assert "\n  fix: check that the storage is running" in down
    assert quiet(builder.models) == before
    assert not RunDirectory(run).bundles.exists()


def test_a_storage_that_ends_in_the_middle_ends_the_build_and_the_next_resumes(
    builder: Builder, expected: dict[str, bytes], tmp_path: Path
) -> None:
    before, run = quiet(builder.models), tmp_path / "run"
    process = builder.start(run)
    until(process, lambda: builder.models.paid - before > 40)
    builder.s3.end()
    stopped = finish(process)
    assert stopped.code == 1
    assert f"s3://{BUCKET}/ref-sav/" in stopped.err
    assert "cannot be reached" in stopped.err
    assert "Traceback" not in stopped.err

    builder.s3.start()
    builder.finish(run)
    assert_same(run, expected)
    assert whole(run) == whole(builder.stored)
    digests = journalled([run])
    assert len(digests) == len(set(digests))
    assert quiet(builder.models) - before - len(digests) <= IN_FLIGHT
