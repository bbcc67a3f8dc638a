"""Seasons, drifts and shapes: what a single excursion does not show."""

import importlib

import numpy as np
import pytest
from judge_levels import START, Sets, alerts_of, replayed, scored

from paramedic_detector.scores.drift import CALM_S, POINTS, SCALES_S, Drifts
from paramedic_detector.scores.levels import Levels
from paramedic_detector.scores.seasons import Seasons
from paramedic_detector.scores.shape import LEAST_VECTORS, Shapes
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.values import Signal

HOUR = 3600


def nightly(seasons: Seasons, days: int, *, odd: bool) -> None:
    """A level of 10 that stands at 40 between 2 and 3 o'clock."""
    row = np.array([0])
    for at in range(START, START + days * 24 * HOUR, 600):
        high = np.array([40.0 if (at // HOUR) % 24 == 2 else 10.0], np.float32)
        seasons.learn(row, high, high, np.array([odd and high[0] > 10]), at)


def at_two(seasons: Seasons, day: int) -> float:
    row, level = np.array([0]), np.array([10.0], np.float32)
    seasons.learn(row, level, level, np.array([False]), START + (24 * day + 2) * HOUR + 60)
    known = seasons.range_of(row)
    return float("nan") if known is None else float(known[0][0])


def test_what_was_usual_at_this_hour_yesterday_is_usual_now():
    seasons = Seasons()
    seasons.follow(1)
    nightly(seasons, 1, odd=False)
    assert at_two(seasons, 1) == 40


@pytest.mark.parametrize(("days", "usual"), [(1, 10), (2, 40)])
def test_what_was_odd_is_usual_once_it_came_again_at_the_same_hour(days, usual):
    seasons = Seasons()
    seasons.follow(1)
    nightly(seasons, days, odd=True)
    assert at_two(seasons, days) == usual


def test_another_hour_keeps_its_own_range():
    seasons = Seasons()
    seasons.follow(1)
    nightly(seasons, 2, odd=False)
    row, level = np.array([0]), np.array([10.0], np.float32)
    seasons.learn(row, level, level, np.array([False]), START + (48 + 12) * HOUR)
    known = seasons.range_of(row)
    assert known is not None
    assert known[0][0] == 10


def leak(seed: int, *, a_minute: float, noise: float, limit: float, start: float = 40.0) -> tuple[list[float], float]:
    """Claims of when a leaking level reaches its limit, as minutes off, and the first claim's minutes ahead."""
    rng, drifts = np.random.default_rng(seed), Drifts()
    drifts.follow(1)
    off, ahead = [], 0.0
    for second in range(0, int(60 * (limit - start) / a_minute), CALM_S):
        level = start + a_minute * second / 60 + rng.normal(0, noise)
        drifts.add(np.array([0]), np.array([level]), START + second)
        left = 60 * (limit - start) / a_minute - second
        for drift in drifts.judge(np.array([limit]), np.array([True]), START + second):
            assert drift.left_s is not None
            off.append((drift.left_s - left) / 60)
            ahead = ahead or left / 60
    return off, ahead


def test_a_leak_is_told_before_it_ends_and_about_when():
    """Within the range that it claims; at least a quarter of an hour ahead."""
    for seed in range(5):
        off, ahead = leak(seed, a_minute=0.5, noise=0.5, limit=90)
        assert ahead >= 15
        assert np.median(np.abs(off)) <= 6


def test_noise_without_a_trend_is_no_drift():
    rng, drifts, rows = np.random.default_rng(1), Drifts(), 400
    drifts.follow(rows)
    level = np.full(rows, 50.0)
    claims = 0
    for second in range(0, 3 * HOUR, CALM_S):
        level = 50 + 0.97 * (level - 50) + rng.normal(0, 0.5, rows)
        drifts.add(np.arange(rows), level, START + second)
        claims = max(claims, len(drifts.judge(np.full(rows, 100.0), np.ones(rows, bool), START + second)))
    assert claims <= 2


def test_a_sawtooth_leads_nowhere():
    drifts = Drifts()
    drifts.follow(1)
    for second in range(0, 2 * HOUR, CALM_S):
        drifts.add(np.array([0]), np.array([20.0 + 60 * (second % 600) / 600]), START + second)
        found = drifts.judge(np.array([100.0]), np.array([True]), START + second)
        assert second < CALM_S * POINTS or not found


def rise(flat_s: int, seconds: int = 330) -> list[float]:
    """When a level that was flat for a while and then doubles within five minutes is told, in seconds of its rise."""
    rng, drifts = np.random.default_rng(3), Drifts()
    drifts.follow(1)
    told = []
    for second in range(0, flat_s + seconds, SCALES_S[0]):
        level = 100 + max(0, second - flat_s) / 3 + rng.normal(0, 0.5)
        drifts.add(np.array([0]), np.array([level]), START + second)
        found = drifts.judge(np.array([np.nan]), np.array([True]), START + second)
        told += [float(second - flat_s) for one in found if one.score >= 4.5]
    return told


def test_what_doubles_within_minutes_is_told_without_a_limit_when_it_stood_still_before():
    assert 150 < rise(flat_s=900)[0] <= 330
    assert not rise(flat_s=0)


def test_a_limit_is_learned_from_the_fall_of_a_process_that_ran_out():
    """The first leak ends at 90 with a restart; the second one is told with that limit."""
    drifts = Drifts()
    drifts.follow(1)
    limits = []
    for second in range(0, 3 * HOUR, CALM_S):
        level = 30 + 60 * (second % 5400) / 5400
        drifts.add(np.array([0]), np.array([level]), START + second)
        found = drifts.judge(np.array([np.nan]), np.array([True]), START + second)
        limits += [drift.limit for drift in found if second > 5400 and drift.limit]
    assert limits
    assert limits[-1] == pytest.approx(90, abs=2)


def test_a_limit_may_be_another_metric():
    sets = Sets(seed=6, services=1, minutes=90)
    grows = 1e8 + 2e6 * np.arange(len(sets.at)) + sets.rng.normal(0, 1e6, len(sets.at))
    sets.put("svc-0", "container_memory_working_set_bytes", grows)
    sets.put("svc-0", "container_memory_limit_bytes", np.full(len(sets.at), 3.2e8))
    found = [alert for alert in alerts_of(sets) if alert.signal is Signal.DRIFT]
    assert found
    assert "reaches 3.2e+08" in found[-1].explanation


def test_levels_that_do_not_fit_together_are_a_shape():
    """Both stay within what they were, but no longer go together; alone neither shows."""
    importlib.import_module("sklearn.covariance")  # else the first fits wait for it
    rng, shapes = np.random.default_rng(7), Shapes()
    shapes.follow(np.zeros(3, np.int32), np.ones(3, bool))
    calm = np.zeros(3, bool)
    found = []
    for step in range(LEAST_VECTORS + 80):
        load, now = rng.normal(0, 1), START + 15.0 * step
        broken = step >= LEAST_VECTORS + 40
        values = 100 + 10 * np.array([load, -load if broken else load, rng.normal()]) + rng.normal(0, 0.5, 3)
        if broken:
            values[:2] = 100 + np.array([18.0, -18.0]) + rng.normal(0, 0.5, 2)
        shapes.step(values, np.full(3, now), calm, calm, now)
        found.append(bool(shapes.odd()))
    assert not any(found[: LEAST_VECTORS + 40])
    assert found[-1]


def test_a_daily_job_is_an_alert_on_the_first_two_days_at_most():
    sets = Sets(seed=8, services=3, minutes=76 * 60, step_s=300)
    sets.add("cpu", level=20.0, noise=0.1)
    at_night = (sets.at // HOUR) % 24 == 2
    sets.put("svc-1", "cpu", np.where(at_night, 200.0, 1.0) + sets.values["svc-1", "cpu"])
    days = {int((alert.at - START) // (24 * HOUR)) for alert in scored(sets, every_s=300)}
    assert days <= {0, 1}


def test_scores_do_not_depend_on_how_often_they_are_asked_for():
    sets = Sets(seed=9, services=2, minutes=50)
    sets.add("cpu", level=20.0, noise=0.2)
    sets.fault("svc-0", "cpu", at_min=40, until_min=45, times=9)
    tops = []
    for every_s in (10, 60):
        table, levels, top = SeriesTable(), Levels(), 0.0
        for now in replayed(sets, table, every_s):
            top = max([top, *(alert.score for alert in levels.score(table, now, np.zeros(table.size, bool)))])
        tops.append(top)
    assert tops[0] == pytest.approx(tops[1], rel=0.1)


@pytest.mark.parametrize(("rises_s", "told"), [(40, True), (1, False)])
def test_memory_that_doubles_in_seconds_and_still_grows_is_told_and_a_step_is_not(rises_s, told):
    sets = Sets(5, services=1, minutes=4, step_s=1)
    since = np.clip(np.arange(240.0) - 180, 0, rises_s)
    sets.put("svc-0", "process.memory.usage", 6e7 * (1 + 3 * since / rises_s) + sets.rng.normal(0, 2e5, 240))
    found = [one for one in alerts_of(sets, 1) if one.signal is Signal.DRIFT and one.score >= 5]
    assert bool(found) is told
    assert all(one.at - START - 180 >= 10 for one in found)
    assert not told or found[0].at - START - 180 < 35
