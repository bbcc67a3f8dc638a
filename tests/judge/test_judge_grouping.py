"""Alerts to incidents: what belongs together, what does not, and when it is over."""

from dataclasses import replace

from judge_rows import T0, batch, edge, op, row

from paramedic.contract.command import Target
from paramedic_detector.incidents.grouping import Grouper, Opened, OpenIncident, Quiet, Updated
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.values import Alert, Signal

STRONG, WEAK = 12.0, 6.0


def alert(key, signal=Signal.ERRORS, *, score=STRONG, at=T0, onset=T0 - 3, types=None) -> Alert:
    return Alert(key, signal, at, onset, score, 0.5, 0.0, "ratio", 20, 0.5, "half fail", types or {"503": 10})


def topology(*rows) -> Topology:
    table = SeriesTable()
    table.add(batch(rows or FLEET, T0))
    return Topology.of(table, T0)


FRONT_A, FRONT_B = edge("front", "bot", "a"), edge("front", "bot", "b")
AURORA, ORDERS = edge("bot", "aurora"), edge("bot", "orders")
FLEET = (
    row(op("front"), T0, 9),
    row(op("bot", zone="a"), T0, 5),
    row(op("bot", zone="b"), T0, 5),
    row(FRONT_A, T0, 5),
    row(FRONT_B, T0, 5),
    row(AURORA, T0, 9),
    row(ORDERS, T0, 9),
    row(op("bot", "client", peer="aurora", model="large"), T0, 9),
)
GRAPH = topology()


def incident(target=None, *, keys=(), at=T0, id="INC-1") -> OpenIncident:
    prints = frozenset(alert(key).fingerprint for key in keys)
    return OpenIncident(id, target, at, prints, at)


def test_the_graph_is_read_from_the_edges():
    assert GRAPH.entry_services() == ["front"]
    assert GRAPH.members("bot") == ["a", "b"]
    assert GRAPH.callers(Target(peer="aurora")) == ["bot"]
    assert GRAPH.providers == {"aurora"}
    assert GRAPH.reaches("front", "aurora")
    assert not GRAPH.reaches("aurora", "front")


def test_a_member_is_unwell_when_its_latest_calls_fail():
    sick = topology(*FLEET[:4], row(FRONT_B, T0, 5, errors={"ConnectError": 5}))
    assert sick.healthy_members("bot") == ["a"]


def test_strong_evidence_opens_at_once_and_weak_only_when_it_stays():
    assert Grouper().update([], [alert(AURORA)], GRAPH, T0) == [Opened((alert(AURORA),))]
    grouper, weak = Grouper(), alert(AURORA, score=WEAK)
    assert grouper.update([], [weak], GRAPH, T0) == []
    assert grouper.update([], [weak], GRAPH, T0 + 1) == [Opened((weak,))]


def test_what_began_a_moment_ago_may_be_a_blip_and_opens_nothing_yet():
    grouper, fresh = Grouper(), alert(AURORA, onset=T0)
    assert grouper.update([], [fresh], GRAPH, T0 + 1) == []
    assert grouper.update([], [fresh], GRAPH, T0 + 2) == [Opened((fresh,))]


def test_weak_evidence_that_comes_and_goes_opens_nothing():
    grouper, weak = Grouper(), alert(AURORA, score=WEAK)
    for at in range(0, 60, 6):
        assert grouper.update([], [weak], GRAPH, T0 + at) == []


def test_what_only_keeps_an_incident_opens_none():
    grouper = Grouper()
    for at in range(5):
        assert grouper.update([], [alert(AURORA, score=2.0)], GRAPH, T0 + at) == []


def test_callers_that_suffer_join_the_cause_below_them():
    slow_front = alert(op("front"), Signal.SLOW)
    changes = Grouper().update([], [alert(AURORA), slow_front], GRAPH, T0)
    assert [len(change.alerts) for change in changes] == [2]


def test_two_causes_are_two_incidents():
    changes = Grouper().update([], [alert(AURORA), alert(ORDERS)], GRAPH, T0)
    assert len(changes) == 2
    assert all(isinstance(change, Opened) for change in changes)


def test_a_refused_connection_to_one_zone_is_no_symptom_of_a_sick_provider():
    gone = alert(FRONT_B, types={"ConnectError": 10})
    running = incident(Target(peer="aurora"), keys=[AURORA])
    changes = Grouper().update([running], [alert(AURORA), gone], GRAPH, T0)
    assert Opened((gone,)) in changes


def test_the_last_hung_calls_belong_to_the_provider_whichever_zone_they_end_in():
    """They wait in the zone's edge until they time out, long after the provider's incident was opened."""
    known = incident(Target(peer="aurora"), keys=[AURORA])
    late = alert(FRONT_B, Signal.SLOW, at=T0 + 7, onset=T0 + 4)
    assert Grouper().update([known], [late], GRAPH, T0 + 7) == [Updated("INC-1", (late,))]


def test_one_zone_that_is_slow_while_nothing_below_it_is_sick_is_its_own_incident():
    slow = alert(FRONT_B, Signal.SLOW)
    assert Grouper().update([], [slow], GRAPH, T0) == [Opened((slow,))]


def test_a_target_that_had_recovered_and_fails_in_another_way_is_a_new_incident():
    known = incident(Target(peer="aurora"), keys=[AURORA])
    limited = alert(AURORA, Signal.RATE_LIMITED, types={"429": 10})
    assert Grouper().update([known], [limited], GRAPH, T0) == [Updated("INC-1", (limited,))]
    over = replace(known, handed_back=True)
    assert Grouper().update([over], [limited], GRAPH, T0) == [Opened((limited,))]
    both = [over, replace(known, id="INC-2", fingerprints=frozenset({limited.fingerprint}))]
    assert Grouper().update(both, [limited], GRAPH, T0) == [Updated("INC-2", (limited,))]


def test_the_tail_of_a_fault_is_not_another_fault():
    over = replace(incident(Target(peer="aurora"), keys=[AURORA]), handed_back=True)
    for tail in (alert(AURORA), alert(AURORA, Signal.SLOW), alert(AURORA, Signal.HANG)):
        assert Grouper().update([over], [tail], GRAPH, T0) == [Updated("INC-1", (tail,))]


def test_traffic_that_stopped_or_surged_opens_nothing():
    alerts = [alert(FRONT_A, Signal.MISSING), alert(op("front"), Signal.SURGE)]
    assert all(Grouper().update([], alerts, GRAPH, T0 + at) == [] for at in range(5))


def test_more_of_the_same_updates_and_later_silence_is_quiet():
    grouper, running = Grouper(), incident(Target(peer="aurora"))
    assert grouper.update([running], [alert(AURORA)], GRAPH, T0) == [Updated("INC-1", (alert(AURORA),))]
    changes = [grouper.update([running], [], GRAPH, T0 + at) for at in range(1, 12)]
    assert changes[6] == []
    assert changes[-1] == [Quiet("INC-1", T0)]


def test_a_detector_that_has_just_started_calls_nothing_quiet():
    grouper, old = Grouper(), incident(Target(peer="aurora"), at=T0 - 100)
    assert grouper.update([old], [], GRAPH, T0) == []


def test_silence_of_the_zone_that_broke_keeps_its_incident():
    grouper, running = Grouper(), incident(Target(peer="bot", zone="b"))
    silent = alert(op("bot", zone="b"), Signal.MISSING)
    for at in range(0, 40, 2):
        assert grouper.update([running], [silent], GRAPH, T0 + at) == [Updated("INC-1", (silent,))]


def test_what_a_caller_shows_after_its_callee_was_last_seen_sick_is_another_cause():
    def told(onset):
        sick = replace(incident(Target(peer="orders"), keys=[ORDERS]), alerts=(alert(ORDERS, at=T0 + 20),))
        above = alert(edge("front", "bot"), Signal.SLOW, score=90.0, at=onset + 2, onset=onset)
        return [type(change) for change in Grouper().update([sick], [above], GRAPH, onset + 2)]

    assert told(T0 + 10) == [Updated]
    assert Opened in told(T0 + 40)


def test_a_surge_on_the_fallback_keeps_nothing_alive():
    grouper, running = Grouper(), incident(Target(peer="aurora"))
    surge = alert(edge("bot", "borealis"), Signal.SURGE)
    last = [grouper.update([running], [surge], GRAPH, T0 + at) for at in range(0, 14, 2)][-1]
    assert [type(change) for change in last] == [Quiet]


def test_right_after_closing_old_evidence_is_ignored_then_reopens_and_later_is_new():
    def after(gap_s: float) -> list[object]:
        grouper, running = Grouper(), incident(Target(peer="aurora"), keys=[AURORA])
        for at in range(0, 10, 2):
            grouper.update([running], [alert(AURORA)], GRAPH, T0 + at)
        grouper.update([], [], GRAPH, T0 + 10)
        for at in range(1, int(gap_s)):
            grouper.update([], [], GRAPH, T0 + 10 + at)
        return grouper.update([], [alert(AURORA)], GRAPH, T0 + 10 + gap_s)

    assert after(1) == []
    assert after(6) == [Updated("INC-1", (alert(AURORA),))]
    assert after(25) == [Opened((alert(AURORA),))]


def test_another_zone_that_falls_later_is_its_own_incident():
    running = incident(Target(peer="bot", zone="b"), at=T0 - 60)
    later = alert(FRONT_A, types={"ConnectError": 9})
    assert Opened((later,)) in Grouper().update([running], [later], GRAPH, T0)
