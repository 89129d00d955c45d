"""The job queue: jobs run in turn, each can be stopped, and a defect in one does not end the others."""

import threading
import time
from collections.abc import Iterator

import pytest

from refsav.errors import RefSavError
from refsav.model.ui.job_queue import MAX_WAITING, FullError, Job, JobQueue, UnexpectedError
from refsav.processes.cancellation import look


@pytest.fixture
def logged() -> list[BaseException]:
    return []


@pytest.fixture
def queue(logged: list[BaseException]) -> Iterator[JobQueue]:
    made = JobQueue(logged.append)
    yield made
    assert made.close(5)


def wait(job: Job) -> None:
    end = time.monotonic() + 10
    while not job.is_over:
        assert time.monotonic() < end
        time.sleep(0.005)


def until_stopped() -> None:
    while True:
        look()
        time.sleep(0.005)


def test_jobs_are_done_one_after_the_other(queue: JobQueue) -> None:
    running, most = 0, 0

    def work() -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.02)
        running -= 1
        return most

    jobs = [queue.submit(work) for _ in range(6)]
    assert [queue.jobs_ahead(job) for job in jobs[1:]] == [1, 2, 3, 4, 5]
    wait(jobs[-1])
    assert [job.state for job in jobs] == ["done"] * 6
    assert most == 1 and jobs[0].result == 1
    assert jobs[0].seconds > 0.01 and queue.jobs_ahead(jobs[0]) == 0


def test_a_job_is_stopped_while_it_works_and_while_it_waits(queue: JobQueue) -> None:
    working, waiting, last = queue.submit(until_stopped), queue.submit(until_stopped), queue.submit(lambda: 7)
    queue.stop(waiting)
    assert waiting.state == "stopped"
    assert queue.jobs_ahead(last) == 1
    queue.stop(working)
    wait(last)
    assert (working.state, last.state, last.result) == ("stopped", "done", 7)
    queue.stop(last)
    assert last.state == "done"


def test_errors_of_a_user_are_kept_and_defects_are_logged_too(queue: JobQueue, logged: list[BaseException]) -> None:
    def fail() -> None:
        raise RefSavError("no such frame", fix="count from 0")

    def break_down() -> None:
        raise KeyError("x")

    def run_out() -> None:
        raise MemoryError

    jobs = [queue.submit(work) for work in (fail, break_down, run_out)]
    wait(jobs[-1])
    assert [job.state for job in jobs] == ["failed"] * 3
    assert str(jobs[0].error).startswith("no such frame")
    assert isinstance(jobs[1].error, UnexpectedError) and "KeyError" in str(jobs[1].error)
    assert "out of memory" in str(jobs[2].error)
    assert [type(error) for error in logged] == [KeyError, MemoryError]


def test_the_queue_has_an_end_but_cleaning_up_goes_in(queue: JobQueue) -> None:
    jobs = [queue.submit(until_stopped) for _ in range(MAX_WAITING + 1)]
    with pytest.raises(FullError, match=f"{MAX_WAITING} others are waiting"):
        queue.submit(lambda: None)
    cleaned = queue.submit(lambda: None, always=True)
    for job in reversed(jobs):
        queue.stop(job)
    wait(cleaned)
    assert cleaned.state == "done"


def test_closing_stops_every_job_and_returns_false_if_the_worker_does_not_end() -> None:
    queue = JobQueue(lambda _: None)
    working, waiting = queue.submit(until_stopped), queue.submit(until_stopped)
    assert queue.close(5)
    assert {working.state, waiting.state} == {"stopped"}
    blocked, release = JobQueue(lambda _: None), threading.Event()
    job = blocked.submit(release.wait)
    while job.state == "waiting":
        time.sleep(0.005)
    assert not blocked.close(0.05)
    release.set()
    assert blocked.close(5)
