"""The part of OTLP that paramedic reads, as protobuf descriptors made by hand.

    opentelemetry/proto/*.proto --only the wanted fields, same numbers--> DESCRIPTORS[signal]

A parser that is given fewer fields skips the rest without building anything. `AnyValue` is not
recursive here: a list or a map inside an attribute is skipped, since no series is made of one.
"""

from enum import StrEnum
from typing import Final

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor

Field = descriptor_pb2.FieldDescriptorProto


class Signal(StrEnum):
    """What a payload carries; the value is the last part of its HTTP path."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"


# message: {field: (number, type)}; "*" repeats, "|" is one of several, a capital letter names a message.
_MESSAGES: Final[dict[str, dict[str, tuple[int, str]]]] = {
    "AnyValue": {
        "string_value": (1, "|string"),
        "bool_value": (2, "|bool"),
        "int_value": (3, "|int64"),
        "double_value": (4, "|double"),
    },
    "KeyValue": {"key": (1, "string"), "value": (2, "AnyValue")},
    "Resource": {"attributes": (1, "*KeyValue")},
    "Status": {"code": (3, "int32")},
    "Event": {"attributes": (3, "*KeyValue")},
    "Span": {
        "trace_id": (1, "bytes"),
        "span_id": (2, "bytes"),
        "parent_span_id": (4, "bytes"),
        "name": (5, "string"),
        "kind": (6, "int32"),
        "start_time_unix_nano": (7, "fixed64"),
        "end_time_unix_nano": (8, "fixed64"),
        "attributes": (9, "*KeyValue"),
        "events": (11, "*Event"),
        "status": (15, "Status"),
    },
    "ScopeSpans": {"items": (2, "*Span")},
    "ResourceSpans": {"resource": (1, "Resource"), "scopes": (2, "*ScopeSpans")},
    "Traces": {"resources": (1, "*ResourceSpans")},
    "NumberPoint": {
        "time_unix_nano": (3, "fixed64"),
        "as_double": (4, "|double"),
        "as_int": (6, "|sfixed64"),
        "attributes": (7, "*KeyValue"),
    },
    "HistogramPoint": {  # the first fields are the same in both kinds of histogram, but for the attributes
        "time_unix_nano": (3, "fixed64"),
        "count": (4, "fixed64"),
        "sum": (5, "double"),
        "attributes": (9, "*KeyValue"),
    },
    "ExponentialPoint": {
        "attributes": (1, "*KeyValue"),
        "time_unix_nano": (3, "fixed64"),
        "count": (4, "fixed64"),
        "sum": (5, "double"),
    },
    "Gauge": {"points": (1, "*NumberPoint")},
    "Sum": {"points": (1, "*NumberPoint"), "temporality": (2, "int32"), "is_monotonic": (3, "bool")},
    "Histogram": {"points": (1, "*HistogramPoint"), "temporality": (2, "int32")},
    "Exponential": {"points": (1, "*ExponentialPoint"), "temporality": (2, "int32")},
    "Metric": {
        "name": (1, "string"),
        "gauge": (5, "|Gauge"),
        "sum": (7, "|Sum"),
        "histogram": (9, "|Histogram"),
        "exponential": (10, "|Exponential"),
    },
    "ScopeMetrics": {"items": (2, "*Metric")},
    "ResourceMetrics": {"resource": (1, "Resource"), "scopes": (2, "*ScopeMetrics")},
    "Metrics": {"resources": (1, "*ResourceMetrics")},
    "LogRecord": {
        "time_unix_nano": (1, "fixed64"),
        "severity_number": (2, "int32"),
        "severity_text": (3, "string"),
        "body": (5, "AnyValue"),
        "trace_id": (9, "bytes"),
        "observed_time_unix_nano": (11, "fixed64"),
    },
    "ScopeLogs": {"items": (2, "*LogRecord")},
    "ResourceLogs": {"resource": (1, "Resource"), "scopes": (2, "*ScopeLogs")},
    "Logs": {"resources": (1, "*ResourceLogs")},
}
_PACKAGE: Final = "paramedic.otlp"


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="paramedic/otlp.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            _add_field(message, field, number, kind)
    return file


def _add_field(message: descriptor_pb2.DescriptorProto, name: str, number: int, kind: str) -> None:
    mark, bare = (kind[0], kind[1:]) if kind[0] in "*|" else ("", kind)
    label = Field.LABEL_REPEATED if mark == "*" else Field.LABEL_OPTIONAL
    field = message.field.add(name=name, number=number, label=label)
    if bare[0].isupper():
        field.type, field.type_name = Field.TYPE_MESSAGE, f".{_PACKAGE}.{bare}"
    else:
        field.type = Field.Type.Value(f"TYPE_{bare.upper()}")
    if mark == "|":
        if not message.oneof_decl:
            message.oneof_decl.add(name="one")
        field.oneof_index = 0


_pool = descriptor_pool.DescriptorPool()  # our own: the default pool holds the full OTLP under its own names
_pool.Add(_file())
DESCRIPTORS: Final[dict[Signal, Descriptor]] = {
    signal: _pool.FindMessageTypeByName(f"{_PACKAGE}.{signal.value.title()}") for signal in Signal
}
