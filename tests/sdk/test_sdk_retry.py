"""Which calls are made again, when, and how often all callers of a dependency together may."""

import asyncio
import email.utils
import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import paramedic
from paramedic import BreakerOpen, Guard
from paramedic.policy.breaker import Breaker, State
from paramedic.policy.retry import Retry, RetryBudget, asked_wait_s, causes, is_passing, never_arrived
from paramedic.testing import no_wait

TODAY = 1_800_000_000.0


class HttpError(Exception):
    def __init__(self, status, headers=None):
        super().__init__(f"HTTP {status}")
        self.response = type("Response", (), {"status_code": status, "headers": headers or {}})()


def named(name, *bases):
    return type(name, bases or (Exception,), {})()


class Flaky:
    """Fails as told, one error a call, then answers."""

    def __init__(self, *errors):
        self.errors, self.calls, self.keys, self.spans = list(errors), 0, [], []

    def sync(self, *_):
        self.calls += 1
        self.keys.append(Guard.current().idempotency_key)
        if self.errors:
            raise self.errors.pop(0)
        return "answer"

    async def __call__(self, *_):
        return self.sync()


async def light(*_):
    return "light"


# What is worth another call


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TimeoutError(), True),
        (ConnectionResetError(), True),
        (HttpError(429), True),
        (HttpError(503), True),
        (HttpError(529), True),
        (HttpError(400), False),
        (HttpError(401), False),
        (HttpError(404), False),
        (HttpError(501), False),
        (ValueError(), False),
        (named("ReadTimeout"), True),
        (named("APITimeoutError"), True),
        (named("APIConnectionError"), True),
        (named("DeadlineExceededTimeout"), True),
        (httpx.ConnectError("no"), True),
        (httpx.RemoteProtocolError("cut"), True),
        (httpx.UnsupportedProtocol("ftp"), False),
        (httpx.InvalidURL("x"), False),
    ],
)
def test_what_may_be_over_in_a_moment_is_worth_another_call(error, expected):
    assert is_passing(error) is expected


@pytest.mark.parametrize(
    ("error", "asked", "expected"),
    [
        (ConnectionRefusedError(), False, True),
        (httpx.ConnectTimeout("x"), False, True),
        (httpx.ReadTimeout("x"), False, False),
        (ConnectionResetError(), False, False),
        (TimeoutError(), False, False),
        (HttpError(429), False, True),
        (HttpError(503), True, True),
        (HttpError(503), False, False),
        (HttpError(500), True, False),
    ],
)
def test_what_surely_never_arrived_can_be_repeated_without_harm(error, asked, expected):
    assert never_arrived(error, asked) is expected


def test_the_cause_of_a_clients_error_is_looked_through():
    error = named("APIConnectionError")
    error.__cause__ = httpx.ConnectError("refused")
    assert never_arrived(error, False)
    group = ExceptionGroup("two", [ValueError(), ConnectionRefusedError()])
    assert any(isinstance(each, ConnectionRefusedError) for each in causes(group))


def test_causes_that_go_round_in_a_circle_end():
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    assert {first, second} == set(causes(first))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": email.utils.formatdate(TODAY + 20, usegmt=True)}, 20.0),
        ({"retry-after": email.utils.formatdate(TODAY - 20, usegmt=True)}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({}, None),
    ],
)
def test_the_callee_may_ask_for_time(headers, seconds):
    assert asked_wait_s(HttpError(429, headers), lambda: TODAY) == seconds
    bare = named("Odd")
    bare.headers = httpx.Headers(headers)
    assert asked_wait_s(bare, lambda: TODAY) == seconds


@given(ordinal=st.integers(1, 2000), draw=st.floats(0, 1), asked=st.none() | st.floats(0, 100))
def test_a_wait_is_within_what_doubles_up_to_the_longest_and_never_less_than_asked_for(ordinal, draw, asked):
    retry = Retry(base_s=0.2, longest_s=5.0)
    waited = retry.wait_s(ordinal, asked, lambda: draw) - (asked or 0)
    assert -1e-9 <= waited <= min(5.0, 0.2 * 2 ** min(ordinal - 1, 100)) + 1e-9


@pytest.mark.parametrize(
    ("options", "error", "why"),
    [
        ({"attempts": 0}, ValueError, "attempts of a Retry"),
        ({"attempts": 1.5}, ValueError, "whole number"),
        ({"base_s": -1}, ValueError, "base_s"),
        ({"longest_s": float("inf")}, ValueError, "longest_s"),
        ({"on": 5}, TypeError, "on of a Retry"),
    ],
)
def test_a_retry_that_cannot_be_is_refused(options, error, why):
    with pytest.raises(error, match=why):
        Retry(**options)


# What a guard does


def test_a_call_that_failed_for_a_moment_is_made_again(run, sink):
    flaky = Flaky(TimeoutError(), HttpError(503))
    guard = Guard("llm", retry=3, draw=lambda: 0.5)
    with no_wait() as waited:
        assert run(guard.run(flaky)) == "answer"
    assert (flaky.calls, waited) == (3, [0.1, 0.2])
    assert [span.attributes.get("paramedic.retry") for span in sink.spans] == [None, 1, 2]
    assert guard.counts["retry"] == 2


def test_a_sync_call_is_made_again_alike(sink):
    flaky = Flaky(TimeoutError(), HttpError(503))
    guard = Guard("db", retry=3, draw=lambda: 0.5)
    with no_wait() as waited:
        assert guard(flaky.sync)() == "answer"
    assert (flaky.calls, waited) == (3, [0.1, 0.2])
    assert [span.attributes.get("paramedic.retry") for span in sink.spans] == [None, 1, 2]


def test_when_all_attempts_fail_the_fallbacks_follow_and_the_first_error_is_raised_without_them(run):
    errors = TimeoutError("first"), HttpError(503), HttpError(502)
    with no_wait():
        assert run(Guard("llm", retry=3, fallbacks=[light]).run(Flaky(*errors))) == "light"
        with pytest.raises(TimeoutError, match="first"):
            run(Guard("other", retry=3).run(Flaky(TimeoutError("first"), HttpError(503), HttpError(502))))


@pytest.mark.parametrize("error", [HttpError(400), ValueError()])
def test_what_would_fail_again_is_not_repeated(run, error):
    flaky = Flaky(error)
    assert run(Guard("llm", retry=3, fallbacks=[light]).run(flaky)) == "light"
    assert flaky.calls == 1


def test_an_ignored_error_is_not_repeated(run):
    flaky = Flaky(TimeoutError())
    with pytest.raises(TimeoutError):
        run(Guard("llm", retry=3, ignore=(TimeoutError,)).run(flaky))
    assert flaky.calls == 1


@pytest.mark.parametrize("on", [(KeyError,), KeyError, lambda error: isinstance(error, KeyError)])
def test_a_team_says_what_is_repeated(run, on):
    odd, usual = Flaky(KeyError()), Flaky(TimeoutError())
    with no_wait():
        assert run(Guard("a", retry=Retry(on=on)).run(odd)) == "answer"
        with pytest.raises(TimeoutError):
            run(Guard("b", retry=Retry(on=on)).run(usual))


def test_a_useless_answer_is_repeated_only_when_the_team_says_so(run):
    answers = ["", "good"]

    async def ask():
        return answers.pop(0)

    check = {"": "empty"}.get
    with no_wait():
        assert run(Guard("a", retry=3, check=check).run(ask)) == ""
        answers[:] = ["", "good"]
        assert run(Guard("b", retry=Retry(on=lambda error: True), check=check).run(ask)) == "good"


def test_what_must_not_run_twice_is_repeated_only_when_it_never_arrived(run):
    once = Retry(repeatable=False)
    sent, unsent = Flaky(httpx.ReadTimeout("x")), Flaky(httpx.ConnectError("x"))
    with no_wait():
        with pytest.raises(httpx.ReadTimeout):
            run(Guard("pay", retry=once).run(sent))
        assert run(Guard("pay", retry=once).run(unsent)) == "answer"
    assert sent.calls == 1


def test_an_idempotency_key_makes_it_repeatable_and_is_the_same_each_time(run):
    flaky = Flaky(httpx.ReadTimeout("x"), httpx.ReadTimeout("x"))
    guard = Guard("pay", retry=Retry(repeatable=False), idempotency_key=lambda order: f"order-{order}")
    with no_wait():
        assert run(guard.run(flaky, 7)) == "answer"
    assert flaky.keys == ["order-7"] * 3


def test_the_callee_is_waited_for_as_it_asks(run):
    flaky = Flaky(HttpError(429, {"retry-after": "20"}))
    with no_wait() as waited:
        run(Guard("llm", retry=3, draw=lambda: 0.5).run(flaky))
    assert waited == [20.1]


@pytest.mark.parametrize("left", [None, 10])
def test_who_asks_for_too_much_time_is_not_waited_for(run, left):
    flaky = Flaky(HttpError(429, {"retry-after": "31"}))

    async def main():
        with paramedic.deadline(left or 1e9) if left else paramedic.deadline(float("inf")):
            return await Guard("llm", retry=3, fallbacks=[light]).run(flaky)

    with no_wait() as waited:
        assert run(main()) == "light"
    assert (flaky.calls, waited) == (1, [])


def test_a_wait_that_would_pass_the_deadline_is_not_begun(run):
    flaky = Flaky(TimeoutError(), TimeoutError())
    guard = Guard("llm", retry=Retry(base_s=4, longest_s=4), draw=lambda: 1.0, fallbacks=[light])

    async def main():
        with paramedic.deadline(3):
            return await guard.run(flaky)

    with no_wait() as waited:
        assert run(main()) == "light"
    assert waited == []


def test_nothing_is_repeated_while_the_breaker_is_open(run):
    flaky = Flaky(*[TimeoutError() for _ in range(9)])
    guard = Guard("llm", retry=9, breaker=Breaker(in_a_row=2))
    with no_wait(), pytest.raises(TimeoutError):
        run(guard.run(flaky))
    assert flaky.calls == 2
    assert guard.state is State.OPEN


def test_a_failed_trial_is_not_repeated(run, clock):
    flaky = Flaky(*[TimeoutError() for _ in range(9)])
    guard = Guard("llm", retry=2, breaker=Breaker(in_a_row=2, rest_s=10), clock=clock)
    with no_wait():
        for _ in range(2):
            with pytest.raises(TimeoutError):
                run(guard.run(flaky))
            clock.now += 10
    assert flaky.calls == 3


def test_a_refusal_is_not_repeated(run, clock):
    guard = Guard("llm", retry=3, clock=clock)
    guard.force("open")
    with no_wait() as waited, pytest.raises(BreakerOpen):
        run(guard.run(Flaky()))
    assert waited == []


def test_a_cancellation_during_the_wait_ends_the_call_and_leaks_nothing(run):
    flaky = Flaky(TimeoutError())
    guard = Guard("llm", retry=Retry(base_s=60, longest_s=60), draw=lambda: 1.0, max_concurrent=1, fallbacks=[light])

    async def main():
        call = asyncio.ensure_future(guard.run(flaky))
        for _ in range(3):
            await asyncio.sleep(0)
        assert flaky.calls == 1
        assert guard.in_flight() == (0, 0.0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        return await guard.run(flaky)

    assert run(main()) == "answer"


# Several layers, several callers


def test_three_layers_that_retry_make_as_many_calls_as_one(run):
    flaky = Flaky(*[TimeoutError() for _ in range(99)])
    inner, middle, outer = (Guard(name, peer=name, retry=3) for name in ("inner", "middle", "outer"))

    @outer
    async def page():
        @middle
        async def service():
            return await inner.run(flaky)

        return await service()

    with no_wait(), pytest.raises(TimeoutError):
        run(page())
    assert flaky.calls == 3


def test_what_was_retried_in_a_task_further_in_is_not_retried_again(run):
    flaky = Flaky(*[TimeoutError() for _ in range(99)])
    inner, outer = Guard("inner", retry=3), Guard("outer", retry=Retry(on=lambda error: True))

    async def page():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(inner.run(flaky))

    with no_wait(), pytest.raises(ExceptionGroup):
        run(outer.run(page))
    assert flaky.calls == 3


def test_one_error_object_raised_in_two_calls_is_retried_in_both(run):
    """The mark of the first logical call says nothing about the second."""
    error = TimeoutError()
    first, second = Flaky(error, error, error), Flaky(error, error)
    with no_wait():
        with pytest.raises(TimeoutError):
            run(Guard("a", retry=3).run(first))
        assert run(Guard("b", retry=3).run(second)) == "answer"
    assert (first.calls, second.calls) == (3, 3)


def test_all_callers_of_a_dependency_share_one_budget(run):
    guards = [Guard(f"g{number}", peer="aurora", retry=3, breaker=None) for number in range(4)]
    flakies = [Flaky(*[TimeoutError() for _ in range(9)]) for _ in guards]
    with no_wait():
        for guard, flaky in zip(guards, flakies, strict=True):
            with pytest.raises(TimeoutError):
                run(guard.run(flaky))
    assert [flaky.calls for flaky in flakies] == [3, 2, 1, 1]
    assert sum(guard.counts["retry.denied"] for guard in guards) == 3
    with no_wait():
        assert run(Guard("h", peer="borealis", retry=3).run(Flaky(TimeoutError()))) == "answer"


def test_calls_that_work_fill_the_budget_again(run):
    guard = Guard("llm", retry=2, breaker=None)

    async def main():
        for _ in range(8):
            with pytest.raises(TimeoutError):
                await guard.run(Flaky(TimeoutError(), TimeoutError()))
        for _ in range(70):
            await guard.run(Flaky())
        return await guard.run(Flaky(TimeoutError()))

    with no_wait():
        assert run(main()) == "answer"


class BudgetMachine(RuleBasedStateMachine):
    """Against tenths counted as whole numbers."""

    def __init__(self):
        super().__init__()
        self.budget, self.tenths = RetryBudget(), 100

    @rule()
    def a_call_works(self):
        self.budget.worked()
        self.tenths = min(100, self.tenths + 1)

    @rule()
    def a_call_fails(self):
        self.budget.failed()
        self.tenths = max(0, self.tenths - 10)

    @invariant()
    def both_say_the_same(self):
        assert self.budget.tokens == pytest.approx(self.tenths / 10)
        if self.tenths != 50:
            assert self.budget.allows == (self.tenths > 50)


TestBudget = BudgetMachine.TestCase


# Keys


def test_a_key_is_one_for_a_logical_call_and_another_for_the_next(run):
    guard = Guard("pay", retry=2, idempotency_key=True, fallbacks=[])
    first, second = Flaky(TimeoutError()), Flaky()
    with no_wait():
        run(guard.run(first))
        run(guard.run(second))
    assert len(set(first.keys)) == 1
    assert len(set(first.keys + second.keys)) == 2


def test_a_key_reaches_a_guarded_fallback_and_the_headers_but_not_what_the_call_calls(run):
    seen = {}

    async def tool():
        seen["tool"] = Guard.current().idempotency_key

    async def ask(name, fails):
        seen[name] = Guard.headers().get("Idempotency-Key", "")
        await Guard("tool").run(tool)
        if fails:
            raise ValueError

    other = Guard("other")
    guard = Guard(
        "pay", idempotency_key=lambda name, fails: "k-1", fallbacks=[lambda *_: other.run(ask, "other", False)]
    )
    run(guard.run(ask, "pay", True))
    assert seen == {"pay": "k-1", "other": "k-1", "tool": ""}


def test_a_key_that_cannot_be_made_is_left_out(run, caplog):
    guard = Guard("pay", idempotency_key=lambda order: json.loads(order))
    flaky = Flaky()
    assert run(guard.run(flaky, "no json")) == "answer"
    assert run(guard.run(flaky, "no json")) == "answer"
    assert flaky.keys == ["", ""]
    assert len([line for line in caplog.messages if "idempotency_key" in line]) == 1


def test_a_key_must_be_made_by_a_function():
    with pytest.raises(TypeError, match="idempotency_key of guard 'pay'"):
        Guard("pay", idempotency_key="k-1")
