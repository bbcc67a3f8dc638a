"""A recorded span as evidence shows it: the whole span, read back from the flight recorder."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from paramedic_collector.columns.keys import EXCEPTION, SERVICE, STATUS_CODES
from paramedic_collector.facts import KINDS
from paramedic_collector.otlp import Signal
from paramedic_collector.record.segments import Frame
from paramedic_collector.redact import redact_text

_STATUSES = ("unset", "ok", "error")


@dataclass(frozen=True, slots=True)
class Span:
    """One span of a trace; its texts hold no personal data."""

    trace_id: str  # 32 hex digits
    span_id: str  # 16 hex digits
    parent_id: str  # "" for a root
    service: str
    instance: str
    name: str
    kind: str  # "server", "client", "internal", "producer", "consumer"
    start_unix_ns: int
    duration_ns: int
    status: str  # "unset", "ok", "error"
    error_type: str  # "" when it worked
    attributes: dict[str, Any] = field(default_factory=dict)


def spans_in(frame: Frame, trace_ids: Collection[bytes]) -> Iterator[Span]:
    """The spans of a frame that belong to `trace_ids`."""
    if frame.signal is not Signal.TRACES:
        return
    for resource_spans in ExportTraceServiceRequest.FromString(frame.payload()).resource_spans:
        resource = _plain(resource_spans.resource.attributes)
        for scope in resource_spans.scope_spans:
            for span in scope.spans:
                if span.trace_id in trace_ids:
                    yield _span(span, resource)


def _span(span: Any, resource: dict[str, Any]) -> Span:
    attributes = _plain(span.attributes)
    status = _STATUSES[span.status.code] if span.status.code < len(_STATUSES) else "unset"
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        service=str(resource.get(SERVICE, "")),
        instance=str(resource.get("service.instance.id", "")),
        name=_clean(span.name),
        kind=KINDS[span.kind] if span.kind < len(KINDS) else "internal",
        start_unix_ns=span.start_time_unix_nano,
        duration_ns=max(span.end_time_unix_nano - span.start_time_unix_nano, 0),
        status=status,
        error_type=_error_type(status, attributes, span),
        attributes=attributes,
    )


def _error_type(status: str, attributes: dict[str, Any], span: Any) -> str:
    """As the windows name it: see `paramedic_collector.facts`."""
    if attributes.get("error.type"):
        return str(attributes["error.type"])
    if status != "error":
        return ""
    codes = [str(attributes[key]) for key in STATUS_CODES if str(attributes.get(key, ""))[:1] in ("4", "5")]
    raised = [_plain(event.attributes).get(EXCEPTION) for event in span.events]
    return str(next((one for one in (*codes, attributes.get(EXCEPTION), *raised) if one), "_OTHER"))


def _plain(pairs: Collection[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return _clean(value.string_value)
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    if kind == "kvlist_value":
        return _plain(value.kvlist_value.values)
    return getattr(value, kind) if kind else None


def _clean(text: str) -> str:
    """Redacted again: a segment may have been written under older rules."""
    return redact_text(text.encode()).decode(errors="replace")
