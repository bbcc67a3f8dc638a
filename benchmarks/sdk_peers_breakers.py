"""How breakers without deadlines and retries are driven: pybreaker, aiobreaker, purgatory, fluxgate."""

import datetime
from collections.abc import Callable
from typing import Any, ClassVar

import aiobreaker
import fluxgate
import pybreaker
from fluxgate.permits import All
from fluxgate.retries import Cooldown
from fluxgate.trippers import Closed, FailureRate, FailureStreak, HalfOpened, MinRequests
from purgatory import AsyncCircuitBreakerFactory, SyncCircuitBreakerFactory
from sdk_libraries import Ask, Forced, Library


class PyBreaker(Library):
    """Its decorator takes functions that block; Tornado makes it take async ones."""

    name, package = "pybreaker", "pybreaker"
    note: ClassVar = {
        "async": "with Tornado, as its README tells; without it all 10 do",
        "at_once": "with Tornado; functions that block run one at a time, it holds a lock during a call",
        "stampede": "with Tornado; 1 of 50 threads with a function that blocks",
    }

    def breaker(self, ask: Ask, *, failures: int, rest_s: float) -> Ask:
        return self._decorated(pybreaker.CircuitBreaker(fail_max=failures, reset_timeout=rest_s), ask)

    def _decorated(self, breaker: pybreaker.CircuitBreaker, ask: Ask) -> Ask:
        @breaker(__pybreaker_call_async=True)
        async def call() -> str:
            return await ask()

        async def awaited() -> str:
            return await call()

        return awaited

    def forced(self, ask: Ask, *, rest_s: float) -> Forced:
        breaker = pybreaker.CircuitBreaker(fail_max=5, reset_timeout=rest_s)
        return Forced(self._decorated(breaker, ask), lambda seconds: _nothing(breaker.open()))

    def forkable(self, blocking: Callable[[], str], awaited: Ask) -> Callable[[], str]:
        return pybreaker.CircuitBreaker(fail_max=5)(blocking)


class AioBreaker(Library):
    name, package = "aiobreaker", "aiobreaker"

    def breaker(self, ask: Ask, *, failures: int, rest_s: float) -> Ask:
        return self._decorated(_aiobreaker(failures, rest_s), ask)

    def _decorated(self, breaker: aiobreaker.CircuitBreaker, ask: Ask) -> Ask:
        @breaker
        async def call() -> str:
            return await ask()

        return call

    def forced(self, ask: Ask, *, rest_s: float) -> Forced:
        breaker = _aiobreaker(5, rest_s)
        return Forced(self._decorated(breaker, ask), lambda seconds: breaker.open())

    def forkable(self, blocking: Callable[[], str], awaited: Ask) -> Callable[[], str]:
        breaker = _aiobreaker(5, 60)
        return lambda: breaker.call(blocking)


class Purgatory(Library):
    name, package = "purgatory", "purgatory"
    note: ClassVar = {"callers_timeout": "unless a team excludes `CancelledError` by hand; then it counts as a success"}

    def breaker(self, ask: Ask, *, failures: int, rest_s: float) -> Ask:
        factory = AsyncCircuitBreakerFactory(default_threshold=failures, default_ttl=rest_s)

        @factory("llm")
        async def call() -> str:
            return await ask()

        return call

    def forkable(self, blocking: Callable[[], str], awaited: Ask) -> Callable[[], str]:
        return SyncCircuitBreakerFactory()("llm")(blocking)


class Fluxgate(Library):
    name, package = "fluxgate", "fluxgate"

    def breaker(self, ask: Ask, *, failures: int, rest_s: float) -> Ask:
        return self._decorated(_fluxgate(failures, rest_s), ask)

    def _decorated(self, breaker: fluxgate.AsyncCircuitBreaker, ask: Ask) -> Ask:
        @breaker
        async def call() -> str:
            return await ask()

        return call

    def forced(self, ask: Ask, *, rest_s: float) -> Forced:
        breaker = _fluxgate(5, rest_s)
        return Forced(self._decorated(breaker, ask), lambda seconds: breaker.force_open())

    def forkable(self, blocking: Callable[[], str], awaited: Ask) -> Callable[[], str]:
        return fluxgate.CircuitBreaker()(blocking)


def _aiobreaker(failures: int, rest_s: float) -> aiobreaker.CircuitBreaker:
    return aiobreaker.CircuitBreaker(fail_max=failures, timeout_duration=datetime.timedelta(seconds=rest_s))


def _fluxgate(failures: int, rest_s: float) -> fluxgate.AsyncCircuitBreaker:
    """Opens as asked; one call at a time tries after the rest."""
    tripper = (Closed() & FailureStreak(failures)) | (HalfOpened() & MinRequests(1) & FailureRate(0.5))
    return fluxgate.AsyncCircuitBreaker(tripper=tripper, retry=Cooldown(rest_s), permit=All(), max_half_open_calls=1)


def _nothing(_: Any) -> None:
    return None
