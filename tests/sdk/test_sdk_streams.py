"""What a guard does with streams that work, are late, break off, are empty or are closed, async and sync alike."""

import asyncio
import inspect
import pickle

import pytest
from sdk_virtual_time import run_virtually

import paramedic
from paramedic import Guard
from paramedic.guards.fallbacks import Fallback
from paramedic.policy.breaker import Breaker, State
from paramedic.policy.retry import Retry
from paramedic.streams.generators import IncompleteStream, StreamCut, Turn, streaming, streaming_sync
from paramedic.telemetry.runtime import dropped
from paramedic.testing import no_wait

HANG = 3600.0


@pytest.fixture
def run(clock):
    return lambda main: run_virtually(clock, main)


@pytest.fixture
def guard(clock):
    """Makes guards on the clock of the test."""
    return lambda **options: Guard("llm", clock=clock, **options)


def stream_of(*steps):
    """An async generator function: gives chunks, waits for seconds (floats), raises exceptions."""

    async def stream(*_args):
        for step in steps:
            if isinstance(step, BaseException):
                raise step
            if isinstance(step, float):
                await asyncio.sleep(step)
            else:
                yield step

    return stream


def sync_stream_of(clock, *steps):
    def stream(*_args):
        for step in steps:
            if isinstance(step, BaseException):
                raise step
            if isinstance(step, float):
                clock.now += step
            else:
                yield step

    return stream


async def taken(stream):
    """The chunks, and what was raised in the end."""
    chunks = []
    try:
        async for chunk in stream:
            chunks.append(chunk)
    except Exception as error:
        return chunks, error
    return chunks, None


def taken_sync(stream):
    chunks = []
    try:
        for chunk in stream:
            chunks.append(chunk)
    except Exception as error:
        return chunks, error
    return chunks, None


# A stream that works


def test_a_decorated_async_generator_function_stays_one_and_keeps_its_signature(run):
    @paramedic.guard("llm")
    async def ask(question: str, *, loud: bool = False):
        """Asks."""
        for word in question.split():
            yield word.upper() if loud else word

    assert inspect.isasyncgenfunction(ask)
    assert str(inspect.signature(ask)) == "(question: str, *, loud: bool = False)"
    assert Guard.of(ask).name == "llm"
    assert run(taken(ask("so it is", loud=True))) == (["SO", "IT", "IS"], None)
    assert Guard.of(ask).counts == {"worked": 1}


def test_a_decorated_generator_function_stays_one(clock, guard):
    llm = guard()
    ask = llm(sync_stream_of(clock, "a", "b"))
    assert inspect.isgeneratorfunction(ask)
    assert Guard.of(ask) is llm
    assert list(ask()) == ["a", "b"]
    assert llm.counts == {"worked": 1}


def test_nothing_happens_before_the_first_chunk_is_asked_for(run, guard):
    llm = guard()

    async def main():
        stream = llm(stream_of("a"))()
        assert llm.in_flight() == (0, 0.0)
        await stream.aclose()

    run(main())
    assert not llm.counts


def test_a_stream_is_in_flight_until_its_end(run, guard, clock):
    llm = guard(max_concurrent=1)

    async def main():
        stream = llm(stream_of("a", "b"))()
        await anext(stream)
        clock.now += 3
        assert llm.in_flight() == (1, 3.0)
        with pytest.raises(paramedic.BulkheadFull):
            await anext(llm(stream_of("c"))())
        assert await taken(stream) == (["b"], None)
        assert llm.in_flight() == (0, 0.0)

    run(main())


# Before the first useful chunk: failover unseen


@pytest.mark.parametrize(
    "bad",
    [
        stream_of(RuntimeError("down")),
        stream_of("", None, RuntimeError("down")),  # role headers and pings
        stream_of(),
        stream_of("", b"", [], None),
        stream_of(HANG, "too late"),
        stream_of("", 4.0, "", 4.0, "", 4.0),  # keeps sending nothing
    ],
    ids=["fails", "fails after pings", "ends", "ends after pings", "hangs", "only pings"],
)
def test_a_stream_that_gives_nothing_useful_is_replaced_unseen(run, guard, bad):
    llm = guard(fallbacks=[stream_of("", "from ", "elsewhere")], first_token_s=9, ends=None)
    assert run(taken(llm(bad)())) == (["", "from ", "elsewhere"], None)
    assert llm.counts["failed"] + llm.counts["useless"] == 1
    assert llm.counts["fallback"] == 1
    assert llm.in_flight()[0] == 0


def test_chunks_before_the_first_useful_one_are_given_with_it(run, guard):
    assert run(taken(guard()(stream_of("", None, "a", "", "b"))())) == (["", None, "a", "", "b"], None)


def test_a_number_is_useful_and_a_rule_of_the_team_decides_otherwise(run, guard):
    assert run(taken(guard(fallbacks=[stream_of(9)])(stream_of(0))())) == ([0], None)
    assert run(taken(guard(fallbacks=[stream_of(9)], useful=lambda n: n > 0)(stream_of(0))())) == ([9], None)


def test_when_no_fallback_helps_the_first_error_stands(run, guard):
    llm = guard(fallbacks=[stream_of("", KeyError("also down"))])
    chunks, error = run(taken(llm(stream_of(RuntimeError("down")))()))
    assert (chunks, repr(error)) == ([], "RuntimeError('down')")
    assert isinstance(error.__cause__, KeyError)


def test_an_empty_stream_is_given_when_nobody_has_a_better_one(run, guard):
    llm = guard(fallbacks=[stream_of(RuntimeError("down"))])
    assert run(taken(llm(stream_of("", None))())) == (["", None], None)
    assert llm.counts == {"useless": 1, "fallback": 1}


def test_a_fallback_may_be_a_plain_function_whose_value_is_one_chunk(run, guard, clock):
    async def light(question):
        return f"light {question}"

    bad = stream_of(RuntimeError("down"))
    assert run(taken(guard(fallbacks=[light])(bad)("q"))) == (["light q"], None)
    assert run(taken(guard(fallbacks=[lambda q: "sorry"])(bad)("q"))) == (["sorry"], None)
    assert run(taken(guard(fallbacks=[sync_stream_of(clock, "a", "b")])(bad)())) == (["a", "b"], None)
    assert list(guard(fallbacks=[lambda: "sorry"])(sync_stream_of(clock, RuntimeError()))()) == ["sorry"]
    assert list(guard(fallbacks=[sync_stream_of(clock, "x")])(sync_stream_of(clock, ""))()) == ["x"]


def test_a_fallback_may_give_a_clients_own_stream_which_is_closed(run, guard):
    class Answer:
        def __init__(self):
            self.left, self.closed = ["a", "b", "c"], 0

        def __aiter__(self):
            return self

        async def __anext__(self):
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop(0)

        async def close(self):
            self.closed += 1

    answers = []

    async def ask():
        answers.append(Answer())
        return answers[-1]

    def ask_at_once():
        answers.append(Answer())
        return answers[-1]

    async def main():
        for fallback in (ask, ask_at_once):
            stream = guard(fallbacks=[fallback])(stream_of(RuntimeError()))()
            assert await anext(stream) == "a"
            await stream.aclose()
            assert await taken(guard(fallbacks=[fallback])(stream_of(RuntimeError()))()) == (["a", "b", "c"], None)

    run(main())
    assert [answer.closed for answer in answers] == [1, 1] * 2


def test_a_fallback_stream_that_breaks_off_cuts_the_answer_too(run, guard):
    llm = guard(fallbacks=[stream_of("a", RuntimeError("gone"))])
    chunks, error = run(taken(llm(stream_of(KeyError()))()))
    assert (chunks, type(error)) == (["a"], StreamCut)
    assert llm.counts == {"failed": 1, "fallback": 1}


def test_a_fallback_has_its_own_deadline(run, guard, clock):
    llm = guard(fallbacks=[Fallback(stream_of(HANG, "never"), deadline_s=2), lambda: "sorry"])
    assert run(taken(llm(stream_of(RuntimeError()))())) == (["sorry"], None)
    assert clock() == 1002


def test_a_fallback_has_its_own_deadline_also_after_a_late_stream(run, guard, clock):
    light = Fallback(stream_of(HANG, "never"), deadline_s=2)
    llm = guard(first_token_s=3, retry=Retry(2), fallbacks=[light, light, lambda: "sorry"])
    with no_wait():
        assert run(taken(llm(stream_of(HANG))())) == (["sorry"], None)
    assert clock() == 1010


def test_a_failed_stream_is_made_again_before_its_first_useful_chunk_only(run, guard):
    streams = [stream_of("", TimeoutError()), stream_of("a", TimeoutError())]

    async def ask():
        async for chunk in streams.pop(0)():
            yield chunk

    llm = guard(retry=Retry(3))
    with no_wait() as waited:
        chunks, error = run(taken(llm(ask)()))
    assert (chunks, type(error), len(waited)) == (["a"], StreamCut, 1)
    assert llm.counts == {"failed": 2, "retry": 1}


def test_a_refused_stream_goes_to_the_fallbacks(run, guard):
    llm = guard(fallbacks=[stream_of("elsewhere")])
    llm.force("open")
    assert run(taken(llm(stream_of("a"))())) == (["elsewhere"], None)
    alone = guard()
    alone.force("open")
    assert isinstance(run(taken(alone(stream_of("a"))()))[1], paramedic.BreakerOpen)


def test_an_ignored_error_is_passed_on_as_it_is_with_no_verdict(run, guard):
    llm = guard(ignore=(KeyError,), fallbacks=[stream_of("b")], breaker=Breaker(in_a_row=1))
    assert isinstance(run(taken(llm(stream_of(KeyError()))()))[1], KeyError)
    chunks, error = run(taken(llm(stream_of("a", KeyError()))()))
    assert (chunks, type(error)) == (["a"], KeyError)
    assert llm.state is State.CLOSED


# After it: a typed error, never half an answer that looks whole


def test_a_stream_that_breaks_off_raises_and_says_what_was_given(run, guard):
    llm = guard(fallbacks=[stream_of("never asked")])
    chunks, error = run(taken(llm(stream_of("", "a", "b", RuntimeError("gone")))()))
    assert chunks == ["", "a", "b"]
    assert (type(error), error.name, error.chunks) == (StreamCut, "llm", 3)
    assert repr(error.__cause__) == "RuntimeError('gone')"
    assert str(error) == "'llm' was cut after 3 chunks"
    assert llm.counts == {"failed": 1}
    again = pickle.loads(pickle.dumps(error))
    assert (again.name, again.chunks) == ("llm", 3)


def test_a_sync_stream_that_breaks_off_raises_too(clock, guard):
    llm = guard()
    chunks, error = taken_sync(llm(sync_stream_of(clock, "a", RuntimeError("gone")))())
    assert (chunks, type(error), error.chunks) == (["a"], StreamCut, 1)
    assert llm.counts == {"failed": 1}


def test_a_cut_stream_inside_a_guarded_one_keeps_its_cause_as_the_type_of_error(run, guard, sink):
    inner = Guard("provider")(stream_of("a", ConnectionResetError()))
    outer = Guard("answer")

    async def ask():
        async for chunk in inner():
            yield chunk

    chunks, error = run(taken(outer(ask)()))
    assert (chunks, type(error), error.name) == (["a"], StreamCut, "answer")
    assert [span.attributes["error.type"] for span in sink.spans] == ["ConnectionResetError"] * 2


def test_five_cut_streams_open_the_breaker(run, guard):
    llm = guard(breaker=Breaker(in_a_row=5))
    for _ in range(5):
        assert llm.state is State.CLOSED
        run(taken(llm(stream_of("a", RuntimeError()))()))
    assert llm.state is State.OPEN


def test_a_stream_without_its_announced_end_is_cut(run, guard):
    def ends(chunk):
        return chunk == "stop"

    whole = guard(ends=ends)
    assert run(taken(whole(stream_of("a", "stop", "usage"))())) == (["a", "stop", "usage"], None)
    assert whole.counts == {"worked": 1}
    half = guard(ends=ends, fallbacks=[stream_of("never asked")])
    chunks, error = run(taken(half(stream_of("a", "b"))()))
    assert (chunks, type(error), type(error.__cause__)) == (["a", "b"], StreamCut, IncompleteStream)
    assert half.counts == {"failed": 1}
    unseen = guard(ends=ends, fallbacks=[stream_of("elsewhere")])
    assert run(taken(unseen(stream_of("", None))())) == (["elsewhere"], None)


def test_the_announced_end_may_be_the_first_chunk(run, guard):
    assert run(taken(guard(ends=bool)(stream_of("all"))())) == (["all"], None)
    assert run(taken(guard(ends=lambda c: c == "")(stream_of("", "a"))())) == (["", "a"], None)


# Time


@pytest.mark.parametrize(
    ("options", "steps", "given", "message", "at"),
    [
        ({"first_token_s": 2}, ["", HANG], [], "'llm' gave no useful chunk within 2 s", 2),
        ({"first_token_s": 2}, [1.0, "", 1.5, "a"], [], "'llm' gave no useful chunk within 2 s", 2),
        ({"idle_s": 2}, [9.0, "a", 1.5, "b", 1.5, "c", HANG], ["a", "b", "c"], "'llm' gave nothing for 2 s", 14),
        ({"first_token_s": 9, "idle_s": 2}, ["a", HANG], ["a"], "'llm' gave nothing for 2 s", 2),
        ({"first_token_s": 9, "idle_s": 2}, [1.0, "a", HANG], ["a"], "'llm' gave nothing for 2 s", 3),
        ({"deadline_s": 5}, ["a", 3.0, "b", 3.0, "c"], ["a", "b"], "'llm' did not end within 5 s", 5),
        ({"deadline_s": 5, "idle_s": 4}, ["a", 3.0, "b", HANG], ["a", "b"], "'llm' did not end within 5 s", 5),
    ],
)
def test_a_late_stream_is_ended_when_its_time_is_up(run, guard, clock, options, steps, given, message, at):
    llm = guard(**options)
    chunks, error = run(taken(llm(stream_of(*steps))()))
    late = error.__cause__ if given else error
    assert (chunks, type(late), str(late), clock() - 1000) == (given, TimeoutError, message, at)
    assert isinstance(error, StreamCut if given else TimeoutError)
    assert llm.counts == {"failed": 1}
    assert llm.in_flight()[0] == 0


def test_a_trickle_within_all_limits_is_no_failure(run, guard):
    llm = guard(first_token_s=2, idle_s=2, deadline_s=60)
    assert run(taken(llm(stream_of(1.5, "a", 1.5, "b", 1.5, "c"))())) == (["a", "b", "c"], None)
    assert llm.counts == {"worked": 1}


def test_one_timer_serves_a_stream_however_many_chunks_it_has(run, guard):
    steps = [step for n in range(500) for step in (0.01, f"{n}")]

    async def main():
        loop = asyncio.get_running_loop()
        assert len((await taken(guard(first_token_s=9, idle_s=9, deadline_s=99)(stream_of(*steps))()))[0]) == 500
        return loop.timers - 500

    assert run(main()) <= 2  # one until the first token, one after it


def test_the_time_for_which_the_caller_holds_a_chunk_is_not_the_streams(run, guard, clock):
    llm = guard(idle_s=2, breaker=Breaker(slow_s=5, slow_rate=0.1, at_least=1))

    async def main():
        async for _ in llm(stream_of("a", 1.0, "b", 1.0, "c"))():
            await asyncio.sleep(60)

    run(main())
    assert llm.counts == {"worked": 1}
    assert llm.state is State.CLOSED


def test_a_deadline_that_passes_while_the_caller_holds_a_chunk_ends_the_stream_without_blame(run, guard):
    llm = guard(deadline_s=10, breaker=Breaker(in_a_row=1))

    async def main():
        stream = llm(stream_of("a", "b"))()
        assert await anext(stream) == "a"
        await asyncio.sleep(60)
        return await taken(stream)

    chunks, error = run(main())
    assert (chunks, type(error), type(error.__cause__)) == ([], StreamCut, TimeoutError)
    assert llm.counts == {"failed": 1}
    assert llm.state is State.CLOSED


def test_a_stream_that_swallows_its_interruption_is_cut_all_the_same(run, guard):
    async def stubborn():
        yield "a"
        try:
            await asyncio.sleep(HANG)
        except asyncio.CancelledError:
            return

    chunks, error = run(taken(guard(idle_s=2)(stubborn)()))
    assert (chunks, type(error), type(error.__cause__)) == (["a"], StreamCut, TimeoutError)


def test_a_chunk_that_comes_although_it_was_late_is_given(run, guard):
    async def late_but_there():
        for chunk in "abc":
            try:
                await asyncio.sleep(HANG)
            except asyncio.CancelledError:
                yield chunk

    llm = guard(first_token_s=2, idle_s=2)
    assert run(taken(llm(late_but_there)())) == (["a", "b", "c"], None)
    assert llm.counts == {"worked": 1}


def test_an_error_that_an_interruption_brings_about_is_a_timeout(run, guard):
    async def translating():
        try:
            await asyncio.sleep(HANG)
        except asyncio.CancelledError:
            raise KeyError("gone") from None
        yield

    error = run(taken(guard(first_token_s=2)(translating)()))[1]
    assert (type(error), type(error.__cause__)) == (TimeoutError, KeyError)


def test_a_stream_that_never_waits_for_long_is_ended_too(run, guard, clock):
    """It yields to the event loop all the time: there is no future to cancel."""

    async def busy():
        while True:
            clock.now += 0.1
            await asyncio.sleep(0)
        yield

    assert isinstance(run(taken(guard(first_token_s=2)(busy)()))[1], TimeoutError)
    assert clock() - 1000 < 3


def test_a_timeout_inside_the_stream_is_its_own_affair(run, guard):
    async def patient():
        try:
            async with asyncio.timeout(1):
                await asyncio.sleep(HANG)
        except TimeoutError:
            yield "gave up waiting"

    assert run(taken(guard(first_token_s=9)(patient)())) == (["gave up waiting"], None)


def test_a_late_sync_stream_is_given_and_counts_as_failed(clock, guard, sink):
    for options, steps in (
        ({"first_token_s": 2}, [3.0, "a", "b"]),
        ({"idle_s": 2}, ["a", 3.0, "b"]),
        ({"deadline_s": 2}, ["a", 3.0, "b"]),
    ):
        llm = guard(**options)
        assert list(llm(sync_stream_of(clock, *steps))()) == ["a", "b"]
        assert llm.counts == {"failed": 1}
        assert sink.spans[-1].attributes["error.type"] == "timeout"


def test_a_sync_stream_is_not_late_because_its_caller_is(clock, guard):
    llm = guard(idle_s=2, deadline_s=3)
    for _ in llm(sync_stream_of(clock, "a", 1.0, "b"))():
        clock.now += 60
    assert llm.counts == {"worked": 1}


def test_a_sync_stream_cannot_await(guard, clock):
    async def light():
        return "light"

    llm = guard(fallbacks=[light])
    with pytest.raises(TypeError, match=r"guard 'llm': .*stream is sync and cannot await .*light"):
        llm(sync_stream_of(clock, "a"))
    hidden = guard(fallbacks=[lambda: stream_of(0.0, "a")()])
    with pytest.raises(RuntimeError):
        list(hidden(sync_stream_of(clock, RuntimeError()))())


# Answers that help nobody


def test_the_check_sees_all_chunks_at_the_end_and_takes_nothing_back(run, guard):
    seen = []

    def check(chunks):
        seen.append(chunks)
        return "refused"

    llm = guard(check=check, fallbacks=[stream_of("never asked")])
    assert run(taken(llm(stream_of("", "I ", "cannot"))())) == (["", "I ", "cannot"], None)
    assert seen == [["", "I ", "cannot"]]
    assert llm.counts == {"useless": 1}


def test_a_stream_may_say_itself_that_it_is_useless(run, guard, sink):
    async def ask():
        yield "I cannot"
        Guard.current().useless("refused")

    llm = guard()
    assert run(taken(llm(ask)())) == (["I cannot"], None)
    assert (llm.counts, sink.spans[0].attributes["paramedic.useless"]) == ({"useless": 1}, "refused")


@pytest.mark.parametrize("rule", ["useful", "ends"])
def test_a_rule_that_fails_is_counted_and_the_chunk_taken_as_good(run, guard, rule):
    before = dropped.counts.get(rule, 0)
    llm = guard(**{rule: lambda chunk: chunk.no_such_thing})
    assert run(taken(llm(stream_of("a", "b"))())) == (["a", "b"], None)
    assert (llm.counts, dropped.counts[rule] - before) == ({"worked": 1}, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"first_token_s": 0}, "guard 'llm': first_token_s must be above 0 seconds, or None for no limit, got 0"),
        ({"idle_s": float("nan")}, "guard 'llm': idle_s must be above 0 seconds, or None for no limit, got nan"),
        ({"ends": "stop"}, "guard 'llm': ends takes a function of one chunk, got 'stop'"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_when_the_guard_is_made(guard, options, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        guard(**options)
    assert str(caught.value) == message


# For routers


closed_with = []


def turns_over(*members):
    def turns(_args, _kwargs):
        errors = []
        with paramedic.deadline(60):
            try:
                for guard, fn in members:
                    errors.append((yield Turn(fn, guard)))
            finally:
                closed_with.append(paramedic.left_s())
        raise errors[0]

    return turns


def test_the_next_member_takes_over_unseen(run, clock):
    left, right = Guard("llm", zone="a", clock=clock), Guard("llm", zone="b", clock=clock)
    seen = []

    async def good(question):
        seen.append((question, paramedic.left_s() <= 60))
        yield "hello"

    stream = streaming("llm", turns_over((left, stream_of("", RuntimeError())), (right, good)))
    assert run(taken(stream("q"))) == (["hello"], None)
    assert (left.counts, right.counts, seen) == ({"failed": 1}, {"worked": 1}, [("q", True)])
    assert closed_with.pop() <= 60  # in the context in which it began
    assert paramedic.left_s() == float("inf")
    nobody = streaming("llm", turns_over((left, stream_of(KeyError())), (right, stream_of(RuntimeError()))))
    assert isinstance(run(taken(nobody()))[1], KeyError)


def test_the_next_sync_member_takes_over_unseen(clock):
    left, right = Guard("llm", zone="a", clock=clock), Guard("llm", zone="b", clock=clock)
    members = (left, sync_stream_of(clock, "", RuntimeError())), (right, sync_stream_of(clock, "hello"))
    assert list(streaming_sync("llm", turns_over(*members))()) == ["hello"]
    assert (left.counts, right.counts) == ({"failed": 1}, {"worked": 1})
