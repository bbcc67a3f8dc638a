"""Levels against their own usual range."""

import numpy as np
import pytest
from judge_levels import Sets, replayed, scored
from judge_rows import op

from paramedic_detector.scores.levels import Levels
from paramedic_detector.scores.levels_names import Kind, meaning
from paramedic_detector.scores.levels_usual import Usual
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
    sets = Sets(seed=5, services=4, minutes=130)
    sets.add("memory", level=20.0, noise=0.2)
    table, levels = SeriesTable(), Levels()
    for now in replayed(sets, table):
        levels.score(table, now, np.zeros(table.size, bool))
    again = Levels()
    again.restore(levels.checkpoint())
    again.score(table, now, np.zeros(table.size, bool))
    for name, array in levels.usual.arrays.items():
        assert np.array_equal(array, getattr(again.usual, name), equal_nan=True), name
    assert np.array_equal(levels.noise.minutes, again.noise.minutes)
    assert levels.seasons.hours.keys() == again.seasons.hours.keys()
    for one, other in zip(levels.drifts.scales, again.drifts.scales, strict=True):
        assert np.array_equal(one.points, other.points, equal_nan=True)


def test_a_checkpoint_of_another_version_is_refused():
    arrays = Levels().checkpoint()
    arrays.pop("noise")
    with pytest.raises(ValueError, match="without noise"):
        Levels().restore(arrays)


def test_a_level_that_falls_to_nothing_is_as_odd_as_one_that_multiplies():
    usual = Usual()
    usual.allocate(1)
    row = np.array([0])
    for at in range(0, 6000, 60):
        usual.offer(row, np.array([100.0 + at % 7]), at, np.array([-1.0]), np.array([60], np.float32))
    usual.refresh(np.array([False]), np.array([0], np.int8))
    assert usual.beyond(row, np.array([0.0]), 6000)[0] < -50
    assert usual.beyond(row, np.array([3000.0]), 6000)[0] > 50
    assert usual.beyond(row, np.array([104.0]), 6000)[0] == 0


@pytest.mark.parametrize(
    ("metric", "kind"),
    [
        ("CpuUsageRate(%)", Kind.CPU),
        ("container_memory_working_set_bytes", Kind.MEMORY),
        ("PodServerLatencyP95(s)", Kind.LATENCY),
        ("http_requests_5xx", Kind.ERRORS),
        ("process.open_file_descriptor.count", Kind.POOL),
        ("node_network_receive_bytes", Kind.NETWORK),
        ("SuccessRate(%)", Kind.SUCCESS),
        ("frontend_rps", Kind.REQUESTS),
        ("foo", Kind.OTHER),
    ],
)
def test_a_name_tells_what_is_measured(metric, kind):
    assert meaning(metric).kind is kind


def test_a_running_total_is_judged_by_what_it_grows_by():
    """It reaches new heights all the time, and only a change of pace is one."""
    sets = Sets(seed=6, services=2, minutes=120)
    for service in sets.services:
        sets.put(service, "cpu_seconds_total", np.cumsum(sets.rng.poisson(600, len(sets.at))).astype(float))
    pace = np.where(sets.at >= sets.minute(100), 9000, 600)
    sets.put("svc-1", "cpu_seconds_total", np.cumsum(sets.rng.poisson(pace)).astype(float))
    alerts = scored(sets)
    assert {alert.key.parts[0] for alert in alerts} == {"svc-1"}
    assert min(alert.at for alert in alerts) >= sets.minute(100)
    assert alerts[0].unit == "1/s"


def test_what_alerts_again_and_again_becomes_usual():
    sets = Sets(seed=7, services=3, minutes=420)
    sets.add("cpu", level=20.0, noise=0.1)
    for hour in range(1, 7):
        sets.fault("svc-0", "cpu", at_min=60 * hour + 10, until_min=60 * hour + 14, times=6)
    hours = {int((alert.at - sets.minute(0)) // 3600) for alert in scored(sets, every_s=20)}
    assert hours
    assert hours <= {1, 2, 3}


def test_metrics_of_calls_are_left_to_the_calls():
    """The same level opens an incident where nothing else tells, and none where the service's calls are counted."""
    sets = Sets(seed=8, services=2, minutes=60)
    sets.add("p95_latency", level=0.2, noise=0.1)
    sets.fault("svc-0", "p95_latency", at_min=45, until_min=52, times=20)
    assert scored(sets)
    assert not scored(sets, calls=[op("svc-0")])
