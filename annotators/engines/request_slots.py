"""Places at a server: how many requests it works on at a time, whichever bundles of this process they come from."""

import asyncio
import heapq
import itertools
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache

Urgency = tuple[int, ...]
"""The smaller, the sooner."""


@cache
def slots_of(address: str, count: int) -> "Slots":  # noqa: ARG001 - the address is the key of the cache
    """The places at a server: the same for everyone in this process who asks with the same count."""
    return Slots(count)


@dataclass(order=True, slots=True)
class _Turn:
    """Somebody who waits."""

    urgency: Urgency
    number: int
    come: asyncio.Future[None] = field(compare=False)
    granted: bool = field(default=False, compare=False)


class Slots:
    """A semaphore with two qualities that asyncio's lacks: it serves event loops of several threads, the urgent first.

    Bundles that take turns as they come work in lockstep: all of them run out of objects at the same time, and the
    servers wait until the next ones have begun. With the older bundle first, the younger fills the places it leaves.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: list[_Turn] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    @asynccontextmanager
    async def place(self, urgency: Urgency) -> AsyncIterator[None]:
        """Hold a place for the length of the context; those of the same urgency get one in the order they came."""
        await self._take(urgency)
        try:
            yield
        finally:
            self._give_back()

    async def _take(self, urgency: Urgency) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            come: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            turn = _Turn(urgency, next(self._numbers), come)
            heapq.heappush(self._waiting, turn)
        try:
            await come
        except BaseException:
            with self._lock:
                if not turn.granted:
                    self._waiting.remove(turn)
                    heapq.heapify(self._waiting)
            if turn.granted:  # the place came in the moment of giving up
                self._give_back()
            raise

    def _give_back(self) -> None:
        with self._lock:
            if not self._waiting:
                self._free += 1
                return
            turn = heapq.heappop(self._waiting)
            turn.granted = True
            turn.come.get_loop().call_soon_threadsafe(_tell, turn.come)


def _tell(come: "asyncio.Future[None]") -> None:
    if not come.done():
        come.set_result(None)
