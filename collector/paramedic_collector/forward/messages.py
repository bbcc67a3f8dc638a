"""The official OTLP messages of each signal."""

from typing import Final

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace

from paramedic_collector.otlp import Signal

REQUESTS: Final[dict[Signal, type[Message]]] = {
    Signal.TRACES: trace.ExportTraceServiceRequest,
    Signal.METRICS: metrics.ExportMetricsServiceRequest,
    Signal.LOGS: logs.ExportLogsServiceRequest,
}
RESPONSES: Final[dict[Signal, type[Message]]] = {
    Signal.TRACES: trace.ExportTraceServiceResponse,
    Signal.METRICS: metrics.ExportMetricsServiceResponse,
    Signal.LOGS: logs.ExportLogsServiceResponse,
}
# Where a response says how many items were turned down.
REJECTED: Final = {
    Signal.TRACES: "rejected_spans",
    Signal.METRICS: "rejected_data_points",
    Signal.LOGS: "rejected_log_records",
}
