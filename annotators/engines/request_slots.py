"""Request slots of a server: how many requests it works on at a time, over all bundles of this process."""

import asyncio
import heapq
import itertools
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache

Urgency = tuple[int, ...]
"""The smaller, the earlier."""


@cache
def slots_of(address: str, count: int) -> "Slots":  # noqa: ARG001 - the address is the key of the cache
    """The slots of a server: one object for each address and count in this process."""
    return Slots(count)


@dataclass(order=True, slots=True)
class _Waiter:
    """A request that waits for a slot."""

    urgency: Urgency
    number: int
    free: asyncio.Future[None] = field(compare=False)
    granted: bool = field(default=False, compare=False)


class Slots:
    """A semaphore that, unlike asyncio's, serves event loops of several threads, and serves urgent requests first.

    First come, first served would let bundles work in lockstep: all of them run out of objects at the same time, and
    the servers wait for the next ones to start. With the older bundle first, the younger one fills the slots it leaves.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: list[_Waiter] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    @asynccontextmanager
    async def slot(self, urgency: Urgency) -> AsyncIterator[None]:
        """Hold a slot for the length of the context; equally urgent requests get one in their order of arrival."""
        await self._acquire(urgency)
        try:
            yield
        finally:
            self._release()

    async def _acquire(self, urgency: Urgency) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            free: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            waiter = _Waiter(urgency, next(self._numbers), free)
            heapq.heappush(self._waiting, waiter)
        try:
            await free
        except BaseException:
            with self._lock:
                if not waiter.granted:
                    self._waiting.remove(waiter)
                    heapq.heapify(self._waiting)
            if waiter.granted:  # the slot was granted while this request was cancelled
                self._release()
            raise

    def _release(self) -> None:
        with self._lock:
            if not self._waiting:
                self._free += 1
                return
            waiter = heapq.heappop(self._waiting)
            waiter.granted = True
            waiter.free.get_loop().call_soon_threadsafe(_resolve, waiter.free)


def _resolve(free: "asyncio.Future[None]") -> None:
    if not free.done():
        free.set_result(None)
