"""What a guard does with calls that work, fail, hang, are useless or are given up."""

import asyncio
import gc
import inspect
import pickle
import typing
import weakref

import pytest

import paramedic
from paramedic import BreakerOpen, BulkheadFull, DeadlineExceeded, Guard, Refused
from paramedic.guards.calls import error_type
from paramedic.policy.breaker import Breaker, State
from paramedic.testing import FaultInjector


class HttpError(Exception):
    def __init__(self, status):
        super().__init__(f"HTTP {status}")
        self.status_code = status


def failing(error=None):
    async def fail(*_):
        raise error or RuntimeError("down")

    return fail


async def echo(value):
    return value


async def quietly(call):
    try:
        return await call
    except Exception as error:
        return error


async def fail_times(guard, times, error=None):
    for _ in range(times):
        await quietly(guard.run(failing(error)))


def test_a_decorated_function_answers_as_before_and_keeps_its_signature(run):
    @paramedic.guard("llm")
    async def ask(question: str, *, loud: bool = False) -> str:
        """Asks."""
        return question.upper() if loud else question

    assert run(ask("a", loud=True)) == "A"
    assert inspect.iscoroutinefunction(ask)
    assert str(inspect.signature(ask)) == "(question: str, *, loud: bool = False) -> str"
    assert typing.get_type_hints(ask)["question"] is str
    assert Guard.of(ask).name == "llm"


def test_a_sync_function_is_guarded_alike(clock):
    @paramedic.guard("db", breaker=Breaker(in_a_row=2), clock=clock)
    def read(key):
        raise ConnectionError(key)

    for _ in range(2):
        with pytest.raises(ConnectionError):
            read("a")
    with pytest.raises(BreakerOpen, match=r"'db' was not called: its breaker is open; retry in 10.0 s"):
        read("a")
    clock.now += 10
    with pytest.raises(ConnectionError):
        read("a")


@pytest.mark.parametrize("options", [{}, {"idempotency_key": True}])
def test_a_method_is_guarded(run, options):
    class Bot:
        @paramedic.guard("llm", **options)
        async def ask(self, question):
            return self, question

    bot = Bot()
    assert run(bot.ask("a")) == (bot, "a")


def test_a_sync_function_cannot_have_an_async_fallback():
    with pytest.raises(TypeError, match="cannot await"):
        paramedic.guard("llm", fallbacks=[echo])(lambda value: value)


def test_fallbacks_are_asked_in_order_with_the_same_arguments(run):
    seen = []

    async def light(question, *, user):
        seen.append((question, user))
        raise TimeoutError

    guard = Guard("llm", fallbacks=[light, lambda question, *, user: f"cached {question} for {user}"])

    async def broken(question, *, user):
        raise RuntimeError

    assert run(guard.run(broken, "q", user="u")) == "cached q for u"
    assert seen == [("q", "u")]


def test_when_all_fail_the_caller_sees_the_first_error_and_what_the_fallbacks_said(run):
    guard = Guard("llm", fallbacks=[failing(ValueError("light")), failing(KeyError("cache"))])
    with pytest.raises(RuntimeError, match="down") as raised:
        run(guard.run(failing()))
    assert isinstance(raised.value.__cause__, ValueError)
    assert isinstance(raised.value.__cause__.__cause__, KeyError)


def test_an_error_that_had_a_cause_keeps_it(run):
    async def broken():
        raise RuntimeError("down") from OSError("refused")

    with pytest.raises(RuntimeError) as raised:
        run(Guard("llm", fallbacks=[failing()]).run(broken))
    assert isinstance(raised.value.__cause__, OSError)


def test_a_refused_call_goes_to_the_fallbacks_too(run, clock):
    guard = Guard("llm", breaker=Breaker(in_a_row=1), clock=clock, fallbacks=[echo])

    async def main():
        await guard.run(failing(), 1)
        assert guard.state is State.OPEN
        assert await guard.run(failing(AssertionError("was called")), 2) == 2

    run(main())


def test_an_ignored_error_is_the_callers_own_business(run):
    guard = Guard("llm", breaker=Breaker(in_a_row=1), ignore=(ValueError,), fallbacks=[echo])
    with pytest.raises(ValueError, match="mine"):
        run(guard.run(failing(ValueError("mine")), 1))
    assert guard.state is State.CLOSED


def test_a_wrong_request_says_nothing_about_the_dependency(run):
    guard = Guard("llm", breaker=Breaker(in_a_row=1))
    run(fail_times(guard, 3, HttpError(404)))
    assert guard.state is State.CLOSED
    run(fail_times(guard, 1, HttpError(429)))
    assert guard.state is State.OPEN


def test_a_hang_is_ended_and_counts_as_a_failure(run):
    guard = Guard("llm", deadline_s=0.01, breaker=Breaker(in_a_row=2), fallbacks=[echo])

    async def hang(value):
        await asyncio.sleep(3600)

    async def main():
        assert [await guard.run(hang, 1), await guard.run(hang, 2)] == [1, 2]

    run(main())
    assert guard.state is State.OPEN


@pytest.mark.parametrize("outer", ["timeout", "cancel"])
def test_the_callers_own_cancellation_is_neither_a_failure_nor_a_leak(run, sink, outer):
    guard = Guard("llm", breaker=Breaker(in_a_row=1), max_concurrent=1, fallbacks=[echo])

    async def hang(value):
        await asyncio.sleep(3600)

    async def main():
        for _ in range(3):
            task = asyncio.ensure_future(guard.run(hang, 1))
            if outer == "timeout":
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(task, 0.001)
            else:
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
        return await guard.run(echo, "free")

    assert run(main()) == "free"
    assert guard.state is State.CLOSED
    assert guard.in_flight() == (0, 0.0)
    assert [span.status.is_unset for span in sink.spans] == [True] * 4
    assert sink.spans[0].attributes["paramedic.cancelled"] is True


def test_a_late_sync_call_counts_as_a_timeout_but_its_answer_is_given(clock, sink):
    guard = Guard("db", deadline_s=1, breaker=Breaker(in_a_row=1), clock=clock)

    def slow():
        clock.now += 2
        return "late"

    assert guard.run_sync(slow) == "late"
    assert guard.state is State.OPEN
    assert sink.spans[0].attributes["error.type"] == "timeout"


def test_a_useless_answer_is_a_failure_and_goes_to_the_fallback(run, sink):
    guard = Guard(
        "llm", breaker=Breaker(in_a_row=2), check=lambda text: None if text else "empty", fallbacks=[lambda _: "cached"]
    )

    async def main():
        return [await guard.run(echo, ""), await guard.run(echo, ""), await guard.run(echo, "good")]

    assert run(main()) == ["cached"] * 3
    assert guard.state is State.OPEN
    assert sink.spans[0].attributes["paramedic.useless"] == "empty"
    assert sink.spans[0].status.is_unset


def test_a_useless_answer_is_given_when_nothing_better_is_found(run):
    empty = Guard("llm", check=lambda text: "empty", fallbacks=[failing()])
    assert run(empty.run(echo, "")) == ""


def test_the_code_inside_can_call_its_answer_useless(run, sink):
    async def ask(_):
        Guard.current().useless("cut")
        return "half an ans"

    assert run(Guard("llm", fallbacks=[lambda _: "whole"]).run(ask, 1)) == "whole"
    assert sink.spans[0].attributes["paramedic.useless"] == "cut"


def test_a_check_that_breaks_takes_the_answer_as_good(run, caplog):
    guard = Guard("llm", check=lambda answer: answer.text, breaker=Breaker(in_a_row=1))

    async def main():
        return [await guard.run(echo, "a"), await guard.run(echo, "b")]

    assert run(main()) == ["a", "b"]
    assert len([r for r in caplog.records if "its check fails" in r.message]) == 1


def test_a_full_bulkhead_refuses_at_once(run):
    guard = Guard("llm", max_concurrent=2)

    async def main():
        gate = asyncio.Event()
        waiting = [asyncio.ensure_future(guard.run(gate.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(BulkheadFull) as refused:
            await guard.run(gate.wait)
        assert refused.value.reason == "bulkhead"
        gate.set()
        return await asyncio.gather(*waiting)

    assert run(main()) == [True, True]


def test_the_operator_beats_the_breaker_in_both_directions(run, clock):
    guard = Guard("llm", breaker=Breaker(in_a_row=1), clock=clock)

    async def main():
        guard.force("open")
        with pytest.raises(BreakerOpen) as refused:
            await guard.run(echo, 1)
        assert refused.value.reason == "operator"
        guard.force(None)
        await fail_times(guard, 1)
        guard.force("closed")
        assert await guard.run(echo, 1) == 1
        guard.force(None)
        with pytest.raises(BreakerOpen):
            await guard.run(echo, 1)

    run(main())
    with pytest.raises(ValueError, match="'ajar'"):
        guard.force("ajar")


def test_spans_say_what_was_called_and_what_was_decided(run, sink, clock):
    guard = Guard(
        "llm.primary",
        peer="aurora",
        zone="eu-1a",
        breaker=Breaker(in_a_row=1),
        clock=clock,
        attributes={"tier": "gold"},
    )

    async def main():
        await guard.run(echo, 1)
        await quietly(guard.run(failing(HttpError(503))))
        await quietly(guard.run(echo, 1))

    run(main())
    worked, failed, refused = sink.spans
    assert worked.name == "llm.primary"
    assert worked.kind.name == "CLIENT"
    assert dict(worked.attributes) == {
        "service.peer.name": "aurora",
        "paramedic.peer.zone": "eu-1a",
        "paramedic.guard": "llm.primary",
        "paramedic.decision": "allowed",
        "paramedic.fallback.level": 0,
        "tier": "gold",
    }
    assert failed.attributes["error.type"] == "503"
    assert failed.status.status_code.name == "ERROR"
    assert failed.events == ()
    assert refused.attributes["paramedic.decision"] == "refused"
    assert refused.attributes["paramedic.refused.by"] == "breaker"
    assert refused.status.is_unset


def test_a_guarded_fallback_says_its_level_and_what_it_calls_does_not(run, sink):
    tool = Guard("tool")
    last = Guard("last")
    light = Guard("light", fallbacks=[last(echo)])

    @light
    async def ask_light(value):
        await tool.run(echo, value)
        raise RuntimeError

    assert run(Guard("primary", fallbacks=[ask_light]).run(failing(), 1)) == 1
    levels = {span.name: span.attributes["paramedic.fallback.level"] for span in sink.spans}
    assert levels == {"primary": 0, "light": 1, "tool": 0, "last": 2}


def test_the_code_inside_writes_on_the_span(run, sink):
    async def ask():
        call = Guard.current()
        call.set("gen_ai.request.model", "aurora-large")
        call.first_token()
        call.first_token()
        call.tokens(input=12, output=3)
        call.cost_usd(0.25)

    run(Guard("llm").run(ask))
    told = sink.spans[0].attributes
    assert told["gen_ai.request.model"] == "aurora-large"
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (12, 3)
    assert told["paramedic.cost"] == 0.25
    assert told["gen_ai.response.time_to_first_chunk"] >= 0


def test_only_the_first_token_counts(run, sink):
    async def ask():
        call = Guard.current()
        call.first_token()
        first = call.span.attributes["gen_ai.response.time_to_first_chunk"]
        await asyncio.sleep(0.01)
        call.first_token()
        return first

    first = run(Guard("llm").run(ask))
    assert sink.spans[0].attributes["gen_ai.response.time_to_first_chunk"] == first


def test_outside_a_call_everything_may_be_said_and_nothing_happens():
    call = Guard.current()
    call.set("a", 1)
    call.first_token()
    call.useless("empty")
    assert Guard.current().useless_as is None


def test_headers_carry_the_trace_and_what_is_left(run, sink):
    async def send():
        return Guard.headers()

    with paramedic.deadline(5):
        headers = run(Guard("next").run(send))
    span = sink.spans[0].context
    assert headers["traceparent"] == f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"
    assert 4000 < int(headers["paramedic-deadline-ms"]) <= 5000


def test_calls_in_flight_are_seen_with_the_age_of_the_oldest(run, clock, sink):
    guard = Guard("hanging", peer="aurora", clock=clock)

    async def main():
        gate = asyncio.Event()
        first = asyncio.ensure_future(guard.run(gate.wait))
        await asyncio.sleep(0)
        clock.now += 4
        second = asyncio.ensure_future(guard.run(gate.wait))
        await asyncio.sleep(0)
        seen = {
            name: [value for about, value in points if about.get("paramedic.guard") == "hanging"]
            for name, points in sink.metrics.items()
            if name != "paramedic.dropped"
        }
        gate.set()
        await asyncio.gather(first, second)
        return seen

    seen = run(main())
    assert seen["paramedic.calls.in_flight"] == [2]
    assert seen["paramedic.calls.oldest"] == [4.0]
    assert seen["paramedic.breaker.state"] == [0]
    counted = {
        about["paramedic.decision"]: v
        for about, v in sink.metrics["paramedic.calls"]
        if about["paramedic.guard"] == "hanging"
    }
    assert counted == {"worked": 2}


def test_what_a_vanished_guard_had_counted_is_kept(run, sink):
    run(Guard("short-lived").run(echo, 1))
    counted = [v for about, v in sink.metrics["paramedic.calls"] if about["paramedic.guard"] == "short-lived"]
    assert counted == [1]


def test_a_tracer_that_breaks_does_not_break_the_call(run, sink):
    from paramedic.telemetry.runtime import dropped, runtime

    class Broken:
        def start_span(self, *_, **__):
            raise RuntimeError("a processor of the team")

    runtime.tracer = Broken()
    before = dropped.counts.get("spans", 0)
    guard = Guard("llm", max_concurrent=1)

    async def main():
        return [await guard.run(echo, 1), await guard.run(echo, 2)]

    assert run(main()) == [1, 2]
    assert dropped.counts["spans"] == before + 2


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (HttpError(429), "429"),
        (TimeoutError(), "timeout"),
        (type("ReadTimeout", (Exception,), {})(), "timeout"),
        (type("APITimeoutError", (Exception,), {})(), "timeout"),
        (type("Odd", (Exception,), {"response": HttpError(502)})(), "502"),
        (ConnectionResetError(), "ConnectionResetError"),
    ],
)
def test_error_types_are_few_and_telling(error, named):
    assert error_type(error) == named


def test_refusals_survive_a_trip_to_another_process():
    refused = pickle.loads(pickle.dumps(BreakerOpen("llm", "breaker", 2.5)))
    assert (type(refused), refused.name, refused.reason, refused.retry_in_s) == (BreakerOpen, "llm", "breaker", 2.5)
    assert isinstance(DeadlineExceeded("llm", "deadline"), TimeoutError)
    assert issubclass(BulkheadFull, Refused)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"deadline_s": 0}, "deadline_s"),
        ({"max_concurrent": 0}, "max_concurrent"),
        ({"criticality": "urgent"}, "criticality"),
    ],
)
def test_a_bad_number_is_named_at_once(options, named):
    with pytest.raises(ValueError, match=named):
        Guard("llm", **options)


def test_faults_can_be_injected(run):
    faults = FaultInjector(seed=1)
    ask = faults.wrap(echo)
    guard = Guard("llm", deadline_s=0.01, fallbacks=[lambda value: "fallback"])

    async def main():
        seen = [await guard.run(ask, 1)]
        for fault in (lambda: faults.fail(RuntimeError()), faults.hang, lambda: faults.answer("nonsense"), faults.heal):
            fault()
            seen.append(await guard.run(ask, 1))
        return seen

    assert run(main()) == [1, "fallback", "fallback", "nonsense", 1]
    assert faults.calls == 5


@pytest.mark.parametrize("options", [{}, {"idempotency_key": True}, {"fallbacks": [failing(KeyError())]}])
def test_an_error_that_was_handled_is_gone_without_the_garbage_collector(run, options):
    """In an outage every call fails: what is left over must not pile up."""
    guard = Guard("llm", **options)
    left = []

    async def main():
        try:
            await guard.run(failing_anew)
        except Odd as error:
            left.append(weakref.ref(error))

    class Odd(Exception):
        """Unlike Python's own, its instances can be referred to weakly."""

    async def failing_anew():
        raise Odd

    gc.disable()
    try:
        run(main())
        assert left[0]() is None
    finally:
        gc.enable()
