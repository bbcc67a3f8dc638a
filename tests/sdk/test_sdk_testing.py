"""The kit for a team's own tests: faults strike where they were told to, and nowhere else."""

import asyncio
import inspect
import time

import pytest

from paramedic import BulkheadFull, CommandRefused, Guard, Shed
from paramedic.contract.command import AckState
from paramedic.guards.waits import waits
from paramedic.policy.breaker import Breaker
from paramedic.policy.retry import Retry
from paramedic.testing import (
    Clock,
    FaultInjector,
    MemorySink,
    StatusError,
    commands,
    fresh_guards,
    no_wait,
    run_virtually,
)


async def tell(count: int = 4):
    for number in range(count):
        yield number


def tell_sync(count: int = 4):
    yield from range(count)


async def reply() -> str:
    return "answer"


def reply_sync() -> str:
    return "answer"


async def heard_of(stream) -> list:
    heard = []
    try:
        async for chunk in stream:
            heard.append(chunk)
    except Exception as error:
        heard.append(type(error).__name__)
    return heard


def heard_of_sync(stream) -> list:
    heard = []
    try:
        for chunk in stream:
            heard.append(chunk)
    except Exception as error:
        heard.append(type(error).__name__)
    return heard


@pytest.fixture
def faults(clock: Clock) -> FaultInjector:
    return FaultInjector(seed=1, clock=clock)


@pytest.fixture(params=["sync", "async"])
def hear(request, faults):
    """What comes out of a faulty stream of 0, 1, 2, 3."""
    if request.param == "sync":
        return lambda: heard_of_sync(faults.wrap(tell_sync)())
    return lambda: asyncio.run(heard_of(faults.wrap(tell)()))


@pytest.fixture(params=["sync", "async"])
def ask(request, faults):
    """What a faulty function answers."""
    if request.param == "sync":
        return faults.wrap(reply_sync)
    faulty = faults.wrap(reply)
    return lambda: asyncio.run(faulty())


def test_without_a_fault_everything_comes_through(ask, hear):
    assert ask() == "answer"
    assert hear() == [0, 1, 2, 3]


def test_a_stream_fails_after_as_many_chunks_as_told(faults, hear):
    faults.fail(ConnectionError, after=2)
    assert hear() == [0, 1, "ConnectionError"]
    faults.fail(ConnectionError())
    assert hear() == ["ConnectionError"]


def test_a_stream_is_cut_without_a_word(faults, hear):
    faults.cut(after=3)
    assert hear() == [0, 1, 2]


def test_a_fault_behind_the_end_of_a_stream_never_strikes(faults, hear):
    faults.fail(ConnectionError, after=5)
    assert hear() == [0, 1, 2, 3]


def test_a_stream_that_fails_at_its_end_gave_everything_before(faults, hear):
    faults.fail(ConnectionError, after=4)
    assert hear() == [0, 1, 2, 3, "ConnectionError"]


def test_a_stream_stalls_once_and_goes_on(faults, hear, clock):
    faults.hang(30, after=1)
    assert hear() == [0, 1, 2, 3]
    assert clock() == 1030


def test_a_trickle_waits_before_each_chunk_and_before_the_end(faults, hear, clock):
    faults.trickle(2)
    assert hear() == [0, 1, 2, 3]
    assert clock() == 1010


def test_a_stream_answers_other_chunks(faults, hear):
    faults.answer(["", "?"])
    assert hear() == ["", "?"]


def test_a_function_fails_hangs_and_answers_at_once_whatever_the_chunk(faults, ask, clock):
    faults.fail(LookupError, after=7)
    with pytest.raises(LookupError):
        ask()
    faults.hang(30)
    assert ask() == "answer"
    faults.trickle(5)
    assert ask() == "answer"
    assert clock() == 1035
    faults.answer("")
    assert ask() == ""
    faults.cut()
    assert ask() == "answer"


def test_a_fault_heals_by_itself_after_its_times(faults, ask):
    faults.fail(LookupError, times=2)
    for _ in range(2):
        with pytest.raises(LookupError):
            ask()
    assert ask() == "answer"
    assert faults.calls == 3


def test_a_share_hits_as_many_calls_as_it_says_and_the_same_ones_for_one_seed():
    def hits(seed: int) -> list[bool]:
        faults = FaultInjector(seed)
        faults.answer(True, share=0.25)
        faulty = faults.wrap(lambda: False)
        return [faulty() for _ in range(400)]

    assert 70 < sum(hits(3)) < 130
    assert hits(3) == hits(3) != hits(4)


def test_an_exception_is_a_new_one_each_time(faults):
    """A guard marks an exception that was retried already; the next call must not inherit the mark."""
    faults.fail(StatusError(503, {"retry-after": "2"}))
    caught = []
    for _ in range(2):
        with pytest.raises(StatusError) as raised:
            faults.wrap(reply_sync)()
        caught.append(raised.value)
    assert caught[0] is not caught[1]
    assert caught[1].response.headers == {"retry-after": "2"}


def test_an_exception_that_cannot_be_copied_is_raised_as_it_is(faults):
    class Odd(Exception):
        def __init__(self, one, two):
            super().__init__("odd")

    faults.fail(Odd(1, 2))
    with pytest.raises(Odd):
        faults.wrap(reply_sync)()


def test_a_rate_limit_reads_like_a_providers(faults, ask):
    faults.limit_rate(2.5)
    with pytest.raises(StatusError) as raised:
        ask()
    assert raised.value.status_code == raised.value.response.status_code == 429
    assert raised.value.response.headers["retry-after"] == "2.5"


def test_a_stream_that_is_closed_early_closes_what_it_wraps(faults):
    closed = []

    async def source():
        try:
            yield 1
            yield 2
        finally:
            closed.append("async")

    def source_sync():
        try:
            yield 1
            yield 2
        finally:
            closed.append("sync")

    async def first() -> None:
        stream = faults.wrap(source)()
        await anext(stream)
        await stream.aclose()
        assert closed == ["async"]  # by now, not when the loop ends

    asyncio.run(first())
    stream = faults.wrap(source_sync)()
    next(stream)
    stream.close()
    assert closed == ["async", "sync"]


def test_a_wrapped_function_is_still_what_it_was(faults):
    assert inspect.isasyncgenfunction(faults.wrap(tell))
    assert inspect.isgeneratorfunction(faults.wrap(tell_sync))
    assert inspect.iscoroutinefunction(faults.wrap(reply))
    assert faults.wrap(reply_sync).__name__ == "reply_sync"


def test_without_a_clock_it_really_waits(monkeypatch):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    faults = FaultInjector()
    faults.hang(3)
    assert faults.wrap(reply_sync)() == "answer"
    assert slept == [3]


def test_a_command_is_obeyed_until_its_lease_ends(clock):
    guard = Guard("llm", peer="aurora", clock=clock, fallbacks=[lambda: "fallback"])
    with commands(clock) as platform:
        ack = platform.send("trip_breaker", peer="aurora", ttl_s=30, probe_share=0)
        assert (ack.state, ack.guards) == (AckState.APPLIED, ("llm",))
        assert guard.run_sync(reply_sync) == "fallback"
        clock.now += 31
        assert guard.run_sync(reply_sync) == "answer"
        platform.sweep()
        assert platform.acks[-1].state == AckState.EXPIRED


def test_a_command_can_be_cleared_and_ends_with_its_block(clock):
    guard = Guard("llm", clock=clock)
    with commands(clock) as platform:
        platform.clear(platform.send("shed_load", guard="llm", share=1.0))
        assert guard.run_sync(reply_sync) == "answer"
        platform.send("shed_load", guard="llm", share=1.0)
        with pytest.raises(Shed):
            guard.run_sync(reply_sync)
    assert guard.run_sync(reply_sync) == "answer"


def test_commands_end_when_a_test_fails_in_their_midst(clock):
    guard = Guard("llm", clock=clock)

    def a_test_that_fails():
        with commands(clock) as platform:
            platform.send("trip_breaker", guard="llm", probe_share=0)
            guard.run_sync(reply_sync)

    with pytest.raises(CommandRefused):
        a_test_that_fails()
    assert guard.run_sync(reply_sync) == "answer"


@pytest.mark.parametrize(
    ("kind", "target", "parameters", "why"),
    [
        ("trip_breaker", {"peer": "nobody"}, {}, "no guard matches"),
        ("failover", {"guard": "llm"}, {}, "no fallback"),
        ("shed_load", {"guard": "llm"}, {"share": 7}, "share"),
    ],
)
def test_a_command_that_cannot_be_obeyed_says_why(clock, kind, target, parameters, why):
    guard = Guard("llm", clock=clock)
    with commands(clock) as platform:
        ack = platform.send(kind, **target, **parameters)
        assert ack.state == AckState.REJECTED
        assert why in ack.reason
        assert guard.run_sync(reply_sync) == "answer"


def test_a_kind_that_does_not_exist_is_a_mistake_of_the_test():
    with commands() as platform, pytest.raises(ValueError, match="explode"):
        platform.send("explode", guard="llm")


def test_a_sink_keeps_what_guards_send_while_it_is_entered(clock):
    guard = Guard("llm", peer="seen-by-the-sink", clock=clock)
    guard.run_sync(reply_sync)
    with MemorySink() as sink:
        guard.run_sync(reply_sync)
        assert [span.name for span in sink.spans] == ["llm"]
        calls = [point for point in sink.metrics["paramedic.calls"] if point[0]["service.peer.name"] == guard.peer]
        ((about, count),) = calls
        assert (about["paramedic.decision"], count) == ("worked", 1)
        (point,) = sink.histograms["paramedic.call.duration"]
        assert point.count == 1
    guard.run_sync(reply_sync)
    assert len(sink.spans) == 1


def test_a_sink_inside_another_gives_back_what_was_there():
    guard = Guard("llm")
    with MemorySink() as outer:
        with MemorySink() as inner:
            guard.run_sync(reply_sync)
        guard.run_sync(reply_sync)
    assert (len(outer.spans), len(inner.spans)) == (1, 1)


def test_a_sink_that_is_cleared_has_seen_nothing():
    with MemorySink() as sink:
        Guard("llm").run_sync(reply_sync)
        sink.clear()
        assert (sink.spans, sink.events, sink.metrics.get("paramedic.calls")) == ([], [], None)


def test_without_waiting_a_retry_tells_how_long_it_would_have_waited(faults):
    faults.limit_rate(20, times=2)
    guard = Guard("llm", retry=Retry(attempts=3, base_s=1.0), draw=lambda: 0.5)
    with no_wait() as waited:
        answer = guard.run_sync(faults.wrap(reply_sync))
    assert answer == "answer"
    assert waited == [20.5, 21.0]


def test_without_waiting_async_retries_do_not_wait_either(faults):
    faults.fail(ConnectionError, times=1)
    guard = Guard("llm", retry=2, draw=lambda: 0.5)
    with no_wait() as waited:
        assert asyncio.run(guard.run(faults.wrap(reply))) == "answer"
    assert waited == [0.1]


def test_after_the_block_retries_wait_again():
    before = (waits.sleep, waits.asleep)
    with no_wait():
        assert waits.sleep is not before[0]
    assert (waits.sleep, waits.asleep) == before


def test_fresh_guards_have_no_past(clock):
    faults = FaultInjector()
    faults.fail(ConnectionError)
    guard = Guard("llm", clock=clock, breaker=Breaker(in_a_row=1), retry=2)
    with pytest.raises(ConnectionError):
        guard.run_sync(faults.wrap(reply_sync))
    while guard.retry_budget.allows:
        guard.retry_budget.failed()
    with commands(clock) as platform:
        platform.send("trip_breaker", guard="llm")
        guard.force("open")
        fresh_guards()
        assert guard.available
        platform.send("cap_tokens", guard="llm", max_tokens=5)  # the next command does not bring back the first
        assert guard.run_sync(reply_sync) == "answer"
        assert dict(guard.counts) == {"worked": 1}
        assert guard.retry_budget.allows


def test_fresh_guards_keep_their_calls_in_flight():
    guard = Guard("llm", max_concurrent=1)
    with guard.call():
        fresh_guards()
        with pytest.raises(BulkheadFull):
            guard.run_sync(reply_sync)
    assert guard.in_flight()[0] == 0
    assert guard.run_sync(reply_sync) == "answer"


def test_in_virtual_time_a_hang_ends_at_its_deadline_and_not_before(clock):
    faults = FaultInjector(clock=clock)
    faults.hang(60)
    guard = Guard("llm", deadline_s=8, clock=clock, breaker=Breaker(in_a_row=1, rest_s=30))

    async def main():
        with pytest.raises(TimeoutError):
            await guard.run(faults.wrap(reply))
        assert clock() == 1008
        assert not guard.available
        await asyncio.sleep(30)
        assert guard.available
        faults.hang(7)
        return await guard.run(faults.wrap(reply))

    assert run_virtually(clock, main()) == "answer"
    assert clock() == 1045


def test_in_virtual_time_a_stream_that_stalls_is_cut_after_its_gap(clock):
    faults = FaultInjector(clock=clock)
    faults.hang(60, after=2)
    guarded = Guard("llm", idle_s=5, clock=clock)(faults.wrap(tell))
    assert run_virtually(clock, heard_of(guarded())) == [0, 1, "StreamCut"]
    assert clock() == 1005


def test_in_virtual_time_waiting_for_nothing_is_an_error_and_no_hang(clock):
    async def main():
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="nothing will ever wake them"):
        run_virtually(clock, main())
