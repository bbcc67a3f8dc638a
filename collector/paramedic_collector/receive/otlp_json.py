"""OTLP as JSON, turned into the protobuf bytes that every other request comes as.

JSON is for hand-made requests and browsers; it costs ten times as much as protobuf and takes the same
way from here on. Ids are hex digits in OTLP's JSON, where protobuf's own mapping has base64.
"""

import base64
import json
import threading
from collections.abc import Iterator
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from paramedic_collector.otlp import Signal, Undecodable

_REQUESTS: Final[dict[Signal, type[Message]]] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}
_MOST_VALUES: Final = 1_000_000  # as Python objects they take about 150 MB, and seconds of work
_one_at_a_time = threading.Lock()
_HEX: Final = ("traceId", "spanId", "parentSpanId")


class TooMany(ValueError):
    """The body has more values than one request may have; the message says so to its sender."""


def to_protobuf(signal: Signal, body: bytes) -> bytes:
    """The same request as protobuf bytes. One at a time in a process, so that their memory does not add up.

    Raises:
        Undecodable: No JSON, or JSON that is no OTLP request of this signal.
        TooMany: So many values in it that it would take too much memory.
    """
    values = sum(body.count(one) for one in (b",", b"{", b"["))  # never less than there are
    if values > _MOST_VALUES:
        raise TooMany(f"the body has about {values} JSON values, the limit is {_MOST_VALUES}: send smaller batches")
    with _one_at_a_time:
        return _converted(signal, body)


def _converted(signal: Signal, body: bytes) -> bytes:
    try:
        document = json.loads(body) if body.strip() else {}
        if not isinstance(document, dict):
            raise ValueError(f"expected an object, got {type(document).__name__}")
        for one in _objects(document):
            _hex_to_base64(one)
        request = json_format.ParseDict(document, _REQUESTS[signal](), ignore_unknown_fields=True)
        return bytes(request.SerializeToString())
    except (ValueError, TypeError, AttributeError, RecursionError, json_format.ParseError) as error:
        raise Undecodable(f"the body is no OTLP {signal} message in JSON: {str(error)[:300]}") from None


def _objects(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every object inside, without recursion: a body may be nested as deep as its sender likes."""
    left: list[Any] = [document]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            yield one
            left.extend(one.values())
        elif isinstance(one, list):
            left.extend(one)


def _hex_to_base64(one: dict[str, Any]) -> None:
    for key in _HEX:
        if isinstance(one.get(key), str):
            one[key] = base64.b64encode(bytes.fromhex(one[key])).decode()
