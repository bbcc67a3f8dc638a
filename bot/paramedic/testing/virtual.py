"""Async code in the time of a clock: an hour of waiting takes as long as it takes to say so.

await asyncio.sleep(3600) --> nothing else to do? --> clock.now += 3600, and on
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple, Unpack

from paramedic.testing.clock import Clock

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


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
    """Attributes:
    timers: That were ever set.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(JumpingSelector(clock))
        self._clock = clock
        self.timers = 0

    def time(self) -> float:
        return self._clock.now

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        self.timers += 1
        return super().call_at(when, callback, *args, context=context)


def run_virtually(clock: Clock, main: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, in the time of `clock`: deadlines, gaps and sleeps pass at once, and in their order.

    For code that waits for timers only: time does not stand still for threads and sockets. What `left_s` says goes
    by the real clock.

    >>> async def ask(question: str) -> str:
    ...     await asyncio.sleep(3600)
    ...     return "too late"
    >>> clock = paramedic.testing.Clock()
    >>> guard = paramedic.Guard("llm", deadline_s=8, clock=clock, fallbacks=[lambda question: "fallback"])
    >>> paramedic.testing.run_virtually(clock, guard.run(ask, "hello?"))
    'fallback'
    >>> clock() - 1000
    8.0

    Args:
        clock: The one that the guards under test were given.
        main: What to run.

    Raises:
        RuntimeError: All tasks wait, and no timer will wake them.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        return runner.run(main)
