"""Retries that do not sleep."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from paramedic.waits import waits


@contextmanager
def no_wait() -> Iterator[list[float]]:
    """In the block no retry waits; gives the seconds that each would have waited.

    with no_wait() as waited:
        ...
    assert waited == [20.0]
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
