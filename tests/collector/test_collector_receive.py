"""The receivers, over real sockets: what real SDKs send, what is broken, and what is meant to hurt."""

import gzip
import http.client
import json
import os
import socket
import threading
import time
from types import SimpleNamespace

import grpc
import pytest
from collector_kit import Made, config_of, payload, rows, running
from google.protobuf import json_format
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from paramedic_collector.bus import InProcessBus
from paramedic_collector.counters import REFUSED_REQUESTS, Counters
from paramedic_collector.intake import Intake, Reply
from paramedic_collector.main import Collector
from paramedic_collector.otlp import Signal
from paramedic_collector.receive.addresses import AddressInUse, Endpoint
from paramedic_collector.receive.grpc import GrpcReceiver
from paramedic_collector.receive.http import App, HttpReceiver
from paramedic_collector.record.recorder import Recorder
from paramedic_collector.redact import Redactor

PROTOBUF = "application/x-protobuf"
LIMIT = 300_000


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    collector, bus = running(tmp_path_factory.mktemp("data"), limit_bytes=LIMIT)
    yield collector, bus
    collector.stop()


def now_span(**more):
    return Made(start_ns=time.time_ns(), duration_ns=1_000_000, trace=os.urandom(16), span=os.urandom(8), **more)


def post(collector, body, path="/v1/traces", content_type=PROTOBUF, method="POST", **headers):
    endpoint = collector.addresses["http"]
    connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=10)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, {"content-type": content_type, **named})
    answer = connection.getresponse()
    answer.text = answer.read()
    connection.close()
    return answer


def export(collector, body, service="trace.v1.TraceService", **options):
    with grpc.insecure_channel(str(collector.addresses["grpc"])) as channel:
        call = channel.unary_unary(f"/opentelemetry.proto.collector.{service}/Export")
        return call(body, timeout=10, **options)


def recorded(collector, made):
    return collector.recorder.traces([made.trace.hex()]).get(made.trace.hex(), [])


def works(collector):
    """A good request on both ports still gets its answer and is recorded."""
    over_http, over_grpc = now_span(), now_span()
    assert post(collector, payload(over_http)).status == 200
    assert export(collector, payload(over_grpc)) == b""
    return len(recorded(collector, over_http)) == len(recorded(collector, over_grpc)) == 1


def wait_for_rows(bus, family, wanted, seconds=8.0):
    """Rows of a family until `wanted` says it has seen enough."""
    found, give_up = [], time.monotonic() + seconds
    while not wanted(found):
        assert time.monotonic() < give_up, found
        found += rows(bus.batches(0.5), family)
    return found


@pytest.mark.parametrize("transport", ["grpc", "http", "http+gzip"])
def test_the_python_sdks_spans_become_windows(served, transport):
    collector, bus = served
    http_url = f"http://{collector.addresses['http']}/v1/traces"
    exporter = {
        "grpc": lambda: GrpcSpans(endpoint=f"http://{collector.addresses['grpc']}", insecure=True),
        "http": lambda: HttpSpans(endpoint=http_url),
        "http+gzip": lambda: HttpSpans(endpoint=http_url, compression=Compression.Gzip),
    }[transport]()
    provider = TracerProvider(resource=Resource.create({"service.name": f"bot-{transport}"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("tests")
    with tracer.start_as_current_span("outer"), tracer.start_as_current_span("inner"):
        pass
    provider.shutdown()
    mine = lambda found: [row for row in found if row["service"] == f"bot-{transport}"]  # noqa: E731
    found = wait_for_rows(bus, "op", lambda found: sum(r["self_time"] is not None for r in mine(found)) >= 2)
    counts = {name: sum(r["count"] for r in mine(found) if r["operation"] == name) for name in ("outer", "inner")}
    assert counts == {"outer": 1, "inner": 1}


@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_the_python_sdks_metrics_and_logs_become_windows(served, transport):
    collector, bus = served
    resource = Resource.create({"service.name": f"tool-{transport}"})
    grpc_url, http_url = f"http://{collector.addresses['grpc']}", f"http://{collector.addresses['http']}"
    metrics = (
        GrpcMetrics(endpoint=grpc_url, insecure=True) if transport == "grpc" else HttpMetrics(f"{http_url}/v1/metrics")
    )
    lines = GrpcLogs(endpoint=grpc_url, insecure=True) if transport == "grpc" else HttpLogs(f"{http_url}/v1/logs")
    meters = MeterProvider([PeriodicExportingMetricReader(metrics, 60_000)], resource=resource)
    meters.get_meter("tests").create_gauge("queue.depth").set(7)
    meters.shutdown()
    loggers = LoggerProvider(resource=resource)
    loggers.add_log_record_processor(SimpleLogRecordProcessor(lines))
    loggers.get_logger("tests").emit(
        timestamp=time.time_ns(), severity_number=SeverityNumber.ERROR, body="order 4711 failed"
    )
    loggers.shutdown()
    batches, give_up = [], time.monotonic() + 8.0

    def seen(family):
        return [row for row in rows(batches, family) if row["service"] == f"tool-{transport}"]

    while not (seen("gauge") and seen("log")):
        assert time.monotonic() < give_up
        batches += bus.batches(0.5)
    assert [(row["metric"], row["sum"]) for row in seen("gauge")] == [("queue.depth", 7.0)]
    assert [(row["severity"], row["template"]) for row in seen("log")] == [("ERROR", "order <n> failed")]


def test_success_is_an_empty_answer_in_the_encoding_of_the_request(served):
    collector, _ = served
    answer = post(collector, payload(now_span()))
    assert (answer.status, answer.headers["content-type"], answer.text) == (200, PROTOBUF, b"")
    assert not ExportTraceServiceResponse.FromString(answer.text).HasField("partial_success")
    answer = post(collector, b"{}", content_type="application/json; charset=utf-8")
    assert (answer.status, answer.headers["content-type"], answer.text) == (200, "application/json", b"{}")


@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
def test_an_empty_request_is_fine(served, signal):
    assert post(served[0], b"", f"/v1/{signal}").status == 200


def test_json_with_hex_ids_is_taken_on_the_same_port(served):
    collector, _ = served
    made = now_span(attributes={"n": 5})
    document = {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "browser"}}]},
                "scopeSpans": [
                    {
                        "spans": [
                            {
                                "traceId": made.trace.hex().upper(),
                                "spanId": made.span.hex(),
                                "name": "click",
                                "kind": 3,
                                "startTimeUnixNano": str(made.start_ns),
                                "endTimeUnixNano": made.start_ns + made.duration_ns,
                                "attributes": [{"key": "n", "value": {"intValue": "5"}}],
                                "someday": {"unknown": ["field"]},
                            }
                        ]
                    }
                ],
            }
        ]
    }
    answer = post(collector, json.dumps(document).encode(), content_type="application/json")
    assert answer.status == 200, answer.text
    (span,) = recorded(collector, made)
    assert (span.service, span.name, span.kind, span.span_id) == ("browser", "click", "client", made.span.hex())
    assert span.attributes == {"n": 5}


NO_OTLP = [
    b"{",
    b"[]",
    b'{"resourceSpans": 5}',
    b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "xyz"}]}]}]}',
    b"[" * 100_000,
    b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
]


@pytest.mark.parametrize("body", NO_OTLP)
def test_json_that_is_no_otlp_is_a_400_with_a_status(served, body):
    answer = post(served[0], body, content_type="application/json")
    assert answer.status == 400
    status = json_format.Parse(answer.text, Status())
    assert status.code == 3
    assert "no OTLP traces message" in status.message


@pytest.mark.parametrize("body", [b"\xff" * 50, b"hello world", payload(Made())[:-3], os.urandom(1000)])
def test_garbage_over_http_is_a_400_with_a_status_and_the_next_request_works(served, body):
    answer = post(served[0], body)
    assert (answer.status, answer.headers["content-type"]) == (400, PROTOBUF)
    assert Status.FromString(answer.text).code == 3
    assert works(served[0])


@pytest.mark.parametrize("body", [b"\xff" * 50, b"hello world", payload(Made())[:-3]])
def test_garbage_over_grpc_is_an_invalid_argument_and_the_next_request_works(served, body):
    with pytest.raises(grpc.RpcError) as caught:
        export(served[0], body)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "no OTLP traces message" in caught.value.details()
    assert works(served[0])


RAW_GARBAGE = [
    b"\x00" * 5000,
    b"GET / HTTP/9.9\r\n\r\n",
    b"POST /v1/traces HTTP/1.1\r\nX: " + b"a" * 200_000,
    b"\x16\x03\x01\x02\x00hello",  # somebody speaks TLS
    bytes(range(256)) * 12,
]


@pytest.mark.parametrize("port", ["http", "grpc"])
@pytest.mark.parametrize("garbage", RAW_GARBAGE)
def test_raw_garbage_on_a_port_hurts_nobody_else(served, port, garbage):
    endpoint = served[0].addresses[port]
    with socket.create_connection((endpoint.host, endpoint.port), timeout=5) as one:
        try:
            one.sendall(garbage)
            one.shutdown(socket.SHUT_WR)
            while one.recv(65536):
                pass
        except OSError:
            pass  # cut off is as good an answer as any
    assert works(served[0])


def test_gzip_is_undone(served):
    made = now_span()
    assert post(served[0], gzip.compress(payload(made)), content_encoding="gzip").status == 200
    assert len(recorded(served[0], made)) == 1


@pytest.mark.parametrize("body", [b"not gzip", gzip.compress(b"x" * 1000)[:-12], b"\x1f\x8b"])
def test_broken_gzip_is_a_400(served, body):
    assert post(served[0], body, content_encoding="gzip").status == 400


def test_a_gzip_bomb_is_refused_without_being_unpacked(served):
    """120 MiB in 120 KiB; the reply comes long before that much memory is taken."""
    import resource

    bomb = gzip.compress(b"\0" * (120 << 20), 6)
    assert len(bomb) < LIMIT
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = post(served[0], bomb, content_encoding="gzip")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert answer.status == 413
    assert grown < 50 << 10  # KiB
    assert works(served[0])


def test_a_gzip_bomb_over_grpc_is_refused_too(served):
    with pytest.raises(grpc.RpcError) as caught:
        export(served[0], b"\0" * (50 << 20), compression=grpc.Compression.Gzip)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert works(served[0])


def test_a_body_over_the_limit_is_a_413_that_says_where_to_raise_it(served):
    answer = post(served[0], b"\0" * (LIMIT + 1))
    assert answer.status == 413
    assert "max_request_body_size" in Status.FromString(answer.text).message


@pytest.mark.parametrize(
    ("method", "path", "content_type", "status"),
    [
        ("POST", "/v1/traces", "text/plain", 415),
        ("POST", "/v1/spans", PROTOBUF, 404),
        ("GET", "/v1/traces", PROTOBUF, 405),
        ("POST", "/healthz", PROTOBUF, 405),
    ],
)
def test_what_does_not_belong_here_is_told_so_with_a_status(served, method, path, content_type, status):
    answer = post(served[0], b"", path, content_type, method)
    assert answer.status == status
    read = Status.FromString if content_type == PROTOBUF else lambda text: json_format.Parse(text, Status())
    assert read(answer.text).message


def test_an_unknown_content_encoding_is_a_415(served):
    assert post(served[0], b"x", content_encoding="br").status == 415


def test_hundreds_of_idle_connections_do_not_stop_the_next_request(served):
    endpoint = served[0].addresses["http"]
    idle = [socket.create_connection((endpoint.host, endpoint.port), timeout=5) for _ in range(300)]
    for one in idle[::2]:
        one.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Le")
    try:
        assert works(served[0])
    finally:
        for one in idle:
            one.close()


def test_many_senders_at_once_are_all_recorded(served):
    spans = [now_span() for _ in range(60)]
    answers = []

    def send(part):
        answers.extend(post(served[0], payload(made)).status for made in part)

    senders = [threading.Thread(target=send, args=(spans[at::6],)) for at in range(6)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert answers == [200] * 60
    found = served[0].recorder.traces([made.trace.hex() for made in spans])
    assert len(found) == 60


def test_it_tells_about_itself(served):
    collector, _ = served
    works(collector)
    assert post(collector, None, "/healthz", method="GET").text == b"ok\n"
    assert post(collector, None, "/readyz", method="GET").status == 200
    text = post(collector, None, "/metrics", method="GET").text.decode()
    assert 'otelcol_receiver_accepted_items_total{signal="traces",transport="grpc"}' in text
    assert "# TYPE otelcol_exporter_queue_size gauge" in text


def test_a_connection_that_never_sends_its_request_is_closed(tmp_path):
    config = config_of(http=Endpoint("localhost", 0))
    collector = Collector(config, InProcessBus(), tmp_path, header_timeout_s=0.2)
    collector.start()
    endpoint = collector.addresses["http"]
    try:
        with socket.create_connection((endpoint.host, endpoint.port), timeout=10) as one:
            one.sendall(b"POST /v1/traces HT")
            assert one.recv(1000) == b""
    finally:
        collector.stop()


@pytest.fixture
def stuffed(tmp_path):
    """Both receivers in front of an intake that nobody drains and that has room for one payload."""
    recorder, counters = Recorder(tmp_path, clock=time.time), Counters()
    intake = Intake(recorder, Redactor(), counters, limit_bytes=1)
    assert intake.accept(Signal.TRACES, payload(now_span()), "test").reply is Reply.ACCEPTED
    app = App(intake, {}, limit_bytes=LIMIT, body_timeout_s=5.0)
    receivers = {
        "http": HttpReceiver(Endpoint("localhost", 0), app),
        "grpc": GrpcReceiver(Endpoint("localhost", 0), intake, limit_bytes=LIMIT),
    }
    yield SimpleNamespace(addresses={name: one.start() for name, one in receivers.items()}, counters=counters)
    for one in receivers.values():
        one.stop()


def test_a_full_queue_asks_http_senders_to_come_again(stuffed):
    answer = post(stuffed, payload(now_span()))
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert Status.FromString(answer.text).code == 14
    assert stuffed.counters.total(REFUSED_REQUESTS, reason="no_room", transport="http") == 1


def test_a_full_queue_asks_grpc_senders_to_come_again_and_says_when(stuffed):
    with pytest.raises(grpc.RpcError) as caught:
        export(stuffed, payload(now_span()))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    details = dict(caught.value.trailing_metadata())["grpc-status-details-bin"]
    retry = RetryInfo()
    assert Status.FromString(details).details[0].Unpack(retry)
    assert retry.retry_delay.seconds == 1


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_port_in_use_is_one_sentence_that_names_it_and_the_cure(tmp_path, protocol):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        setting = f"receivers.otlp.protocols.{protocol}.endpoint in otel-config.yaml"
        endpoints = {protocol: Endpoint("localhost", port, setting)}
        collector = Collector(config_of(**endpoints), InProcessBus(), tmp_path)
        with pytest.raises(AddressInUse) as caught:
            collector.start()
    assert str(caught.value) == (
        f"port {port} on localhost is in use by another process: stop that, or choose another port with {setting}"
    )
