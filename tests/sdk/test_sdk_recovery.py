"""What comes next after an attempt that did not help: the machine that all shells drive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paramedic.policy.recovery import Again, Ask, End, Means, Recovery, Why
from paramedic.policy.retry import Retry, RetryBudget

PASSING, LASTING = TimeoutError(), ValueError()


def recovery(retry=3, fallbacks=2, budget=None, keyed=False, **options):
    settings = None if retry is None else Retry(retry, **options)
    return Recovery(Means(settings, budget or RetryBudget(), fallbacks, lambda: 1.0), keyed=keyed)


def steps(machine, error=PASSING, end=End.FAILED, **facts):
    """All steps when every one of them ends alike."""
    taken = []
    while (step := machine.after(error, end, **facts)) is not None:
        taken.append(step)
        assert len(taken) < 100
    return taken


def test_first_again_then_the_fallbacks_in_order_then_nothing():
    assert steps(recovery()) == [Again(0.2, 1), Again(0.4, 2), Ask(1), Ask(2)]


def test_without_retries_the_fallbacks_come_at_once():
    assert steps(recovery(retry=None)) == [Ask(1), Ask(2)]


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"error": LASTING}, Why.NOT_WORTH_IT),
        ({"end": End.REFUSED}, Why.NOT_WORTH_IT),
        ({"end": End.USELESS}, Why.NOT_WORTH_IT),
        ({"closed": False}, Why.CIRCUIT_OPEN),
        ({"retried_inside": True}, Why.RETRIED_INSIDE),
        ({"left_s": 0.2}, Why.NO_TIME),
        ({"asked_s": 31.0}, Why.NO_TIME),
        ({"asked_s": 5.0, "left_s": 4.0}, Why.NO_TIME),
    ],
)
def test_why_a_call_is_not_made_again(facts, why):
    machine = recovery()
    assert steps(machine, **facts) == [Ask(1), Ask(2)]
    assert machine.why is why
    assert machine.exhausted == (why is not Why.NOT_WORTH_IT)


def test_an_empty_budget_stops_retries_but_not_fallbacks():
    budget = RetryBudget()
    for _ in range(5):
        budget.failed()
    machine = recovery(budget=budget)
    assert steps(machine) == [Ask(1), Ask(2)]
    assert machine.why is Why.BUDGET_EMPTY


def test_a_long_deadline_allows_a_long_wait():
    assert steps(recovery(), asked_s=100.0, left_s=1000.0)[0] == Again(100.2, 1)


def test_an_error_of_the_callers_own_ends_it_at_once():
    assert steps(recovery(), end=End.FINAL) == []


def test_an_ignored_error_of_a_fallback_does_not_end_it():
    machine = recovery(retry=None)
    assert machine.after(PASSING, End.FAILED) == Ask(1)
    assert machine.after(PASSING, End.FINAL) == Ask(2)


def test_a_refusal_may_say_where_to_begin():
    assert steps(recovery(fallbacks=3), end=End.REFUSED, level=2) == [Ask(2), Ask(3)]
    assert steps(recovery(fallbacks=1), end=End.REFUSED, level=2) == []


def test_a_refusal_after_a_retry_goes_to_the_fallbacks():
    """The breaker opened while this call waited."""
    machine = recovery()
    assert machine.after(PASSING, End.FAILED) == Again(0.2, 1)
    assert machine.after(LASTING, End.REFUSED) == Ask(1)


def test_a_key_makes_repeatable_what_is_not():
    assert steps(recovery(repeatable=False))[0] == Ask(1)
    assert steps(recovery(repeatable=False, keyed=True))[0] == Again(0.2, 1)


@given(
    ends=st.lists(st.sampled_from(list(End)), min_size=1, max_size=12),
    attempts=st.integers(1, 4),
    fallbacks=st.integers(0, 4),
    closed=st.booleans(),
)
def test_however_steps_end_there_are_never_more_than_there_should_be(ends, attempts, fallbacks, closed):
    machine = recovery(attempts, fallbacks)
    taken = []
    for end in ends:
        step = machine.after(PASSING, end, closed=closed)
        if step is None:
            break
        taken.append(step)
    again = [step for step in taken if isinstance(step, Again)]
    asked = [step.number for step in taken if isinstance(step, Ask)]
    assert [step.ordinal for step in again] == list(range(1, len(again) + 1))
    assert len(again) < attempts
    assert asked == list(range(1, len(asked) + 1))
    assert len(asked) <= fallbacks
    assert taken == [*again, *(Ask(number) for number in asked)], "never again once a fallback was asked"
