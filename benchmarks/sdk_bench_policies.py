"""What breakers, retries and whole sets of policies of other libraries cost."""

import datetime
from typing import Any

import aiobreaker
import fluxgate
import hyx.bulkhead
import hyx.circuitbreaker
import hyx.fallback
import hyx.retry
import hyx.timeout
import interlock
import pybreaker
import pyresilience as pr
import stamina
import tenacity
from fluxgate.trippers import FailureRate, MinRequests
from fluxgate.windows import CountWindow
from purgatory import AsyncCircuitBreakerFactory
from sdk_cases import bare, called
from sdk_measure import EVERY, FUNCTION, RETRIED, TIMED, Case

DEADLINE_S = 8


async def _instead(_: Any) -> int:
    return 0


def cases() -> list[Case]:
    return [*_breakers(), *_deadlines(), *_sets(), *_retries()]


def _breakers() -> list[Case]:
    blocking = pybreaker.CircuitBreaker()(called)
    aio = aiobreaker.CircuitBreaker(timeout_duration=datetime.timedelta(seconds=60))
    in_a_row = pr.resilient(circuit_breaker=pr.CircuitBreakerConfig())
    window = pr.CircuitBreakerConfig(sliding_window_size=20, minimum_calls=10, slow_call_duration=5)
    rate = MinRequests(10) & FailureRate(0.5)
    flux = fluxgate.AsyncCircuitBreaker(window=CountWindow(20), tripper=rate)
    lock = interlock.CircuitBreaker(name="llm", config=interlock.Config(window_size=20))
    return [
        Case("pybreaker, function that blocks", blocking, base="bare call", peer=True, beside=FUNCTION),
        Case("aiobreaker", aio(bare), peer=True),
        Case("purgatory", AsyncCircuitBreakerFactory()("llm")(bare), peer=True),
        Case("fluxgate, failure rate", flux(bare), peer=True, share=0.5),
        Case("pyresilience, failures in a row", in_a_row(bare), peer=True),
        Case("pyresilience, failure and slow rate", pr.resilient(circuit_breaker=window)(bare), peer=True, share=0.5),
        Case("hyx, failures in a row", hyx.circuitbreaker.consecutive_breaker()(bare), peer=True),
        Case("interlock-cb, failure and slow rate", lock(bare), peer=True, share=0.5),
    ]


def _deadlines() -> list[Case]:
    lock = interlock.Pipeline.builder().timeout(DEADLINE_S).build()
    return [
        Case(
            "pyresilience, timeout",
            pr.resilient(timeout=pr.TimeoutConfig(DEADLINE_S))(bare),
            peer=True,
            beside=TIMED,
            share=0.5,
        ),
        Case("hyx, timeout", _in_loop(_hyx_timeout), peer=True, beside=TIMED, share=0.5),
        Case("interlock-cb, timeout", lock(bare), peer=True, beside=TIMED, share=0.5),
    ]


def _sets() -> list[Case]:
    every = pr.resilient(
        circuit_breaker=pr.CircuitBreakerConfig(),
        timeout=pr.TimeoutConfig(DEADLINE_S),
        retry=pr.RetryConfig(),
        bulkhead=pr.BulkheadConfig(max_concurrent=64),
        fallback=pr.FallbackConfig(handler=_instead),
    )
    steps = interlock.Pipeline.builder().fallback(lambda error: 0, on=(Exception,)).retry(attempts=3)
    breaker = interlock.CircuitBreaker(name="llm", config=interlock.Config(window_size=20))
    pipeline = steps.circuit_breaker(breaker).bulkhead(64).timeout(DEADLINE_S).build()
    return [
        Case("pyresilience, all five", every(bare), peer=True, beside=EVERY, share=0.5),
        Case("hyx, all five", _in_loop(_hyx_all), peer=True, beside=EVERY, share=0.5),
        Case("interlock-cb, all five", pipeline(bare), peer=True, beside=EVERY, share=0.25),
    ]


def _retries() -> list[Case]:
    """One that is not needed, and one that works the second time, without waiting."""
    turn = [0]

    async def every_other() -> int:
        turn[0] += 1
        if turn[0] % 2:
            raise ConnectionError
        return 1

    on, stop = tenacity.retry_if_exception_type(ConnectionError), tenacity.stop_after_attempt(3)
    tenacious = tenacity.retry(retry=on, stop=stop, wait=tenacity.wait_none())
    stamped = stamina.retry(on=ConnectionError, attempts=3, wait_initial=0, wait_max=0, wait_jitter=0)
    resilient = pr.resilient(retry=pr.RetryConfig(max_attempts=3, delay=0))
    return [
        Case("tenacity, no retry needed", tenacious(bare), peer=True, beside=EVERY, share=0.25),
        Case("stamina, no retry needed", stamped(bare), peer=True, beside=EVERY, share=0.25),
        Case("tenacity, a retry that works", tenacious(every_other), peer=True, beside=RETRIED, share=0.25),
        Case("stamina, a retry that works", stamped(every_other), peer=True, beside=RETRIED, share=0.25),
        Case("pyresilience, a retry that works", resilient(every_other), peer=True, beside=RETRIED, share=0.25),
    ]


def _hyx_timeout() -> Any:
    return hyx.timeout.timeout(DEADLINE_S)(bare)


def _hyx_all() -> Any:
    breaker, bulkhead = hyx.circuitbreaker.consecutive_breaker(), hyx.bulkhead.bulkhead(64, 64)
    retried = hyx.retry.retry(attempts=3)(bulkhead(breaker(_hyx_timeout())))
    return hyx.fallback.fallback(_instead)(retried)


def _in_loop(make: Any) -> Any:
    """What can only be made while an event loop runs."""
    made: list[Any] = []

    async def call() -> Any:
        if not made:
            made.append(make())
        return await made[0]()

    return call
