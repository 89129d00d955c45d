"""Tasks on a Ray cluster: what they return and raise, and what a process that dies means for the others."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect import flow, task

from refsav.annotators.engines.engine import ServersDownError
from refsav.disk.files import DiskError
from refsav.flows.config.build import RunnerConfig
from refsav.flows.running.fan_out import IncompleteBuildError, fan_out
from refsav.flows.running.task_runner import tasks_on

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("prefect_server")]

RAY = RunnerConfig(kind="ray", bundles_at_once=2)


def run_all(work: Callable[[int], int], items: list[int]) -> list[int]:
    @task
    def one(item: int) -> int:
        return work(item)

    @flow
    def whole() -> list[int]:
        with tasks_on(RAY):
            return fan_out(one.submit, items, at_once=RAY.bundles_at_once, on_progress=lambda: None)

    return whole()


def test_results_come_from_other_processes_in_the_order_of_the_items() -> None:
    results = run_all(lambda item: os.getpid() if item else 0, [0, 1, 2, 3])
    assert results[0] == 0
    assert os.getpid() not in results[1:]


@pytest.mark.parametrize(
    "failure", [ServersDownError("no server is well any more"), DiskError(Path("part"), OSError(28, ""))]
)
def test_what_all_would_meet_comes_whole_and_ends_all(failure: Exception) -> None:
    def work(item: int) -> int:
        if item == 0:
            raise failure
        time.sleep(600)
        return item

    begin = time.monotonic()
    with pytest.raises(IncompleteBuildError, match="stopped with 9 of 9 tasks to do") as stopped:
        run_all(work, list(range(9)))
    assert str(failure) in str(stopped.value)
    assert time.monotonic() - begin < 120


def test_a_task_that_kills_every_process_it_gets_fails_alone(tmp_path: Path) -> None:
    def work(item: int) -> int:
        (tmp_path / f"{item}-{time.time_ns()}").touch()
        if item == 1:
            os._exit(9)
        return item

    with pytest.raises(IncompleteBuildError, match="1 of 4 tasks did not finish: ") as failed:
        run_all(work, list(range(4)))
    assert len(str(failed.value).splitlines()) == 2
    assert {path.name[0] for path in tmp_path.iterdir()} == {"0", "1", "2", "3"}
    assert len(list(tmp_path.glob("1-*"))) == 4
