"""Whole builds where things fail: servers in every way they do, a server that is gone for a while, a full disk."""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from refsav.annotators.engines.journal import read_entries
from refsav.datasets.run.parts import read_dropped, read_expressions, read_failed
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.statistics.problems import read_problems
from refsav.datasets.synthetic.scene import SynthConfig
from refsav.datasets.synthetic.write_scenes import write_scenes
from tests.support.command import refsav, start
from tests.support.faulty_server import FINAL_FAULT, PASSING_FAULTS, Options, running
from tests.support.prefect_server import prefect_server
from tests.support.small_disk import small_disk

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]
CopyClips = Callable[..., Path]
KEY = "sk-do-not-tell-1234"
QUICK = ("--views.longest_side_px=320", "--views.frames=4", "--runner.bundle_videos=8")
ENGINES = ("vlm", "judge")


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prefect_server(tmp_path_factory.mktemp("prefect")) as address:
        yield address


@pytest.fixture(scope="module")
def source(copy_clips: CopyClips, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real clips and made scenes: some two hundred objects, enough requests for every fault to come at one in ten."""
    folder = tmp_path_factory.mktemp("faults") / "source"
    list(write_scenes(folder, SynthConfig(videos=48, height=160, width=240, frames=32)))
    copy_clips(folder / "real", "sav_000001_head", "vos_000001", "vos_000002")
    return folder


def asking(address: str, **keys: object) -> list[str]:
    options = {"kind": "vllm", "addresses": address, "backoff_s": 0.02, "backoff_max_s": 0.2, **keys}
    return [*QUICK, *(f"--{engine}.{key}={value}" for engine in ENGINES for key, value in options.items())]


def words(run: RunDirectory) -> dict[str, bytes]:
    folders = (run.expressions, run.dropped, run.failed)
    return {f"{f.name}/{path.name}": path.read_bytes() for f in folders for path in sorted(f.glob("*.parquet"))}


def counts(out: str) -> tuple[int, ...]:
    found = re.search(r"^(\d+) objects = (\d+) expressions \+ (\d+) dropped \+ (\d+) failed$", out, re.MULTILINE)
    assert found, out
    return tuple(map(int, found.groups()))


def test_ten_percent_of_every_fault_lose_no_object_and_a_retry_ends_with_none_failed(
    source: Path, prefect: str, tmp_path: Path
) -> None:
    run, undisturbed = RunDirectory(tmp_path / "run"), RunDirectory(tmp_path / "undisturbed")
    environment = {"PREFECT_API_URL": prefect, "REFSAV_API_KEY": KEY}
    faulty = Options(rate=0.1, slow_s=3.0, api_key=KEY, seed=5)
    with running(faulty) as server:
        built = refsav(
            "build", source, run.root, *asking(server.address, timeout_s=2.0, tries=2), home=tmp_path, **environment
        )
    assert built.code == 0, built.err
    read, expressions, dropped, failed = counts(built.out)
    assert read == expressions + dropped + failed > 100
    assert (expressions, dropped, failed) == (
        sum(1 for _ in read_expressions(run)),
        sum(1 for _ in read_dropped(run)),
        sum(1 for _ in read_failed(run)),
    )
    assert set(server.faults) == {*PASSING_FAULTS, FINAL_FAULT}
    assert 0.05 < server.faults.total() / sum(server.seen.values()) < 0.15
    assert failed > 0
    assert all(line.count("; fix: ") == 1 for line in read_problems(run))
    assert any("maximum context length" in line for line in read_problems(run))

    before = sum(1 for path in run.journal.glob("*") for _ in read_entries(path))
    port = int(server.address.split(":")[2].split("/")[0])
    with running(Options(port=port, api_key=KEY)) as well:
        retried = refsav("retry", run.root, home=tmp_path, **environment)
        alone = refsav("build", source, undisturbed.root, *asking(well.address), home=tmp_path, **environment)
    assert (retried.code, alone.code) == (0, 0), retried.err + alone.err
    assert f"retrying {failed} failed objects" in retried.err
    assert counts(retried.out) == counts(alone.out)
    assert counts(retried.out)[3] == 0
    assert not run.problems.exists()
    assert words(run) == words(undisturbed)
    assert sum(1 for path in run.journal.glob("*") for _ in read_entries(path)) > before
    shown = built.out + built.err + retried.out + retried.err
    written = [path for path in run.root.rglob("*") if path.is_file()]
    assert KEY not in shown
    assert [path for path in written if KEY.encode() in path.read_bytes()] == []


def test_a_server_that_comes_back_is_waited_for(source: Path, prefect: str, tmp_path: Path) -> None:
    """Prefect tries a bundle again after some twenty seconds: nothing is lost and nobody has to do anything."""
    run = RunDirectory(tmp_path / "run")
    with running(Options(latency_s=0.1)) as server:
        process = start(
            "build",
            source,
            run.root,
            *asking(server.address, tries=2, timeout_s=5.0, give_up_after=3),
            home=tmp_path,
            PREFECT_API_URL=prefect,
        )
        while server.paid < 40 and process.poll() is None:
            time.sleep(0.02)
        server.options = replace(server.options, rate=1.0, faults=("503",))
        time.sleep(8)
        assert process.poll() is None
        server.options = replace(server.options, rate=0.0)
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert counts(out)[3] == 0
    assert re.search(r"^bundle-\d+ is retried in about 20 s: .*503", err, re.MULTILINE)
    assert "Traceback" not in err


def test_a_server_that_is_not_there_is_reported_before_any_work(source: Path, prefect: str, tmp_path: Path) -> None:
    refused = refsav(
        "build", source, tmp_path / "run", *asking("http://127.0.0.1:9/v1"), home=tmp_path, PREFECT_API_URL=prefect
    )
    assert refused.code == 1
    assert "error: no server answers at http://127.0.0.1:9/v1" in refused.err
    assert "\n  fix: start one with `refsav serve vlm`" in refused.err
    assert "Traceback" not in refused.err
    assert not (tmp_path / "run/bundles").exists()


def test_ctrl_c_stops_with_one_line_and_the_next_build_resumes(source: Path, prefect: str, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    with running(Options(latency_s=0.1)) as server:
        process = start("build", source, run.root, *asking(server.address), home=tmp_path, PREFECT_API_URL=prefect)
        while server.paid < 40 and process.poll() is None:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "stopped; run the same command again to resume" in err
        assert "Traceback" not in err
        server.options = replace(server.options, latency_s=0.0)
        resumed = refsav("build", source, run.root, *asking(server.address), home=tmp_path, PREFECT_API_URL=prefect)
    assert resumed.code == 0, resumed.err
    assert counts(resumed.out)[3] == 0


def test_a_full_disk_is_one_clear_line_and_the_build_resumes_with_more_room(
    source: Path, prefect: str, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", "200k") as disk:
        run = disk.folder / "run"
        full = refsav("build", source, run, *QUICK, home=tmp_path, PREFECT_API_URL=prefect)
        assert full.code == 1
        assert re.search(
            rf"error: .*{run}/\S+: cannot be written: No space left on device\n  fix: free space", full.err
        )
        assert "Traceback" not in full.err
        disk.grow("200m")
        resumed = refsav("build", source, run, *QUICK, home=tmp_path, PREFECT_API_URL=prefect)
        assert resumed.code == 0, resumed.err
        assert counts(resumed.out)[3] == 0
        assert list(run.rglob("*.part")) == []
