"""One cause on systems of all kinds: no zones, rare calls, no topology at all, alerts from outside."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from judge_ledger import Ledger
from judge_rows import T0, batch, edge, op, row

from paramedic_collector.windows import SeriesKey
from paramedic_detector.incidents.blame import causes
from paramedic_detector.incidents.grouping import Merged
from paramedic_detector.incidents.joining import one_cause
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.values import Alert, Signal

CALLS = {"gate": "shop", "shop": "cart price stock", "cart": "price store", "price": "rates", "stock": "store"}
NOWHERE = Topology((), ())


def graph() -> Topology:
    """A shop of own services without zones, all of which tell spans."""
    pairs = [(caller, callee) for caller, callees in CALLS.items() for callee in callees.split()]
    names = {name for pair in pairs for name in pair}
    table = SeriesTable()
    table.add(batch([*(row(op(name), T0, 3) for name in names), *(row(edge(*pair), T0, 3) for pair in pairs)], T0))
    return Topology.of(table, T0)


SHOP = graph()


def alert(key, signal=Signal.GAP, *, onset: float, at: float = 0.0, score=10.0, calls=5, types=None) -> Alert:
    at = at or onset + 20
    return Alert(key, signal, at, onset, score, 2.0, 0.004, "s", calls, 0.9, "slow", types or {})


def gap(caller: str, callee: str, onset: float, **more) -> Alert:
    return alert(edge(caller, callee), onset=onset, **more)


def pooled(callee: str, onset: float) -> Alert:
    return alert(SeriesKey("callee", (callee, "")), onset=onset)


def gauge(service: str, onset: float, *, calls: int = 2) -> Alert:
    return alert(SeriesKey("gauge", (service, "", "memory")), Signal.GAUGE, onset=onset, calls=calls)


def outside(service: str, onset: float, *, name="Down", peer="", score=12.0) -> Alert:
    key = SeriesKey("outside", (service, peer, name, ""))
    return alert(key, Signal.OUTSIDE, onset=onset, calls=0, score=score)


def firing(*spans: tuple[float, float, Alert]) -> Callable[[float], Sequence[Alert]]:
    """Alerts that are there from the one second until the other."""
    return lambda now: [one for start, end, one in spans if T0 + start <= now < T0 + end]


def ledger(*spans: tuple[float, float, Alert], until: float = 300, graph: Topology = SHOP) -> Ledger:
    book = Ledger(graph)
    book.run(T0, T0 + until, firing(*spans))
    return book


def test_a_slow_service_is_the_culprit_of_the_calls_to_it_and_of_those_it_makes():
    found = causes([gap("shop", "cart", T0), gap("cart", "price", T0 + 3), gap("cart", "store", T0 + 5)], SHOP)
    assert {peer: len(group) for peer, group in found.items()} == {"cart": 3}


def test_pooled_callees_count_as_the_calls_of_their_culprit():
    alerts = [gap("shop", "cart", T0), gap("cart", "price", T0), pooled("price", T0), pooled("cart", T0)]
    assert list(causes(alerts, SHOP)) == ["cart"]


def test_calls_that_do_not_tell_whom_they_called_go_with_the_links_of_their_service():
    """They are the same calls once more, and make their service no more of a culprit."""
    unnamed = alert(op("cart", "client"), Signal.OWN_TIME, onset=T0, score=20.0)
    assert list(causes([gap("cart", "price", T0), pooled("price", T0), unnamed], SHOP)) == ["price"]
    assert list(causes([unnamed], SHOP)) == ["cart"]


def test_one_slow_link_blames_the_callee():
    assert list(causes([gap("cart", "price", T0)], SHOP)) == ["price"]


def test_its_own_time_makes_a_callee_the_culprit_beyond_doubt():
    busy = alert(op("price"), Signal.OWN_TIME, onset=T0)
    found = causes([gap("shop", "price", T0), gap("shop", "stock", T0), busy], SHOP)
    assert set(found) == {"price", "stock"}


def test_alerts_of_one_fault_that_arrive_over_a_hundred_seconds_are_one_incident():
    """A rare call is known to be slow only when a few have ended."""
    book = ledger(
        (20, 200, gap("shop", "cart", T0)),
        (55, 210, gap("cart", "price", T0 + 20, at=T0 + 55)),
        (100, 220, gap("cart", "store", T0 + 40, at=T0 + 100, calls=3)),
        (70, 200, pooled("price", T0 + 20)),
    )
    assert len(book.entries) == 1
    assert len(book.entries[0].alerts) == 4


def test_a_neighbour_in_time_is_not_swallowed_while_the_one_before_lingers():
    first = [(20, 400, gap("shop", "cart", T0)), (30, 400, gap("cart", "price", T0 + 5))]
    book = ledger(*first, (370, 600, gap("cart", "store", T0 + 350, at=T0 + 370)), until=700)
    assert len(book.shown) == 2


def test_two_services_that_get_slow_at_different_times_are_not_their_callers_fault():
    alerts = [gap("shop", "cart", T0), gap("shop", "stock", T0 + 200, at=T0 + 220)]
    assert set(causes(alerts, SHOP)) == {"cart", "stock"}


def test_rare_calls_are_given_more_time_before_an_incident_is_over_than_busy_ones():
    busy = ledger((20, 40, gap("shop", "cart", T0, at=T0 + 20, calls=200)), until=120)
    rare = ledger((20, 40, gap("shop", "cart", T0, at=T0 + 20, calls=2)), until=120)
    assert busy.entries[0].resolved_at - T0 < 60
    assert rare.entries[0].resolved_at - T0 >= 75


def test_an_alert_that_comes_and_goes_with_rare_calls_is_one_incident():
    spans = [(start, start + 12, gap("shop", "cart", T0, at=T0 + start, calls=3)) for start in (30, 75, 120)]
    assert len(ledger(*spans).entries) == 1


def test_without_a_topology_what_began_together_is_one_incident():
    """One fault of a machine shows in the levels of many services."""
    names = [f"pod-{n}" for n in range(12)]
    book = ledger(*((20 + n, 160, gauge(name, T0 + 2 * n)) for n, name in enumerate(names)), graph=NOWHERE)
    assert len(book.entries) == 1
    assert len(book.entries[0].alerts) == 12


def test_without_a_topology_what_began_minutes_later_is_another_incident():
    one, two = gauge("one", T0, calls=20), gauge("two", T0 + 300, calls=20)
    assert len(ledger((20, 400, one), (330, 600, two), graph=NOWHERE, until=700).entries) == 2


def test_where_calls_are_told_a_level_that_none_of_them_suffers_from_opens_nothing():
    assert ledger((20, 90, gauge("cart", T0)), (20, 90, gauge("elsewhere", T0))).entries == []


def test_a_level_joins_the_incident_of_its_service_or_of_a_neighbour_and_no_other():
    levels = [(30, 90, gauge(name, T0 + 2)) for name in ("cart", "rates", "elsewhere")]
    book = ledger((10, 90, gap("shop", "cart", T0)), *levels)
    assert [sorted(entry.alerts) for entry in book.entries] == [["edge:shop/cart/#gap", "gauge:cart//memory#gauge"]]


def test_a_level_that_stays_does_not_keep_an_incident_of_calls_open():
    book = ledger((10, 60, gap("shop", "cart", T0, calls=500)), (20, 300, gauge("cart", T0 + 2)))
    assert [entry.resolved_at - T0 < 120 for entry in book.entries] == [True]


def test_the_onset_is_that_of_the_calls_and_not_the_minute_of_a_level():
    book = ledger((10, 60, gap("shop", "cart", T0)), (9, 90, gauge("cart", T0 - 55, calls=1)))
    assert book.entries[0].onset == T0


def test_a_drift_of_hours_is_an_incident_of_its_own():
    leak = alert(SeriesKey("gauge", ("rates", "", "memory")), Signal.DRIFT, onset=T0 - 9000, at=T0 + 30)
    book = ledger((10, 120, gap("shop", "cart", T0)), (30, 120, leak))
    assert [sorted(entry.alerts) for entry in book.entries] == [
        ["edge:shop/cart/#gap"],
        ["gauge:rates//memory#drift"],
    ]


def test_callers_that_fail_because_of_what_is_below_join_it():
    broken = alert(edge("cart", "price"), Signal.ERRORS, onset=T0, types={"503": 9})
    above = alert(edge("gate", "shop"), Signal.ERRORS, onset=T0 + 2, types={"500": 9})
    assert len(ledger((5, 90, broken), (8, 90, above)).entries) == 1
    assert len(ledger((8, 90, broken), (5, 90, above)).entries) == 1, "whichever is seen first"


def test_an_outside_alert_joins_what_it_is_about_and_opens_what_is_new():
    book = ledger((5, 90, gap("shop", "cart", T0)), (9, 200, outside("cart", T0 + 4)), (30, 90, outside("stock", T0)))
    assert [sorted(entry.alerts) for entry in book.entries] == [
        ["edge:shop/cart/#gap", "outside:cart//Down/#outside"],
        ["outside:stock//Down/#outside"],
    ]


def test_an_outside_alert_of_what_is_over_opens_nothing_until_it_ended_once():
    slow, late = gap("shop", "cart", T0, calls=100), outside("cart", T0 + 4)
    book = ledger((5, 60, slow), (9, 200, late), until=260)
    assert len(book.entries) == 1
    assert book.entries[0].resolved_at - T0 < 100
    book.run(T0 + 260, T0 + 300, firing((260, 300, late)))
    assert len(book.entries) == 2


def test_an_outside_alert_without_a_service_is_an_incident_by_its_name():
    book = ledger((5, 60, outside("", T0, name="BackupFailed")), (5, 60, outside("", T0, name="CertExpires")))
    assert len(book.entries) == 2


def test_two_incidents_that_turn_out_to_be_one_are_merged_into_the_older():
    book = Ledger(SHOP)
    first, second = gap("shop", "cart", T0), gap("cart", "price", T0)
    book.step(T0, [])
    for entry_alerts in ([first], [second]):
        for change in book.grouper.update([], entry_alerts, SHOP, T0 + 3):
            book._take(change, T0 + 3)
    assert len(book.open) == 2
    changes = book.grouper.update([entry.known() for entry in book.open], [first, second], SHOP, T0 + 4)
    assert Merged("INC-2", "INC-1") in changes


def test_a_fault_that_began_when_the_one_before_was_over_is_not_merged_into_it():
    book = Ledger(SHOP)
    first, second = gap("shop", "cart", T0), gap("shop", "cart", T0 + 40)
    for one in (first, replace(second, signal=Signal.SLOW)):
        for change in book.grouper.update([], [one], SHOP, one.onset + 3):
            book._take(change, one.onset + 3)
    older, newer = [entry.known() for entry in book.open]
    assert not one_cause(newer, replace(older, handed_back=True), SHOP)
    assert not one_cause(newer, replace(older, alerts=(replace(first, at=T0 + 20),)), SHOP)
    assert one_cause(newer, replace(older, alerts=(replace(first, at=T0 + 42),)), SHOP)
    failed = replace(older, alerts=(replace(first, at=T0 + 42, signal=Signal.ERRORS),))
    assert not one_cause(replace(newer, alerts=(replace(second, signal=Signal.RATE_LIMITED),)), failed, SHOP)


def test_what_somebody_has_in_hand_is_not_merged():
    book = Ledger(SHOP)
    for one in (gap("shop", "cart", T0), gap("cart", "price", T0)):
        for change in book.grouper.update([], [one], SHOP, T0 + 3):
            book._take(change, T0 + 3)
    book.entries[1].owner = "maya"
    book.run(T0 + 4, T0 + 40, firing((0, 40, gap("shop", "cart", T0))))
    assert not any(entry.merged_into for entry in book.entries)


def test_hours_of_weak_oddities_that_come_and_go_open_nothing():
    """Each alone for a second or two, all over the system, all day."""
    names = sorted({name for caller, callees in CALLS.items() for name in (caller, *callees.split())})
    book = Ledger(SHOP)
    for second in range(0, 43_200, 8):
        odd = second % 5 == 0
        one = gap("shop", names[second % len(names)], T0 + second - 5, at=T0 + second, score=7.5)
        book.step(T0 + second, [one] if odd else [])
    assert book.entries == []
