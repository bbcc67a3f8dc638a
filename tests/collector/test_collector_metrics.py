"""Metric points and log records become windows."""

import math
import random

import pyarrow as pa
import pytest
from collector_kit import NANO, T0, new_tables, pairs
from hypothesis import given, settings
from hypothesis import strategies as st
from metrics_kit import Folded, exponential, histogram, message, number, summary
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from paramedic_collector.decode import joined, parse
from paramedic_collector.logs import fold_logs, template_of
from paramedic_collector.merge import family_of, merge, merge_all
from paramedic_collector.metrics import points_of
from paramedic_collector.metrics_totals import Totals
from paramedic_collector.otlp import Signal
from paramedic_collector.parts import whole

GUARD = {"paramedic.guard": "llm.primary", "service.peer.name": "aurora", "paramedic.peer.zone": ""}
IN_FLIGHT, OLDEST = "paramedic.calls.in_flight", "paramedic.calls.oldest"


def test_a_gauge_keeps_its_extremes_sum_and_count():
    points = (("cpu", "gauge", 0.5, 0, {}), ("cpu", "gauge", 2, 0, {"core": 1}), ("cpu", "gauge", 1.0, 1, {}))
    rows = Folded()(message(*(number(*point) for point in points)))
    assert [(row["ts"], row["count"], row["sum"], row["min"], row["max"]) for row in rows] == [
        (T0, 2, 2.5, 0.5, 2.0),
        (T0 + 1, 1, 1.0, 1.0, 1.0),
    ]
    assert {(row["service"], row["instance"], row["metric"]) for row in rows} == {("support-bot", "bot-1", "cpu")}


def test_a_running_total_gives_what_it_grew_by():
    folded = Folded()
    found = [folded.sums(number("jobs", "cumulative", value, at)) for at, value in enumerate([10, 15, 15, 3])]
    assert found == [{}, {"jobs": 5.0}, {"jobs": 0.0}, {"jobs": 3.0}]  # at first not known; at last after a restart


@pytest.mark.parametrize(
    ("start", "news"),
    [
        (-14, 10.0),  # a bot that has just started
        (-16, None),  # one that ran before we looked
        (None, None),  # one that does not say
    ],
)
def test_the_first_total_is_news_when_its_bot_has_just_started(start, news):
    assert Folded().sums(number("jobs", "cumulative", 10, start=start)).get("jobs") == news


def test_what_began_under_our_eyes_is_news_however_late_it_is_said():
    folded = Folded()
    folded.sums(number("other", "gauge", 1, 0), number("seen", "cumulative", 1, 0))
    assert folded.sums(number("jobs", "cumulative", 10, 60, start=5)) == {"jobs": 10.0}


@pytest.mark.parametrize("start", [None, -3600])
def test_the_first_error_of_its_kind_is_news_since_the_others_were_said_without_it(start):
    folded = Folded()
    kinds = [number("calls", "cumulative", 900, at, start=start) for at in (0, 5)]
    assert folded.sums(kinds[0]) == {}
    failed = number("calls", "cumulative", 7, 5, {"error.type": "503"}, start=start)
    assert folded.sums(kinds[1], failed) == {"calls": 7.0}


def test_streams_of_one_export_in_two_requests_say_nothing_about_each_other():
    folded = Folded()
    assert folded.sums(number("calls", "cumulative", 900, 0, {"part": 1})) == {}
    assert folded.sums(number("calls", "cumulative", 800, 0, {"part": 2})) == {}


def test_late_and_repeated_totals_say_nothing_new():
    folded = Folded()
    for at, value in ((0, 10), (2, 30), (1, 20), (2, 30)):
        last = folded.sums(number("jobs", "cumulative", value, at))
    assert last == {}
    assert folded.sums(number("jobs", "cumulative", 31, 3)) == {"jobs": 1.0}


def test_totals_that_come_together_out_of_order_are_read_in_order():
    folded = Folded()
    folded.sums(number("jobs", "cumulative", 10, 0))
    rows = folded(message(*(number("jobs", "cumulative", value, at) for at, value in ((3, 40), (1, 15), (2, 30)))))
    assert [(row["ts"] - T0, row["sum"]) for row in rows] == [(1, 5.0), (2, 15.0), (3, 10.0)]


def test_forgotten_streams_are_not_taken_for_new_ones():
    totals = Totals(most_weight=60)  # three numbers
    points = [
        next(points_of([message(number("jobs", "cumulative", 9, at, {"n": n}))])) for at in (0, 1) for n in range(9)
    ]
    assert [totals.news(point) for point in points] == [None] * 18
    assert len(totals) == 3


def test_deltas_and_up_down_counters_are_taken_as_they_are():
    folded = Folded()
    assert folded.sums(number("jobs", "delta", 4), number("conns", "updown", 7)) == {"jobs": 4.0, "conns": 7.0}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_what_is_no_number_is_left_out(value):
    assert Folded().sums(number("cpu", "gauge", value), number("ram", "gauge", 1)) == {"ram": 1.0}


def test_a_point_without_a_recorded_value_is_left_out():
    folded = Folded()
    folded.sums(number("jobs", "cumulative", 10, 0))
    assert folded.sums(number("jobs", "cumulative", 0, 1, flags=1)) == {}
    assert folded.sums(number("jobs", "cumulative", 12, 2)) == {"jobs": 2.0}


def test_a_histogram_gives_its_count_and_sum_as_running_totals():
    folded = Folded()
    folded.sums(histogram("latency", [10], [], 0, kind="cumulative", sum=2.0))
    found = folded.sums(histogram("latency", [14], [], 1, kind="cumulative", sum=5.0))
    assert found == {"latency.count": 4.0, "latency.sum": 3.0}


def shape(rows, metric="wait.count"):
    (row,) = [row for row in rows if row["metric"] == metric]
    found = row["distribution"]
    return found and (dict(zip(found["index"], found["count"], strict=True)), found["zero"])


@pytest.mark.parametrize(
    ("counts", "bounds", "more", "values", "zero"),
    [
        ([0, 5, 0], [1.0, 4.0], {}, {2.0: 5}, 0),  # the geometric middle of 1 and 4
        ([3, 0, 0], [1.0, 4.0], {}, {0.5: 3}, 0),  # no lower bound: half the upper one
        ([0, 0, 2], [1.0, 4.0], {"max": 64.0}, {16.0: 2}, 0),  # no upper bound: the largest one stands for it
        ([0, 0, 2], [1.0, 4.0], {}, {4.2: 2}, 0),  # nor that: just above the lower one
        ([0, 0, 2], [1.0, 4.0], {"max": 3.0}, {4.2: 2}, 0),  # a largest value that makes no sense
        ([4, 1, 0], [0.0, 5.0], {}, {2.5: 1}, 4),  # up to 0 is 0
        ([1, 2, 4], [-5.0, 5.0], {"max": 5.1}, {2.5: 2, 5.05: 4}, 1),
        ([0, 0, 1], [1.0, 1.7e308], {}, {1.7e308: 1}, 0),
    ],
)
def test_explicit_buckets_count_at_the_middle_of_their_bounds(counts, bounds, more, values, zero):
    expected = {math.ceil(math.log2(value) * 8) - 1: count for value, count in values.items()}
    assert shape(Folded()(message(histogram("wait", counts, bounds, **more)))) == (expected, zero)


@pytest.mark.parametrize(
    ("counts", "bounds"), [([1, 2], [1.0, 2.0]), ([1, 2, 3], [2.0, 1.0]), ([1, 1], [math.inf]), ([1, 1], [math.nan])]
)
def test_buckets_that_make_no_sense_leave_count_and_sum(counts, bounds):
    rows = Folded()(message(histogram("wait", counts, bounds)))
    assert {row["metric"]: row["sum"] for row in rows} == {"wait.count": sum(counts), "wait.sum": sum(counts)}
    assert shape(rows) is None


def test_a_histogram_without_a_sum_has_none():
    metric = histogram("wait", [0, 1, 0], [1.0, 2.0])
    metric.histogram.data_points[0].ClearField("sum")
    assert Folded().sums(metric) == {"wait.count": 1.0}


def test_a_histogram_that_began_anew_is_new_as_a_whole():
    folded = Folded()
    folded(message(histogram("wait", [0, 9, 1], [1.0, 4.0], 0, kind="cumulative")))
    rows = folded(message(histogram("wait", [0, 3, 9], [1.0, 4.0], 1, kind="cumulative", max=64.0)))  # 9 fell to 3
    assert shape(rows) == ({7: 3, 31: 9}, 0)


def test_a_running_exponential_histogram_may_coarsen_and_widen_its_zero():
    folded = Folded()
    folded(message(exponential("wait", [1, 2, 3, 4], 0, offset=4, scale=3, kind="cumulative")))
    rows = folded(message(exponential("wait", [3, 7, 5], 1, offset=2, scale=2, kind="cumulative")))
    assert shape(rows) == ({4: 5}, 0)
    widened = exponential("wait", [7, 6], 2, offset=3, scale=2, kind="cumulative", zero_count=3, zero_threshold=1.5)
    assert shape(folded(message(widened))) == ({4: 1}, 3)


def test_negative_values_of_an_exponential_histogram_count_as_zero():
    metric = exponential("wait", [2], zero_count=1, count=6)
    metric.exponential_histogram.data_points[0].negative.bucket_counts.extend([1, 2])
    assert shape(Folded()(message(metric))) == ({0: 2}, 4)


def test_a_summary_gives_count_sum_and_its_quantiles_as_gauges():
    folded = Folded()
    assert folded.sums(summary("wait", 10, 5000.0, {0.5: 20.0, 0.999: math.nan}, unit="ms")) == {"wait{p50}": 0.02}
    found = folded.sums(summary("wait", 14, 9000.0, {0.5: 30.0, 0.999: 90.0}, 1, unit="ms"))
    assert found == {"wait{p50}": 0.03, "wait{p99.9}": 0.09, "wait.count": 4.0, "wait.sum": 4.0}


def gauge_windows(seed):
    """Windows of histograms of several scales beside gauges."""
    dice = random.Random(seed)
    metrics = [
        exponential(
            "wait",
            [dice.randrange(4) for _ in range(6)],
            dice.randrange(2),
            offset=dice.randrange(-50, 50),
            scale=scale,
        )
        for scale in (dice.randrange(-2, 9), 3)
    ]
    metrics += [
        histogram("wait", [1, dice.randrange(5), 0, 2], [0.5, 1.0, 2.5]),
        number("depth", "gauge", dice.randrange(9)),
    ]
    (gauges,) = [one for one in Folded().batches(message(*metrics)) if family_of(one) == "gauge"]
    return gauges


@settings(max_examples=25, deadline=None)
@given(seeds=st.tuples(*[st.integers(0, 10_000)] * 3))
def test_windows_with_distributions_merge_in_any_order(seeds):
    a, b, c = map(gauge_windows, seeds)
    assert merge(merge(a, b), c).equals(merge(a, merge(b, c)))
    assert merge(a, b).equals(merge(b, a))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_bytes_that_can_be_decoded_break_the_fold(data):
    """Mutations of a payload with every kind of metric: their windows are valid Arrow, or they are undecodable."""
    kinds = [number("a", "gauge", 1.5), number("b", "cumulative", 3, start=-1), summary("c", 3, 4.0, {0.5: 1.0}),
             histogram("d", [1, 2, 3], [0.0, 2.0], kind="cumulative"), exponential("e", [1, 2], offset=-3)]  # fmt: skip
    body = bytearray(message(*kinds).SerializeToString())
    for _ in range(data.draw(st.integers(1, 8))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = ExportMetricsServiceRequest.FromString(bytes(body))
    except Exception:
        return
    folded = Folded()
    for batch in [*folded.batches(decoded), *folded.batches(decoded, message(*kinds))]:
        batch.validate(full=True)
        merge_all([batch, batch]).validate(full=True)


@pytest.mark.parametrize("family", ["edge", "callee"])
def test_calls_in_flight_reach_the_edge_and_the_callee(family):
    both = message(number(IN_FLIGHT, "gauge", 3, 0, GUARD), number(OLDEST, "gauge", 7.5, 0, GUARD))
    (row,) = Folded()(both, family=family)
    assert (row["callee"], row["in_flight"], row["oldest_s"], row["count"]) == ("aurora", 3, 7.5, 0)


def test_in_flight_said_twice_for_one_second_adds_up_to_what_was_said_last():
    folded = Folded()
    said = [folded(message(number(IN_FLIGHT, "gauge", n, 0, GUARD)), family="edge") for n in (3, 5, 4)]
    assert sum(rows[0]["in_flight"] for rows in said) == 4
    (row,) = folded(message(number(IN_FLIGHT, "gauge", 2, 1, GUARD)), family="edge")
    assert row["in_flight"] == 2


def test_in_flight_adds_up_over_instances_and_guards():
    other = GUARD | {"paramedic.guard": "llm.second"}
    messages = [
        message(number(IN_FLIGHT, "gauge", 3, 0, GUARD), number(IN_FLIGHT, "gauge", 1, 0, other)),
        message(number(IN_FLIGHT, "gauge", 2, 0, GUARD), instance="bot-2"),
    ]
    (row,) = Folded()(*messages, family="edge")
    assert (row["in_flight"], row["oldest_s"]) == (6, None)


def logs(*records, service="support-bot"):
    message = ExportLogsServiceRequest()
    resource = message.resource_logs.add()
    resource.resource.attributes.extend(pairs({"service.name": service}))
    scope = resource.scope_logs.add()
    for severity, body, trace in records:
        record = scope.log_records.add(severity_number=severity, observed_time_unix_nano=T0 * NANO, trace_id=trace)
        record.body.string_value = body
    return message.SerializeToString()


@pytest.mark.parametrize(
    ("line", "template"),
    [
        ("user 4711 not found in 12.5 ms", "user <n> not found in <n> ms"),
        ("id 550e8400-e29b-41d4-a716-446655440000 gone", "id <id> gone"),
        ("trace 4bf92f3577b34da6a3ce929d0e0e4736 at 0x7fff12", "trace <id> at <id>"),
        ("feed the cafe", "feed the cafe"),
        ("GET http://10.0.0.1:80/x 503", "GET http://<n>/x <n>"),
    ],
)
def test_lines_that_differ_in_numbers_and_ids_share_a_template(line, template):
    assert template_of(pa.array([line])).to_pylist() == [template]


def test_log_records_are_counted_by_severity_and_template():
    body = logs((17, "order 1 failed", b"\x02" * 16), (17, "order 22 failed", b"\x01" * 16), (9, "order 3 failed", b""),
                (18, "order 4 failed", b"\x01" * 16))  # fmt: skip
    tables = new_tables()
    rows = whole([fold_logs(joined([parse(Signal.LOGS, body)]), tables)], tables).to_pylist()
    by_severity = {row["severity"]: row for row in rows}
    assert {name: row["count"] for name, row in by_severity.items()} == {"ERROR": 3, "INFO": 1}
    error = by_severity["ERROR"]
    assert (error["template"], error["example"]) == ("order <n> failed", "order 1 failed")
    assert error["trace_ids"] == ["01" * 16, "02" * 16]


def test_log_windows_merge():
    tables = new_tables()
    pieces = [
        fold_logs(joined([parse(Signal.LOGS, logs((17, f"b{n} x", bytes([n]) * 16)))]), tables) for n in range(1, 8)
    ]
    merged = whole(pieces, tables).to_pylist()
    assert sum(row["count"] for row in merged) == 7
    assert all(len(row["trace_ids"]) <= 4 for row in merged)
