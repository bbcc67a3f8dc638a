"""Faults on demand, for functions that a test wraps."""

import asyncio
import functools
import inspect
import random
import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")


class FaultInjector:
    """Makes wrapped functions fail, hang or answer nonsense, until `heal`.

    Args:
        seed: Of the choice which calls are hit, when a share of them is.
    """

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self.calls = 0  # that reached a wrapped function, hit or not
        self.heal()

    def heal(self) -> None:
        """Let all calls through again."""
        self._share, self._error, self._wait_s = 0.0, cast(Exception | None, None), 0.0
        self._answer: tuple[Any, ...] = ()

    def fail(self, error: Exception, share: float = 1.0) -> None:
        """Raise `error` in a share of the calls."""
        self.heal()
        self._error, self._share = error, share

    def hang(self, seconds: float = 3600.0, share: float = 1.0) -> None:
        """Wait before a share of the calls: a hang, or slowness."""
        self.heal()
        self._wait_s, self._share = seconds, share

    def answer(self, value: Any, share: float = 1.0) -> None:
        """Answer `value` in a share of the calls, instead of calling."""
        self.heal()
        self._answer, self._share = (value,), share

    def wrap(self, fn: Callable[P, R]) -> Callable[P, R]:
        """The same function, with this injector's faults."""
        if inspect.iscoroutinefunction(fn):

            @functools.wraps(fn)
            async def faulty(*args: P.args, **kwargs: P.kwargs) -> Any:
                hit = self._hit()
                if hit and self._wait_s:
                    await asyncio.sleep(self._wait_s)
                return self._answer[0] if hit and self._answer else await fn(*args, **kwargs)

        else:

            @functools.wraps(fn)
            def faulty(*args: P.args, **kwargs: P.kwargs) -> Any:
                hit = self._hit()
                if hit and self._wait_s:
                    time.sleep(self._wait_s)
                return self._answer[0] if hit and self._answer else fn(*args, **kwargs)

        return cast(Callable[P, R], faulty)

    def _hit(self) -> bool:
        self.calls += 1
        hit = self._share > 0 and self._random.random() < self._share
        if hit and self._error is not None:
            raise self._error
        return hit
