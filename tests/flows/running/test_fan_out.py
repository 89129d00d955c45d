"""Many tasks of one kind: how many run at a time, and what one that fails means for the others."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect import flow, task

from refsav.annotators.engines.engine import ServersDownError
from refsav.disk.files import DiskError
from refsav.flows.running.fan_out import IncompleteBuildError, fan_out
from refsav.processes import cancellation as stopping

pytestmark = pytest.mark.usefixtures("prefect_server")


def run_all(work: Callable[[int], int], items: list[int], at_once: int) -> tuple[list[int], int]:
    reported = Counter[str]()

    @task
    def one(item: int) -> int:
        return work(item)

    @flow
    def whole() -> list[int]:
        return fan_out(one.submit, items, at_once=at_once, on_progress=lambda: reported.update(["reported"]))

    return whole(), reported["reported"]


def test_results_keep_the_order_of_the_items_and_at_once_is_a_limit() -> None:
    lock, running, peak = threading.Lock(), Counter[str](), []

    def work(item: int) -> int:
        with lock:
            running["now"] += 1
            peak.append(running["now"])
        time.sleep(0.05 * (item % 3))
        with lock:
            running["now"] -= 1
        return 10 * item

    results, reported = run_all(work, list(range(12)), at_once=3)
    assert results == [10 * item for item in range(12)]
    assert (max(peak), reported) == (3, 12)


def test_nothing_to_do_is_done() -> None:
    assert run_all(lambda item: item, [], at_once=2) == ([], 0)


def test_one_that_fails_does_not_keep_the_others_from_running() -> None:
    ended = []

    def work(item: int) -> int:
        if item == 1:
            raise ValueError("no number one")
        ended.append(item)
        return item

    with pytest.raises(IncompleteBuildError, match=r"1 of 5 tasks did not finish: ValueError: no number one\n  fix: "):
        run_all(work, list(range(5)), at_once=2)
    assert sorted(ended) == [0, 2, 3, 4]


@pytest.mark.parametrize(
    "failure", [ServersDownError("no server is well any more"), DiskError(Path("part"), OSError(28, ""))]
)
def test_what_all_would_meet_ends_all_and_begins_no_more(failure: Exception) -> None:
    begun, cut = [], []

    def work(item: int) -> int:
        begun.append(item)
        if item == 0:
            raise failure
        for _ in range(600):
            time.sleep(0.05)
            try:
                stopping.look()
            except stopping.StoppedError:
                cut.append(item)
                raise
        return item

    with pytest.raises(IncompleteBuildError, match="stopped with 40 of 40 tasks to do") as stopped:
        run_all(work, list(range(40)), at_once=2)
    assert stopped.value.__cause__ is failure
    assert set(begun) <= {0, 1}
    assert cut == [item for item in begun if item]
