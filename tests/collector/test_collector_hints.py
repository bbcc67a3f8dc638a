"""What a bot should mend is found from what it sends, told seldom, and forgotten when it is mended."""

import threading
import time
import urllib.request

import numpy as np
import pytest
from collector_kit import T0, Made, payload, running
from metrics_kit import histogram, message, number
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from paramedic_collector.hints import HOLD_S, SAY_S, Advice, Hints
from paramedic_collector.metrics_points import points_of

NAMES = ["", "support-bot", "unknown_service:python"]


def see(hints, *metrics, second=0.0, **options):
    hints.see_points(points_of([message(*metrics, **options)]), T0 + second)


def see_spans(hints, lags, *, second=0.0, service=1):
    hints.see_spans(np.full(len(lags), service), np.array(lags, float), NAMES.__getitem__, T0 + second)


def current(hints, second=0.0):
    return [(one.service, one.advice) for one in hints.current(T0 + second)]


def export_each(hints, interval, times, first=0.0):
    for n in range(times):
        at = first + n * interval
        see(hints, number("cpu", "gauge", 1, at), number("ram", "gauge", 1, at), second=at)


def test_metrics_each_minute_are_found_after_three_regular_intervals():
    hints = Hints()
    export_each(hints, 60.0, 3)
    assert current(hints, 121) == []
    export_each(hints, 60.0, 2, first=180)
    (hint,) = hints.current(T0 + 241)
    assert str(hint).startswith("support-bot exports its metrics each 60 s: set OTEL_METRIC_EXPORT_INTERVAL=5000")


@pytest.mark.parametrize("seconds", [range(0, 100, 5), (0, 40, 130, 300, 500, 900), (0, 60, 61, 120, 125, 180, 181)])
def test_quick_and_irregular_exports_are_fine(seconds):
    """A bot that has nothing to say exports nothing; that is no interval."""
    hints = Hints()
    for at in seconds:
        see(hints, number("cpu", "gauge", 1, at), second=at)
    assert current(hints, seconds[-1]) == []


def test_an_export_in_several_requests_is_one():
    hints = Hints()
    for at in (0, 60, 120, 180):
        for part in range(3):
            see(hints, number(f"cpu.{part}", "gauge", 1, at), second=at + 0.1 * part)
    assert current(hints, 181) == [("support-bot", Advice.SLOW_METRICS)]


def test_what_a_collector_counted_of_spans_says_nothing_of_the_bots_exports():
    hints = Hints()
    where = {"span.name": "chat", "span.kind": "SPAN_KIND_CLIENT", "service.name": "support-bot"}
    for at in range(0, 600, 60):
        see(hints, number("traces.span.metrics.calls", "delta", 1, at, where), second=at)
    assert current(hints, 600) == []


def test_spans_of_a_slow_exporter_are_late():
    hints = Hints()
    for n in range(3):
        assert current(hints, 5 * n) == []
        see_spans(hints, [0.1, 5.2, 2.0], second=5 * n)
    (hint,) = hints.current(T0 + 10)
    assert str(hint).startswith("spans of support-bot arrive 5.2 s after they ended: set OTEL_BSP_SCHEDULE_DELAY=1000")


@pytest.mark.parametrize("lags", [[0.2, 3.9], [400.0, 61.0], [-0.5]])
def test_prompt_spans_and_the_backlog_of_an_outage_are_fine(lags):
    hints = Hints()
    for n in range(9):
        see_spans(hints, lags, second=5 * n)
    assert current(hints, 45) == []


def test_one_export_that_comes_in_pieces_is_one_piece_of_evidence():
    hints = Hints()
    for n in range(9):
        see_spans(hints, [5.0], second=0.1 * n)
    assert current(hints, 1) == []


def test_a_clock_that_is_ahead_is_found_in_spans_and_in_metrics():
    hints = Hints()
    for n in range(3):
        see_spans(hints, [-30.0, 0.1], second=5 * n)
        see(hints, number("cpu", "gauge", 1, 90 + 5 * n), second=5 * n, service="other")
    assert current(hints, 15) == [("support-bot", Advice.CLOCK_AHEAD), ("other", Advice.CLOCK_AHEAD)]
    assert "clock of support-bot is 30.0 s ahead" in str(hints.current(T0 + 15)[0])


@pytest.mark.parametrize("service", [0, 2])
def test_a_bot_without_a_name_is_told_at_once(service):
    hints = Hints()
    see_spans(hints, [0.1], service=service)
    assert current(hints) == [(NAMES[service], Advice.NO_SERVICE_NAME)]
    assert "set OTEL_SERVICE_NAME" in str(hints.current(T0)[0])


def test_metrics_without_a_service_name_are_told_too():
    hints = Hints()
    see(hints, number("cpu", "gauge", 1), service=None)
    assert current(hints) == [("", Advice.NO_SERVICE_NAME)]
    assert "a bot without service.name" in str(hints.current(T0)[0])


class Stuck(SpanExporter):
    """A backend that does not answer until it is let go."""

    def __init__(self):
        self.free = threading.Event()

    def export(self, _spans):
        self.free.wait(20)
        return SpanExportResult.FAILURE


def test_the_sdks_own_metrics_tell_of_a_full_queue(monkeypatch):
    """The SDK's own processor, with a queue of two and a backend that hangs."""
    monkeypatch.setenv("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "true")
    reader, backend = InMemoryMetricReader(), Stuck()
    meters = MeterProvider([reader], Resource({"service.name": "support-bot"}))
    processor = BatchSpanProcessor(backend, max_queue_size=2, max_export_batch_size=1, meter_provider=meters)
    spans = TracerProvider()
    spans.add_span_processor(processor)
    for _ in range(9):
        spans.get_tracer("tests").start_span("call").end()
    hints = Hints()
    hints.see_points(points_of([encode_metrics(reader.get_metrics_data())]), T0 - 1e9)
    backend.free.set()
    processor.shutdown()
    assert Advice.QUEUE_FULL in [one.advice for one in hints.current(T0 - 1e9)]


@pytest.mark.parametrize(
    ("name", "attributes", "advice"),
    [
        ("otel.sdk.processor.log.processed", {"error.type": "queue_full"}, Advice.QUEUE_FULL),
        ("otel.sdk.processor.span.processed.count", {"error.type": "queue_full"}, Advice.QUEUE_FULL),
        ("otel.sdk.processor.span.processed", {"error.type": "already_shutdown"}, None),
        ("otel.sdk.processor.span.processed", {}, None),
        ("otel.sdk.exporter.span.exported", {"error.type": "UNAVAILABLE"}, Advice.EXPORT_FAILING),
        ("otel.sdk.exporter.span.exported", {}, None),
        ("paramedic.dropped", {"paramedic.dropped.what": "telemetry"}, Advice.GUARD_DROPS),
    ],
)
@pytest.mark.parametrize("kind", ["delta", "cumulative"])
def test_drops_are_told_by_what_counts_them(name, attributes, advice, kind):
    hints = Hints()
    see(hints, number(name, kind, 4, 0, attributes), histogram("wait", [1], []))
    assert current(hints) == ([("support-bot", advice)] if advice else [])


def test_a_total_that_does_not_grow_any_more_is_no_news():
    hints = Hints()
    for at in range(0, 1300, 20):
        see(hints, number("paramedic.dropped", "cumulative", 4, at), second=at)
    assert current(hints, HOLD_S - 1) == [("support-bot", Advice.GUARD_DROPS)]
    assert current(hints, 1300) == []


def test_a_hint_is_logged_once_an_hour_while_it_holds():
    hints = Hints()
    said = []
    for second in range(0, int(2 * SAY_S), 300):
        see_spans(hints, [0.1], second=second, service=2)
        said += [second for _ in hints.due(T0 + second)]
    assert said == [0, SAY_S]


def test_what_is_mended_is_forgotten():
    hints = Hints()
    see_spans(hints, [0.1], service=2)
    held = []
    for later in (0, HOLD_S, HOLD_S + 1):
        hints.due(T0 + later)
        held.append(hints.holds(NAMES[2], Advice.NO_SERVICE_NAME))
    assert held == [True, True, False]
    assert not hints.holds("another", Advice.NO_SERVICE_NAME)


def test_hints_are_bounded():
    hints = Hints()
    for n in range(2_000):
        see(hints, number("cpu", "gauge", 1), service=f"unknown_service:{n}")
    assert len(hints.current(T0)) == 500


def test_a_running_collector_shows_the_hint_as_a_metric_and_logs_it(tmp_path, caplog):
    collector, _ = running(tmp_path)
    endpoint = f"http://127.0.0.1:{collector.addresses['http'].port}"
    body = payload(Made(service='unknown_service:"x', start_ns=time.time_ns()))
    try:
        urllib.request.urlopen(
            urllib.request.Request(f"{endpoint}/v1/traces", body, {"Content-Type": "application/x-protobuf"})
        )
        give_up_at = time.monotonic() + 20
        while not collector.counters.get("paramedic_hint"):
            assert time.monotonic() < give_up_at, "the hint never came"
            time.sleep(0.05)
        page = urllib.request.urlopen(f"{endpoint}/metrics").read().decode()
    finally:
        collector.stop()
    assert r'paramedic_hint{hint="no_service_name",service="unknown_service:\"x"} 1' in page
    assert [one for one in caplog.messages if "set OTEL_SERVICE_NAME" in one] != []
