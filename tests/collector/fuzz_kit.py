"""What the fuzz tests share: payloads to spoil, how they are spoiled, and how long to go on."""

import os

from collector_kit import NANO, T0, Made, payload
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from paramedic_collector.otlp import Signal

# `make fuzz` sets it; a second is worth about 100 examples of the cheap tests.
TIMES = float(os.environ.get("PARAMEDIC_FUZZ_TIMES", "0"))
REQUESTS = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}


def examples(quick):
    """Settings of a fuzz test: `quick` examples with `make test`, many with `make fuzz`."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
    most = int(quick + quick * TIMES)
    return settings(max_examples=most, deadline=None, suppress_health_check=slow, derandomize=not TIMES)


def _spans():
    made = [
        Made(span=bytes([n]) * 8, start_ns=T0 * NANO, attributes={"a": n, "b": n / 2, "c": "x" * n})
        for n in range(1, 5)
    ]
    made[0].event = {"exception.type": "ValueError"}
    return payload(*made)


def _metrics():
    message = ExportMetricsServiceRequest()
    resource = message.resource_metrics.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "bot"
    metrics = resource.scope_metrics.add().metrics
    metrics.add(name="gauge").gauge.data_points.add(time_unix_nano=T0 * NANO, as_double=1.5)
    total = metrics.add(name="sum").sum
    total.is_monotonic, total.aggregation_temporality = True, 2
    total.data_points.add(time_unix_nano=T0 * NANO, start_time_unix_nano=T0 * NANO - NANO, as_int=7)
    point = metrics.add(name="histogram").histogram.data_points.add(time_unix_nano=T0 * NANO, count=3, sum=2.5)
    point.bucket_counts.extend([1, 2])
    point.explicit_bounds.append(0.5)
    point = metrics.add(name="exponential").exponential_histogram.data_points.add(time_unix_nano=T0 * NANO, count=2)
    point.positive.bucket_counts.extend([1, 1])
    return message.SerializeToString()


def _logs():
    message = ExportLogsServiceRequest()
    resource = message.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "bot"
    records = resource.scope_logs.add().log_records
    one = records.add(time_unix_nano=T0 * NANO, severity_number=17, trace_id=b"\1" * 16, span_id=b"\2" * 8)
    one.body.string_value = "order 4711 failed"
    records.add(time_unix_nano=T0 * NANO).body.kvlist_value.values.add(key="k").value.array_value.values.add(
        int_value=1
    )
    return message.SerializeToString()


GOOD = {Signal.TRACES: _spans(), Signal.METRICS: _metrics(), Signal.LOGS: _logs()}


@st.composite
def spoiled(draw, good):
    """Some bytes changed, cut out, put in, doubled; or none."""
    body = bytearray(good)
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(body)))
        how = draw(st.integers(0, 4))
        if how == 0 and at < len(body):
            body[at] = draw(st.integers(0, 255))
        elif how == 1:
            del body[at : at + draw(st.integers(1, 20))]
        elif how == 2:
            body[at:at] = draw(st.binary(max_size=12))
        elif how == 3:
            body[at:at] = body[at : at + draw(st.integers(1, 60))]
        elif at < len(body):
            body[at] ^= 1 << draw(st.integers(0, 7))
    return bytes(body)


def payloads(signal):
    """Random bytes, or a good request that was spoiled."""
    return st.one_of(spoiled(GOOD[signal]), st.binary(max_size=300))
