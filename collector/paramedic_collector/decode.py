"""OTLP bytes to columns of numbers.

    receiver's thread: payload --parse--> Parsed (proves that it can be decoded; texts stay where they are)
    fold thread:       [Parsed, ...] --joined--> Rows (many payloads as one)

No Python loop runs over spans, log records or attributes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from paramedic_collector.columns import logs, spans
from paramedic_collector.columns.spans import A_NUMBER, RESOURCE, Table
from paramedic_collector.otlp import Signal, Undecodable

__all__ = ["Parsed", "Rows", "Undecodable", "joined", "parse"]


def _no_table() -> Table:
    return np.empty((0, 0), np.int64)


@dataclass(frozen=True, slots=True)
class Parsed:
    """One decoded payload."""

    signal: Signal
    items: int  # spans, metric points or log records
    trace_keys: NDArray[np.uint64]  # first half of each trace id, sorted, without repeats; finds a trace again
    message: ExportMetricsServiceRequest | None = None  # of metrics
    payload: bytes = b""  # of traces and logs, with the columns of `columns.spans` or `columns.logs`
    rows: Table = field(default_factory=_no_table)
    resources: Table = field(default_factory=_no_table)


@dataclass(frozen=True, slots=True)
class Rows:
    """Spans or log records of many payloads: of each column all rows, one after the other."""

    table: Table
    resources: Table
    _payloads: list[bytes]
    _begins: NDArray[np.int64]  # first row of each payload

    def __len__(self) -> int:
        return int(self.table.shape[1])

    def select(self, which: NDArray[np.bool_]) -> "Rows":
        """The rows for which `which` is true."""
        begins = np.concatenate(([0], np.cumsum(which)))[self._begins]
        return Rows(self.table[:, which], self.resources, self._payloads, begins)

    def text(self, row: int, place: int, size: int) -> str:
        """A text of a row; `place` may be A_NUMBER."""
        if place == A_NUMBER:
            return str(size)
        payload = self._payloads[int(np.searchsorted(self._begins, row, side="right")) - 1]
        return payload[place : place + size].decode(errors="replace")

    def texts(self, column: int) -> list[bytes]:
        """The texts of a column, whose place stands there and whose size is in the next one; b"" for none."""
        sizes = np.diff(self._begins, append=len(self))
        places, ends = self.table[column], self.table[column] + self.table[column + 1]
        which = np.repeat(np.arange(len(self._payloads)), sizes)
        payloads = self._payloads
        return [payloads[one][a:b] for one, a, b in zip(which.tolist(), places.tolist(), ends.tolist(), strict=True)]


def parse(signal: Signal, payload: bytes) -> Parsed:
    """Decode one payload.

    Raises:
        Undecodable: It is not a protobuf message of this signal.
    """
    if signal is Signal.METRICS:
        return _metrics(payload)
    read = spans.spans_of if signal is Signal.TRACES else logs.records_of
    found = read(np.frombuffer(payload, np.uint8))
    if found is None:
        raise Undecodable(f"the body is no OTLP {signal} message: it ends too early or is no protobuf")
    rows, resources = found
    traces = rows[spans.TRACE] if signal is Signal.TRACES else rows[logs.TRACE, rows[logs.HAS_TRACE] > 0]
    return Parsed(signal, rows.shape[1], np.unique(traces.view(np.uint64)), None, payload, rows, resources)


def joined(parsed: Sequence[Parsed]) -> Rows:
    """The rows of payloads of one signal, in their order."""
    column = RESOURCE if parsed[0].signal is Signal.TRACES else logs.RESOURCE
    sizes = np.array([one.items for one in parsed])
    resources = np.array([one.resources.shape[1] for one in parsed])
    table = np.concatenate([one.rows for one in parsed], axis=1)
    table[column] += np.repeat(np.cumsum(resources) - resources, sizes)
    theirs = np.concatenate([one.resources for one in parsed], axis=1)
    return Rows(table, theirs, [one.payload for one in parsed], np.cumsum(sizes) - sizes)


def _metrics(payload: bytes) -> Parsed:
    try:
        message = ExportMetricsServiceRequest.FromString(payload)
    except DecodeError as error:
        raise Undecodable(f"the body is no OTLP metrics message: {error}") from None
    scopes = (scope for resource in message.resource_metrics for scope in resource.scope_metrics)
    metrics = (metric for scope in scopes for metric in scope.metrics)
    points = sum(len(getattr(metric, kind).data_points) for metric in metrics if (kind := metric.WhichOneof("data")))
    return Parsed(Signal.METRICS, points, np.empty(0, np.uint64), message)
