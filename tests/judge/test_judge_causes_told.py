"""Root causes from alerts alone, and earlier incidents that looked alike."""

from paramedic_detector.diagnosis.causes.told import Confirmed, Told, rank_told, told_of
from paramedic_detector.diagnosis.similar import PastIncident, likeness, similar, votes, without_place


def up(component: str, signal: str) -> Told:
    return Told(component, "metric", "", signal, "up")


COMMON = tuple(up(name, "cpu") for name in ("cart", "pay", "stock"))
USUAL = tuple(Confirmed(COMMON) for _ in range(20))


def first(scores: dict[str, float]) -> str:
    return next(iter(scores))


def test_a_rare_alert_tells_more_than_common_ones():
    assert first(rank_told((*COMMON, up("pay", "handles")), USUAL)) == "pay"


def test_an_alert_that_everybody_raises_tells_little():
    everybody = tuple(up(name, "handles") for name in ("cart", "pay", "stock"))
    assert first(rank_told((*everybody, up("stock", "leases")), USUAL)) == "stock"


def test_memory_that_fills_up_is_seen_where_the_trouble_is():
    alerts = (up("pay", "memory_used"), up("cart", "gears"))
    assert first(rank_told(alerts, USUAL)) == "pay"


def test_earlier_confirmed_incidents_vote_for_a_root_that_never_alerts_itself():
    alike = (up("cart", "waits"), up("pay", "waits"))
    earlier = [*USUAL, *(Confirmed(alike, "db") for _ in range(5))]
    assert rank_told(alike, earlier)["db"] > rank_told(alike, earlier, history=False).get("db", 0.0)


def test_twins_get_a_part_of_each_others_score():
    scores = rank_told((up("pay1", "handles"),), USUAL, candidates=("pay1", "pay2", "cart1"))
    assert scores["pay1"] > scores["pay2"] > scores["cart1"]


def test_without_alerts_nobody_has_a_score_and_nothing_breaks():
    assert set(rank_told((), (), candidates=("a", "b")).values()) == {0.0}


def test_rows_with_missing_columns_are_told_with_what_they_have():
    assert told_of([{"component": "cart", "kind": None}]) == (Told("cart", "", "", "", ""),)


def test_cores_and_ports_apart_a_signal_is_the_same():
    assert up("a", "core_3_pct").family == up("b", "core_12_pct").family


PRINT = "edge:bot/aurora/eu-1#errors"


def test_the_most_alike_incident_comes_first_and_the_latest_among_equals():
    past = [
        PastIncident("old", frozenset({PRINT}), "aurora", "provider_outage", True, 1.0),
        PastIncident("new", frozenset({PRINT}), "aurora", "provider_outage", True, 2.0),
        PastIncident("other", frozenset({"edge:bot/orders/#slow"}), "orders", "dependency_slow", True, 3.0),
    ]
    assert [one.incident.id for one in similar({PRINT}, past)] == ["new", "old"]


def test_the_same_in_another_zone_is_alike_but_less():
    past = [PastIncident("there", frozenset({"edge:bot/aurora/eu-2#errors"}), "aurora")]
    assert 0 < similar({PRINT}, past)[0].likeness < 1


def test_only_confirmed_incidents_vote():
    past = [
        PastIncident("said", frozenset({PRINT}), "borealis", "x"),
        PastIncident("sure", frozenset({PRINT}), "aurora", "y", True),
    ]
    assert votes(similar({PRINT}, past)) == {("aurora", "y"): 1.0}


def test_fingerprints_of_names_with_slashes_stay_as_they_are():
    odd = "op:bot/POST /chat/server//eu-1//1#slow"
    assert without_place(odd) == odd
    assert without_place(PRINT) == "edge:bot/aurora/*#errors"


def test_two_empty_sets_are_not_alike():
    assert likeness(frozenset(), frozenset()) == 0


def test_votes_decide_where_the_alerts_look_the_same_everywhere_and_not_where_one_stands_out():
    everywhere = [Told(f"db{n}", signal="ping", kind="up") for n in (1, 2, 3)]
    before = [Confirmed(tuple(everywhere), "db2") for _ in range(3)]
    assert next(iter(rank_told(everywhere, before))) == "db2"
    alone = [Told("db3", signal=f"memory_{n}_used", kind="up") for n in ("a", "b", "c")]
    assert next(iter(rank_told([everywhere[0], *alone], before))) == "db3"
