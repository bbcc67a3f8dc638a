"""Root causes on small systems made by hand: each kind of evidence alone, and all of them together."""

import functools

import numpy as np
import pytest
from judge_fleet import histogram
from judge_rows import T0, batch, edge, row
from judge_shop import Shop

from paramedic_collector.windows import SeriesKey
from paramedic_detector.diagnosis.causes.delays import attributed
from paramedic_detector.diagnosis.causes.fusion import Part, fused, noise_of
from paramedic_detector.diagnosis.causes.module import Evidence
from paramedic_detector.diagnosis.causes.ranking import Causes, averaged
from paramedic_detector.diagnosis.causes.roles import Role, role_of
from paramedic_detector.diagnosis.causes.stats import chance_above, quantiles_s, share_evidence
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.series.slots import BUCKETS, bucket_of
from paramedic_detector.series.table import SeriesTable

QUIET_S, FAULT_S = 200, 30
ONSET, NOW = T0 + QUIET_S, T0 + QUIET_S + FAULT_S - 1
CALLS = {"gate": ("cart", "pay"), "cart": ("stock",), "pay": ("stock",), "stock": ()}


def system(fault: str = "", where: str = "", *, start: int = ONSET) -> SeriesTable:
    """gate -> cart, pay -> stock, two calls a second on every edge; the fault of `where` begins at `start`."""
    rng, rows = np.random.default_rng(5), []
    for ts in range(T0, NOW + 1):
        bad = fault if ts >= start else ""
        for service, callees in CALLS.items():
            hurt = bad if service == where else ""
            times = rng.lognormal(-5, 0.2, 2) * (20 if hurt == "own" else 1)
            failed = {"errors": {"500": 2}} if hurt == "errors" else {}
            key = SeriesKey("op", (service, "GET /", "server", "", "", "", "1"))
            rows.append(row(key, ts, 2, self_time=histogram(*times), **failed))
            for callee in callees:
                lost = 0.2 if bad == "delay" and where in (service, callee) else 0.0
                broken = {"errors": {"500": 2}} if bad == "errors" and callee == where else {}
                gaps = rng.lognormal(-6, 0.2, 2) + lost
                rows.append(row(edge(service, callee), ts, 2, seconds=0.05 + lost, gap=histogram(*gaps), **broken))
            rows += lines(service, ts, rewired=hurt == "flow")
    table = SeriesTable()
    table.add(batch(rows, NOW + 1))
    return table


def lines(service: str, ts: int, *, rewired: bool) -> list[dict[str, object]]:
    """Each request logs "begin" and then "end"; "end" is left out where it is rewired."""
    pairs = [("begin", "")] if rewired else [("begin", "end"), ("end", "")]
    found = [row_of("flow", (service, *pair), ts) for pair in pairs]
    return found + [row_of("log", (service, "INFO", name), ts) for name, _ in pairs]


def row_of(family: str, parts: tuple[str, ...], ts: int) -> dict[str, object]:
    made = row(SeriesKey(family, parts), ts)
    return {name: value for name, value in made.items() if name != "durations"} | {"count": 2}


@functools.cache
def ranked(fault: str, where: str, start: int = ONSET, onset: int = ONSET):
    table = system(fault, where, start=start)
    return Causes().rank((), table, Topology.of(table, NOW), NOW, onset)


@pytest.mark.parametrize("where", ["gate", "cart", "stock"])
@pytest.mark.parametrize("fault", ["own", "delay", "errors", "flow"])
def test_the_service_with_the_fault_ranks_first_whatever_the_evidence(fault, where):
    assert ranked(fault, where)[0].target.peer == where


@pytest.mark.parametrize(
    ("fault", "words"),
    [("own", "its own time"), ("delay", "on the way"), ("errors", "nothing that it calls"), ("flow", "its log line")],
)
def test_the_first_sentence_says_what_speaks_against_it(fault, words):
    assert words in " ".join(ranked(fault, "cart")[0].evidence[:2])


def test_probabilities_sum_to_one_at_most():
    assert 0 < sum(suspect.probability for suspect in ranked("own", "cart")) <= 1 + 1e-9


def test_nobody_is_sure_when_nothing_is_wrong():
    assert all(suspect.probability < 0.5 for suspect in ranked("", ""))


def test_an_onset_that_comes_late_changes_nothing():
    assert ranked("own", "cart", ONSET, ONSET + 12)[0].target.peer == "cart"


def test_an_earlier_incident_is_not_quiet_time():
    """The same fault lasted all through quiet time: with it as a reference nothing would be unusual."""
    table = system("own", "cart", start=T0 + 60)
    topology = Topology.of(table, NOW)
    told = Causes().rank((), table, topology, NOW, ONSET, past=((T0 + 60, ONSET - 1),))
    assert told[0].target.peer == "cart"
    untold = Causes().rank((), table, topology, NOW, ONSET)
    assert untold[0].target.peer != "cart" or untold[0].probability < told[0].probability


def test_an_empty_table_has_no_suspects():
    table = SeriesTable()
    assert Causes().rank((), table, Topology.of(table, NOW), NOW, ONSET) == ()


def test_without_any_quiet_time_nobody_is_named_for_certain():
    table = system("own", "cart", start=T0)
    suspects = Causes().rank((), table, Topology.of(table, NOW), NOW, T0)
    assert all(suspect.probability <= 1 for suspect in suspects)


@pytest.mark.parametrize("step_s", [15, 300])
@pytest.mark.parametrize("kind", ["cpu", "mem", "disk", "socket", "delay", "loss"])
def test_metrics_alone_name_the_service_at_any_granularity(kind, step_s):
    shop = Shop(3, step_s=step_s, quiet_s=24 * step_s, fault_s=5 * step_s)
    table = shop.table(kind, root=7)
    first = Causes().rank((), table, Topology.of(table, shop.now), shop.now - 1, shop.onset)[0]
    assert first.target.peer == shop.names[7]


def test_wild_points_do_not_hide_a_level_that_stays_high():
    shop = Shop(4, step_s=15, quiet_s=900, fault_s=300, spikes=0.01)
    table = shop.table("cpu", root=5)
    assert (
        Causes().rank((), table, Topology.of(table, shop.now), shop.now - 1, shop.onset)[0].target.peer == "service-05"
    )


def test_a_slow_host_explains_all_its_edges_cheaper_than_its_neighbours_do():
    owner, other = np.array([0, 1, 1, 0]), np.array([1, 2, 3, 3])
    delay = attributed(owner, other, np.array([0.2, 0.2, 0.2, 0.0]), 4)
    assert delay[:4].argmax() == 1
    assert delay[1] == pytest.approx(0.2, abs=0.02)


def test_the_loudest_name_of_a_quiet_piece_may_be_an_unknown_incident():
    scores = np.full((10, 5), 1.0)
    scores[3, 2] = 50.0
    noise = noise_of(Evidence(scores, np.ones(10), lambda _: ""), least=0.1)
    assert noise.max() == pytest.approx(2.0)  # twice what each name shows in half of the pieces


def test_quantiles_of_histograms_lie_within_a_bucket_of_the_exact_ones():
    values = np.random.default_rng(1).lognormal(-3, 1, 5000)
    counts = np.bincount(bucket_of(values), minlength=BUCKETS).astype(float)
    for q in (0.05, 0.5, 0.95):
        assert float(quantiles_s(counts, q)) == pytest.approx(float(np.quantile(values, q)), rel=0.05)


def test_a_histogram_against_itself_is_as_likely_above_as_below():
    counts = np.random.default_rng(2).integers(0, 9, BUCKETS).astype(float)
    assert float(chance_above(counts, counts)) == pytest.approx(0.5)


def test_shares_must_differ_much_and_not_by_chance():
    one, n = np.array(1.0), np.array(2.0)
    few = share_evidence(one, n, np.array(0.0), np.array(1000.0))
    many = share_evidence(one * 50, n * 50, np.array(0.0), np.array(1000.0))
    little = share_evidence(np.array(510.0), np.array(1000.0), np.array(500.0), np.array(1000.0))
    assert little < few < many
    assert share_evidence(one, n, np.array(0.0), np.array(0.0)) == 0


@pytest.mark.parametrize(
    ("metric", "role"),
    [
        ("container-memory-rss", Role.RESOURCE),
        ("CpuUsageRate(%)", Role.RESOURCE),
        ("latency_p90", Role.OUTCOME),
        ("istio-requests-total", Role.OUTCOME),
        ("NetworkReceiveBytes", Role.TRAFFIC),
        ("NodeCpuUsageRate(%)", Role.HOST),
        ("temperature", Role.OTHER),
    ],
)
def test_the_words_of_a_metric_say_its_role(metric, role):
    assert role_of(metric) is role


def test_one_slow_call_is_no_evidence_of_a_slow_service_and_many_are():
    def first(calls: int) -> float:
        table, rows = SeriesTable(), []
        key = SeriesKey("op", ("cart", "GET /", "server", "", "", "", "1"))
        for ts in range(T0, NOW + 1):
            rows.append(row(key, ts, 2, self_time=histogram(0.01, 0.012)))
            if ONSET <= ts < ONSET + calls:
                rows.append(row(SeriesKey("op", ("rare", "PUT /", *key.parts[2:])), ts, 1, self_time=histogram(0.9)))
            elif ts < ONSET - 15 and ts % 10 == 0:
                rows.append(row(SeriesKey("op", ("rare", "PUT /", *key.parts[2:])), ts, 1, self_time=histogram(0.01)))
        table.add(batch(rows, NOW + 1))
        found = Causes().rank((), table, Topology.of(table, NOW), NOW, ONSET)
        return next((one.probability for one in found if one.target.peer == "rare"), 0.0)

    assert first(1) < 0.6 < first(12)


def test_looks_since_before_the_onset_count_less_the_earlier_they_are():
    loud, quiet = np.array([3.0]), np.array([0.0])
    now, before, long_before = (float(averaged(np.stack(looks))[0]) for looks in (
        (loud, quiet, quiet), (quiet, loud, quiet), (quiet, quiet, loud)))  # fmt: skip
    assert 3.0 > now > before > long_before > 0.0


def test_lines_and_their_order_add_up_and_other_evidence_counts_in_part():
    gain, none = np.array([1.0]), Evidence(np.ones((1, 1)), np.ones(1), lambda _: "")
    flow, lines, delays = (Part(name, gain, np.zeros(1), none) for name in ("flow", "lines", "delays"))
    assert fused([flow, lines], 1)[0] == pytest.approx(2.0)
    assert fused([flow, delays], 1)[0] == pytest.approx(1.5)


def test_a_quarter_of_quiet_pieces_may_hold_incidents_that_nobody_knew_of():
    scores = np.full((12, 5), 1.0)
    scores[:3] = 40.0
    assert noise_of(Evidence(scores, np.ones(12), lambda _: ""), least=0.1).max() < 12


def test_a_small_process_that_does_what_larger_ones_always_do_is_no_suspect():
    def first(peak: float) -> float:
        rng, rows = np.random.default_rng(2), []
        for ts in range(T0, NOW + 1, 5):
            for number in range(8):
                usual = 0.01 if number == 0 else float(200 + 40 * rng.random())
                value = peak if number == 0 and ts >= ONSET else usual
                key = SeriesKey("gauge", (f"s{number}", f"s{number}-x", "cpu_usage"))
                rows.append(row(key, ts) | {"count": 1, "sum": value, "min": value, "max": value})
        table = SeriesTable()
        table.add(batch(rows, NOW + 1))
        found = Causes().rank((), table, Topology.of(table, NOW), NOW, ONSET)
        return next((one.probability for one in found if one.target.peer == "s0"), 0.0)

    assert first(3.0) < 0.5 < first(900.0)
