"""The connections of a service to its database: so many, and who finds none waits in turn.

    look-up --take--> a connection, or the queue --> query --give back--> the next one in the queue

When it is saturated, a job that never ends holds all but one, and locks make each query take so long that more comes
in than the last one can do.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from paramedic_demo.faults import FaultSpec

SIZE = 20
LATELY_S = 20.0  # over which the rate of look-ups is measured
LEAST_PER_S = 0.5


class Pool:
    """Shared by all requests of one event loop.

    Args:
        size: Connections.
        clock: Seconds that never run backwards.
    """

    def __init__(self, size: int = SIZE, clock: Callable[[], float] = time.monotonic) -> None:
        self.size, self.pending = size, 0
        self._free = asyncio.Semaphore(size)
        self._taken = 0
        self._clock, self._load = clock, 0.0
        self._came: deque[float] = deque()
        self._hogs: set[asyncio.Task[None]] = set()

    @property
    def used(self) -> int:
        return self._taken

    def follow(self, fault: FaultSpec) -> None:
        """Be saturated by a fault of kind "saturate", and well with any other; on the event loop."""
        self._load = fault.number("load") if fault.kind == "saturate" else 0.0
        for hog in self._hogs:
            hog.cancel()
        if self._load:
            self._hogs = {asyncio.get_running_loop().create_task(self._hog()) for _ in range(self.size - 1)}

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[float]:
        """A connection, and how many seconds more than usual a query holds it."""
        self._note()
        await self._take()
        try:
            yield self._load / self._rate()
        finally:
            self._give_back()

    async def _hog(self) -> None:
        await self._take()
        try:
            await asyncio.Event().wait()
        finally:
            self._give_back()

    async def _take(self) -> None:
        self.pending += 1
        try:
            await self._free.acquire()
        finally:
            self.pending -= 1
        self._taken += 1

    def _give_back(self) -> None:
        self._taken -= 1
        self._free.release()

    def _note(self) -> None:
        now = self._clock()
        self._came.append(now)
        while now - self._came[0] > LATELY_S:
            self._came.popleft()

    def _rate(self) -> float:
        """Look-ups a second, lately."""
        span_s = max(1.0, self._clock() - self._came[0]) if self._came else 1.0
        return max(LEAST_PER_S, len(self._came) / span_s)
