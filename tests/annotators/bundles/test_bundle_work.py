"""A bundle over HTTP, against a server that fails in every way servers do: no object is lost, nothing is paid twice."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from refsav.annotators.bundles import bundle_work as bundle
from refsav.annotators.bundles.bundle_task import AnnotationConfig, annotate_to_parts, mark_for_retry, settle_engines
from refsav.annotators.bundles.plan import extend_plan
from refsav.annotators.engines.config import EngineConfig
from refsav.annotators.engines.engine import ServersDownError
from refsav.annotators.engines.journal import read_entries
from refsav.annotators.stages.views import ViewsConfig
from refsav.datasets.records import VideoFile
from refsav.datasets.run.parts import is_done, read_dropped, read_expressions, read_failed, read_unreadable
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.sav.source import SourceConfig, VideoObjects, discover, read_video
from refsav.datasets.statistics.properties import read_measures
from refsav.errors import ConfigError
from refsav.flows.reporting.progress_bars import Silent
from tests.support.faulty_server import PASSING_FAULTS, FaultyServer, Options, running

BUNDLE = "bundle-000000"
OBJECTS = 16
KEY = "sk-do-not-tell-0815"
CopyClips = Callable[..., Path]


@pytest.fixture(scope="module")
def source(copy_clips: CopyClips, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All real videos: sixteen objects."""
    return copy_clips(tmp_path_factory.mktemp("clips"), "sav_000001_head", "vos_000001", "vos_000002")


def config(server: FaultyServer, **engine: object) -> AnnotationConfig:
    settings = {
        "kind": "vllm",
        "model": server.options.model,
        "addresses": (server.address,),
        "in_flight_per_server": 4,
        "timeout_s": 1.0,
        "tries": 12,
        "backoff_s": 0.01,
        "backoff_max_s": 0.05,
        **engine,
    }
    asked = EngineConfig.from_mapping(settings, "test")
    return AnnotationConfig(vlm=asked, judge=asked, views=ViewsConfig(longest_side_px=320, frames=4))


def planned(folder: Path, source: Path) -> RunDirectory:
    run = RunDirectory(folder)
    list(extend_plan(run, source, discover(source, SourceConfig()), 16))
    return run


def annotate(run: RunDirectory, source: Path, settings: AnnotationConfig) -> None:
    annotate_to_parts(run, source, BUNDLE, settings, Silent())


def words(run: RunDirectory) -> dict[str, bytes]:
    """The parts that hold what was said."""
    return {f.name: (f / f"{BUNDLE}.parquet").read_bytes() for f in (run.expressions, run.dropped, run.failed)}


def outcome(run: RunDirectory) -> Counter[str]:
    counts = Counter(expressions=sum(1 for _ in read_expressions(run)), dropped=sum(1 for _ in read_dropped(run)))
    counts["failed"] = sum(1 for _ in read_failed(run))
    assert counts.total() == sum(video.objects for video in read_measures(run)) == OBJECTS
    return counts


@pytest.fixture(scope="module")
def undisturbed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunDirectory, int]]:
    """A run against a server without faults, and how many requests it paid for."""
    run = planned(tmp_path_factory.mktemp("undisturbed"), source)
    with running(Options()) as server:
        annotate(run, source, config(server))
        yield run, server.paid


def test_without_faults_every_object_is_described_or_dropped(undisturbed: tuple[RunDirectory, int]) -> None:
    run, paid = undisturbed
    counts = outcome(run)
    assert counts["failed"] == 0
    assert counts["expressions"] >= OBJECTS / 2
    assert paid == sum(1 for _ in read_entries(run.journal / f"{BUNDLE}.jsonl"))


def test_faults_that_pass_leave_no_trace_in_the_parts(
    source: Path, undisturbed: tuple[RunDirectory, int], tmp_path: Path
) -> None:
    run = planned(tmp_path, source)
    with running(Options(rate=0.45, faults=PASSING_FAULTS, slow_s=2.0, seed=1)) as server:
        annotate(run, source, config(server))
    assert set(server.faults) == set(PASSING_FAULTS)
    assert words(run) == words(undisturbed[0])


def test_with_every_fault_the_counts_add_up_and_a_retry_makes_the_rest_whole(
    source: Path, undisturbed: tuple[RunDirectory, int], tmp_path: Path
) -> None:
    run = planned(tmp_path, source)
    with running(Options(rate=0.5, seed=2, slow_s=2.0)) as server:
        annotate(run, source, config(server, tries=3, give_up_after=1000))
    counts = outcome(run)
    assert counts["failed"] > 0
    reasons = " ".join(failed.error for failed in read_failed(run))
    assert "maximum context length is 4096 tokens" in reasons
    assert "tries failed" in reasons
    for failed in read_failed(run):
        assert failed.request_digest and failed.stage in ("object", "judge", "scene", "video")
        assert "fix: " in failed.error and "\n" not in failed.error

    before = sum(1 for _ in read_entries(run.journal / f"{BUNDLE}.jsonl"))
    assert mark_for_retry(run) == counts["failed"]
    with running(Options(port=_port(server))) as well:
        annotate(run, source, config(well))
    assert outcome(run)["failed"] == 0
    assert words(run) == words(undisturbed[0])
    assert well.paid == undisturbed[1] - before


@pytest.mark.parametrize("how", ["is gone", "fails every request", "hangs"])
def test_a_server_that_goes_down_stops_the_bundle_and_the_next_run_resumes(
    source: Path, undisturbed: tuple[RunDirectory, int], tmp_path: Path, how: str
) -> None:
    run = planned(tmp_path, source)
    engine = {"tries": 3, "give_up_after": 3, "timeout_s": 0.5}
    with running(Options(latency_s=0.02)) as server:
        failures: list[BaseException] = []

        def work() -> None:
            try:
                annotate(run, source, config(server, **engine))
            except Exception as error:  # noqa: BLE001 - the test looks at it
                failures.append(error)

        worker = threading.Thread(target=work)
        worker.start()
        while server.paid < 20:
            time.sleep(0.005)
        if how == "fails every request":
            server.options = replace(server.options, rate=1.0, faults=("500",))
        elif how == "hangs":
            server.options = replace(server.options, latency_s=3600.0)
        if how != "is gone":
            worker.join(60)
    worker.join(60)
    assert not worker.is_alive()
    (failure,) = failures
    assert isinstance(failure, ServersDownError)
    assert server.address in str(failure)
    assert not is_done(run, BUNDLE)

    in_flight = config(server).vlm.in_flight_per_server
    with running(Options(port=_port(server))) as well:
        annotate(run, source, config(well, **engine))
    assert words(run) == words(undisturbed[0])
    assert server.paid + well.paid <= undisturbed[1] + in_flight


def test_the_key_goes_to_the_server_and_nowhere_else(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFSAV_API_KEY", KEY)
    run = planned(tmp_path, source)
    with running(Options(api_key=KEY, rate=0.4, seed=3, slow_s=2.0)) as server:
        annotate(run, source, config(server, tries=2, give_up_after=1000))
        assert server.paid > 0
        assert outcome(run)["failed"] > 0
        monkeypatch.setenv("REFSAV_API_KEY", f"{KEY}-wrong")
        with pytest.raises(ConfigError, match=r"(?s)401.*REFSAV_API_KEY") as caught:
            asyncio.run(settle_engines(config(server).vlm, config(server).judge))
    assert KEY not in str(caught.value)
    written = [path for path in run.root.rglob("*") if path.is_file()]
    assert len(written) >= 6
    assert [path for path in written if KEY.encode() in path.read_bytes()] == []
    texts = [failed.error for failed in read_failed(run)]  # Parquet is compressed
    assert not any(KEY in text for text in texts)


def test_one_videos_accident_stops_no_other(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody has foreseen (a bug, a library's own exception) is a record too."""

    def read(video: VideoFile, settings: SourceConfig) -> VideoObjects:
        if video.video_id == "vos_000001":
            raise ZeroDivisionError("nobody\nforesaw this")
        return read_video(video, settings)

    run = planned(tmp_path, source)
    monkeypatch.setattr(bundle, "read_video", read)
    with running(Options()) as server:
        annotate(run, source, config(server))
    (lost,) = read_unreadable(run)
    assert (lost.path, lost.error) == ("vos_000001", "vos_000001: ZeroDivisionError: nobody foresaw this")
    assert sum(video.objects for video in read_measures(run)) == OBJECTS - 2
    assert sum(1 for _ in read_expressions(run)) + sum(1 for _ in read_dropped(run)) == OBJECTS - 2


def test_a_video_that_ends_too_soon_fails_only_the_objects_that_need_its_end(
    copy_clips: CopyClips, tmp_path: Path
) -> None:
    """Its index lists every frame, the last of them are damaged."""
    source = copy_clips(tmp_path / "source", "vos_000001", "vos_000002")
    content = bytearray((source / "vos_000001.mp4").read_bytes())
    middle = len(content) * 3 // 4
    content[middle:-20_000] = bytes(len(content) - 20_000 - middle)
    (source / "vos_000001.mp4").write_bytes(bytes(content))
    run = planned(tmp_path / "run", source)
    with running(Options()) as server:
        annotate(run, source, config(server))
    failed = list(read_failed(run))
    assert {one.key.video_id for one in failed} <= {"vos_000001"}
    assert all("vos_000001.mp4" in one.error and "fix: " in one.error for one in failed)
    done = sum(1 for _ in read_expressions(run)) + sum(1 for _ in read_dropped(run))
    assert done + len(failed) == 3


def _port(server: FaultyServer) -> int:
    return int(server.address.rpartition(":")[2].removesuffix("/v1"))
