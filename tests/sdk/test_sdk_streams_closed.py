"""Streams that are given up: closed, forgotten, cancelled, let go by a command; and whose spans are whose."""

import asyncio
import contextvars
import gc
import logging
import threading
import time
import weakref

import pytest
from opentelemetry import trace
from sdk_virtual_time import VirtualLoop, run_virtually

import paramedic
from paramedic import Guard
from paramedic.guards.refusals import CommandRefused
from paramedic.policy.breaker import Breaker, State
from paramedic.streams.generators import StreamCut

HANG = 3600.0


@pytest.fixture
def run(clock):
    return lambda main: run_virtually(clock, main)


class Source:
    """A stream that knows whether it was closed."""

    def __init__(self, *steps, until_closed_s=0.0):
        self.steps, self.closed, self.until_closed_s = steps, 0, until_closed_s

    async def stream(self):
        try:
            for step in self.steps:
                if isinstance(step, float):
                    await asyncio.sleep(step)
                else:
                    yield step
        finally:
            await asyncio.sleep(self.until_closed_s)
            self.closed += 1

    def sync_stream(self):
        try:
            yield from self.steps
        finally:
            self.closed += 1


@pytest.fixture
def nothing_logged(caplog):
    caplog.set_level(logging.DEBUG, logger="opentelemetry")
    caplog.set_level(logging.WARNING)
    yield
    assert [record.getMessage() for record in caplog.records if record.name != "paramedic"] == []


def let_go(guard, source):
    """Nothing is left of the call, and it said nothing."""
    assert (guard.counts, guard.in_flight()[0], source.closed) == ({"cancelled": 1}, 0, 1)
    return True


def wait_for_let_go():
    for thread in threading.enumerate():
        if thread.name == "paramedic-let-go":
            thread.join(5)


async def within(seconds, stream):
    async with asyncio.timeout(seconds):
        return [chunk async for chunk in stream]


# Closed by the caller


def test_closing_early_says_nothing_and_closes_the_source(run, sink):
    guard, source = Guard("llm"), Source("a", "b", until_closed_s=1.0)

    async def main():
        stream = guard(source.stream)()
        assert await anext(stream) == "a"
        await stream.aclose()
        assert let_go(guard, source)
        await stream.aclose()  # again does nothing

    run(main())
    assert [dict(span.attributes).get("paramedic.cancelled") for span in sink.spans] == [True]
    assert "error.type" not in sink.spans[0].attributes


def test_closing_while_chunks_held_back_are_given_says_nothing(run):
    guard, source = Guard("llm"), Source("", None, "a")

    async def main():
        stream = guard(source.stream)()
        assert await anext(stream) == ""
        await stream.aclose()

    run(main())
    assert let_go(guard, source)


@pytest.mark.parametrize("taken", [1, 2])
def test_an_error_that_the_caller_throws_in_comes_back_and_says_nothing(run, taken):
    guard, source = Guard("llm"), Source("a", "b", "c")

    async def main():
        stream = guard(source.stream)()
        for _ in range(taken):
            await anext(stream)
        with pytest.raises(KeyError):
            await stream.athrow(KeyError("mine"))

    run(main())
    assert let_go(guard, source)


def test_an_error_of_the_sources_own_closing_is_the_callers_to_see(run):
    guard = Guard("llm")

    async def ask():
        try:
            yield "a"
        finally:
            raise KeyError("in finally")

    async def main():
        stream = guard(ask)()
        await anext(stream)
        with pytest.raises(KeyError):
            await stream.aclose()

    run(main())
    assert (guard.counts, guard.in_flight()[0]) == ({"cancelled": 1}, 0)


def test_an_error_of_closing_a_late_source_is_not(run):
    guard = Guard("llm", deadline_s=5)

    async def ask():
        try:
            yield "a"
        finally:
            raise KeyError("in finally")

    async def main():
        stream = guard(ask)()
        await anext(stream)
        await asyncio.sleep(10)
        with pytest.raises(StreamCut) as cut:
            await anext(stream)
        assert isinstance(cut.value.__cause__, TimeoutError)

    run(main())


def test_leaving_the_loop_gives_the_permit_back_without_noise(run, sink, nothing_logged):
    guard, source = Guard("llm", max_concurrent=1), Source("a", "b")

    async def main():
        async for _ in guard(source.stream)():
            break
        gc.collect()
        await asyncio.sleep(1)
        assert let_go(guard, source)

    run(main())
    assert len(sink.spans) == 1


def test_a_stream_that_is_left_is_gone_without_a_collector(run):
    """What it set in its own context lives as long as that does, and so as long as the attempt."""
    mine, seen = contextvars.ContextVar("mine"), []

    class Thing:
        pass

    async def ask():
        mine.set(Thing())
        seen.append(weakref.ref(mine.get()))
        yield "a"
        yield "b"

    async def main():
        stream = Guard("llm")(ask)()
        await anext(stream)
        assert seen[0]() is not None
        await stream.aclose()
        del stream
        return seen[0]()

    gc.disable()
    try:
        assert run(main()) is None
    finally:
        gc.enable()


def test_what_is_left_open_is_closed_when_the_event_loop_shuts_down(run, sink, nothing_logged):
    guard, source, kept = Guard("llm"), Source("a", "b"), []

    async def main():
        kept.append(guard(source.stream)())
        await anext(kept[0])

    run(main())
    assert let_go(guard, source)
    assert len(sink.spans) == 1


def test_a_stream_forgotten_after_its_event_loop_was_closed_gives_its_permit_back(clock, sink, nothing_logged):
    guard, source = Guard("llm", max_concurrent=1), Source("a", "b")
    loop = VirtualLoop(clock)
    kept = []

    async def main():
        kept.append(guard(source.stream)())
        return await anext(kept[0])

    assert loop.run_until_complete(main()) == "a"
    loop.close()
    kept.clear()
    wait_for_let_go()
    assert (guard.counts, guard.in_flight()[0], len(sink.spans)) == ({"cancelled": 1}, 0, 1)


def test_a_stream_may_be_closed_from_another_task_and_another_context(run, sink, nothing_logged):
    guard, source = Guard("llm"), Source("a", "b")

    async def main():
        stream = guard(source.stream)()
        assert await asyncio.create_task(anext(stream)) == "a"
        close = asyncio.get_running_loop().create_task(stream.aclose(), context=contextvars.Context())
        await close
        assert let_go(guard, source)

    run(main())
    assert len(sink.spans) == 1


def test_each_chunk_may_be_asked_for_by_another_task(run):
    guard, source = Guard("llm", idle_s=5), Source("a", 1.0, "b", 1.0, "c")

    async def main():
        stream = guard(source.stream)()
        given = [await asyncio.create_task(anext(stream)) for _ in range(3)]
        with pytest.raises(StopAsyncIteration):
            await asyncio.create_task(anext(stream))
        return given

    assert run(main()) == ["a", "b", "c"]
    assert guard.counts == {"worked": 1}


def test_a_sync_stream_closed_or_forgotten_gives_its_permit_back(sink, nothing_logged):
    for close in (lambda stream: stream.close(), lambda stream: None):
        guard, source = Guard("llm"), Source("a", "b")
        stream = guard(source.sync_stream)()
        assert next(stream) == "a"
        close(stream)
        del stream
        assert let_go(guard, source)


def test_a_sync_stream_may_be_closed_in_another_thread_and_context(sink, nothing_logged):
    guard, source = Guard("llm"), Source("a", "b")
    stream = guard(source.sync_stream)()
    next(stream)
    thread = threading.Thread(target=stream.close)
    thread.start()
    thread.join(5)
    assert let_go(guard, source)


def test_a_sync_stream_collected_while_its_guard_is_locked_does_not_block(nothing_logged):
    """A collector runs wherever memory is asked for, also while the same thread holds the lock of the guard."""
    guard, source = Guard("llm"), Source("a", "b")
    streams = [guard(source.sync_stream)()]
    next(streams[0])

    def collect():
        with guard._lock:
            streams.clear()

    collector = threading.Thread(target=collect, daemon=True)
    collector.start()
    collector.join(5)
    assert not collector.is_alive()
    wait_for_let_go()
    assert let_go(guard, source)


# Cancelled


@pytest.mark.parametrize("steps", [(HANG,), ("", HANG), ("a", HANG)], ids=["at once", "held back", "given"])
def test_a_callers_own_timeout_is_neither_failure_nor_leak(run, sink, steps):
    guard, source = Guard("llm", breaker=Breaker(in_a_row=1), idle_s=99, fallbacks=[lambda: "never"]), Source(*steps)

    async def main():
        with pytest.raises(TimeoutError):
            await within(5, guard(source.stream)())
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    run(main())
    assert let_go(guard, source)
    assert guard.state is State.CLOSED
    assert [span.attributes.get("paramedic.cancelled") for span in sink.spans] == [True]


def test_a_caller_cancelled_while_it_holds_a_chunk_leaves_nothing_behind(run, nothing_logged):
    guard, source = Guard("llm"), Source("a", "b")

    async def consume():
        async for _ in guard(source.stream)():
            await asyncio.sleep(HANG)

    async def main():
        task = asyncio.create_task(consume())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        del task
        gc.collect()
        await asyncio.sleep(1)

    run(main())
    assert let_go(guard, source)


@pytest.mark.parametrize("later_s", [-5e-10, 0.0, 5e-10])  # within the resolution of the event loop
def test_a_timer_and_a_cancellation_in_one_step_of_the_loop_are_a_cancellation(run, clock, later_s):
    guard, source = Guard("llm", idle_s=5, breaker=Breaker(in_a_row=1)), Source("a", HANG)

    async def consume():
        async for _ in guard(source.stream)():
            pass

    async def main():
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(consume())
        loop.call_at(loop.time() + 5 + later_s, lambda: task.cancel())
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
    assert let_go(guard, source)
    assert guard.state is State.CLOSED


def test_a_task_that_lived_through_a_cancellation_still_has_its_timeouts(run):
    """Its count of cancellations stays above 0; that is not the stream's caller giving up."""
    guard = Guard("llm", first_token_s=5, fallbacks=[lambda: "sorry"])

    async def farewell():
        try:
            await asyncio.sleep(HANG)
        except asyncio.CancelledError:
            return [chunk async for chunk in guard(Source(HANG).stream)()]

    async def main():
        task = asyncio.create_task(farewell())
        await asyncio.sleep(1)
        task.cancel()
        return await task

    assert run(main()) == ["sorry"]
    assert guard.counts == {"failed": 1, "fallback": 1}


def test_a_trial_that_its_caller_closes_gives_its_place_back(run, clock):
    guard = Guard("llm", clock=clock, breaker=Breaker(in_a_row=1, rest_s=10))

    async def main():
        bad = guard(failing)()
        with pytest.raises(RuntimeError):
            await anext(bad)
        await asyncio.sleep(10)
        trial = guard(Source("a", "b").stream)()
        await anext(trial)
        with pytest.raises(paramedic.BreakerOpen):
            await anext(guard(Source("a").stream)())
        await trial.aclose()
        assert [chunk async for chunk in guard(Source("c").stream)()] == ["c"]

    async def failing():
        raise RuntimeError
        yield

    run(main())
    assert guard.state is State.CLOSED


# Let go by a command


@pytest.mark.parametrize("held", [False, True], ids=["while it hangs", "while the caller holds a chunk"])
def test_a_command_lets_a_stream_go(run, clock, command, obey, held):
    guard, source = Guard("llm", clock=clock), Source("a", "b") if held else Source("a", HANG)

    async def main():
        stream = guard(source.stream)()
        assert await anext(stream) == "a"
        obey(command("trip_breaker", peer="llm", parameters={"abandon_after_s": 2}))
        if held:
            await asyncio.sleep(5)  # of the caller's own, which nobody cancels
        with pytest.raises(StreamCut) as cut:
            await anext(stream)
        assert isinstance(cut.value.__cause__, CommandRefused)

    run(main())
    assert (guard.counts, guard.in_flight()[0], source.closed) == ({"abandoned": 1}, 0, 1)


def test_a_command_sends_a_hanging_stream_to_the_fallbacks(run, clock, command, obey):
    guard, source = Guard("llm", clock=clock, fallbacks=[lambda: "sorry"]), Source(HANG)

    async def main():
        asyncio.get_running_loop().call_later(
            1, lambda: obey(command("trip_breaker", peer="llm", parameters={"abandon_after_s": 2}))
        )
        return [chunk async for chunk in guard(source.stream)()]

    assert run(main()) == ["sorry"]
    assert guard.counts == {"abandoned": 1, "fallback": 1}
    assert clock() == 1002


# Whose spans and whose deadline


def test_spans_made_inside_are_children_and_the_callers_own_are_not(run, sink):
    guard = Guard("llm")
    tracer = paramedic.telemetry.runtime.runtime.tracer

    async def ask():
        for name in ("first", "second"):
            with tracer.start_as_current_span(name):
                await asyncio.sleep(1)
            yield name

    async def main():
        with tracer.start_as_current_span("caller"):
            async for name in guard(ask)():
                assert Guard.current().guard is None
                with tracer.start_as_current_span(f"after {name}"):
                    await asyncio.sleep(1)

    run(main())
    spans = {span.name: span for span in sink.spans}
    for name, parent in (
        ("first", "llm"),
        ("second", "llm"),
        ("llm", "caller"),
        ("after first", "caller"),
        ("after second", "caller"),
    ):
        assert spans[name].parent.span_id == spans[parent].context.span_id


def test_a_source_that_holds_a_span_across_its_chunks_makes_no_noise_when_closed_elsewhere(run, sink, nothing_logged):
    """Instrumented clients do so, and without a guard the log says "was created in a different Context"."""
    guard = Guard("llm")
    tracer = paramedic.telemetry.runtime.runtime.tracer

    async def ask():
        with tracer.start_as_current_span("held"):
            yield trace.get_current_span().get_span_context().span_id
            yield trace.get_current_span().get_span_context().span_id

    async def main():
        stream = guard(ask)()
        first = await asyncio.create_task(anext(stream))
        assert first == await asyncio.create_task(anext(stream))
        await asyncio.create_task(stream.aclose())
        other = guard(ask)()
        await anext(other)
        kept.append(other)  # until the event loop shuts down

    kept = []
    run(main())
    assert sorted(span.name for span in sink.spans) == ["held", "held", "llm", "llm"]
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_what_the_source_sets_is_not_seen_by_the_caller(run):
    mine = contextvars.ContextVar("mine", default="caller's")

    async def ask():
        seen = [mine.get()]
        mine.set("source's")
        yield seen
        yield [*seen, mine.get()]

    async def main():
        stream = Guard("llm")(ask)()
        assert await anext(stream) == ["caller's"]
        assert mine.get() == "caller's"
        return await anext(stream)

    assert run(main()) == ["caller's", "source's"]


def test_guards_inside_see_the_deadline_of_the_stream(run):
    left = []
    inner = Guard("tool")

    @inner
    async def use_tool():
        left.append(paramedic.left_s())

    async def ask():
        await use_tool()
        yield "a"
        await use_tool()
        yield "b"

    async def main():
        async for _ in Guard("llm", deadline_s=30)(ask)():
            assert paramedic.left_s() == float("inf")
        async with paramedic.deadline(10):
            async for _ in Guard("llm", deadline_s=30)(ask)():
                assert 0 < paramedic.left_s() <= 10

    run(main())
    assert all(0 < s <= 30 for s in left[:2])
    assert all(0 < s <= 10 for s in left[2:])


def test_one_stream_within_another_ends_with_it(run):
    outer, inner, source = Guard("answer"), Guard("provider"), Source("a", "b")
    inner_stream = inner(source.stream)

    async def answer():
        async for chunk in inner_stream():
            yield chunk

    async def main():
        stream = outer(answer)()
        await anext(stream)
        await stream.aclose()
        gc.collect()
        await asyncio.sleep(1)

    run(main())
    assert (outer.counts, inner.counts) == ({"cancelled": 1}, {"cancelled": 1})
    assert source.closed == 1


def test_the_first_useful_chunk_is_timed_once(run, sink, clock):
    guard = Guard("llm", clock=clock)

    async def main():
        return [chunk async for chunk in guard(Source("", 3.0, "a", 3.0, "b").stream)()]

    run(main())
    assert sink.spans[0].attributes["gen_ai.response.time_to_first_chunk"] == 3.0


def test_a_thousand_streams_at_once_leave_nothing_behind(run):
    guard = Guard("llm", idle_s=5, fallbacks=[Source("sorry").stream], breaker=None)

    async def one(n):
        source = Source(*[("a", 1.0, "b"), ("a", HANG), (HANG,)][n % 3])
        try:
            async with asyncio.timeout(3 if n % 2 else 60):
                return [chunk async for chunk in guard(source.stream)()]
        except (StreamCut, TimeoutError) as error:
            return type(error)

    async def main():
        begun = time.monotonic()
        await asyncio.gather(*(one(n) for n in range(1000)))
        return begun

    run(main())
    assert guard.in_flight()[0] == 0
    assert sum(guard.counts[name] for name in ("worked", "failed", "cancelled")) == 1000
