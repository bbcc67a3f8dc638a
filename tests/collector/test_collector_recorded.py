"""Recorded telemetry as windows: compared with counting one by one, with a live collector, and in other steps."""

from collections import Counter
from itertools import pairwise

import pytest
from collector_kit import Made, new_tables, payload
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from recorded_kit import (
    NANO,
    T0,
    log,
    merged,
    naive_counts,
    naive_gaps,
    naive_self_times,
    point,
    random_logs,
    random_traces,
    recorded,
    span,
    windows,
)

from paramedic_collector.counters import Counters
from paramedic_collector.decode import parse
from paramedic_collector.intake import Taken
from paramedic_collector.join import Join
from paramedic_collector.otlp import Signal
from paramedic_collector.record.segments import Frame, Place
from paramedic_collector.windower import Windower


def histogram(value):
    return (round(value["sum"] * NANO), value["zero"] + sum(value["count"]))


@pytest.fixture(scope="module", params=[1, 2])
def traces(request, tmp_path_factory):
    spans = random_traces(request.param)
    return spans, recorded(tmp_path_factory.mktemp("set"), spans=spans)


def test_calls_and_errors_are_those_of_counting_one_by_one(traces):
    spans, found = traces
    counted = {
        (ts, service, operation, kind): (row["count"], sum(one["count"] for one in row["errors"]))
        for (ts, service, operation, kind, *_), row in windows(found.batches(), "op").items()
    }
    assert counted == naive_counts(spans)


def test_self_times_are_those_of_an_independent_reading(traces):
    spans, found = traces
    rows = windows(found.batches(), "op")
    assert {key[:4]: histogram(row["self_time"]) for key, row in rows.items()} == naive_self_times(spans)


def test_gaps_are_those_of_an_independent_reading(traces):
    spans, found = traces
    rows = windows(found.batches(), "edge")
    assert {key[:3]: histogram(row["gap"]) for key, row in rows.items() if row["gap"]} == naive_gaps(spans)


@pytest.mark.parametrize("every_s", [2, 7, 30, 60, 600])
def test_the_length_of_a_batch_changes_nothing_that_is_counted(traces, every_s):
    _, found = traces
    by_second, longer = list(found.batches()), list(found.batches(every_s=every_s))
    for family in ("op", "edge", "callee"):
        assert merged(by_second, family).equals(merged(longer, family))
    assert longer[0].watermark - by_second[0].watermark == every_s - 1


def as_live(spans, lines):
    """The batches of a live collector that gets each span and line in the second after it ended."""
    tables, found = new_tables(), []
    windower = Windower("live", tables, Join(tables), Counters(), wait_s=1.0)
    by_second = {Signal.TRACES: {}, Signal.LOGS: {}}
    for one in spans:
        ended = (one["start_unix_ns"] + one["duration_ns"]) // NANO + 1
        by_second[Signal.TRACES].setdefault(ended, []).append(one)
    for one in lines:
        by_second[Signal.LOGS].setdefault(one["ts_unix_ns"] // NANO + 1, []).append(one)
    seconds = sorted({second for each in by_second.values() for second in each})
    for now in range(seconds[0], seconds[-1] + 8):
        for signal, encode in ((Signal.TRACES, span_payload), (Signal.LOGS, log_payload)):
            if now in by_second[signal]:
                parsed = parse(signal, encode(by_second[signal][now]))
                taken = Taken(parsed, Place("", 0, 1), 0, Frame(0.0, signal, parsed.trace_keys, b""))
                found += windower.take([taken], now)
        found += windower.give(now)
    return found


def span_payload(spans):
    return payload(
        *(
            Made(
                service=one["service"],
                name=one["name"],
                kind=one["kind"].lower(),
                trace=one["trace_id"].to_bytes(16, "big"),
                span=(one["span_id"] + 1).to_bytes(8, "big"),
                parent=(one["parent_id"] + 1).to_bytes(8, "big") if one["parent_id"] >= 0 else b"",
                start_ns=one["start_unix_ns"],
                duration_ns=one["duration_ns"],
                failed=one["status"] == "ERROR",
            )
            for one in spans
        )
    )


def log_payload(lines):
    request = ExportLogsServiceRequest()
    for one in lines:
        resource = request.resource_logs.add()
        resource.resource.attributes.add(key="service.name").value.string_value = one["service"]
        record = resource.scope_logs.add().log_records.add(time_unix_nano=one["ts_unix_ns"])
        record.severity_text, record.body.string_value = one["severity"], one["body"]
        record.trace_id, record.span_id = bytes.fromhex(one["trace_id"]), bytes.fromhex(one["span_id"])
    return request.SerializeToString()


def test_the_windows_are_those_of_a_live_collector_that_got_the_same(tmp_path):
    """Spans of more than two minutes too, which outlive what is remembered of their children."""
    spans, lines = random_traces(3, traces=40), random_logs(3)
    spans += [
        span(99, 0, -1, name="long", at=0, ms=130_000),
        span(99, 1, 0, name="early", at=1, ms=10),
        span(99, 2, 0, name="recent", at=120, ms=10),
        span(98, 0, -1, name="stream", kind="CLIENT", at=0, ms=130_000),
        span(98, 1, 0, "orders", name="opened", at=1, ms=10),
    ]
    for one in lines:
        one["template"] = one["body"]
    found = recorded(tmp_path, spans=spans, logs=[{**one, "template": ""} for one in lines])
    live, ours = as_live(spans, lines), list(found.batches())
    for family in ("op", "edge", "callee", "log", "flow"):
        assert merged(live, family).equals(merged(ours, family)), family
    for family in ("op", "flow"):
        assert merged(list(found.batches(every_s=60)), family).equals(merged(ours, family))


def test_everything_is_given_when_a_live_collector_could_have_known_it(tmp_path):
    spans = [span(1, 0, -1, ms=1500), span(1, 1, 0, kind="CLIENT", at=0.1, ms=200), span(2, 0, -1, at=30)]
    found = recorded(tmp_path, spans=spans, logs=[log("asked", 2.5)], metrics=[point(1.0, 4)])
    given = {}
    for batch in found.batches():
        for family, table in batch.tables.items():
            for row in table.to_pylist():
                what = "self_time" if row.get("self_time") and not row["count"] else family
                given.setdefault((what, row["ts"] - T0), batch.watermark - T0)
    assert given == {
        ("op", 0): 1, ("self_time", 0): 2, ("op", 1): 2, ("self_time", 1): 3,
        ("op", 30): 31, ("self_time", 30): 32, ("log", 2): 3, ("flow", 2): 8, ("gauge", 4): 5,
    }  # fmt: skip


def test_the_watermark_goes_through_every_second_and_over_long_gaps_at_once(tmp_path):
    found = recorded(tmp_path, spans=[span(1, 0), span(2, 0, at=5000), span(3, 0, at=5600)])
    marks = [batch.watermark - T0 for batch in found.batches()]
    assert marks[:960] == list(range(1, 961))
    assert marks[960:962] == [5000, 5001]
    assert marks[-1] == 5601 + 5
    assert [batch.sequence for batch in found.batches()] == list(range(1, len(marks) + 1))
    every_minute = [batch.watermark - T0 for batch in found.batches(every_s=60)]
    assert {b - a for a, b in pairwise(every_minute)} == {60, 4020}


def test_a_part_of_the_time_can_be_read(tmp_path):
    found = recorded(tmp_path, spans=[span(n, 0, at=n) for n in range(20)], metrics=[point(n, n) for n in range(20)])
    for every_s in (1, 4):
        part = list(found.batches(start=T0 + 5, end=T0 + 9, every_s=every_s))
        assert sorted(ts - T0 for ts, *_ in windows(part, "op")) == [5, 6, 7, 8]
        assert sorted(ts - T0 for ts, *_ in windows(part, "gauge")) == [5, 6, 7, 8]


def test_metrics_are_gauges_of_their_second(tmp_path):
    points = [point(1.0), point(5.0), point(2.0, 60), point(7.0, 60, pod="shop-2"), point(float("nan"), 60, "memory")]
    found = recorded(tmp_path, metrics=points)
    rows = windows(found.batches(), "gauge")
    assert {key: (r["count"], r["sum"], r["min"], r["max"], r["distribution"]) for key, r in rows.items()} == {
        (T0, "shop", "shop-1", "cpu"): (2, 6.0, 1.0, 5.0, None),
        (T0 + 60, "shop", "shop-1", "cpu"): (1, 2.0, 2.0, 2.0, None),
        (T0 + 60, "shop", "shop-2", "cpu"): (1, 7.0, 7.0, 7.0, None),
    }
    assert found.granularity_s == 60
    assert (found.moments("metrics") - T0).tolist() == [0, 60]


def test_a_set_says_what_it_has(tmp_path):
    found = recorded(tmp_path, spans=[span(1, 0, at=0.95), span(2, 0, at=7), span(3, 0, at=7.1)])
    assert [kind for kind in ("spans", "metrics", "logs", "alerts", "updates", "graph") if found.has(kind)] == ["spans"]
    assert (found.seconds - T0).tolist() == (found.moments("spans") - T0).tolist() == [1, 7]
    assert found.moments("logs").tolist() == []
    assert found.granularity_s is None
    with pytest.raises(ValueError, match="not 'traces'"):
        found.has("traces")
    with pytest.raises(ValueError, match="not of 'alerts'"):
        found.moments("alerts")
    with pytest.raises(ValueError, match="every_s must be at least 1 second, got 0"):
        next(found.batches(every_s=0))


def test_a_set_without_a_stream_has_no_batches(tmp_path):
    found = recorded(
        tmp_path, alerts=[{"case": "a", "component": "shop"}], updates=[{"case": "a", "ts": 1, "text": ""}]
    )
    assert list(found.batches()) == []
    assert found.has("alerts")
    assert found.has("updates")


def test_lines_of_a_trace_without_span_ids_are_one_flow_of_each_service(tmp_path):
    lines = [log(text, at) for at, text in enumerate(("asked", "looked", "sent"))]
    found = recorded(tmp_path, logs=[{key: v for key, v in one.items() if key != "span_id"} for one in lines])
    flows = Counter((template, after) for _, _, template, after in windows(found.batches(), "flow"))
    assert flows == {("asked", "looked"): 1, ("looked", "sent"): 1, ("sent", ""): 1}
