"""Whom alerts blame, and which of a peer's zones: on alerts and calls made by hand."""

import math

import pytest
from judge_rows import T0, batch, edge, row

from paramedic_collector.windows import SeriesKey
from paramedic_detector.diagnosis.causes.blame import CAUSE, blame_of
from paramedic_detector.diagnosis.causes.members import members_of
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.values import Alert, Signal

ONSET, NOW = T0 + 60, T0 + 75


def alert(family: str, parts: tuple[str, ...], signal: Signal, score: float = 20.0, onset: float = ONSET) -> Alert:
    return Alert(SeriesKey(family, parts), signal, NOW, onset, score, 1.0, 0.1, "s", 10, 0.5, "it is so")


def served(service: str, zone: str = "", operation: str = "GET /") -> SeriesKey:
    return SeriesKey("op", (service, operation, "server", "", zone, "", "1"))


def shop() -> Topology:
    """front -> cart, pay -> stock; a call a second."""
    table, rows = SeriesTable(), []
    for ts in range(T0, NOW):
        for service in ("front", "cart", "pay", "stock"):
            rows.append(row(served(service), ts, 1))
        for caller, callee in (("front", "cart"), ("front", "pay"), ("cart", "stock"), ("pay", "stock")):
            rows.append(row(edge(caller, callee), ts, 1))
    table.add(batch(rows, NOW))
    return Topology.of(table, NOW)


def gap(caller: str, callee: str, score: float = 20.0) -> Alert:
    return alert("edge", (caller, callee, ""), Signal.GAP, score)


def heaviest(alerts: list[Alert]) -> str:
    found = blame_of(alerts, shop())
    return max(found, key=lambda peer: found[peer].weight)


def test_of_slow_ways_the_end_that_all_share_is_to_blame():
    assert heaviest([gap("cart", "stock"), gap("pay", "stock", 30.0)]) == "stock"
    assert heaviest([gap("front", "cart"), gap("cart", "stock")]) == "cart"


def test_the_other_end_of_a_slow_way_stays_a_suspect():
    found = blame_of([gap("cart", "stock")], shop())
    assert found["stock"].weight > found["cart"].weight > CAUSE / 4


@pytest.mark.parametrize("metric", ["LatencyP99", "request_errors", "NetworkReceiveBytes"])
def test_levels_that_callers_feel_do_not_outweigh_a_slow_way(metric):
    felt = [alert("gauge", ("front", f"front-{n}", metric), Signal.GAUGE, 30.0) for n in range(3)]
    assert heaviest([gap("pay", "stock", 6.0), *felt]) == "stock"


def test_a_waiting_span_does_not_outweigh_what_it_waits_for():
    waits = alert("op", ("front", "handle", "internal", "", "", "", "1"), Signal.OWN_TIME, 11.0, ONSET + 5)
    assert heaviest([gap("cart", "stock"), gap("pay", "stock"), waits]) == "stock"


def test_an_alert_that_is_just_loud_enough_weighs_less_than_a_clear_one():
    faint, clear = (blame_of([gap("cart", "stock", score)], shop())["stock"].weight for score in (5.0, 40.0))
    assert faint < clear - 1


def test_a_crowd_of_users_explains_who_only_waits_or_refuses():
    crowd = alert("op", served("front").parts, Signal.SURGE, 40.0, ONSET + 6)
    refused = alert("edge", ("cart", "stock", ""), Signal.REFUSED, 40.0)
    assert heaviest([refused]) == "stock"
    assert heaviest([refused, crowd]) == "front"


@pytest.mark.parametrize(("signal", "since"), [(Signal.ERRORS, ONSET), (Signal.REFUSED, ONSET - 600)])
def test_a_crowd_is_no_excuse_for_failures_nor_when_it_was_there_before(signal, since):
    crowd = alert("op", served("front").parts, Signal.SURGE, 40.0, since)
    failing = alert("edge", ("cart", "stock", ""), signal, 40.0)
    assert heaviest([failing, crowd]) == "stock"


# Zones


def zoned(slow: tuple[str, ...] = (), failing: tuple[str, ...] = (), share: float = 1.0) -> SeriesTable:
    """front calls mail in a and b four times a second; since ONSET some zones are slow or fail."""
    table, rows = SeriesTable(), []
    for ts in range(T0, NOW):
        for zone in ("a", "b"):
            bad = ts >= ONSET
            lasts_s = 0.5 if bad and zone in slow else 0.05
            failed = {"errors": {"500": round(4 * share)}} if bad and zone in failing else {}
            key = SeriesKey("edge", ("front", "mail", zone))
            rows.append(row(key, ts, 4, seconds=lasts_s, **failed))
            rows.append(row(served("mail", zone), ts, 4))
    table.add(batch(rows, NOW))
    return table


def likeliest(table: SeriesTable, alerts: list[Alert]) -> str:
    members = members_of("mail", "service", 0.0, alerts, table, Topology.of(table, NOW), NOW, ONSET)
    assert len(members) > 1
    return str(max(members, key=lambda member: member.weight).target)


def of_zone(signal: Signal, zone: str = "a") -> Alert:
    return alert("edge", ("front", "mail", zone), signal)


def test_one_zone_fails_while_the_other_is_well():
    assert likeliest(zoned(failing=("a",)), [of_zone(Signal.ERRORS)]) == "mail in a"


def test_one_zone_is_slow_while_the_other_is_not():
    assert likeliest(zoned(slow=("a",)), [of_zone(Signal.SLOW)]) == "mail in a"


def test_one_zone_fails_while_both_are_slow_for_another_reason():
    assert likeliest(zoned(failing=("a",), slow=("a", "b")), [of_zone(Signal.ERRORS)]) == "mail in a"


def test_what_a_zone_asks_too_often_says_nothing_of_where_it_stands():
    loop = alert("op", ("mail", "execute_tool find", "internal", "", "a", "", "1"), Signal.FANOUT)
    assert likeliest(zoned(), [loop]) == "mail"


def test_when_both_zones_are_slow_it_is_all_of_it_though_only_one_raised_an_alert():
    assert likeliest(zoned(slow=("a", "b")), [of_zone(Signal.SLOW)]) == "mail"


def test_when_both_zones_fail_now_and_then_it_is_all_of_it_though_only_one_raised_an_alert():
    assert likeliest(zoned(failing=("a", "b"), share=0.25), [of_zone(Signal.ERRORS)]) == "mail"


def test_an_instance_that_is_named_after_a_zone_stands_there():
    full = alert("gauge", ("mail", "mail-a-7f9", "process.memory.usage"), Signal.GAUGE)
    assert likeliest(zoned(), [full]) == "mail in a"


def test_zones_share_the_odds_of_their_peer():
    table = zoned(failing=("a",))
    members = members_of("mail", "service", 2.0, [of_zone(Signal.ERRORS)], table, Topology.of(table, NOW), NOW, ONSET)
    assert math.log(sum(math.exp(member.weight) for member in members)) == pytest.approx(2.0)


def test_calls_that_nobody_asked_for_are_the_callers_doing_unless_the_callee_fails():
    again = alert("edge", ("cart", "stock", ""), Signal.FANOUT, 15.0)
    assert heaviest([again]) == "cart"
    assert heaviest([again, alert("edge", ("cart", "stock", ""), Signal.ERRORS, 15.0)]) == "stock"


def test_levels_of_a_guard_are_felt_and_no_cause():
    felt = alert("gauge", ("cart", "cart-1", "paramedic.retry_budget{stock}"), Signal.GAUGE, 30.0)
    assert heaviest([alert("edge", ("cart", "stock", ""), Signal.ERRORS, 8.0), felt]) == "stock"
