"""Metric points and log records become windows."""

import pyarrow as pa
import pytest
from collector_kit import NANO, T0, new_tables, pairs
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from paramedic_collector.decode import flatten, parse
from paramedic_collector.logs import fold_logs, template_of
from paramedic_collector.merge import family_of, merge_all
from paramedic_collector.metrics import MetricFold, points_of
from paramedic_collector.otlp import Signal

GUARD = {"paramedic.guard": "llm.primary", "service.peer.name": "aurora", "paramedic.peer.zone": ""}


def metrics(*points, instance="bot-1", service="support-bot"):
    """Points as (name, kind, value, second, attributes)."""
    message = ExportMetricsServiceRequest()
    resource = message.resource_metrics.add()
    resource.resource.attributes.extend(pairs({"service.name": service, "service.instance.id": instance}))
    scope = resource.scope_metrics.add()
    for name, kind, value, second, attributes in points:
        metric = scope.metrics.add(name=name)
        where = {"time_unix_nano": (T0 + second) * NANO, "attributes": pairs(attributes)}
        if kind == "histogram":
            metric.histogram.aggregation_temporality = 2
            metric.histogram.data_points.add(count=value[0], sum=value[1], **where)
            continue
        number = {"as_int": value} if isinstance(value, int) else {"as_double": value}
        if kind == "gauge":
            metric.gauge.data_points.add(**number, **where)
        else:
            metric.sum.aggregation_temporality = 1 if kind == "delta" else 2
            metric.sum.is_monotonic = kind != "updown"
            metric.sum.data_points.add(**number, **where)
    return message.SerializeToString()


class Folded:
    """One collector's memory of metrics; gives rows as dicts."""

    def __init__(self):
        self.fold = MetricFold(new_tables())

    def __call__(self, *payloads, family="gauge"):
        parsed = [parse(Signal.METRICS, body) for body in payloads]
        points = points_of(one.message for one in parsed)
        batches = [one for one in self.fold.fold(points, T0) if family_of(one) == family]
        return merge_all(batches).to_pylist() if batches else []


def test_a_gauge_keeps_its_extremes_sum_and_count():
    body = metrics(("cpu", "gauge", 0.5, 0, {}), ("cpu", "gauge", 2, 0, {"core": 1}), ("cpu", "gauge", 1.0, 1, {}))
    rows = Folded()(body)
    assert [(row["ts"], row["count"], row["sum"], row["min"], row["max"]) for row in rows] == [
        (T0, 2, 2.5, 0.5, 2.0),
        (T0 + 1, 1, 1.0, 1.0, 1.0),
    ]
    assert {(row["service"], row["instance"], row["metric"]) for row in rows} == {("support-bot", "bot-1", "cpu")}


def test_a_running_total_gives_what_it_grew_by():
    folded = Folded()
    values = [
        folded(metrics(("jobs", "cumulative", value, second, {}))) for second, value in enumerate([10, 15, 15, 3])
    ]
    assert values[0] == []  # what it grew by is not known
    assert [rows[0]["sum"] for rows in values[1:]] == [5.0, 0.0, 3.0]  # the last after a restart


def test_deltas_and_up_down_counters_are_taken_as_they_are():
    folded = Folded()
    assert folded(metrics(("jobs", "delta", 4, 0, {})))[0]["sum"] == 4.0
    assert folded(metrics(("conns", "updown", 7, 0, {})))[0]["sum"] == 7.0


def test_a_histogram_gives_its_count_and_sum_as_running_totals():
    folded = Folded()
    folded(metrics(("latency", "histogram", (10, 2.0), 0, {})))
    rows = folded(metrics(("latency", "histogram", (14, 5.0), 1, {})))
    assert {row["metric"]: row["sum"] for row in rows} == {"latency.count": 4.0, "latency.sum": 3.0}


@pytest.mark.parametrize("family", ["edge", "callee"])
def test_calls_in_flight_reach_the_edge_and_the_callee(family):
    body = metrics(
        ("paramedic.calls.in_flight", "gauge", 3, 0, GUARD), ("paramedic.calls.oldest", "gauge", 7.5, 0, GUARD)
    )
    (row,) = Folded()(body, family=family)
    assert (row["callee"], row["in_flight"], row["oldest_s"], row["count"]) == ("aurora", 3, 7.5, 0)


def test_in_flight_said_twice_for_one_second_adds_up_to_what_was_said_last():
    folded = Folded()
    said = [folded(metrics(("paramedic.calls.in_flight", "gauge", n, 0, GUARD)), family="edge") for n in (3, 5, 4)]
    assert sum(rows[0]["in_flight"] for rows in said) == 4
    (row,) = folded(metrics(("paramedic.calls.in_flight", "gauge", 2, 1, GUARD)), family="edge")
    assert row["in_flight"] == 2


def test_in_flight_adds_up_over_instances_and_guards():
    folded = Folded()
    other = GUARD | {"paramedic.guard": "llm.second"}
    bodies = [
        metrics(
            ("paramedic.calls.in_flight", "gauge", 3, 0, GUARD), ("paramedic.calls.in_flight", "gauge", 1, 0, other)
        ),
        metrics(("paramedic.calls.in_flight", "gauge", 2, 0, GUARD), instance="bot-2"),
    ]
    (row,) = folded(*bodies, family="edge")
    assert (row["in_flight"], row["oldest_s"]) == (6, None)


def logs(*records, service="support-bot"):
    message = ExportLogsServiceRequest()
    resource = message.resource_logs.add()
    resource.resource.attributes.extend(pairs({"service.name": service}))
    scope = resource.scope_logs.add()
    for number, body, trace in records:
        record = scope.log_records.add(severity_number=number, observed_time_unix_nano=T0 * NANO, trace_id=trace)
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
    rows = fold_logs(flatten([parse(Signal.LOGS, body)]), new_tables()).to_pylist()
    by_severity = {row["severity"]: row for row in rows}
    assert {name: row["count"] for name, row in by_severity.items()} == {"ERROR": 3, "INFO": 1}
    error = by_severity["ERROR"]
    assert (error["template"], error["example"]) == ("order <n> failed", "order 1 failed")
    assert error["trace_ids"] == ["01" * 16, "02" * 16]


def test_log_windows_merge():
    tables = new_tables()
    pieces = [
        fold_logs(flatten([parse(Signal.LOGS, logs((17, f"b{n} x", bytes([n]) * 16)))]), tables) for n in range(1, 8)
    ]
    merged = merge_all(pieces).to_pylist()
    assert sum(row["count"] for row in merged) == 7
    assert all(len(row["trace_ids"]) <= 4 for row in merged)
