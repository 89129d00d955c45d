"""Ending early: Ctrl-C reaches the main thread alone, so threads that work for long look here whether to go on."""

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
"""Seconds that an interrupted process gets to end in good order; nothing is lost when it does not."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

Result = TypeVar("Result")

_ENDED: ContextVar[tuple[threading.Event, ...]] = ContextVar("ended", default=())
"""Any of them ends the work. They belong to a context, not to the process: they do not end later work."""


class StoppedError(RefSavError):
    """Work was ended before it was done; what is on disk is whole."""

    def __init__(self) -> None:
        super().__init__("stopped before it was done", fix="run the same command again to resume")


class LateError(RefSavError):
    """Work has taken longer than it may; what is on disk is whole."""


@contextmanager
def stopping_others() -> Iterator[None]:
    """Make threads that look end early when this context is left by an exception.

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
    """Raise StoppedError if this thread is to end; to be called between two pieces of work."""
    if _is_ended():
        raise StoppedError


def _is_ended() -> bool:
    return any(ended.is_set() for ended in _ENDED.get())


async def until_stopped(work: Coroutine[Any, Any, Result], within_s: float = math.inf) -> Result:
    """Await some work, or cancel it when it is to end. Raises StoppedError, LateError, and what the work raises."""
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
def interruptible(tell: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl-C end the work of this context soon, and a second one at once.

    Python waits for its threads when it ends, so a thread that does not look would hold the process. Everything on disk
    appears whole or not at all: the process may be cut off anywhere.

    Args:
        tell: Called when Ctrl-C was heard.
    """

    def interrupt(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
        end = threading.Timer(ENDS_WITHIN_S, os._exit, [INTERRUPTED])
        end.daemon = True
        end.start()
        tell()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        raise  # the handler stays: Python has threads to wait for yet
    except BaseException:
        signal.signal(signal.SIGINT, before)
        raise
    else:
        signal.signal(signal.SIGINT, before)
