"""How libraries of several policies are driven: pyresilience, hyx, interlock-cb."""

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

import hyx.bulkhead
import hyx.circuitbreaker
import hyx.fallback
import hyx.retry
import hyx.timeout
import interlock
import pyresilience as pr
import tenacity
from pyresilience.contrib.http import retry_after_delay
from sdk_libraries import Ask, Forced, Library, Limited, retry_after_of


class PyResilience(Library):
    name, package = "pyresilience", "pyresilience"
    note: ClassVar = {"empty": "its `retry_on_result` asks the same backend again; the fallback is for errors"}

    def breaker(self, ask: Ask, *, failures: int, rest_s: float) -> Ask:
        return self._made(ask, circuit_breaker=_pr_breaker(failures, rest_s))

    def bounded(self, ask: Ask, *, failures: int, deadline_s: float, fallback: Ask) -> Ask:
        async def instead(error: BaseException) -> str:
            return await fallback()

        return self._made(
            ask,
            circuit_breaker=_pr_breaker(failures, 60),
            timeout=pr.TimeoutConfig(seconds=deadline_s),
            fallback=pr.FallbackConfig(handler=instead),
        )

    def guarded(self, ask: Ask, *, failures: int, limit: int) -> Ask:
        return self._made(
            ask,
            circuit_breaker=_pr_breaker(failures, 60),
            bulkhead=pr.BulkheadConfig(max_concurrent=limit),
            timeout=pr.TimeoutConfig(seconds=30),
            retry=pr.RetryConfig(max_attempts=2, delay=0.001),
        )

    def limited(self, ask: Ask, *, limit: int, wait_s: float) -> Limited:
        made = self._made(ask, bulkhead=pr.BulkheadConfig(max_concurrent=limit, max_wait=wait_s))
        return Limited(made, (pr.BulkheadFullError,))

    def retrying(self, ask: Ask, *, attempts: int, base_s: float) -> Ask:
        return self._made(
            ask,
            circuit_breaker=_pr_breaker(5, 60),
            retry=pr.RetryConfig(max_attempts=attempts, delay=base_s, max_delay=10, delay_func=retry_after_delay(60)),
            retry_budget=pr.RetryBudgetConfig(max_retries=10, refill_rate=1),
        )

    def forced(self, ask: Ask, *, rest_s: float) -> Forced:
        made: Any = self._made(ask, circuit_breaker=_pr_breaker(5, rest_s))
        return Forced(made, lambda seconds: made._executor._circuit_breaker.force_open())

    def forkable(self, blocking: Callable[[], str], awaited: Ask) -> Callable[[], str]:
        return pr.resilient(bulkhead=pr.BulkheadConfig(max_concurrent=1))(blocking)

    def _made(self, ask: Ask, **policies: Any) -> Ask:
        @pr.resilient(**policies)
        async def call() -> str:
            return await ask()

        return call


class Hyx(Library):
    name, package = "hyx", "hyx"

    def breaker(self, ask: Ask, *, failures: int, rest_s: float) -> Ask:
        return _hyx_breaker(failures, rest_s)(_function(ask))

    def bounded(self, ask: Ask, *, failures: int, deadline_s: float, fallback: Ask) -> Ask:
        async def instead(result: Any) -> str:
            return await fallback()

        timed = hyx.timeout.timeout(deadline_s)(_function(ask))
        return hyx.fallback.fallback(instead)(_hyx_breaker(failures, 60)(timed))

    def guarded(self, ask: Ask, *, failures: int, limit: int) -> Ask:
        bulkhead = hyx.bulkhead.bulkhead(max_concurrency=limit, max_capacity=limit)
        inner = _hyx_breaker(failures, 60)(bulkhead(hyx.timeout.timeout(30)(_function(ask))))
        return hyx.retry.retry(attempts=1, backoff=0.001)(inner)

    def limited(self, ask: Ask, *, limit: int, wait_s: float) -> Limited:
        return Limited(hyx.bulkhead.bulkhead(max_concurrency=limit, max_capacity=20)(_function(ask)))

    def retrying(self, ask: Ask, *, attempts: int, base_s: float) -> Ask:
        return hyx.retry.retry(attempts=attempts - 1, backoff=base_s)(_hyx_breaker(5, 60)(_function(ask)))

    def checked(self, ask: Ask, *, good: Callable[[str], bool], fallback: Ask) -> Ask:
        async def instead(result: Any) -> str:
            return await fallback()

        async def bad(result: str) -> bool:
            return not good(result)

        return hyx.fallback.fallback(instead, if_=bad)(_function(ask))

    def forkable(self, blocking: Callable[[], str], awaited: Ask) -> Callable[[], str]:
        call = hyx.bulkhead.bulkhead(max_concurrency=1, max_capacity=1)(_function(awaited))
        return lambda: asyncio.run(call())


class Interlock(Library):
    name, package = "interlock-cb", "interlock-cb"
    note: ClassVar = {"retry_after": "with a wait function that the team writes, its retries being tenacity's"}

    def breaker(self, ask: Ask, *, failures: int, rest_s: float) -> Ask:
        return _interlock(failures, rest_s)(_function(ask))

    def bounded(self, ask: Ask, *, failures: int, deadline_s: float, fallback: Ask) -> Ask:
        steps = interlock.Pipeline.builder().fallback(lambda error: "from the light model", on=(Exception,))
        return steps.circuit_breaker(_interlock(failures, 60)).timeout(deadline_s).build()(_function(ask))

    def guarded(self, ask: Ask, *, failures: int, limit: int) -> Ask:
        steps = interlock.Pipeline.builder().retry(attempts=2, wait=tenacity.wait_fixed(0.001))
        return steps.circuit_breaker(_interlock(failures, 60)).bulkhead(limit).timeout(30).build()(_function(ask))

    def limited(self, ask: Ask, *, limit: int, wait_s: float) -> Limited:
        pipeline = interlock.Pipeline.builder().bulkhead(limit, max_wait=wait_s).build()
        return Limited(pipeline(_function(ask)), (interlock.BulkheadFullError,))

    def retrying(self, ask: Ask, *, attempts: int, base_s: float) -> Ask:
        return self._retrying(ask, attempts, tenacity.wait_random_exponential(multiplier=base_s, max=1))

    def patient(self, ask: Ask, *, attempts: int, base_s: float) -> Ask:
        return self._retrying(ask, attempts, tenacity.wait_exception(lambda error: retry_after_of(error) or base_s))

    def _retrying(self, ask: Ask, attempts: int, wait: Any) -> Ask:
        steps = interlock.Pipeline.builder().retry(attempts=attempts, wait=wait)
        return steps.circuit_breaker(_interlock(5, 60)).build()(_function(ask))

    def forced(self, ask: Ask, *, rest_s: float) -> Forced:
        breaker = _interlock(5, rest_s)
        return Forced(breaker(_function(ask)), lambda seconds: breaker.force_open())

    def forkable(self, blocking: Callable[[], str], awaited: Ask) -> Callable[[], str]:
        return interlock.Pipeline.builder().bulkhead(1).build()(blocking)


def _pr_breaker(failures: int, rest_s: float) -> pr.CircuitBreakerConfig:
    return pr.CircuitBreakerConfig(failure_threshold=failures, recovery_timeout=rest_s, success_threshold=1)


def _hyx_breaker(failures: int, rest_s: float) -> Any:
    return hyx.circuitbreaker.consecutive_breaker(
        failure_threshold=failures, recovery_time_secs=rest_s, recovery_threshold=1
    )


def _interlock(failures: int, rest_s: float) -> interlock.CircuitBreaker:
    config = interlock.Config(
        window_size=failures,
        minimum_number_of_calls=failures,
        wait_duration_in_open=rest_s,
        permitted_calls_in_half_open=1,
    )
    return interlock.CircuitBreaker(name="llm", config=config)


def _function(ask: Ask) -> Ask:
    """The scenarios' backends are objects; decorators look at functions."""

    async def call() -> str:
        return await ask()

    return call
