"""The breaker as a state machine, moved by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paramedic.policy.breaker import Breaker, State, Verdict

FAILED, WORKED, NOTHING = Verdict.FAILED, Verdict.WORKED, Verdict.SAYS_NOTHING


def end(breaker, verdict, now=0.0):
    assert breaker.wait_s(now) == 0
    breaker.leave(breaker.enter(now), verdict, now)


def opened(**options):
    breaker = Breaker(failures=1, rest_s=30, **options)
    end(breaker, FAILED)
    return breaker


@given(outcomes=st.text("fsn", max_size=30), failures=st.integers(1, 6))
def test_opens_if_and_only_if_that_many_failed_in_a_row(outcomes, failures):
    """The oracle is a substring search: "f" failed, "s" worked, "n" said nothing."""
    breaker = Breaker(failures=failures, rest_s=30)
    for outcome in outcomes:
        if breaker.wait_s(0.0) == 0:
            end(breaker, {"f": FAILED, "s": WORKED, "n": NOTHING}[outcome])
    assert (breaker.state is State.OPEN) == ("f" * failures in outcomes.replace("n", ""))


@given(
    steps=st.lists(st.tuples(st.sampled_from("fsnt"), st.floats(0, 20)), max_size=60),
    trials=st.integers(1, 4),
)
def test_never_lets_more_than_its_trials_through_in_one_rest(steps, trials):
    """Whatever happens to the calls, in any `rest_s` after opening at most `trials` calls are in the air."""
    breaker, now, air, granted = Breaker(failures=1, rest_s=10, trials=trials), 0.0, [], []
    for step, wait in steps:
        if step == "t":
            now += wait
        elif breaker.wait_s(now) == 0:
            before = breaker.state
            air.append(breaker.enter(now))
            if before is not State.CLOSED:
                granted = [at for at in granted if at > now - 10] + [now]
                assert sum(era == breaker.era for era in air) <= trials
        if step in "fsn" and air:
            breaker.leave(air.pop(0), {"f": FAILED, "s": WORKED, "n": NOTHING}[step], now)


def test_rests_for_exactly_its_rest():
    breaker = opened()
    assert breaker.wait_s(10.0) == 20.0
    assert breaker.wait_s(29.9) > 0
    assert breaker.wait_s(30.0) == 0


def test_closes_only_when_every_trial_worked():
    breaker = opened(trials=2)
    end(breaker, WORKED, 30.0)
    assert breaker.state is State.HALF_OPEN
    end(breaker, WORKED, 30.0)
    assert breaker.state is State.CLOSED


def test_one_failed_trial_opens_it_for_another_rest():
    breaker = opened(trials=2)
    end(breaker, WORKED, 30.0)
    end(breaker, FAILED, 31.0)
    assert breaker.state is State.OPEN
    assert breaker.wait_s(60.9) > 0
    assert breaker.wait_s(61.0) == 0


def test_a_trial_that_hangs_does_not_block_the_next_round():
    breaker = opened()
    breaker.enter(30.0)  # never comes back
    assert breaker.wait_s(59.0) == 1.0
    assert breaker.wait_s(60.0) == 0


def test_a_trial_of_a_round_that_is_over_is_not_heard():
    breaker = opened()
    old = breaker.enter(30.0)
    breaker.enter(60.0)
    breaker.leave(old, WORKED, 61.0)
    assert breaker.state is State.HALF_OPEN


def test_a_slow_success_from_before_cannot_close_it():
    """It was admitted while closed, and says nothing about the dependency now."""
    breaker = Breaker(failures=1, rest_s=30)
    slow = breaker.enter(0.0)
    end(breaker, FAILED)
    breaker.leave(slow, WORKED, 1.0)
    assert breaker.state is State.OPEN


def test_a_trial_that_says_nothing_gives_its_place_back():
    breaker = opened()
    end(breaker, NOTHING, 30.0)
    assert breaker.wait_s(30.0) == 0
    end(breaker, WORKED, 30.0)
    assert breaker.state is State.CLOSED


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"failures": 0}, "failures"),
        ({"rest_s": 0.0}, "rest_s"),
        ({"rest_s": math.nan}, "rest_s"),
        ({"trials": 0}, "trials"),
    ],
)
def test_a_number_out_of_range_is_named(options, named):
    with pytest.raises(ValueError, match=named):
        Breaker(**options)
