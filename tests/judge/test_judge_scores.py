"""Scores on windows by hand: what raises, and above all what does not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge_rows import T0, batch, edge, op, row
from scipy.stats import betabinom

from paramedic_detector.scores.scorer import Scorer
from paramedic_detector.scores.tails import surprise
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.values import Signal

NOBODY = frozenset()


class Watch:
    """Feeds one row list a second and scores each second."""

    def __init__(self) -> None:
        self.table, self.scorer, self.at = SeriesTable(), Scorer(), T0

    def second(self, *rows, frozen=NOBODY):
        self.table.add(batch([dict(one, ts=self.at) for one in rows], self.at - 1))
        self.at += 1
        return self.scorer.score(self.table, self.at, frozen)

    def seconds(self, n, *rows, frozen=NOBODY):
        return [alert for _ in range(n) for alert in self.second(*rows, frozen=frozen)]


def usual(n=8, **values):
    return row(edge(), T0, n, in_flight=2, oldest_s=0.3, **values)


@pytest.fixture(scope="module")
def warm():
    watch = Watch()
    assert watch.seconds(40, usual()) == []
    return watch.at, watch.table.checkpoint(), watch.scorer.checkpoint()


@pytest.fixture
def watch(warm):
    watch = Watch()
    watch.at, watch.table, watch.scorer = warm[0], SeriesTable.restore(warm[1]), Scorer.restore(warm[2])
    return watch


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 20), st.integers(0, 400))
def test_the_tail_is_that_of_a_beta_binomial(k, more, r, good):
    n, m = k + more, r + good
    mine = surprise(*(np.array([float(v)]) for v in (k, n, r, m)))[0]
    tail = betabinom.pmf(np.arange(k, n + 1), n, r + 1, m - r + 1).sum()
    expected = -np.log10(tail) if n else 0.0
    assert mine == pytest.approx(max(0.0, expected), abs=1e-3)


def test_a_total_outage_is_seen_with_the_first_second_of_it(watch):
    alerts = watch.second(row(edge(), T0, 8, errors={"503": 8}))
    assert [alert.signal for alert in alerts] == [Signal.ERRORS]
    assert alerts[0].error_types == {"503": 8}
    assert "mostly 503" in alerts[0].explanation
    assert abs(alerts[0].onset - (watch.at - 1)) <= 1


def test_nothing_is_said_before_a_series_is_warm():
    watch = Watch()
    watch.seconds(12, usual())
    assert watch.seconds(8, usual(errors={"503": 8})) == []


def test_one_failed_call_of_two_at_night_is_no_incident(watch):
    assert watch.seconds(30) == []
    assert watch.seconds(3, row(edge(), T0, 2, errors={"503": 1})) == []


def test_a_background_of_errors_is_usual():
    watch = Watch()
    watch.seconds(60, usual(20, errors={"500": 1}))
    assert watch.seconds(60, usual(20, errors={"500": 1})) == []


def test_commands_that_refuse_never_alert(watch):
    assert watch.seconds(30, row(edge(), T0, 1, refused={"command": 7})) == []
    assert watch.seconds(30, row(edge(), T0, 1, refused={"operator": 7})) == []


def test_a_breaker_that_refuses_alerts_and_goes_on_alerting(watch):
    watch.seconds(2, row(edge(), T0, 4, errors={"503": 4}))
    later = watch.seconds(60, row(edge(), T0, refused={"breaker": 8}), frozen=frozenset({edge()}))
    assert sum(alert.signal is Signal.REFUSED for alert in later) >= 58


def test_probes_alone_open_nothing_and_keep_an_incident_alive(watch):
    probe = row(edge(), T0, 1, errors={"503": 1}, probes=1, probe_errors=1, refused={"command": 7})
    assert watch.seconds(20, probe) == []
    kept = watch.seconds(5, probe, frozen=frozenset({edge()}))
    assert {alert.signal for alert in kept} == {Signal.ERRORS}


@pytest.mark.parametrize(
    ("error", "signal"), [("429", Signal.RATE_LIMITED), ("401", Signal.AUTH), ("500", Signal.ERRORS)]
)
def test_error_types_have_their_own_signal(watch, error, signal):
    assert {alert.signal for alert in watch.seconds(2, usual(errors={error: 8}))} == {signal}


def test_empty_answers_are_seen(watch):
    assert {alert.signal for alert in watch.seconds(2, usual(useless={"empty": 7}))} == {Signal.USELESS}


def test_slow_calls_are_seen_when_a_user_would_feel_them(watch):
    alerts = watch.seconds(6, row(edge(), T0, 8, seconds=1.5))
    assert {alert.signal for alert in alerts} == {Signal.SLOW}


def test_one_stall_is_no_slowness(watch):
    assert watch.second(row(edge(), T0, 20, seconds=1.5)) == []
    assert watch.seconds(10, usual()) == []


def test_what_no_user_would_feel_is_no_slowness():
    watch = Watch()
    entry = row(op("front"), T0, 8, seconds=2.0)
    quick = row(edge(), T0, 8, seconds=0.01)
    watch.seconds(40, entry, quick)
    assert watch.seconds(20, entry, row(edge(), T0, 8, seconds=0.08)) == []
    assert watch.seconds(10, entry, row(edge(), T0, 8, seconds=0.8)) != []


def test_calls_that_do_not_end_are_seen_before_they_end(watch):
    watch.second(row(edge(), T0, in_flight=8, oldest_s=1.0))
    alerts = watch.second(row(edge(), T0, in_flight=16, oldest_s=2.0))
    assert {alert.signal for alert in alerts} == {Signal.HANG}
    assert "16 calls are in flight" in alerts[0].explanation


def test_a_burst_that_is_served_is_no_hang(watch):
    busy = row(edge(), T0, 24, in_flight=6, oldest_s=0.4)
    assert {alert.signal for alert in watch.seconds(10, busy)} <= {Signal.SURGE}


def test_a_service_that_falls_silent_is_missing_only_while_users_come():
    watch = Watch()
    entry, inner = row(op("front"), T0, 8), row(op("bot", zone="a"), T0, 4)
    called = row(edge("front", "bot", "a"), T0, 4)
    watch.seconds(40, entry, inner, called)
    gone = watch.seconds(12, entry)
    assert op("bot", zone="a") in {alert.key for alert in gone if alert.signal is Signal.MISSING}
    quiet = Watch()
    quiet.seconds(40, entry, inner, called)
    alerts = quiet.seconds(12, row(edge("x", "y"), T0, in_flight=0, oldest_s=0.0))
    assert {alert.key for alert in alerts} <= {op("front")}


def test_a_long_fault_is_not_learned_as_usual(watch):
    frozen = frozenset({edge()})
    watch.seconds(120, usual(errors={"503": 4}), frozen=frozen)
    assert watch.seconds(2, usual(errors={"503": 4}), frozen=frozen) != []


def test_a_fault_is_over_soon_after_its_last_bad_call(watch):
    frozen = frozenset({edge()})
    watch.seconds(30, usual(errors={"503": 8}), frozen=frozen)
    watch.seconds(2, usual(), frozen=frozen)
    assert watch.seconds(10, usual(), frozen=frozen) == []


def test_a_restart_neither_learns_the_fault_nor_alarms_by_itself(watch):
    watch.seconds(10, usual(errors={"503": 4}))
    back = Watch()
    back.table, back.scorer = SeriesTable.restore(watch.table.checkpoint()), Scorer.restore(watch.scorer.checkpoint())
    back.at = watch.at + 20  # nobody watched for a while
    assert back.second(usual()) == []
    assert back.seconds(3, usual(errors={"503": 4})) != []
    healthy = Watch()
    healthy.seconds(40, usual())
    after = Watch()
    after.table = SeriesTable.restore(healthy.table.checkpoint())
    after.scorer = Scorer.restore(healthy.scorer.checkpoint())
    after.at = healthy.at + 30
    assert after.seconds(30, usual()) == []


def test_a_scorer_finds_its_series_by_name_in_a_new_table(watch):
    scorer, table, at = Scorer.restore(watch.scorer.checkpoint()), SeriesTable(), watch.at
    table.add(batch([row(edge(callee="somebody-else"), at, 3)], at))
    table.add(batch([row(edge(), at, 8, errors={"503": 8})], at))
    assert [alert.key for alert in scorer.score(table, at + 1, NOBODY)] == [edge()]


def test_a_new_series_that_only_fails_is_seen_once_the_rest_is_known(watch):
    watch.seconds(40, usual())
    fresh = row(edge(callee="borealis"), T0, 8, errors={"500": 8})
    assert {alert.key for alert in watch.seconds(8, usual(), fresh)} == {edge(callee="borealis")}
