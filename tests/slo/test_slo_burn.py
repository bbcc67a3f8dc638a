"""Burn rates: what breaks which rule, and what must not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paramedic_collector.windows import SeriesKey
from paramedic_detector.slo.burn import RULES, SUDDEN, budget_of, burns
from paramedic_detector.slo.ledger import Ledger
from paramedic_detector.slo.objectives import DAY_S, Counted, Measure, Objective

HOUR_S, NOW = 3600.0, 40 * DAY_S
SERIES = SeriesKey("op", ("chat", "*", "server", "*", "*", "*", "*"))


def objective(target: float = 0.99) -> Objective:
    return Objective("chat-useful", "chat", SERIES, Measure.USEFUL, target)


class Past:
    """Calls at a steady rate, with shares of bad ones in some spans of time before NOW."""

    def __init__(self, per_s: float = 10.0, since_s: float = 32 * DAY_S) -> None:
        self.per_s, self.since_s = per_s, since_s
        self.bad: list[tuple[float, float, float]] = []  # from, to (seconds ago), share
        self.silent: list[tuple[float, float]] = []

    def fails(self, ago_s: float, for_s: float, share: float) -> "Past":
        self.bad.append((ago_s, ago_s - for_s, share))
        return self

    def is_silent(self, ago_s: float, for_s: float) -> "Past":
        self.silent.append((ago_s, ago_s - for_s))
        return self

    def __call__(self, t0: float, t1: float) -> Counted:
        def overlap(first_ago: float, last_ago: float) -> float:
            return max(0.0, min(t1, NOW - last_ago) - max(t0, NOW - first_ago))

        seconds = overlap(self.since_s, 0.0) - sum(overlap(*span) for span in self.silent)
        bad = sum(overlap(first, last) * share for first, last, share in self.bad) * self.per_s
        return Counted(seconds * self.per_s - bad, seconds * self.per_s, seconds)


def broken(past: Past, target: float = 0.99) -> set[str]:
    return {burn.rule.name for burn in burns(objective(target), past, NOW) if burn.broken}


def test_a_month_at_the_target_breaks_nothing():
    assert broken(Past().fails(32 * DAY_S, 32 * DAY_S, 0.005)) == set()


@pytest.mark.parametrize(
    ("share", "for_s", "rules"),
    [
        (0.16, HOUR_S, {"14.4x over 1 h"}),
        (0.07, 6 * HOUR_S, {"6x over 6 h"}),
        (0.035, DAY_S, {"3x over 1 d", "1x over 3 d"}),
        (0.012, 3 * DAY_S, {"1x over 3 d"}),
    ],
)
def test_each_pace_breaks_the_rule_that_is_made_for_it(share, for_s, rules):
    assert rules <= broken(Past().fails(for_s, for_s, share))
    assert SUDDEN.name not in broken(Past().fails(for_s, for_s, share))


@pytest.mark.parametrize("target", [0.9, 0.99, 0.999])
def test_a_total_outage_is_seen_in_seconds_whatever_the_target(target):
    assert SUDDEN.name in broken(Past().fails(3.0, 3.0, 1.0), target)


def test_the_usual_rule_alone_would_need_more_than_eight_minutes():
    """Total outage, 99 %: long window * factor * budget / share = 3600 * 14.4 * 0.01 = 518 s."""
    assert "14.4x over 1 h" not in broken(Past().fails(510, 510, 1.0))
    assert "14.4x over 1 h" in broken(Past().fails(525, 525, 1.0))


@pytest.mark.parametrize(("calls_per_s", "bad_s"), [(0.02, 100.0), (0.01, 200.0)])
def test_two_bad_calls_at_night_break_nothing(calls_per_s, bad_s):
    assert broken(Past(per_s=calls_per_s).fails(bad_s, bad_s, 1.0)) == set()


def test_what_has_stopped_failing_no_longer_breaks_the_fast_rules():
    past = Past().fails(1800, 1200, 1.0)
    assert not {"14.4x over 1 h", SUDDEN.name} & broken(past)


def test_no_data_keeps_the_verdict_open():
    past = Past().fails(2000, 1400, 1.0).is_silent(600, 600)
    found = {burn.rule.name: burn.broken for burn in burns(objective(), past, NOW)}
    assert found["14.4x over 1 h"] is None
    assert found[SUDDEN.name] is None
    assert found["3x over 1 d"] is not None


def test_a_quarter_of_an_hour_of_knowledge_is_no_hour():
    """16 % bad over 15 minutes since the start: a burn of 16 that has not yet spent what the rule is about."""
    young = Past(since_s=900).fails(900, 900, 0.16)
    assert broken(young) == set()
    assert "14.4x over 1 h" in broken(Past(since_s=3600).fails(3600, 3600, 0.16))


def test_the_budget_is_what_is_left_of_a_month():
    budget = budget_of(objective(), Past().fails(DAY_S, 3 * HOUR_S, 1.0), NOW)
    assert budget.left == pytest.approx(1 - 3 * HOUR_S / (0.01 * 30 * DAY_S))
    assert budget.coverage == 1.0
    assert budget.achieved == pytest.approx(1 - 3 * HOUR_S / (30 * DAY_S))
    assert budget.gone_in_s is None


def test_a_burning_budget_says_when_it_is_gone():
    budget = budget_of(objective(), Past().fails(HOUR_S, HOUR_S, 0.1), NOW)
    assert budget.left is not None
    assert budget.gone_in_s == pytest.approx(budget.left * 30 * DAY_S / 10.0)


def test_a_day_of_knowledge_is_neither_a_full_budget_nor_an_empty_one():
    """1 % bad of one measured day spends one day's allowance of thirty, not the whole."""
    budget = budget_of(objective(), Past(since_s=DAY_S).fails(DAY_S, DAY_S, 0.01), NOW)
    assert budget.coverage == pytest.approx(1 / 30)
    assert budget.left == pytest.approx(1 - 1 / 30)


def test_without_calls_there_is_no_budget_to_speak_of():
    budget = budget_of(objective(), Past(since_s=0.0), NOW)
    assert (budget.achieved, budget.left, budget.gone_in_s) == (None, None, None)


def test_rules_are_the_workbooks():
    """Factor = share of the budget * 720 h / long window, and the short window is a twelfth of the long one."""
    shares = {"14.4x over 1 h": 0.02, "6x over 6 h": 0.05, "3x over 1 d": 0.1, "1x over 3 d": 0.1}
    for rule in RULES:
        assert rule.factor == pytest.approx(shares[rule.name] * 720 / (rule.long_s / HOUR_S))
        assert rule.short_s == pytest.approx(rule.long_s / 12)


@given(st.lists(st.tuples(st.integers(0, 400_000), st.integers(0, 9), st.integers(0, 9)), max_size=60))
def test_the_ledger_counts_what_a_list_counts(seconds):
    """Whatever comes in whatever order is found again, to the width of a step."""
    ledger, newest = Ledger(), max((ts for ts, _, _ in seconds), default=0)
    ledger.until = float(newest + 10)
    for ts, good, bad in sorted(seconds):
        ledger.add(float(ts), Counted(float(good), float(good + bad), 1.0))
    for back_s, step_s in ((300, 10), (7000, 10), (80_000, 60), (250_000, 60), (400_000, 3600)):
        begin = ledger.until - back_s
        found = ledger.between(begin, ledger.until)
        exact = sum(good + bad for ts, good, bad in seconds if ts >= begin)
        wider = sum(good + bad for ts, good, bad in seconds if ts >= begin - step_s)
        assert exact <= found.total <= wider


def test_a_ledger_comes_back_as_it_was():
    ledger = Ledger()
    ledger.until = 5000.0
    ledger.add(4990.0, Counted(3.0, 4.0, 1.0))
    again = Ledger.restored(ledger.state())
    assert again.between(4000, 5000) == ledger.between(4000, 5000) == Counted(3.0, 4.0, 1.0)
    assert again.until == 5000.0
    with pytest.raises(ValueError, match="ring10 of 732 steps"):
        Ledger.restored({"ring10": np.zeros((3, 4)), "until": np.zeros(1)})
