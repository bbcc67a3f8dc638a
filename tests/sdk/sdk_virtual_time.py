"""An event loop whose time is a clock of the test: waiting moves it at once, and waiting for nothing fails."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any

from paramedic.testing import Clock


class JumpingSelector(selectors.DefaultSelector):
    """Moves the clock by what it would have waited."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("all tasks wait, and nothing will ever wake them")
        self._clock.now += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: Clock) -> None:
        super().__init__(JumpingSelector(clock))
        self._clock = clock
        self.timers = 0  # that were ever set

    def time(self) -> float:
        return self._clock.now

    def call_at(self, *args: Any, **kwargs: Any) -> asyncio.TimerHandle:
        self.timers += 1
        return super().call_at(*args, **kwargs)


def run_virtually(clock: Clock, main: Coroutine[Any, Any, Any]) -> Any:
    """As `asyncio.run`, in the time of `clock`."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        return runner.run(main)
