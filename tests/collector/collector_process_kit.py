"""Processors as a configuration builds them, and small OTLP requests to run them on."""

import pytest
import yaml
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from paramedic_collector.config.load import ConfigError, parse
from paramedic_collector.otlp import Signal
from paramedic_collector.process.values import plain, put, set_to


def configured(kind, settings, signal="traces"):
    document = {
        "receivers": {"otlp": {"protocols": {"grpc": None}}},
        "processors": {kind: settings},
        "exporters": {"debug": None},
        "service": {"pipelines": {signal: {"receivers": ["otlp"], "processors": [kind], "exporters": ["debug"]}}},
    }
    return parse(yaml.safe_dump(document), {})


def built(kind, settings, signal="traces"):
    """The processor that a configuration asks for."""
    (processor,) = configured(kind, settings, signal).pipelines[0].processors
    return processor


def refused(kind, settings, signal="traces"):
    """What is wrong with the settings of a processor."""
    with pytest.raises(ConfigError) as caught:
        configured(kind, settings, signal)
    return caught.value.mistakes


def put_all(attributes, values):
    for key, value in (values or {}).items():
        set_to(attributes, key, value)


def held(carrier):
    """The attributes of a message as a dict."""
    return {one.key: plain(one.value) for one in carrier.attributes}


def traces(*spans, resource=None, scope=""):
    """Spans of one resource, each a dict of the fields of a span; `attributes` and `events` as plain values."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    put_all(group.resource.attributes, resource or {"service.name": "bot"})
    inner = group.scope_spans.add()
    inner.scope.name = scope
    for fields in spans:
        given = dict(fields)
        attributes, events, status = given.pop("attributes", {}), given.pop("events", {}), given.pop("status", 0)
        span = inner.spans.add(**given)
        put_all(span.attributes, attributes)
        span.status.code = status
        for name, values in events.items():
            put_all(span.events.add(name=name).attributes, values)
    return request


def spans_of(requests):
    return [
        span
        for request in requests
        for group in request.resource_spans
        for inner in group.scope_spans
        for span in inner.spans
    ]


def names_of(requests):
    return [span.name for span in spans_of(requests)]


def logs(*records, resource=None):
    """Log records, each (body, attributes, severity_number)."""
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    put_all(group.resource.attributes, resource)
    inner = group.scope_logs.add()
    for body, attributes, severity in records:
        record = inner.log_records.add(severity_number=severity)
        put(record.body, body)
        put_all(record.attributes, attributes)
    return request


def records_of(requests):
    return [
        one
        for request in requests
        for group in request.resource_logs
        for inner in group.scope_logs
        for one in inner.log_records
    ]


def gauges(**metrics):
    """Gauges by name, each a list of the attributes of its points."""
    request = ExportMetricsServiceRequest()
    inner = request.resource_metrics.add().scope_metrics.add()
    for name, points in metrics.items():
        metric = inner.metrics.add(name=name)
        metric.gauge.SetInParent()
        for attributes in points:
            put_all(metric.gauge.data_points.add(as_int=1).attributes, attributes)
    return request


def metrics_of(requests):
    return {
        metric.name: [held(point) for point in metric.gauge.data_points]
        for request in requests
        for group in request.resource_metrics
        for inner in group.scope_metrics
        for metric in inner.metrics
    }


TRACES, METRICS, LOGS = Signal.TRACES, Signal.METRICS, Signal.LOGS
