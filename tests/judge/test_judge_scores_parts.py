"""The arrays beneath the scores: running windows, memory by count, witnesses, tokens."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judge_rows import T0, batch, edge, op, row

from paramedic_detector.scores.clumps import BLOCK_S, Clumps
from paramedic_detector.scores.findings import Finding, alerts_of
from paramedic_detector.scores.histories import KEPT, LEAST, Histories
from paramedic_detector.scores.recent import LONGEST_S, WINDOWS_S, Recent
from paramedic_detector.scores.scorer import Scorer
from paramedic_detector.series.slots import BUCKETS, CHANNELS, DURATION, Cell, bucket_of, upper_edge_s
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.values import Signal

NEVER_SLOW = np.full((CHANNELS, 99), BUCKETS, np.int16)
ONE = np.zeros(1, np.int32)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(-190, 3), st.integers(1, 9)), min_size=1, max_size=25),
    st.integers(1, 60),
)
def test_running_windows_are_what_adding_up_anew_gives_whatever_comes_late_or_early(told, step_s):
    """(second in which it is told, which second it is about, calls)."""
    table, recent = SeriesTable(), Recent()
    told = sorted(told)
    for now in range(0, 420, step_s):
        while told and told[0][0] <= now:
            at, about, count = told.pop(0)
            table.add(batch([row(edge(), T0 + at + about, count), row(op("bot"), T0 + at, 1)], T0 + at))
        recent.follow(table, T0 + now, NEVER_SLOW)
        for window, span_s in enumerate(WINDOWS_S) if table.size else ():
            sums = table.sums(T0 + now + 1 - span_s, T0 + now + 1)[:, Cell.COUNT]
            assert np.array_equal(recent.of(Cell.COUNT)[window], sums)


def test_slow_calls_leave_the_windows_with_the_limit_that_they_came_with():
    table, recent = SeriesTable(), Recent()
    limits = np.full((CHANNELS, 99), int(bucket_of(0.5)), np.int16)
    table.add(batch([row(edge(), T0, 3, seconds=1.0)], T0))
    recent.follow(table, T0, limits)
    assert recent.slow(DURATION)[:, 0].tolist() == [3.0] * len(WINDOWS_S)
    recent.follow(table, T0 + LONGEST_S - 1, NEVER_SLOW)
    assert recent.slow(DURATION)[:, 0].tolist() == [0.0] * (len(WINDOWS_S) - 1) + [3.0]
    recent.follow(table, T0 + LONGEST_S, NEVER_SLOW)
    assert recent.slow(DURATION)[:, 0].tolist() == [0.0] * len(WINDOWS_S)


def learn(histories: Histories, seconds: float, calls: int, now: float, felt_s: float = 0.0) -> None:
    bucket = np.array([int(bucket_of(seconds))], np.int16)
    histories.add(ONE, bucket, np.array([calls], np.float32), now, felt_s)


def test_a_rare_series_remembers_by_count_and_a_busy_one_by_time():
    rare, busy = Histories(), Histories()
    for histories, calls in ((rare, 1), (busy, 1000)):
        histories.grow(1)
        for minute in range(240):
            learn(histories, 0.1, calls, 60.0 * (minute + 1))
    assert rare.calls[DURATION, 0] == 240
    assert KEPT < busy.calls[DURATION, 0] < 60_000


def test_slow_is_rare_and_twice_the_median_and_felt():
    histories = Histories()
    histories.grow(1)
    learn(histories, 0.1, int(LEAST) - 1, 1.0)
    assert histories.limit[DURATION, 0] == BUCKETS, "too little is known"
    learn(histories, 0.1, 100, 2.0)
    assert float(upper_edge_s(int(histories.limit[DURATION, 0]))) == pytest.approx(0.2, rel=0.15)
    learn(histories, 0.1, 1, 3.0, felt_s=1.0)
    assert float(upper_edge_s(int(histories.limit[DURATION, 0]))) == pytest.approx(1.1, rel=0.15)
    learn(histories, 10.0, 20, 4.0, felt_s=1.0)
    assert float(upper_edge_s(int(histories.limit[DURATION, 0]))) == pytest.approx(10.0, rel=0.15)


@pytest.mark.parametrize(("together", "least", "most"), [(1, 1.0, 1.6), (8, 4.0, 20.0)])
def test_calls_that_share_their_time_weigh_as_one(together, least, most):
    rng, clumps = np.random.default_rng(3), Clumps()
    clumps.grow(1)
    for second in range(400):
        seconds = rng.lognormal(-3, 1, 8 // together).repeat(together)
        code = bucket_of(seconds).astype(np.int16)
        clumps.add(np.zeros(len(code), np.int32), code, np.ones(len(code), np.float32))
        if second % BLOCK_S == BLOCK_S - 1:
            clumps.close(np.ones(1, bool))
    assert least <= clumps.witnesses(DURATION, np.zeros(1, np.int64))[0] <= most


def test_tokens_a_call_far_above_the_usual_are_told_and_a_mixed_lot_is_not():
    table, scorer = SeriesTable(), Scorer()
    key = op("bot", "client", peer="aurora", model="large")
    rng, found = np.random.default_rng(2), []
    for second in range(150):
        calls, times = 6, 8 if second >= 140 else 1
        tokens = int(rng.lognormal(6, 0.6, calls).sum()) * times
        table.add(batch([row(key, T0 + second, calls, input_tokens=tokens, output_tokens=0)], T0 + second))
        alerts = [one for one in scorer.score(table, T0 + second + 1, frozenset()) if one.signal is Signal.TOKENS]
        found += [(second, one) for one in alerts]
    assert {second >= 140 for second, _ in found} == {True}
    assert found[0][0] <= 148
    assert "tokens a call" in found[0][1].explanation


def test_a_series_that_is_told_a_little_late_gets_warm_like_any_other():
    """Calls whose callee only its server names come when the join knows it, behind the end of their second."""
    table, scorer = SeriesTable(), Scorer()
    late = [row(edge(callee="stock"), T0 + at, 5) for at in range(80)]
    for at in range(80):
        told = [row(op("bot"), T0 + at, 5)] + ([late[at - 2]] if at >= 2 else [])
        table.add(batch(told, T0 + at + 1, sequence=at))
        scorer.score(table, T0 + at + 1.0, frozenset())
    assert scorer.baselines.warm[: table.size].tolist() == [True, True]


def test_what_so_many_good_calls_followed_is_over_however_it_looked():
    def told(good_s):
        table = SeriesTable()
        rows = [row(edge(), T0 + second, 3, errors={"503": 1}) for second in range(3)]
        rows += [row(edge(), T0 + 3 + second, 40) for second in range(good_s)]
        now = T0 + 3 + good_s
        table.add(batch(rows, now))
        return alerts_of([Finding(0, Signal.ERRORS, 9.0, 60.0, 3.0, 9.0, 0.0, "ratio", held=True)], table, now)

    assert [alert.calls for alert in told(0)] == [9]
    assert told(20) == []
