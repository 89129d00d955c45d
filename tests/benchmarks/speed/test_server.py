"""The server's ceiling: requests are recorded as they pass and sent again as they were; a build's are counted."""

import asyncio
import json
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from refsav.annotators.bundles.bundle_task import AnnotationConfig, annotate_to_parts
from refsav.annotators.bundles.plan import extend_plan
from refsav.annotators.engines.config import EngineConfig
from refsav.benchmarks.speed.replay import ReplayError, recording, replay
from refsav.benchmarks.speed.server import JournalWatch
from refsav.datasets.run.run_directory import RunDirectory
from refsav.datasets.sav.source import SourceConfig, discover
from refsav.flows.reporting.progress_bars import Silent
from tests.support.faulty_server import Options, running

CopyClips = Callable[..., Path]


def test_what_a_build_asks_is_recorded_and_sent_again_byte_for_byte(copy_clips: CopyClips, tmp_path: Path) -> None:
    source, run = copy_clips(tmp_path / "source", "vos_000001"), RunDirectory(tmp_path / "run")
    list(extend_plan(run, source, discover(source, SourceConfig()), 16))
    with running(Options()) as server:
        with recording(server.address) as (detour, bodies):
            asked = EngineConfig.from_mapping({"kind": "vllm", "model": "faulty", "addresses": (detour,)}, "test")
            annotate_to_parts(run, source, "bundle-000000", AnnotationConfig(vlm=asked, judge=asked), Silent())
        first = dict(server.seen)
        rate = asyncio.run(replay(server.address, bodies, in_flight=4))
        assert rate > 0
        assert len(bodies) == sum(first.values())
        assert dict(server.seen) == {digest: 2 * times for digest, times in first.items()}
        assert server.peak_in_flight <= 4


def test_a_refused_request_ends_a_replay_with_the_servers_words() -> None:
    with running(Options()) as server, pytest.raises(ReplayError, match=r"(?s)404.*fix: look at the server's log"):
        asyncio.run(replay(server.address, [b'{"model": "another"}'], in_flight=1))


def test_a_server_that_hangs_up_ends_a_replay_with_one_line() -> None:
    faulty = Options(rate=1.0, faults=("closed",), model="here")
    with running(faulty) as server, pytest.raises(ReplayError, match="the connection was lost"):
        asyncio.run(replay(server.address, [b'{"model": "here", "messages": []}'], in_flight=1))


def test_a_recorder_passes_on_what_is_no_chat() -> None:
    with running(Options(model="here")) as server, recording(server.address) as (detour, bodies):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{detour}/models", timeout=10) as answer:
            assert json.loads(answer.read())["data"][0]["id"] == "here"
        assert bodies == []


def test_a_journal_is_counted_from_its_first_request_while_it_grows(tmp_path: Path) -> None:
    watch, path = JournalWatch(tmp_path), tmp_path / "bundle-000000.jsonl"
    first, second, third = (f'{{"task": "scene", "seconds": {seconds}}}\n' for seconds in (2.0, 0.5, 1.0))
    watch.look(99.0)
    path.write_text(first + second + third[:9])
    watch.look(100.0)
    assert watch.replies == 2
    path.write_text(first + second + third + '{"task": "judge", "seconds": 90.0}\n')
    watch.look(101.0)
    watch.look(150.0)  # nothing new: the clock of the last reply stays
    assert watch.requests_per_second == pytest.approx(3 / (101.0 - 98.0))
