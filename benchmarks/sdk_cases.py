"""The cases of ours, and those of Python and OpenTelemetry that they are measured against."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind, Tracer
from sdk_measure import BARE, EVERY, FUNCTION, GUARD, RETRIED, ROUTED, SPAN, TIMED, TOLD, Case

import paramedic
from paramedic.telemetry.recorder import Recorder
from paramedic.telemetry.runtime import runtime

CHUNKS = 100
FIVE = {"a": "one", "b": "two", "c": "three", "d": 4, "e": True}


async def bare() -> int:
    return 1


def called() -> int:
    return 1


async def chunks() -> AsyncIterator[str]:
    for _ in range(CHUNKS):
        yield "token"


async def passed_through() -> AsyncIterator[str]:
    async for chunk in chunks():
        yield chunk


def tracer() -> Tracer:
    """Spans go to a processor that drops them: what they cost the caller's thread, without the encoding."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SpanProcessor())
    return provider.get_tracer("bench")


@contextlib.contextmanager
def telemetry(of: Tracer, recorder: Recorder | None) -> Iterator[None]:
    runtime.tracer, runtime.recorder = of, recorder
    try:
        yield
    finally:
        runtime.tracer = runtime.recorder = None


def references(of: Tracer) -> list[Case]:
    """What a guard is measured against: nothing, a timer, a span."""

    async def timer() -> int:
        async with asyncio.timeout(8):
            return await bare()

    async def span() -> int:
        with of.start_as_current_span("call", kind=SpanKind.CLIENT, attributes=FIVE):
            return await bare()

    return [
        Case(BARE, bare, peer=True),
        Case("bare call", called, base="bare call", peer=True),
        Case("asyncio.timeout", timer, peer=True),
        Case(SPAN, span, peer=True, share=0.5),
    ]


def guards(of: Tracer) -> list[Case]:
    """The guards that others are measured beside, too."""
    plain = paramedic.guard("plain", peer="aurora", max_concurrent=64)(bare)
    timed = paramedic.guard("timed", peer="aurora", max_concurrent=64, deadline_s=8)(bare)
    every = paramedic.guard("every", peer="aurora", max_concurrent=64, deadline_s=8, retry=3, fallbacks=[bare])(bare)
    recorder = Recorder()
    return [
        Case(GUARD, plain),
        Case(FUNCTION, paramedic.guard("sync", peer="aurora")(called), base="bare call"),
        Case(TIMED, timed),
        Case(EVERY, every),
        Case(TOLD, plain, share=0.5, around=lambda: telemetry(of, recorder)),
        Case(
            "guard with all five policies, span and metrics", every, share=0.5, around=lambda: telemetry(of, recorder)
        ),
        retrying(),
        routing(),
    ]


def ours(of: Tracer) -> list[Case]:
    """All cases of ours."""
    plain = paramedic.guard("plain.again", peer="aurora", max_concurrent=64)
    recorder = Recorder()
    return [
        *guards(of),
        Case("guard with its span", plain(bare), share=0.5, around=lambda: telemetry(of, None)),
        Case("guard with its metrics", plain(bare), around=lambda: telemetry(None, recorder)),  # type: ignore[arg-type]
        _refusing(),
        _block(),
        *_streaming(),
    ]


def retrying() -> Case:
    """Fails the first time, works the second; without waiting in between."""
    breaker = paramedic.Breaker(failure_rate=None, in_a_row=5)
    guard = paramedic.Guard("retrying", peer="retried", breaker=breaker, retry=paramedic.Retry(base_s=0))
    turn = [0]

    async def every_other() -> int:
        turn[0] += 1
        if turn[0] % 2:
            guard.means.budget.tokens = guard.means.budget.FULL  # half of all calls fail: no budget allows that
            raise ConnectionError
        return 1

    return Case(RETRIED, guard(every_other), share=0.25)


def _refusing() -> Case:
    guard = paramedic.Guard("refusing", peer="dead", breaker=paramedic.Breaker(in_a_row=1, rest_s=86400))

    async def dead() -> int:
        raise ConnectionError

    asks = guard(dead)

    async def refused() -> None:
        try:
            await asks()
        except Exception:
            return

    return Case("refusal by an open breaker", refused)


def _block() -> Case:
    guard = paramedic.Guard("block", peer="aurora")

    async def block() -> int:
        async with guard.call():
            return await bare()

    return Case("guard as a context manager", block)


def routing() -> Case:
    router = paramedic.Router("router", {"eu-1a": bare, "eu-1b": bare}, peer="aurora")

    async def routed() -> int:
        return int(await router())

    return Case(ROUTED, routed)


def _streaming() -> list[Case]:
    plain = paramedic.guard("stream", peer="aurora")(chunks)
    timed = paramedic.guard("stream.timed", peer="aurora", first_token_s=8, idle_s=8, deadline_s=60)(chunks)
    through = "bare pass-through"
    return [
        Case(through, passed_through, base=through, peer=True, chunks=CHUNKS, share=5),
        Case("guarded stream, a chunk", plain, base=through, chunks=CHUNKS, share=5),
        Case("guarded stream with its deadlines, a chunk", timed, base=through, chunks=CHUNKS, share=5),
    ]
