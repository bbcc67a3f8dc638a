"""Blocks, fallbacks, settings, requests and the testing kit."""

from collections.abc import AsyncIterator
from typing import assert_type

import paramedic
from paramedic import Breaker, Call, Fallback, Guard, Retry
from paramedic.testing import Clock, FaultInjector, MemorySink, commands, no_wait, run_virtually


async def ask(question: str) -> str:
    return question


async def tell(question: str) -> AsyncIterator[str]:
    yield question


def look_up(key: int) -> bytes:
    return b""


async def blocks(guard: Guard) -> None:
    with guard.call() as call:
        assert_type(call, Call)
    async with guard.call() as call:
        assert_type(call, Call)
    assert_type(Guard.current(), Call)
    assert_type(Guard.headers(), dict[str, str])
    assert_type(call.cap_tokens(100), int)

    call.tokens(120, 30)  # error
    call.set("name", object())  # error


async def fallbacks() -> None:
    light = Fallback(ask, deadline_s=2)
    assert_type(await light("?"), str)
    Guard("llm", fallbacks=[light, ask, look_up, str.upper])

    await light(7)  # error
    Guard("llm", fallbacks=[7])  # error
    Fallback(ask, deadline_s="2")  # error


def settings() -> None:
    Guard("llm", breaker=Breaker(in_a_row=5, failure_rate=None), retry=Retry(on=(OSError,)))
    Guard("llm", breaker=None, retry=3, idempotency_key=True)
    Guard("llm", retry=Retry(on=lambda error: isinstance(error, OSError)))
    Guard("llm", idempotency_key=lambda order, cents: f"{order}-{cents}")

    Guard("llm", breaker=5)  # error
    Guard("llm", retry="often")  # error
    Breaker(failures=5)  # error
    Retry(on=OSError())  # error


async def requests() -> None:
    with paramedic.request(conversation="c-1", residency={"eu"}) as said:
        assert_type(said.conversation, str)
    async with paramedic.deadline(2.0), paramedic.request(criticality="low"):
        assert_type(paramedic.left_s(), float)
    paramedic.feedback("thumbs_up", conversation="c-1")

    paramedic.request(conversation=7)  # error
    paramedic.feedback("thumbs_up", "c-1")  # error


def tools() -> None:
    offered = paramedic.available([look_up])
    assert_type(offered[0](1), bytes)

    offered[0]("1")  # error
    paramedic.available([7])  # error


async def kit() -> None:
    clock = Clock()
    faults = FaultInjector(seed=1, clock=clock)
    assert_type(await faults.wrap(ask)("?"), str)
    async for word in faults.wrap(tell)("?"):
        assert_type(word, str)
    assert_type(faults.wrap(look_up)(1), bytes)
    faults.fail(TimeoutError)
    faults.fail(TimeoutError("late"), share=0.5, times=2)
    faults.fail(lambda: OSError(5), after=1)
    with MemorySink() as sink, commands(clock) as platform, no_wait() as waited:
        platform.send("shed_load", peer="aurora", share=0.5)
        assert_type(len(sink.spans), int)
        assert_type(waited, list[float])
    assert_type(run_virtually(clock, ask("?")), str)

    run_virtually(clock, look_up(1))  # error
    faults.wrap(look_up)("1")  # error
    faults.fail("late")  # error
    platform.send("shed_load", "aurora")  # error
