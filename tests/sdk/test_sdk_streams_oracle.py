"""Random streams and callers, beside an oracle that walks through the same script with a pencil.

All waits are whole seconds and all limits are not, so that no two things ever happen at once.
"""

import asyncio
import gc
from dataclasses import dataclass, field

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule
from sdk_virtual_time import VirtualLoop, run_virtually

from paramedic import Guard
from paramedic.guards.refusals import BulkheadFull
from paramedic.policy.breaker import Breaker, State
from paramedic.streams.generators import IncompleteStream, StreamCut
from paramedic.testing import Clock

INF = float("inf")
STOP = "stop"  # the chunk that says that a stream is complete
PING = ""  # a chunk that is not useful


@pytest.fixture(scope="module", autouse=True)
def only_our_own_garbage():
    """What other tests of this worker have made is not looked through at each collection here."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


class Down(Exception):
    """What a failing source raises."""


class Hurt(Exception):
    """What a failing fallback raises."""


@dataclass(frozen=True)
class Script:
    """What a source does, what its guard asks of it, and what its caller does."""

    steps: list  # seconds to wait, or a chunk
    fails: bool
    first_token_s: float
    idle_s: float
    deadline_s: float
    announces_end: bool
    fallback: list | None  # chunks; a Hurt in them is raised
    holds_s: list  # for how long the caller holds each chunk; 0 for those beyond
    closes_after: int | None  # chunks
    cancelled_at: float


@dataclass
class Seen:
    """What came of it."""

    chunks: list = field(default_factory=list)
    error: type | None = None
    cause: type | None = None
    counts: dict = field(default_factory=dict)

    def ends(self, error=None, cause=None, **counts):
        self.error, self.cause = error, cause
        for name, count in counts.items():
            self.counts[name] = self.counts.get(name, 0) + count
        return self


chunks = st.sampled_from([PING, PING, "a", "b", STOP])
limits = st.one_of(st.just(INF), st.integers(0, 9).map(float))
scripts = st.builds(
    Script,
    steps=st.lists(st.one_of(chunks, st.integers(1, 4).map(float)), max_size=12),
    fails=st.booleans(),
    first_token_s=limits.map(lambda s: s + 0.5),
    idle_s=limits.map(lambda s: s + 0.25),
    deadline_s=st.one_of(st.just(INF), st.integers(0, 20).map(float)).map(lambda s: s + 0.125),
    announces_end=st.booleans(),
    fallback=st.one_of(st.none(), st.lists(st.sampled_from([PING, "f", Hurt]), max_size=3)),
    holds_s=st.lists(st.integers(0, 3).map(float), max_size=6),
    closes_after=st.one_of(st.none(), st.none(), st.integers(1, 5)),
    cancelled_at=st.one_of(st.just(INF), st.integers(0, 20).map(float)).map(lambda s: s + 0.0625),
)


def finite(seconds):
    return None if seconds == INF else seconds


def options_of(script):
    return {
        "first_token_s": finite(script.first_token_s),
        "idle_s": finite(script.idle_s),
        "deadline_s": finite(script.deadline_s),
        "ends": (lambda chunk: chunk == STOP) if script.announces_end else None,
        "max_concurrent": 1,
        "breaker": None,
    }


# The oracle


class Caller:
    """Time, and what the caller does with it. Says whether it gives up."""

    def __init__(self, script, seen, can_cancel=True):
        self.script, self.seen, self.now = script, seen, 0.0
        self.cancelled_at = script.cancelled_at if can_cancel else INF
        self.held_s = 0.0

    def gives_up_before(self, until):
        return self.cancelled_at < until

    def takes(self, chunk):
        """Take a chunk and hold it; the name of what the caller does instead of asking for more."""
        number = len(self.seen.chunks)
        self.seen.chunks.append(chunk)
        if len(self.seen.chunks) == self.script.closes_after:
            return "closed"
        hold_s = self.script.holds_s[number] if number < len(self.script.holds_s) else 0.0
        if self.gives_up_before(self.now + hold_s):
            return "cancelled"
        self.now += hold_s
        self.held_s += hold_s
        return None


def expected(script):
    """What an async stream must come to."""
    seen = Seen()
    caller = Caller(script, seen)
    held_back, opened, complete = [], False, not script.announces_end
    asked_at = 0.0
    for step in script.steps:
        if isinstance(step, float):
            until = caller.now + step
            limit = min(script.deadline_s, asked_at + script.idle_s if opened else script.first_token_s)
            if caller.gives_up_before(min(until, limit)):
                return seen.ends(asyncio.CancelledError, cancelled=1)
            if limit < until:
                caller.now = limit
                return late(script, seen, caller, held_back, opened)
            caller.now = until
            continue
        complete = complete or step == STOP
        if not opened:
            held_back.append(step)
        gives = [step] if opened else held_back if step != PING else []
        for chunk in gives:
            stop = caller.takes(chunk)
            if stop is not None:
                error = asyncio.CancelledError if stop == "cancelled" else None
                return seen.ends(error, cancelled=1)
        opened = opened or bool(gives)
        if gives:
            asked_at = caller.now
            if caller.now > script.deadline_s:  # passed while the caller held a chunk
                return late(script, seen, caller, held_back, opened)
    return over(script, seen, caller, held_back, opened, complete)


def late(script, seen, caller, held_back, opened):
    if opened:
        return seen.ends(StreamCut, TimeoutError, failed=1)
    seen.ends(failed=1)
    return rescued(script, seen, caller, TimeoutError, None)


def over(script, seen, caller, held_back, opened, complete):
    error = Down if script.fails else None if complete else IncompleteStream
    if opened:
        return seen.ends(StreamCut, error, failed=1) if error else seen.ends(worked=1)
    seen.ends(**({"failed": 1} if error else {"useless": 1}))
    return rescued(script, seen, caller, error, None if error else held_back)


def rescued(script, seen, caller, error, useless):
    """By the fallback, whose chunks take no time."""
    if script.fallback is None:
        return left_with(seen, caller, error, useless)
    seen.ends(fallback=1)
    fallback, opened, held_back = script.fallback, False, []
    for chunk in fallback:
        if chunk is Hurt:
            return seen.ends(StreamCut, Hurt) if opened else left_with(seen, caller, error, useless, Hurt)
        held_back.append(chunk)
        if opened or chunk != PING:
            for given in held_back:
                stop = caller.takes(given)
                if stop is not None:
                    return seen.ends(asyncio.CancelledError if stop == "cancelled" else None)
            opened, held_back = True, []
    return given_all(seen, caller, held_back)


def left_with(seen, caller, error, useless, cause=None):
    if useless is None:
        return seen.ends(error, cause)
    return given_all(seen, caller, useless)


def given_all(seen, caller, chunks):
    for chunk in chunks:
        stop = caller.takes(chunk)
        if stop is not None:
            return seen.ends(asyncio.CancelledError if stop == "cancelled" else None)
    return seen.ends()


# The real thing


def really(script):
    clock, seen = Clock(0.0), Seen()
    closed = []

    async def source():
        try:
            for step in script.steps:
                if isinstance(step, float):
                    await asyncio.sleep(step)
                else:
                    yield step
            if script.fails:
                raise Down
        finally:
            closed.append("source")

    async def fallback():
        for chunk in script.fallback:
            if chunk is Hurt:
                raise Hurt
            yield chunk

    guard = Guard("llm", clock=clock, fallbacks=() if script.fallback is None else (fallback,), **options_of(script))

    async def consume():
        stream = guard(source)()
        try:
            async for chunk in stream:
                number = len(seen.chunks)
                seen.chunks.append(chunk)
                if len(seen.chunks) == script.closes_after:
                    break
                if number < len(script.holds_s) and script.holds_s[number]:
                    await asyncio.sleep(script.holds_s[number])
        finally:
            await stream.aclose()

    async def main():
        task = asyncio.create_task(consume())
        if script.cancelled_at != INF:
            asyncio.get_running_loop().call_at(script.cancelled_at, task.cancel)
        try:
            await task
        except BaseException as error:
            seen.error, seen.cause = type(error), type(error.__cause__) if error.__cause__ else None
        assert guard.in_flight() == (0, 0.0)
        assert closed == ["source"]
        with_room = guard(only_stop)()
        assert [chunk async for chunk in with_room] == [STOP]  # its permit is back

    async def only_stop():
        yield STOP

    run_virtually(clock, main())
    guard.counts["worked"] -= 1
    seen.counts = {name: count for name, count in guard.counts.items() if count}
    return seen


@settings(max_examples=150, deadline=None)
@given(scripts)
def test_a_stream_comes_to_what_its_script_says(script):
    oracle = expected(script)
    event(f"ends with {oracle.error and oracle.error.__name__} and {sorted(oracle.counts)}")
    assert really(script) == oracle


# Sync: the same scripts; what is late is given, and nobody can be cancelled


def expected_sync(script):
    seen = Seen()
    caller = Caller(script, seen, can_cancel=False)
    held_back, opened, complete, is_late = [], False, not script.announces_end, False
    asked_at = caller.now
    for step in script.steps:
        if isinstance(step, float):
            caller.now += step
            continue
        complete = complete or step == STOP
        if not opened:
            held_back.append(step)
        gives = [step] if opened else held_back if step != PING else []
        if gives:
            limit = asked_at + script.idle_s if opened else script.first_token_s
            is_late = is_late or caller.now > limit
        for chunk in gives:
            if caller.takes(chunk) is not None:
                return seen.ends(cancelled=1)
        opened = opened or bool(gives)
        if gives:
            asked_at = caller.now
    if opened and not script.fails and complete:
        is_late = is_late or caller.now - caller.held_s > script.deadline_s
        return seen.ends(**({"failed": 1} if is_late else {"worked": 1}))
    return over(script, seen, caller, held_back, opened, complete)


def really_sync(script):
    clock, seen = Clock(0.0), Seen()

    def source():
        for step in script.steps:
            if isinstance(step, float):
                clock.now += step
            else:
                yield step
        if script.fails:
            raise Down

    def fallback():
        for chunk in script.fallback:
            if chunk is Hurt:
                raise Hurt
            yield chunk

    guard = Guard("llm", clock=clock, fallbacks=() if script.fallback is None else (fallback,), **options_of(script))
    stream = guard(source)()
    try:
        for chunk in stream:
            number = len(seen.chunks)
            seen.chunks.append(chunk)
            if len(seen.chunks) == script.closes_after:
                break
            if number < len(script.holds_s):
                clock.now += script.holds_s[number]
    except Exception as error:
        seen.error, seen.cause = type(error), type(error.__cause__) if error.__cause__ else None
    finally:
        stream.close()
    assert guard.in_flight() == (0, 0.0)
    seen.counts = {name: count for name, count in guard.counts.items() if count}
    return seen


@settings(max_examples=150, deadline=None)
@given(scripts)
def test_a_sync_stream_comes_to_what_its_script_says(script):
    assert really_sync(script) == expected_sync(script)


# Many streams of one guard at once


class Streams(RuleBasedStateMachine):
    """Opened, read, ended, cut, closed and forgotten in any order: the guard counts those that are open, no others."""

    opened = Bundle("opened")  # by their number: a reference to a stream would keep it from being forgotten

    def __init__(self):
        super().__init__()
        self.clock = Clock()
        self.loop = VirtualLoop(self.clock)
        self.guard = Guard("llm", clock=self.clock, max_concurrent=3, breaker=Breaker(in_a_row=2, rest_s=10))
        self.streams, self.tells, self.closed = {}, {}, 0
        self.in_a_row, self.rests = 0, False

    async def source(self, number):
        try:
            while self.tells[number] != "end":
                if self.tells[number] == "fail":
                    raise Down
                yield "chunk"
        finally:
            await asyncio.sleep(0)
            self.closed += 1

    async def next_of(self, number):
        return await anext(self.streams[number], None)

    async def begin_with(self, number):
        self.tells[number] = "chunk"
        self.streams[number] = self.guard(self.source)(number)
        return await anext(self.streams[number])

    def do(self, steps):
        return self.loop.run_until_complete(steps)

    @precondition(lambda self: not self.rests and len(self.streams) < 3)
    @rule(target=opened)
    def begin(self):
        number = len(self.tells)
        assert self.do(self.begin_with(number)) == "chunk"
        return number

    @precondition(lambda self: not self.rests and len(self.streams) == 3)
    @rule()
    def one_too_many_is_refused(self):
        number = len(self.tells)
        with pytest.raises(BulkheadFull):
            self.do(self.begin_with(number))
        del self.streams[number]
        self.closed += 1  # it never began

    @rule(number=opened)
    def read(self, number):
        if number in self.streams:
            assert self.do(self.next_of(number)) == "chunk"

    @rule(number=consumes(opened))
    def end(self, number):
        self.tells[number] = "end"
        assert self.do(self.next_of(number)) is None
        del self.streams[number]
        self.in_a_row = 0

    @rule(number=consumes(opened))
    def fail(self, number):
        self.tells[number] = "fail"
        with pytest.raises(StreamCut) as cut:
            self.do(self.next_of(number))
        assert isinstance(cut.value.__cause__, Down)
        del self.streams[number]
        self.in_a_row += 1
        self.rests = self.rests or self.in_a_row == 2

    @rule(number=consumes(opened))
    def close(self, number):
        self.do(self.closing(self.streams.pop(number)))

    async def closing(self, stream):
        await stream.aclose()

    @rule(number=consumes(opened))
    def forget(self, number):
        del self.streams[number]
        gc.collect()
        self.do(asyncio.sleep(1))

    @precondition(lambda self: self.rests and not self.streams)
    @rule()
    def recover(self):
        """A trial that works closes the breaker."""
        assert self.guard.state is State.OPEN
        self.clock.now += 10
        number = len(self.tells)
        assert self.do(self.begin_with(number)) == "chunk"
        self.end(number)
        assert self.guard.state is State.CLOSED
        self.rests = False

    @invariant()
    def those_that_are_open_are_in_flight(self):
        assert self.guard.in_flight()[0] == len(self.streams)
        assert self.closed == len(self.tells) - len(self.streams)

    def teardown(self):
        self.do(self.loop.shutdown_asyncgens())
        self.loop.close()
        assert self.guard.in_flight()[0] == 0
        assert self.closed == len(self.tells)


TestStreams = Streams.TestCase
TestStreams.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
