"""The circuit as a state machine, moved by hand."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from paramedic.policy.breaker import Breaker, Circuit, State, Verdict

FAILED, WORKED, NOTHING = Verdict.FAILED, Verdict.WORKED, Verdict.SAYS_NOTHING
VERDICTS = {"f": FAILED, "s": WORKED, "n": NOTHING}


def end(circuit, verdict, now=0.0, seconds=0.0):
    assert circuit.wait_s(now) == 0
    circuit.leave(circuit.enter(now), verdict, now, seconds)


def in_a_row(failures=1, **options):
    return Circuit(Breaker(failure_rate=None, in_a_row=failures, **{"rest_s": 30, **options}))


def opened(**options):
    circuit = in_a_row(**options)
    end(circuit, FAILED)
    return circuit


@given(outcomes=st.text("fsn", max_size=30), failures=st.integers(1, 6))
def test_opens_if_and_only_if_that_many_failed_in_a_row(outcomes, failures):
    """The oracle is a substring search: "f" failed, "s" worked, "n" said nothing."""
    circuit = in_a_row(failures)
    for outcome in outcomes:
        if circuit.wait_s(0.0) == 0:
            end(circuit, VERDICTS[outcome])
    assert (circuit.state is State.OPEN) == ("f" * failures in outcomes.replace("n", ""))


@given(
    outcomes=st.text("fsn", max_size=60),
    rate=st.sampled_from([0.1, 0.3, 0.5, 0.7, 1.0]),
    at_least=st.integers(1, 8),
    last=st.integers(8, 12),
)
def test_opens_if_and_only_if_the_share_of_failures_among_the_last_calls_is_reached(outcomes, rate, at_least, last):
    """The oracle looks back over the list of all verdicts, each time anew."""
    circuit = Circuit(Breaker(failure_rate=rate, last=last, at_least=at_least))
    heard, expected = "", False
    for outcome in outcomes:
        if expected:
            break
        end(circuit, VERDICTS[outcome])
        heard += outcome.replace("n", "")
        seen = heard[-last:]
        expected = len(seen) >= at_least and seen.count("f") / len(seen) >= rate
        assert (circuit.state is State.OPEN) == expected


@given(lengths=st.lists(st.sampled_from([0.1, 1.0, 1.1, 9.0]), max_size=40))
def test_opens_if_and_only_if_the_share_of_slow_calls_is_reached(lengths):
    """A call is slow when it takes longer than `slow_s`; whether it fails does not matter."""
    circuit = Circuit(Breaker(failure_rate=None, slow_s=1.0, slow_rate=0.5, last=10, at_least=5))
    for number in range(len(lengths)):
        end(circuit, (WORKED, FAILED)[number % 2], seconds=lengths[number])
        seen = lengths[: number + 1][-10:]
        expected = len(seen) >= 5 and sum(length > 1.0 for length in seen) / len(seen) >= 0.5
        assert (circuit.state is State.OPEN) == expected
        if expected:
            break


def test_a_window_of_seconds_forgets_what_is_older():
    circuit = Circuit(Breaker(failure_rate=0.5, within_s=10, at_least=4))
    for now in (0.0, 0.1, 0.2):
        end(circuit, FAILED, now)
    end(circuit, FAILED, 10.5)
    assert circuit.state is State.CLOSED, "only one of the four is younger than ten seconds"
    for now in (10.6, 10.7, 10.8):
        end(circuit, FAILED, now)
    assert circuit.state is State.OPEN


def test_a_window_of_calls_forgets_after_five_quiet_minutes():
    circuit = Circuit(Breaker(failure_rate=0.5, last=20, at_least=10))
    for _ in range(9):
        end(circuit, FAILED, 0.0)
    end(circuit, FAILED, 301.0)
    assert circuit.state is State.CLOSED
    for _ in range(9):
        end(circuit, FAILED, 302.0)
    assert circuit.state is State.OPEN


def test_calls_that_go_well_without_being_written_down_are_not_forgotten():
    """While nothing failed the guard only notes the moment, `heard_at`: the five minutes begin there."""
    circuit = Circuit(Breaker(failure_rate=0.5, last=10, at_least=10))
    for _ in range(10):
        end(circuit, WORKED, 0.0)
    assert circuit.calm
    circuit.heard_at = 250.0
    for number in range(4):
        end(circuit, FAILED, 400.0 + number)
    assert circuit.state is State.CLOSED
    end(circuit, FAILED, 405.0)
    assert circuit.state is State.OPEN, "five of the last ten, of which five were good ones of before"


def test_without_rules_it_never_opens():
    circuit = Circuit(None)
    for _ in range(1000):
        end(circuit, FAILED)
    assert circuit.state is State.CLOSED


@given(
    steps=st.lists(st.tuples(st.sampled_from("fsnt"), st.floats(0, 20)), max_size=60),
    trials=st.integers(1, 4),
)
def test_never_lets_more_than_its_trials_through_in_one_rest(steps, trials):
    """Whatever happens to the calls, in any round at most `trials` calls are in the air."""
    circuit, now, air = in_a_row(rest_s=10, trials=trials), 0.0, []
    for step, wait in steps:
        if step == "t":
            now += wait
        elif circuit.wait_s(now) == 0:
            before = circuit.state
            air.append(circuit.enter(now))
            if before is not State.CLOSED:
                assert sum(era == circuit.era for era in air) <= trials
        if step in "fsn" and air:
            circuit.leave(air.pop(0), VERDICTS[step], now)


def test_rests_for_exactly_its_rest():
    circuit = opened()
    assert circuit.wait_s(10.0) == 20.0
    assert circuit.wait_s(29.9) > 0
    assert circuit.wait_s(30.0) == 0


def test_closes_only_when_every_trial_worked():
    circuit = opened(trials=2)
    end(circuit, WORKED, 30.0)
    assert circuit.state is State.HALF_OPEN
    assert circuit.closed_at is None
    end(circuit, WORKED, 30.5)
    assert circuit.state is State.CLOSED
    assert circuit.closed_at == 30.5


def test_one_failed_trial_opens_it_for_another_rest():
    circuit = opened(trials=2)
    end(circuit, WORKED, 30.0)
    end(circuit, FAILED, 31.0)
    assert circuit.state is State.OPEN
    assert circuit.wait_s(60.9) > 0
    assert circuit.wait_s(61.0) == 0


def test_a_trial_that_is_slow_is_no_recovery():
    circuit = opened(slow_s=2.0)
    end(circuit, WORKED, 30.0, seconds=2.5)
    assert circuit.state is State.OPEN
    end(circuit, WORKED, 60.0, seconds=2.0)
    assert circuit.state is State.CLOSED


def test_what_failed_before_it_opened_does_not_count_after_it_closed():
    circuit = Circuit(Breaker(failure_rate=0.5, last=4, at_least=4, rest_s=10))
    for _ in range(4):
        end(circuit, FAILED)
    end(circuit, WORKED, 10.0)
    for _ in range(3):
        end(circuit, FAILED, 11.0)
    assert circuit.state is State.CLOSED


def test_a_trial_that_hangs_does_not_block_the_next_round():
    circuit = opened()
    circuit.enter(30.0)  # never comes back
    assert circuit.wait_s(59.0) == 1.0
    assert circuit.wait_s(60.0) == 0


def test_a_trial_of_a_round_that_is_over_is_not_heard():
    circuit = opened()
    old = circuit.enter(30.0)
    circuit.enter(60.0)
    circuit.leave(old, WORKED, 61.0)
    assert circuit.state is State.HALF_OPEN


def test_a_slow_success_from_before_cannot_close_it():
    """It was admitted while closed, and says nothing about the dependency now."""
    circuit = in_a_row()
    slow = circuit.enter(0.0)
    end(circuit, FAILED)
    circuit.leave(slow, WORKED, 1.0)
    assert circuit.state is State.OPEN


def test_a_trial_that_says_nothing_gives_its_place_back():
    circuit = opened()
    end(circuit, NOTHING, 30.0)
    assert circuit.wait_s(30.0) == 0
    end(circuit, WORKED, 30.0)
    assert circuit.state is State.CLOSED


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"failure_rate": 0}, "failure_rate must be above 0"),
        ({"failure_rate": 1.1}, "failure_rate"),
        ({"failure_rate": math.nan}, "failure_rate"),
        ({"slow_rate": 0}, "slow_rate"),
        ({"last": 0}, "last"),
        ({"last": 5}, "at_least must be at most last, which is 5, got 10"),
        ({"at_least": 0}, "at_least"),
        ({"at_least": 2.5}, "at_least must be a whole number"),
        ({"in_a_row": 0}, "in_a_row"),
        ({"within_s": 0}, "within_s"),
        ({"slow_s": -1}, "slow_s"),
        ({"rest_s": 0.0}, "rest_s"),
        ({"rest_s": math.nan}, "rest_s"),
        ({"trials": 0}, "trials"),
    ],
)
def test_a_number_out_of_range_is_named(options, named):
    with pytest.raises(ValueError, match=named):
        Breaker(**options)


class CircuitMachine(RuleBasedStateMachine):
    """Against an oracle that keeps every verdict and counts anew each time."""

    SETTINGS = Breaker(failure_rate=0.5, last=6, at_least=4, slow_s=1.0, slow_rate=0.8, in_a_row=3, rest_s=10, trials=2)

    def __init__(self):
        super().__init__()
        self.circuit, self.now = Circuit(self.SETTINGS), 0.0
        self.air = []  # (era of the circuit, round of the oracle)
        self.heard = []  # (failed, slow), while closed
        self.heard_at = 0.0
        self.state, self.until, self.places, self.passed, self.round = "closed", 0.0, 0, 0, 0

    def may_enter(self):
        if self.state == "closed":
            return True
        return self.now >= self.until or (self.state == "trying" and self.places > 0)

    @rule(seconds=st.sampled_from([0.5, 3.0, 10.0, 301.0]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def somebody_asks(self):
        allowed = self.circuit.wait_s(self.now) == 0
        assert allowed == self.may_enter()
        if not allowed:
            return
        if self.state != "closed":
            if self.now >= self.until:
                self.state, self.until, self.places, self.passed = "trying", self.now + 10, 2, 0
                self.round += 1
            self.places -= 1
        self.air.append((self.circuit.enter(self.now), self.round))

    @precondition(lambda self: self.air)
    @rule(which=st.integers(0, 5), verdict=st.sampled_from(list(Verdict)), slow=st.booleans())
    def a_call_ends(self, which, verdict, slow):
        era, its_round = self.air.pop(which % len(self.air))
        self.circuit.leave(era, verdict, self.now, 1.5 if slow else 1.0)
        if its_round != self.round:
            return
        if self.state == "trying":
            self.a_trial_ends(FAILED if slow and verdict is WORKED else verdict)
        elif self.state == "closed" and verdict is not NOTHING:
            self.hears(verdict is FAILED, slow)

    def a_trial_ends(self, verdict):
        if verdict is FAILED:
            self.opens()
        elif verdict is NOTHING:
            self.places += 1
        else:
            self.passed += 1
            if self.passed == 2:
                self.state, self.heard = "closed", []
                self.round += 1

    def hears(self, failed, slow):
        row_before = self.heard
        if self.now - self.heard_at > 300:
            self.forgotten = True
            self.window_begins = len(row_before)
        self.heard_at = self.now
        self.heard = [*row_before, (failed, slow)]
        seen = self.heard[getattr(self, "window_begins", 0) if len(self.heard) else 0 :][-6:]
        row = self.heard[-3:]
        too_much = len(row) == 3 and all(f for f, _ in row)
        if len(seen) >= 4:
            too_much |= sum(f for f, _ in seen) / len(seen) >= 0.5 or sum(s for _, s in seen) / len(seen) >= 0.8
        if too_much:
            self.opens()

    def opens(self):
        self.state, self.until, self.heard, self.window_begins = "open", self.now + 10, [], 0
        self.round += 1

    @invariant()
    def both_say_the_same(self):
        names = {State.CLOSED: "closed", State.OPEN: "open", State.HALF_OPEN: "trying"}
        assert names[self.circuit.state] == self.state
        assert self.circuit.calm in (False, self.state == "closed")


CircuitMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestCircuit = CircuitMachine.TestCase
