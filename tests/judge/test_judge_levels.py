"""Levels against their own usual range."""

import numpy as np
from judge_levels import Sets, replayed, scored

from paramedic_detector.scores.levels import Levels
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.values import Signal


def test_a_busy_processor_is_an_alert_and_its_siblings_are_none():
    sets = Sets(seed=1, services=6, minutes=60)
    sets.add("cpu", level=20.0, noise=0.2)
    sets.fault("svc-2", "cpu", at_min=40, until_min=44, times=8)
    alerts = scored(sets)
    assert {alert.key.parts[0] for alert in alerts} == {"svc-2"}
    assert {alert.signal for alert in alerts} == {Signal.GAUGE}
    assert abs(alerts[0].onset - sets.minute(40)) <= 60
    assert "usual" in alerts[0].explanation


def test_nothing_is_said_before_there_is_a_history():
    sets = Sets(seed=2, services=3, minutes=8)
    sets.add("cpu", level=20.0, noise=0.2)
    sets.fault("svc-0", "cpu", at_min=3, until_min=8, times=50)
    assert scored(sets) == []


def test_one_point_alone_is_none():
    sets = Sets(seed=3, services=3, minutes=60)
    sets.add("cpu", level=20.0, noise=0.2)
    sets.fault("svc-0", "cpu", at_min=40, until_min=41, times=50)
    assert scored(sets) == []


def test_what_is_held_is_not_learned():
    sets = Sets(seed=4, services=2, minutes=90)
    sets.add("memory", level=100.0, noise=0.02)
    table, levels = SeriesTable(), Levels()
    middles = []
    for now in replayed(sets, table):
        levels.score(table, now, np.ones(table.size, bool))
        middles.append(int(levels.usual.count.sum()))
    assert max(middles) == 0


def test_a_restart_forgets_nothing():
    sets = Sets(seed=5, services=4, minutes=60)
    sets.add("cpu", level=20.0, noise=0.2)
    table, levels = SeriesTable(), Levels()
    for now in replayed(sets, table):
        levels.score(table, now, np.zeros(table.size, bool))
    again = Levels()
    again.restore(levels.checkpoint())
    again.score(table, now, np.zeros(table.size, bool))
    for name, array in levels.usual.arrays.items():
        assert np.array_equal(array, getattr(again.usual, name), equal_nan=True), name
    assert np.array_equal(levels.noise.minutes, again.noise.minutes)
