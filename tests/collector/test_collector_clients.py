"""Real clients: what the exporters of OpenTelemetry's SDK for Python send becomes windows."""

from pathlib import Path

import grpc
import pytest
from certificates_kit import make_certificates
from clients_kit import TOKEN, clients
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExportResult

from paramedic_collector.config.model import ServerTls
from paramedic_collector.counters import REFUSED_REQUESTS

BEARER = f"Bearer {TOKEN}"


@pytest.fixture(autouse=True)
def own_authority(monkeypatch):
    """The library under the exporters believes this variable more than what it is told."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    one = clients(tmp_path_factory.mktemp("data"))
    yield one
    one.collector.stop()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, files):
    """With TLS and a token."""
    one = clients(tmp_path_factory.mktemp("data"), tls=ServerTls(files.cert, files.key), tokens=(TOKEN,))
    yield one
    one.collector.stop()


def send(service, spans, metrics, logs):
    """One span, one gauge, one log record; everything is sent when this returns."""
    resource = Resource.create({"service.name": service})
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(spans))
    tracers.get_tracer("tests").start_span("from-python").end()
    tracers.shutdown()
    meters = MeterProvider([PeriodicExportingMetricReader(metrics, 60_000)], resource=resource)
    meters.get_meter("tests").create_gauge("queue.depth").set(7)
    meters.shutdown()
    loggers = LoggerProvider(resource=resource)
    loggers.add_log_record_processor(BatchLogRecordProcessor(logs))
    loggers.get_logger("tests").emit(severity_number=SeverityNumber.ERROR, body="order 4711 failed")
    loggers.shutdown()


@pytest.mark.parametrize("packed", [False, True])
def test_the_grpc_exporters_are_understood(plain, packed):
    compression = grpc.Compression.Gzip if packed else grpc.Compression.NoCompression
    options = {"endpoint": plain.url("grpc"), "insecure": True, "compression": compression}
    service = f"grpc-{packed}"
    send(service, GrpcSpans(**options), GrpcMetrics(**options), GrpcLogs(**options))
    plain.assert_came(service, "from-python")


@pytest.mark.parametrize("compression", list(Compression))
def test_the_http_exporters_are_understood(plain, compression):
    kinds = {"traces": HttpSpans, "metrics": HttpMetrics, "logs": HttpLogs}
    exporters = [kind(f"{plain.url()}/v1/{signal}", compression=compression) for signal, kind in kinds.items()]
    send(f"http-{compression.value}", *exporters)
    plain.assert_came(f"http-{compression.value}", "from-python")


def test_the_grpc_exporters_may_use_tls_and_a_token(guarded, files):
    options = {
        "endpoint": guarded.url("grpc", "https"),
        "credentials": grpc.ssl_channel_credentials(Path(files.ca).read_bytes()),
        "headers": (("authorization", BEARER),),
    }
    send("grpc-guarded", GrpcSpans(**options), GrpcMetrics(**options), GrpcLogs(**options))
    guarded.assert_came("grpc-guarded", "from-python")


def test_the_http_exporters_may_use_tls_and_a_token(guarded, files):
    options = {"certificate_file": files.ca, "headers": {"authorization": BEARER}, "compression": Compression.Gzip}
    kinds = {"traces": HttpSpans, "metrics": HttpMetrics, "logs": HttpLogs}
    send("http-guarded", *(kind(f"{guarded.url('http', 'https')}/v1/{one}", **options) for one, kind in kinds.items()))
    guarded.assert_came("http-guarded", "from-python")


def test_an_exporter_without_the_token_is_refused_and_does_not_try_again(guarded, files):
    before = guarded.collector.counters[REFUSED_REQUESTS]
    exporter = HttpSpans(f"{guarded.url('http', 'https')}/v1/traces", certificate_file=files.ca)
    given = []
    exporter_export = exporter.export
    exporter.export = lambda spans: given.append(exporter_export(spans)) or given[-1]
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    tracers.get_tracer("tests").start_span("refused").end()
    assert given == [SpanExportResult.FAILURE]
    assert guarded.collector.counters[REFUSED_REQUESTS] == before + 1
