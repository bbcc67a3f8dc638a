"""The example in docs/how-to/forward-telemetry.md is a configuration that runs and forwards."""

import re
from pathlib import Path

import httpx
from forward_kit import one_log, one_span, until
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from paramedic_collector.bus import InProcessBus
from paramedic_collector.config.load import parse
from paramedic_collector.main import Collector
from paramedic_collector.otlp import Signal

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "forward-telemetry.md"


def test_the_example_of_the_guide_runs_and_forwards(tmp_path, web):
    (text,) = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    text = text.replace("decision_wait: 10s", "decision_wait: 100ms")
    free = {"PARAMEDIC_OTLP_GRPC": "localhost:0", "PARAMEDIC_OTLP_HTTP": "localhost:0", "BACKEND_URL": web.url}
    collector = Collector(parse(text, free), InProcessBus(), tmp_path)
    collector.start()
    try:
        base = f"http://localhost:{collector.addresses['http'].port}/v1"
        headers = {"content-type": "application/x-protobuf"}
        for signal, payload in (("traces", _failed("a")), ("traces", one_span("b")), ("logs", one_log("hello"))):
            httpx.post(f"{base}/{signal}", content=payload, headers=headers, trust_env=False).raise_for_status()
        until(lambda: {got.signal for got in web.taken} == {Signal.TRACES, Signal.LOGS}, "both arrive")
    finally:
        collector.stop()
    traces = [got for got in web.taken if got.signal is Signal.TRACES]
    assert "a" in [span.name for got in traces for span in got.message.resource_spans[0].scope_spans[0].spans]
    assert {(got.headers["content-encoding"], got.headers["x-team"]) for got in web.taken} == {("zstd", "bots")}


def test_the_guide_names_the_counters_that_there_are(tmp_path):
    free = {"PARAMEDIC_OTLP_GRPC": "localhost:0", "PARAMEDIC_OTLP_HTTP": "localhost:0"}
    (text,) = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    collector = Collector(parse(text, free), InProcessBus(), tmp_path)
    collector.start()
    have = collector.counters
    collector.stop()
    named = set(re.findall(r"`((?:otelcol|paramedic)_[a-z_]+)`", GUIDE.read_text()))
    assert named
    assert {name.removesuffix("_total") for name in named} <= set(have)


def _failed(name):
    message = ExportTraceServiceRequest.FromString(one_span(name))
    message.resource_spans[0].scope_spans[0].spans[0].status.code = 2
    return message.SerializeToString()
