"""Stopping early: Ctrl-C reaches the main thread only, so threads that work for long check here whether to continue."""

import asyncio
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from refsav.errors import RefSavError

LOOK_EVERY_S = 0.2
ENDS_WITHIN_S = 10.0
"""Seconds that an interrupted process gets to end by itself; nothing is lost if it does not."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

Result = TypeVar("Result")

_ENDED: ContextVar[tuple[threading.Event, ...]] = ContextVar("ended", default=())
"""Any of them ends the work. They belong to a context, not to the process: they do not end later work."""


class StoppedError(RefSavError):
    """Work was stopped before it was done; files on disk are complete."""

    def __init__(self) -> None:
        super().__init__("stopped before it was done", fix="run the same command again to resume")


class LateError(RefSavError):
    """Work has exceeded its time limit; files on disk are complete."""


@contextmanager
def stopping_others() -> Iterator[None]:
    """Stop threads that call `look` when this context is left by an exception.

    It reaches the threads that were started with a copy of the context here, as Prefect starts its tasks.
    """
    ended = threading.Event()
    before = _ENDED.set((*_ENDED.get(), ended))
    try:
        yield
    except BaseException:
        ended.set()
        raise
    finally:
        _ENDED.reset(before)


@contextmanager
def ended_by(ended: threading.Event) -> Iterator[None]:
    """Make this thread's `look` raise once `ended` is set."""
    before = _ENDED.set((*_ENDED.get(), ended))
    try:
        yield
    finally:
        _ENDED.reset(before)


def look() -> None:
    """Raise StoppedError if this thread must stop; call it between two pieces of work."""
    if _is_ended():
        raise StoppedError


def _is_ended() -> bool:
    return any(ended.is_set() for ended in _ENDED.get())


async def until_stopped(work: Coroutine[Any, Any, Result], within_s: float = math.inf) -> Result:
    """Await some work, or cancel it when it must stop. Raises StoppedError, LateError, and what the work raises."""
    end_s = time.monotonic() + within_s
    task = asyncio.ensure_future(work)
    while not task.done():
        await asyncio.wait({task}, timeout=LOOK_EVERY_S)
        is_late = time.monotonic() > end_s
        if (_is_ended() or is_late) and not task.done():
            task.cancel()
            await asyncio.wait({task})
            raise LateError(f"not done after {within_s:.0f} s") if is_late else StoppedError
    return task.result()


@contextmanager
def interruptible(on_interrupt: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl-C stop the work of this context soon, and a second one at once.

    Python waits for its threads when it ends, so a thread that never calls `look` would keep the process alive. Files
    on disk appear complete or not at all, so the process may be killed at any time.

    Args:
        on_interrupt: Called at the first Ctrl-C.
    """

    def interrupt(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
        end = threading.Timer(ENDS_WITHIN_S, os._exit, [INTERRUPTED])
        end.daemon = True
        end.start()
        on_interrupt()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        raise  # the handler stays: Python still has threads to wait for
    except BaseException:
        signal.signal(signal.SIGINT, before)
        raise
    else:
        signal.signal(signal.SIGINT, before)
