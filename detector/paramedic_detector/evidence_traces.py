"""An example trace as a page shows it: times from its first span, and only attributes that are known to be harmless.

The list of attributes is of what may pass, not of what may not: prompts, answers and headers never get this far.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Protocol

from paramedic.contract import attributes as names
from paramedic_detector.api.schemas import SpanOut, TraceOut

SPANS: Final = 60  # of one trace
LONGEST_VALUE: Final = 120
SHOWN: Final = frozenset(
    {
        names.PEER,
        names.PEER_ZONE,
        names.ERROR_TYPE,
        names.GUARD,
        names.DECISION,
        names.REFUSED_BY,
        names.FALLBACK_LEVEL,
        names.PROBE,
        names.LEASE_ID,
        names.USELESS,
        names.COST_USD,
        names.GENAI_OPERATION,
        names.GENAI_PROVIDER,
        names.GENAI_REQUEST_MODEL,
        names.GENAI_RESPONSE_MODEL,
        names.GENAI_INPUT_TOKENS,
        names.GENAI_OUTPUT_TOKENS,
        names.GENAI_FINISH_REASONS,
        names.TIME_TO_FIRST_CHUNK,
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "db.system.name",
    }
)


class RecordedSpan(Protocol):
    """What a flight recorder gives."""

    @property
    def span_id(self) -> str: ...
    @property
    def parent_id(self) -> str: ...
    @property
    def service(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def start_unix_ns(self) -> int: ...
    @property
    def duration_ns(self) -> int: ...
    @property
    def status(self) -> str: ...
    @property
    def error_type(self) -> str: ...
    @property
    def attributes(self) -> Mapping[str, Any]: ...


def trace_out(trace_id: str, note: str, spans: Sequence[RecordedSpan]) -> TraceOut:
    """The trace for a page, its spans in order of start, the first `SPANS` of them."""
    ordered = sorted(spans, key=lambda span: span.start_unix_ns)[:SPANS]
    first_ns = ordered[0].start_unix_ns if ordered else 0
    return TraceOut(trace_id=trace_id, note=note, spans=[_span_out(span, first_ns) for span in ordered])


def _span_out(span: RecordedSpan, first_ns: int) -> SpanOut:
    status: Literal["ok", "error"] = "error" if span.status == "error" else "ok"
    return SpanOut(
        span_id=span.span_id,
        parent_id=span.parent_id,
        service=span.service,
        name=span.name[:LONGEST_VALUE],
        kind=span.kind,
        start_ms=(span.start_unix_ns - first_ns) / 1e6,
        duration_ms=span.duration_ns / 1e6,
        status=status,
        error=span.error_type if status == "error" else "",
        refused_by=str(span.attributes.get(names.REFUSED_BY, "")),
        attributes={key: str(value)[:LONGEST_VALUE] for key, value in span.attributes.items() if key in SHOWN},
    )
