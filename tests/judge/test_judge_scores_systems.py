"""Times of calls on systems of many shapes: nobody is blamed in clean traffic, and the right one when it is slow."""

import pytest
from judge_calls import Service, System
from judge_rows import edge

from paramedic_detector.scores.scorer import Scorer
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.values import Signal

SHAPES = {
    "quick and busy": lambda: System(
        [Service("gate", 0.002, 0.3), Service("api", 0.004, 0.4, "gate"), Service("store", 0.001, 0.5, "api", 3)], 150
    ),
    "slow and rare": lambda: System(
        [Service("desk", 2.0, 0.5), Service("model", 4.0, 0.6, "desk"), Service("files", 0.3, 0.5, "model", 2)], 0.4
    ),
    "heavy tails": lambda: System(
        [Service("gate", 0.05, 1.2), Service("search", 0.2, 1.5, "gate"), Service("cart", 0.01, 1.3, "gate", 0.3)], 8
    ),
    "loops in one request": lambda: System(
        [
            Service("gate", 0.05), Service("orders", 0.02, 0.5, "gate", 1),
            Service("rows", 0.003, 1.6, "orders", 12, clump=12),
        ],
        2, wave=0.6,
    ),
}  # fmt: skip
CLEAN_S = 160


@pytest.mark.parametrize("shape", SHAPES)
def test_clean_traffic_of_any_shape_alerts_nobody(shape):
    found = SHAPES[shape]().run(2 * CLEAN_S)
    assert [(str(alert.key), alert.signal, alert.score) for alert in found] == []


@pytest.mark.parametrize(
    ("shape", "sick", "factor", "within_s"),
    [
        ("quick and busy", "store", 20, 6),
        ("quick and busy", "api", 5, 6),
        ("slow and rare", "model", 8, 90),
        ("heavy tails", "search", 30, 20),
        ("loops in one request", "orders", 10, 30),
    ],
)
def test_a_slow_service_is_blamed_for_its_own_time_and_its_callers_are_not(shape, sick, factor, within_s):
    system = SHAPES[shape]()
    system.run(CLEAN_S)
    began = system.at
    system.slower[sick] = factor
    found = system.run(within_s)
    assert {(alert.key.part("service"), alert.signal) for alert in found} == {(sick, Signal.OWN_TIME)}
    assert abs(found[-1].onset - began) <= max(5, within_s / 3)
    assert "in the service itself" in found[0].explanation


def test_a_slow_way_is_blamed_on_the_edge_and_on_no_service():
    system = SHAPES["quick and busy"]()
    system.run(CLEAN_S)
    system.farther["api"] = 0.05
    found = system.run(8)
    assert {alert.signal for alert in found} == {Signal.GAP}
    assert {alert.key for alert in found if alert.key.family == "edge"} == {edge("gate", "api")}
    assert "between caller and callee" in found[0].explanation


def test_what_adds_little_to_a_request_is_not_felt():
    system = SHAPES["quick and busy"]()
    system.services = [Service("gate", 0.5), *system.services[1:]]
    system.run(CLEAN_S)
    system.slower["store"] = 20
    assert system.run(30) == []


def test_a_new_version_is_judged_by_what_the_old_one_did():
    system = SHAPES["quick and busy"]()
    system.run(CLEAN_S)
    fine, bad = (Service("api", own_s, 0.4, "gate", version="2") for own_s in (0.005, 0.04))
    system.services = [fine if one.name == "api" else one for one in system.services]
    assert system.run(20) == []
    worse = SHAPES["quick and busy"]()
    worse.run(CLEAN_S)
    worse.services = [bad if one.name == "api" else one for one in worse.services]
    found = worse.run(8)
    assert {(alert.key.part("service"), alert.key.part("version")) for alert in found} == {("api", "2")}


def test_ten_slow_calls_of_one_request_are_one_witness():
    system = SHAPES["loops in one request"]()
    system.run(CLEAN_S)
    clumps = system.scorer.baselines.clumps
    numbers = [n for n, key in enumerate(system.table.keys) if key.part("service") in ("rows", "gate")]
    weigh = dict(
        zip([system.table.keys[n].part("service") for n in numbers], clumps.witnesses(1, numbers), strict=True)
    )
    assert weigh["rows"] > 4
    assert weigh["gate"] < 1.5


def test_a_restart_remembers_how_long_calls_take():
    system = SHAPES["quick and busy"]()
    system.run(60)
    system.table = SeriesTable.restore(system.table.checkpoint())
    system.scorer = Scorer.restore(system.scorer.checkpoint())
    assert system.run(10) == []
    system.slower["store"] = 20
    assert {alert.key.part("service") for alert in system.run(6)} == {"store"}
