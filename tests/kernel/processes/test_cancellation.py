"""Ending early: threads that look end, work that is awaited is cancelled, and the next one begins anew."""

import asyncio
import threading
import time
from contextvars import copy_context

import pytest

from refsav.processes import cancellation as stopping
from refsav.processes.cancellation import LateError, StoppedError, ended_by, stopping_others, until_stopped


async def endless(ended: list[str]) -> None:
    try:
        await asyncio.sleep(3600)
    finally:
        ended.append("cleaned up")


def test_awaited_work_in_another_thread_is_cancelled_when_the_main_one_is_interrupted() -> None:
    ended: list[str] = []

    def work() -> None:
        try:
            asyncio.run(until_stopped(endless(ended)))
        except StoppedError as error:
            ended.append(str(error).partition("\n")[0])

    with pytest.raises(KeyboardInterrupt), stopping_others():
        thread = threading.Thread(target=copy_context().run, args=[work], daemon=True)
        thread.start()
        time.sleep(0.1)
        raise KeyboardInterrupt
    thread.join(30)
    assert ended == ["cleaned up", "stopped before it was done"]


def test_work_that_is_late_is_cancelled() -> None:
    ended: list[str] = []
    with pytest.raises(LateError, match="not done after 0 s"):
        asyncio.run(until_stopped(endless(ended), 0.1))
    assert ended == ["cleaned up"]


def test_look_returns_before_the_stop_and_again_afterwards() -> None:
    stopping.look()
    with pytest.raises(ValueError, match="failed"), stopping_others():
        stopping.look()
        inside = copy_context()
        raise ValueError("failed")
    with pytest.raises(StoppedError):
        inside.run(stopping.look)
    stopping.look()


def test_work_ends_for_a_reason_of_its_own_and_for_that_of_the_others() -> None:
    own = threading.Event()
    with pytest.raises(ValueError, match="failed"), stopping_others():
        with ended_by(own):
            stopping.look()
            inside = copy_context()
            own.set()
            with pytest.raises(StoppedError):
                stopping.look()
        stopping.look()
        own.clear()
        raise ValueError("failed")
    with pytest.raises(StoppedError):
        inside.run(stopping.look)


def test_work_gives_its_result_and_its_own_errors() -> None:
    async def gives() -> int:
        return 3

    async def raises() -> int:
        raise ValueError("failed")

    with stopping_others():
        assert asyncio.run(until_stopped(gives())) == 3
        with pytest.raises(ValueError, match="failed"):
            asyncio.run(until_stopped(raises()))
