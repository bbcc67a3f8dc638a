"""Batches of spans for the ingest benchmark, each of its own, made far faster than any engine takes them.

    Batches(seed).next(time.time_ns()) -> bytes of an ExportTraceServiceRequest, never the same twice

A few batches are encoded with the official messages. All calls in a batch take equally many bytes, and so do all
served requests; so a batch is two tables of bytes, and fresh ids, times and names are written into their columns.
"""

import random
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

SPANS: Final = 512  # a batch
ATTRIBUTES: Final = 12
TRACES: Final = 64  # each is a request that was served and the seven calls it made
_TEMPLATES: Final = 16
_DIGITS: Final = 6  # of names and conversation ids
_START, _END = 0x1122334455667788, 0x1122334455667799  # found again in the encoded bytes

_WRITTEN: Final = np.frombuffer("".join(f"{n:0{_DIGITS}}" for n in range(10**_DIGITS)).encode(), np.uint8).reshape(
    -1, _DIGITS
)

Bytes = NDArray[np.uint8]
Value = str | int | float


@dataclass(frozen=True, slots=True)
class _Table:
    """Spans of one length that follow each other in a batch, and the columns of what changes."""

    first: int  # byte of the batch
    rows: int
    width: int
    columns: dict[str, slice]

    def of(self, body: Bytes) -> Bytes:
        """(rows, width) the spans; writing to it writes to the batch."""
        return body[self.first : self.first + self.rows * self.width].reshape(self.rows, self.width)


class Batches:
    """An endless stream of different batches.

    Args:
        seed: Two streams with one seed differ in ids and times only.
        operations: How many names the calls have: so many `op` series, and one more of the served requests.
        personal: Whether every fourth span holds an e-mail address.
    """

    def __init__(self, seed: int, *, operations: int = 5, personal: bool = False) -> None:
        if not 1 <= operations <= 10**_DIGITS:
            raise ValueError(f"operations must be from 1 to {10**_DIGITS}, got {operations!r}")
        self._dice, self._operations = np.random.default_rng(seed), operations
        self._fresh = np.random.default_rng()  # ids differ from run to run
        self._lasted = np.minimum(self._dice.lognormal(18.0, 1.0, 10_000), 3e10).astype(np.int64)  # 66 ms at the median
        self._templates = [_template(random.Random(f"{seed}/{n}"), personal) for n in range(_TEMPLATES)]
        self._next, self._operation = 0, 0

    def next(self, now_ns: int) -> bytes:
        """A batch whose spans ended within the second before `now_ns`."""
        template, tables = self._templates[self._next % _TEMPLATES]
        self._next += 1
        body = template.copy()
        trace, span = (self._fresh.integers(0, 256, width, np.uint8) for width in (16, 8))
        for table in tables:
            spans, columns = table.of(body), table.columns
            spans[:, columns["trace"]] ^= trace  # one mask for all, so that children still find their parents
            spans[:, columns["span"]] ^= span
            if "parent" in columns:
                spans[:, columns["parent"]] ^= span
                spans[:, columns["name"]] = _WRITTEN[self._names(table.rows)]
            spans[:, columns["text"]] = _WRITTEN[self._fresh.integers(0, 10**_DIGITS, table.rows)]
            self._place_in_time(spans, columns, now_ns)
        return body.tobytes()

    def _names(self, rows: int) -> NDArray[np.int64]:
        """One name after another, so that all are in use after as few batches as can be."""
        first, self._operation = self._operation, (self._operation + rows) % self._operations
        return (first + np.arange(rows)) % self._operations

    def _place_in_time(self, spans: Bytes, columns: dict[str, slice], now_ns: int) -> None:
        rows = len(spans)
        ends = now_ns - self._dice.integers(0, 10**9, rows)
        lasted = self._dice.integers(0, len(self._lasted), rows)
        for name, times in (("end", ends), ("start", ends - self._lasted[lasted])):
            spans[:, columns[name]] = times.astype("<u8").view(np.uint8).reshape(rows, 8)


def _template(dice: random.Random, personal: bool) -> tuple[Bytes, tuple[_Table, _Table]]:
    """One batch; calls stand before the requests that made them, since they end first."""
    message = ExportTraceServiceRequest()
    resource_spans = message.resource_spans.add()
    for key, value in (("service.name", "support-bot"), ("cloud.availability_zone", "eu-1a")):
        resource_spans.resource.attributes.add(key=key).value.string_value = value
    roots = [(dice.randbytes(16), dice.randbytes(8)) for _ in range(TRACES)]
    calls = SPANS - TRACES
    for at in range(calls):
        trace, root = roots[at % TRACES]
        _add(resource_spans, dice, at, personal, trace_id=trace, parent_span_id=root, kind=Span.SPAN_KIND_CLIENT)
    for at, (trace, root) in enumerate(roots, calls):
        _add(resource_spans, dice, at, personal, trace_id=trace, span_id=root, kind=Span.SPAN_KIND_SERVER)
    body, spans = message.SerializeToString(), resource_spans.scope_spans[0].spans
    tables = (_table(body, list(spans[:calls])), _table(body, list(spans[calls:])))
    return np.frombuffer(body, np.uint8), tables


def _add(to: ResourceSpans, dice: random.Random, at: int, personal: bool, **fields: Any) -> None:
    scope = to.scope_spans[0] if to.scope_spans else to.scope_spans.add()
    span = scope.spans.add(start_time_unix_nano=_START, end_time_unix_nano=_END)
    span.span_id = dice.randbytes(8)
    span.MergeFrom(Span(**fields))
    span.name = f"chat {at:0{_DIGITS}}" if span.parent_span_id else "POST /chat"
    span.status.code = 2 if dice.random() < 0.05 else 1
    for name, attribute in _attributes(dice, at, personal).items():
        _put(span.attributes.add(key=name).value, attribute)


def _table(body: bytes, spans: list[Span]) -> _Table:
    width = len(spans[0].SerializeToString()) + 3  # with a tag and two bytes of length before it
    first = body.index(spans[0].SerializeToString()) - 3
    last = body.index(spans[-1].SerializeToString()) - 3
    if last - first != (len(spans) - 1) * width:
        raise ValueError(f"all spans must take {width} bytes; some of the {len(spans)} take more or less")
    row, one = body[first : first + width], spans[0]
    marks = {
        "trace": one.trace_id,
        "span": one.span_id,
        "parent": one.parent_span_id,
        "start": _START.to_bytes(8, "little"),
        "end": _END.to_bytes(8, "little"),
        "name": one.name[-_DIGITS:].encode(),
        "text": next(pair for pair in one.attributes if pair.key == "gen_ai.conversation.id")
        .value.string_value[-_DIGITS:]
        .encode(),
    }
    columns = {name: slice(row.index(mark), row.index(mark) + len(mark)) for name, mark in marks.items() if mark}
    return _Table(first, len(spans), width, columns)


def _attributes(dice: random.Random, at: int, personal: bool) -> dict[str, Value]:
    """Twelve, of a guarded call to a language model; each takes equally many bytes in every span."""
    return {
        "service.peer.name": "aurora",
        "paramedic.guard": "llm.primary",
        "paramedic.decision": "allowed",
        "gen_ai.request.model": "aurora-large",
        "gen_ai.usage.input_tokens": dice.randrange(128, 2000),
        "gen_ai.usage.output_tokens": dice.randrange(128, 500),
        "paramedic.cost": dice.random() / 100,
        "gen_ai.response.time_to_first_chunk": dice.random(),
        "http.response.status_code": 200,
        "gen_ai.conversation.id": f"conv-{at + 900_000:0{_DIGITS}}",
        "thread.name": f"worker-{at % 16:02}",
        "enduser.id": f"user{at:03}@example.com" if personal and at % 4 == 0 else f"user-{at:03} (anonymous)"[:19],
    }


def _put(target: Any, value: Value) -> None:
    if isinstance(value, str):
        target.string_value = value
    elif isinstance(value, int):
        target.int_value = value
    else:
        target.double_value = value
