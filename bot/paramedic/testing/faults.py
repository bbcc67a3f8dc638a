"""Faults on demand, for functions and streams that a test wraps.

faults.fail(TimeoutError, after=2) --> chunk, chunk, TimeoutError     (a function fails at once)
faults.hang(after=2)               --> chunk, chunk, nothing more
faults.cut(after=2)                --> chunk, chunk, a clean end
faults.trickle(0.5)                --> each chunk half a second late  (a function once)
"""

import asyncio
import copy
import functools
import inspect
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar, cast

from paramedic.testing.clock import Clock
from paramedic.testing.virtual import VirtualLoop

P = ParamSpec("P")
R = TypeVar("R")
Raises = BaseException | type[BaseException] | Callable[[], BaseException]

_FOR_EVER_S = 3600.0


class StatusError(Exception):
    """An answer with a bad HTTP status, as the clients of providers raise it.

    >>> paramedic.testing.StatusError(429, {"retry-after": "2"}).status_code
    429

    Args:
        status: 429, 503, ...
        headers: Of the answer, in lower case: ``{"retry-after": "2"}``.
    """

    def __init__(self, status: int, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"status {status}")
        self.status_code, self.headers = status, dict(headers or {})
        self.response = self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.status_code, self.headers)


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to a call that is hit, or to a stream once it has given `after` chunks."""

    error: Raises | None = None
    wait_s: float = 0.0
    each_s: float = 0.0
    answer: tuple[Any, ...] = ()
    ends: bool = False
    after: int = 0

    def waits_s(self, given: int) -> float:
        """Seconds before chunk number `given`, from 0; a function gives one."""
        return self.each_s + (self.wait_s if given == self.after else 0.0)

    def strikes(self, given: int) -> bool:
        """Whether the stream ends here; raises when it ends with an error."""
        if given != self.after:
            return False
        if self.error is not None:
            raise _fresh(self.error)
        return self.ends


NO_FAULT = Fault()


class FaultInjector:
    """Makes wrapped functions and streams fail, hang or answer nonsense, until `heal`.

    A new fault replaces the one before. Each takes `share`, the share of the calls that are hit, and
    `times`, after how many hits it heals by itself.

    >>> faults = paramedic.testing.FaultInjector(seed=1)
    >>> ask = faults.wrap(lambda question: "answer")
    >>> faults.fail(TimeoutError, times=1)
    >>> paramedic.Guard("llm", fallbacks=[lambda question: "fallback"]).run_sync(ask, "hello?")
    'fallback'
    >>> ask("hello?")
    'answer'

    Args:
        seed: Of the choice which calls are hit, when a share of them is.
        clock: Waiting moves this clock instead of sleeping. The timers of an event loop hear of it only in
            `run_virtually`.

    Attributes:
        calls: That reached a wrapped function, hit or not.
    """

    def __init__(self, seed: int = 0, clock: Clock | None = None) -> None:
        self._random, self._clock = random.Random(seed), clock
        self.calls = 0
        self.heal()

    def heal(self) -> None:
        """Let all calls through again."""
        self._put(NO_FAULT, 0.0, None)

    def fail(self, error: Raises, share: float = 1.0, *, times: int | None = None, after: int = 0) -> None:
        """Raise: an exception (a copy each time), its class, or what a function makes."""
        self._put(Fault(error=error, after=after), share, times)

    def limit_rate(self, retry_after_s: float | None = None, share: float = 1.0, *, times: int | None = None) -> None:
        """Answer with status 429, and with ``retry-after`` when seconds are given."""
        headers = {} if retry_after_s is None else {"retry-after": f"{retry_after_s:g}"}
        self.fail(StatusError(429, headers), share, times=times)

    def hang(
        self, seconds: float = _FOR_EVER_S, share: float = 1.0, *, times: int | None = None, after: int = 0
    ) -> None:
        """Wait: a hang, or slowness."""
        self._put(Fault(wait_s=seconds, after=after), share, times)

    def trickle(self, seconds: float, share: float = 1.0, *, times: int | None = None) -> None:
        """Wait before each chunk."""
        self._put(Fault(each_s=seconds), share, times)

    def cut(self, after: int = 0, share: float = 1.0, *, times: int | None = None) -> None:
        """End a stream early as if it were complete. A function has nothing to cut and is not hit."""
        self._put(Fault(ends=True, after=after), share, times)

    def answer(self, value: Any, share: float = 1.0, *, times: int | None = None) -> None:
        """Answer `value` instead of calling; of a stream it holds the chunks."""
        self._put(Fault(answer=(value,)), share, times)

    def wrap(self, fn: Callable[P, R]) -> Callable[P, R]:
        """The same function or generator function, sync or async, with this injector's faults."""
        if inspect.isasyncgenfunction(fn):
            faulty = self._async_stream(fn)
        elif inspect.isgeneratorfunction(fn):
            faulty = self._stream(fn)
        elif inspect.iscoroutinefunction(fn):
            faulty = self._async_function(fn)
        else:
            faulty = self._function(fn)
        return cast(Callable[P, R], functools.wraps(fn)(faulty))

    def _put(self, fault: Fault, share: float, times: int | None) -> None:
        self._fault, self._share, self._times = fault, share, times

    def _next(self) -> Fault:
        """The fault of the call that begins now."""
        self.calls += 1
        if self._times == 0 or not (self._share > 0 and self._random.random() < self._share):
            return NO_FAULT
        if self._times is not None:
            self._times -= 1
        return self._fault

    def _function(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        def faulty(*args: Any, **kwargs: Any) -> Any:
            fault = self._next()
            self._sleep(fault.waits_s(fault.after))
            fault.strikes(fault.after)
            return fault.answer[0] if fault.answer else fn(*args, **kwargs)

        return faulty

    def _async_function(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        async def faulty(*args: Any, **kwargs: Any) -> Any:
            fault = self._next()
            await self._sleep_async(fault.waits_s(fault.after))
            fault.strikes(fault.after)
            return fault.answer[0] if fault.answer else await fn(*args, **kwargs)

        return faulty

    def _stream(self, fn: Callable[..., Iterable[Any]]) -> Callable[..., Any]:
        def faulty(*args: Any, **kwargs: Any) -> Iterator[Any]:
            fault, given = self._next(), 0
            source = iter(fault.answer[0] if fault.answer else fn(*args, **kwargs))
            try:
                while True:
                    self._sleep(fault.waits_s(given))
                    if fault.strikes(given):
                        return
                    try:
                        chunk = next(source)
                    except StopIteration:
                        return
                    yield chunk
                    given += 1
            finally:
                if inspect.isgenerator(source):
                    source.close()

        return faulty

    def _async_stream(self, fn: Callable[..., AsyncIterator[Any]]) -> Callable[..., Any]:
        async def faulty(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            fault, given = self._next(), 0
            source = _replayed(fault.answer[0]) if fault.answer else fn(*args, **kwargs)
            try:
                while True:
                    await self._sleep_async(fault.waits_s(given))
                    if fault.strikes(given):
                        return
                    try:
                        chunk = await anext(source)
                    except StopAsyncIteration:
                        return
                    yield chunk
                    given += 1
            finally:
                if inspect.isasyncgen(source):
                    await source.aclose()

        return faulty

    def _sleep(self, seconds: float) -> None:
        if seconds and self._clock is not None:
            self._clock.now += seconds
        elif seconds:
            time.sleep(seconds)

    async def _sleep_async(self, seconds: float) -> None:
        if seconds and (self._clock is None or isinstance(asyncio.get_running_loop(), VirtualLoop)):
            await asyncio.sleep(seconds)
        else:
            self._sleep(seconds)


async def _replayed(chunks: Iterable[Any]) -> AsyncIterator[Any]:
    for chunk in chunks:
        yield chunk


def _fresh(error: Raises) -> BaseException:
    """Never the same object twice: what one call writes on an exception, the next one must not read."""
    if not isinstance(error, BaseException):
        return error()
    try:
        return copy.copy(error)
    except Exception:
        return error
