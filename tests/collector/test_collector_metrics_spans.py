"""What a Collector counted of spans that do not come here becomes windows of calls, and is never counted twice."""

import math

import pytest
from collector_kit import T0, Made, facts
from metrics_kit import Folded, exponential, histogram, message, number

from paramedic_collector.counters import SPAN_METRICS_IGNORED
from paramedic_collector.fold import fold_family
from paramedic_collector.metrics_points import points_of
from paramedic_collector.parts import whole

CHAT = {"service.name": "support-bot", "span.name": "chat gpt-4o", "span.kind": "SPAN_KIND_CLIENT",
        "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o"}  # fmt: skip
OK, FAILED = {"status.code": "STATUS_CODE_UNSET"}, {"status.code": "STATUS_CODE_ERROR"}
BOUNDS = [2.0, 4.0, 8.0]  # milliseconds


def calls(count, attributes=OK, *, name="traces.span.metrics.calls", second=0, kind="delta", **more):
    return number(name, kind, count, second, CHAT | attributes | more)


def durations(counts, attributes=OK, *, name="traces.span.metrics.duration", unit="ms", **more):
    return histogram(name, counts, BOUNDS, 0, CHAT | attributes, unit=unit, **more)


def from_collector(*metrics, service="support-bot"):
    """The connector copies the resource of the spans."""
    return message(*metrics, service=service, **{"service.version": "7", "cloud.availability_zone": "eu-1a"})


def test_calls_errors_and_durations_reach_the_operation():
    rows = Folded()(from_collector(calls(8), calls(2, FAILED), durations([0, 10, 0, 0], sum=31.0)), family="op")
    (row,) = rows
    keys = ("service", "operation", "kind", "peer", "model")
    assert [row[key] for key in keys] == ["support-bot", "chat gpt-4o", "client", "openai", "gpt-4o"]
    assert (row["count"], row["errors"]) == (10, [{"key": "_OTHER", "count": 2}])
    middle = math.sqrt(0.002 * 0.004)
    assert row["duration"]["index"] == [math.ceil(math.log2(middle) * 8) - 1]
    assert (row["duration"]["count"], row["duration"]["sum"]) == ([10], pytest.approx(0.031))


@pytest.mark.parametrize(("family", "key"), [("edge", ("support-bot", "openai", "")), ("callee", ("openai", ""))])
def test_a_client_span_that_says_whom_it_called_reaches_the_callee(family, key):
    (row,) = Folded()(from_collector(calls(3), calls(1, FAILED | {"error.type": "timeout"})), family=family)
    assert (
        tuple(row[name] for name in (("caller", "callee", "zone") if family == "edge" else ("callee", "zone"))) == key
    )
    assert (row["count"], row["errors"]) == (4, [{"key": "timeout", "count": 1}])


def test_they_are_no_gauges():
    assert Folded()(from_collector(calls(3), durations([1, 0, 0, 0]))) == []


@pytest.mark.parametrize(("unit", "seconds"), [("s", 3.1), ("ms", 0.0031), ("", None), ("By", None)])
def test_the_unit_of_durations_is_read_and_never_assumed(unit, seconds):
    rows = Folded()(from_collector(calls(1), durations([0, 1, 0, 0], unit=unit, sum=3.1)), family="op")
    duration = rows[0]["duration"]
    assert duration["sum"] == (pytest.approx(seconds) if seconds else 0)
    assert sum(duration["count"]) == (1 if seconds else 0)


@pytest.mark.parametrize(
    ("calls_name", "duration_name", "operation"),
    [
        ("calls", "duration", "span.name"),
        ("calls_total", "latency", "operation"),  # of the processor before the connector
        ("my.space.calls", "my.space.duration", "span.name"),
    ],
)
def test_older_names_and_other_namespaces_are_known_by_their_dimensions(calls_name, duration_name, operation):
    where = {**CHAT, operation: "chat gpt-4o", **OK}
    metrics = (
        number(calls_name, "delta", 5, 0, where),
        histogram(duration_name, [5, 0, 0, 0], BOUNDS, 0, where, unit="ms"),
    )
    (row,) = Folded()(from_collector(*metrics), family="op")
    assert (row["operation"], row["count"], sum(row["duration"]["count"])) == ("chat gpt-4o", 5, 5)


def test_a_bots_own_metric_called_calls_stays_a_gauge():
    assert Folded().sums(number("phone.calls", "delta", 5, 0, {"line": "a"})) == {"phone.calls": 5}


@pytest.mark.parametrize(
    ("attributes", "error"),
    [
        (FAILED | {"http.response.status_code": 503}, "503"),
        (FAILED | {"http.status_code": "429"}, "429"),
        (FAILED | {"http.response.status_code": 200}, "_OTHER"),
        ({"status.code": "Error"}, "_OTHER"),
        (OK | {"error.type": "timeout"}, "timeout"),
        (OK | {"http.response.status_code": 404}, None),
    ],
)
def test_a_failed_call_is_named_as_that_of_a_span_is(attributes, error):
    (row,) = Folded()(from_collector(calls(1, attributes)), family="op")
    assert [one["key"] for one in row["errors"]] == ([error] if error else [])


def test_running_totals_count_what_came_since():
    folded = Folded()
    for at, total in enumerate((50, 58, 58, 3)):
        last = folded(from_collector(calls(total, kind="cumulative", second=at)), family="op")
        assert [row["count"] for row in last] == [[], [8], [], [3]][at]


def test_what_spans_and_span_metrics_say_merges():
    folded = Folded()
    spans = fold_family("op", facts([Made()], folded.tables), folded.tables)
    exponential_ms = exponential("traces.span.metrics.duration", [3], 0, CHAT | OK, scale=1)
    counted = folded.fold.fold(points_of([from_collector(calls(3), exponential_ms)]), T0)
    together = whole([spans, *(one for one in counted if one.family == "op")], folded.tables)
    together.validate(full=True)
    assert sum(row["count"] for row in together.to_pylist()) == 4


def test_a_service_whose_spans_come_here_is_not_counted_again():
    folded = Folded()
    assert folded(from_collector(calls(100, kind="cumulative", second=0)), family="op") == []
    folded.fold.saw_spans(["support-bot"], T0)
    both = from_collector(calls(105, kind="cumulative", second=1), calls(1, second=1))
    assert folded(both, family="op", now=T0 + 119) == []
    assert folded.counters.total(SPAN_METRICS_IGNORED) == 2
    (row,) = folded(from_collector(calls(108, kind="cumulative", second=2)), family="op", now=T0 + 121)
    assert row["count"] == 3  # not the 5 that came as spans


def test_other_services_of_the_same_collector_are_counted():
    folded = Folded()
    folded.fold.saw_spans(["front-door"], T0)
    (row,) = folded(from_collector(calls(2)), family="op")
    assert (row["service"], row["count"], row["version"], row["zone"]) == ("support-bot", 2, "7", "eu-1a")


def test_the_collectors_own_version_and_zone_are_not_the_services():
    (row,) = Folded()(from_collector(calls(2), service="otelcol"), family="op")
    assert (row["service"], row["version"], row["zone"]) == ("support-bot", "", "")
