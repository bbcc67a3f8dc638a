"""Features on small tables by hand: each is told by what really happened, and only by that."""

import pytest
from judge_fleet import histogram
from judge_rows import T0, batch, edge, row

from paramedic.contract.command import Target
from paramedic_collector.windows import SeriesKey
from paramedic_detector.diagnosis.features import COLUMNS, Facts, facts_of, kind_of_target, vector
from paramedic_detector.diagnosis.gauges import group_of
from paramedic_detector.diagnosis.reading import Reader
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.series.table import SeriesTable

WARM, FAULT = 50, 12
ONSET = T0 + WARM
SHOP = Target("shop")


def op(service, kind="server", *, operation="POST /chat", peer="", zone="", model="", version="1"):
    return SeriesKey("op", (service, operation, kind, peer, zone, model, version))


def gauge(service, metric, ts, value):
    values = {"count": 1, "sum": value, "min": value, "max": value}
    return {"family": "gauge", "ts": ts, "service": service, "instance": "i", "metric": metric,
            **values, "distribution": None}  # fmt: skip


def usual(ts):
    """Users ask the bot, which asks a model and a shop; both zones of the bot serve."""
    return [
        row(op("bot", zone="a"), ts, 5, self_time=histogram(*[0.05] * 5)),
        row(op("bot", zone="b"), ts, 5, self_time=histogram(*[0.05] * 5)),
        row(op("bot", "client", peer="llm", model="m", operation="ask"), ts, 10, seconds=0.8, input_tokens=900,
            output_tokens=100, cost_usd=0.01, first_token=histogram(*[0.2] * 10)),
        row(op("bot", "internal", operation="execute_tool find"), ts, 10),
        row(edge("bot", "llm"), ts, 10, seconds=0.8, in_flight=8, oldest_s=1.0),
        row(edge("bot", "shop"), ts, 10, seconds=0.1, gap=histogram(*[0.004] * 10)),
        row(op("shop", operation="GET /"), ts, 10, self_time=histogram(*[0.09] * 10)),
        gauge("shop", "process.memory.usage", ts, 100e6),
        gauge("shop", "db.client.connection.utilization", ts, 0.3),
        gauge("shop", "process.cpu.utilization", ts, 0.2),
    ]  # fmt: skip


def changed(*rows):
    """The usual seconds, with some rows in the place of those of the same series."""
    keep = {tuple(one.get(name) for name in ("family", "service", "operation", "caller", "callee", "zone", "metric"))
            for one in rows}  # fmt: skip

    def second(ts):
        def name(one):
            return tuple(one.get(n) for n in ("family", "service", "operation", "caller", "callee", "zone", "metric"))

        return [one for one in usual(ts) if name(one) not in keep] + [dict(one, ts=ts) for one in rows]

    return second


def facts(during, target=SHOP, alerts=(), warm=usual) -> Facts:
    table = SeriesTable()
    rows = [one for ts in range(T0, ONSET) for one in warm(ts)]
    rows += [one for ts in range(ONSET, ONSET + FAULT) for one in during(ts)]
    table.add(batch(rows, ONSET + FAULT - 1))
    now = float(ONSET + FAULT)
    topology = Topology.of(table, now)
    return facts_of(target, list(alerts), Reader().read([target.peer], table, topology, now, float(ONSET)))


def told(found: Facts) -> dict[str, float]:
    return {name: round(value, 2) for name, value in found.features.items() if value >= 0.25}


def test_nothing_is_told_of_what_is_as_usual():
    for peer in ("shop", "llm", "bot"):
        assert told(facts(usual, Target(peer))) == {}


@pytest.mark.parametrize(
    ("error", "feature"),
    [("503", "server_errors"), ("429", "rate_limited"), ("401", "auth"), ("timeout", "timeouts"),
     ("ConnectError", "connection"), ("KeyError", "other_errors")],
)  # fmt: skip
def test_errors_are_told_by_their_type(error, feature):
    during = changed(row(edge("bot", "shop"), T0, 10, errors={error: 5}, seconds=0.1))
    assert told(facts(during)) == {"failing": pytest.approx(0.5, abs=0.1), feature: 1.0}


def test_a_callee_that_is_slow_inside_is_told_from_a_slow_way():
    inside = changed(
        row(edge("bot", "shop"), T0, 10, seconds=0.9, gap=histogram(*[0.004] * 10)),
        row(op("shop", operation="GET /"), T0, 10, seconds=0.9, self_time=histogram(*[0.9] * 10)),
    )
    assert set(told(facts(inside))) == {"slow", "own_time"}
    way = changed(row(edge("bot", "shop"), T0, 10, seconds=0.9, gap=histogram(*[0.8] * 10)))
    assert set(told(facts(way))) == {"slow", "gap"}


def test_a_model_that_writes_far_more_costs_more():
    during = changed(
        row(op("bot", "client", peer="llm", model="m", operation="ask"), T0, 10, seconds=0.8, input_tokens=9000,
            output_tokens=1000, cost_usd=0.1)
    )  # fmt: skip
    assert told(facts(during, Target("llm")))["cost"] == 1.0


def test_more_users_are_a_surge_and_no_retries():
    def during(ts):
        return [dict(one, count=one["count"] * 4) if one["family"] != "gauge" else one for one in usual(ts)]

    found = told(facts(during, Target("llm")))
    assert found["surge"] == 1.0
    assert "retries" not in found


def test_callers_that_repeat_are_retries_and_no_surge():
    during = changed(row(edge("bot", "shop"), T0, 60, seconds=0.1))
    assert set(told(facts(during))) == {"retries"}


def test_tools_called_over_and_over_are_a_loop():
    during = changed(row(op("bot", "internal", operation="execute_tool find"), T0, 70))
    assert set(told(facts(during, Target("bot")))) == {"loop"}


def test_answers_that_are_not_sure_are_told_from_empty_ones():
    unsure = changed(row(edge("bot", "shop"), T0, 10, useless={"low_confidence": 7}, seconds=0.1))
    assert set(told(facts(unsure))) == {"useless", "nlu"}
    empty = changed(row(edge("bot", "shop"), T0, 10, useless={"empty": 7}, seconds=0.1))
    assert set(told(facts(empty))) == {"useless"}


def test_refusals_for_want_of_room_are_told_from_those_of_a_breaker():
    full = changed(row(edge("bot", "shop"), T0, 6, refused={"bulkhead": 4}, seconds=0.1))
    assert set(told(facts(full))) == {"bulkhead"}
    opened = changed(row(edge("bot", "shop"), T0, 6, refused={"breaker": 4}, seconds=0.1))
    assert set(told(facts(opened))) == {"refused"}


def versioned(share_failing):
    """The new version comes ten seconds before the fault and serves half of the calls from then on."""

    def second(ts):
        if ts < ONSET - 10:
            return usual(ts)
        bad = {"500": round(5 * share_failing)} if ts >= ONSET and share_failing else {}
        half = [
            row(op("shop", operation="GET /", version=v), ts, 5, errors=bad if v == "2" else {}) for v in ("1", "2")
        ]
        return [one for one in usual(ts) if one.get("service") != "shop" or one["family"] == "gauge"] + half

    return second


def test_a_new_version_is_told_only_when_it_is_the_one_that_hurts():
    guilty = facts(versioned(1.0), warm=versioned(1.0)).features["new_version"]
    innocent = facts(versioned(0.0), warm=versioned(0.0)).features["new_version"]
    assert guilty > 0.8
    assert innocent < 0.35


def test_the_only_version_is_not_new():
    assert facts(usual).measures["version_new"] == 0.0


def test_memory_that_grows_is_a_leak_and_a_level_that_wobbles_is_none():
    def grows(ts):
        rest = [one for one in usual(ts) if one.get("metric") != "process.memory.usage"]
        return [*rest, gauge("shop", "process.memory.usage", ts, 100e6 * (1 + (ts - T0) / 20))]

    def wobbles(ts):
        rest = [one for one in usual(ts) if one.get("metric") != "process.memory.usage"]
        return [*rest, gauge("shop", "process.memory.usage", ts, 100e6 * (1 + 0.5 * ((ts * 7) % 10) / 10))]

    assert facts(grows, warm=grows).features["leak"] > 0.8
    assert facts(wobbles, warm=wobbles).features["leak"] < 0.25


def test_a_pool_near_its_limit_is_full_and_a_busy_processor_is_busy():
    def during(ts):
        rest = [one for one in usual(ts) if one["family"] != "gauge"]
        return [*rest, gauge("shop", "db.client.connection.utilization", ts, 0.99),
                gauge("shop", "process.cpu.utilization", ts, 0.75)]  # fmt: skip

    assert {"full", "busy"} <= set(told(facts(during)))


def test_earlier_incidents_are_not_usual():
    """Without them the shop always took a tenth of a second."""
    table = SeriesTable()

    def second(ts):
        slow = ONSET - 40 <= ts < ONSET - 10 or ts >= ONSET
        return changed(row(edge("bot", "shop"), T0, 10, seconds=0.9 if slow else 0.1))(ts)

    table.add(batch([one for ts in range(T0, ONSET + FAULT) for one in second(ts)], ONSET + FAULT - 1))
    now, topology = float(ONSET + FAULT), Topology.of(table, float(ONSET + FAULT))
    shares = []
    for past in ((), ((ONSET - 42.0, ONSET - 8.0),)):
        reading = Reader().read(["shop"], table, topology, now, float(ONSET), past)
        shares.append(facts_of(Target("shop"), [], reading).measures["slow_share"])
    assert shares[0] < 0.2 < 0.8 < shares[1]


def test_a_vector_has_a_place_for_everything_and_no_hole():
    found = facts(usual, Target("bot", "a"))
    assert set(found.features) | set(found.measures) <= set(COLUMNS)
    column = vector(found, "zone")
    assert column.shape == (len(COLUMNS),)
    assert column[COLUMNS.index("kind_zone")] == 1.0


def test_the_kind_of_a_target_is_read_from_the_graph():
    table = SeriesTable()
    table.add(batch(usual(T0), T0))
    topology = Topology.of(table, T0)
    assert [kind_of_target(Target(peer), topology) for peer in ("llm", "shop", "bot")] == [
        "provider", "dependency", "service",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "group"),
    [("process.memory.usage", "memory"), ("jvm_gc_pause", "memory"), ("db.client.connection.count{used}", "pool"),
     ("cpu-busy", "cpu"), ("orders.accepted", "other")],
)  # fmt: skip
def test_gauges_are_sorted_by_the_words_in_their_names(metric, group):
    assert group_of(metric) == group
