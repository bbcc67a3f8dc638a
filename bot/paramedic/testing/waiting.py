"""Retries that do not sleep."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from paramedic.guards.waits import waits


@contextmanager
def no_wait() -> Iterator[list[float]]:
    """In the block no retry waits; gives the seconds that each would have waited.

    >>> faults = paramedic.testing.FaultInjector()
    >>> faults.limit_rate(retry_after_s=20, times=1)
    >>> with paramedic.testing.no_wait() as waited:
    ...     paramedic.Guard("index", retry=2).run_sync(faults.wrap(lambda: "found"))
    'found'
    >>> waited[0] >= 20
    True
    """
    waited: list[float] = []
    before = waits.asleep, waits.sleep

    async def asleep(seconds: float) -> None:
        waited.append(seconds)
        await asyncio.sleep(0)

    waits.asleep, waits.sleep = asleep, waited.append
    try:
        yield waited
    finally:
        waits.asleep, waits.sleep = before
