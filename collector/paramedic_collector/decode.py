"""OTLP bytes to columns, in two steps, so that many small requests cost as little as one big one.

    acceptor thread: payload --parse--> Parsed (one nested Arrow row; proves that it can be decoded)
    fold thread:     [Parsed, ...] --flatten--> Items (one flat row an item, with its resource and attributes)

No Python loop runs over items or attributes. A payload is parsed alone, so a bad one fails alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from ptars import HandlerPool

from paramedic_collector.otlp import DESCRIPTORS, Signal
from paramedic_collector.pivot import Attributes

_pool = HandlerPool([DESCRIPTORS[Signal.TRACES].file])
_HANDLERS = {signal: _pool.get_for_message(descriptor) for signal, descriptor in DESCRIPTORS.items()}


class Undecodable(ValueError):
    """The payload is no OTLP message of its signal; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """One decoded payload."""

    signal: Signal
    resources: pa.ListArray  # one element: the payload's resources with their scopes and items
    items: int  # spans, metric points or log records
    trace_keys: NDArray[np.uint64]  # first half of each trace id, sorted, without repeats; finds a trace again
    message: ExportMetricsServiceRequest | None = None  # of METRICS, whose few points a plain loop reads


@dataclass(frozen=True, slots=True)
class Items:
    """Spans, metrics or log records of many payloads, one element an item."""

    fields: pa.StructArray
    resource: NDArray[np.int64]  # which element of `resources` each item belongs to
    resources: Attributes

    def __len__(self) -> int:
        return len(self.fields)

    def column(self, name: str) -> pa.Array:
        return self.fields.field(name)

    def select(self, which: NDArray[np.bool_]) -> "Items":
        """The items for which `which` is true."""
        return Items(self.fields.filter(pa.array(which)), self.resource[which], self.resources)

    def numbers(self, name: str) -> NDArray[np.int64]:
        """A fixed64 or int32 field as int64; times beyond the year 2262 turn negative."""
        values = np.asarray(self.column(name))
        return values.astype(np.int64)


def parse(signal: Signal, payload: bytes) -> Parsed:
    """Decode one payload.

    Raises:
        Undecodable: It is not a protobuf message of this signal.
    """
    if signal is Signal.METRICS:
        return _parse_metrics(payload)
    try:
        batch = _HANDLERS[signal].list_to_record_batch([payload])
    except ValueError as error:
        raise Undecodable(f"the body is no OTLP {signal} message: {error}") from None
    resources = batch.column(0)
    fields = resources.flatten().field("scopes").flatten().field("items").flatten()
    return Parsed(signal, resources, len(fields), _trace_keys(signal, fields))


def _parse_metrics(payload: bytes) -> Parsed:
    try:
        message = ExportMetricsServiceRequest.FromString(payload)
    except DecodeError as error:
        raise Undecodable(f"the body is no OTLP metrics message: {error}") from None
    scopes = (scope for resource in message.resource_metrics for scope in resource.scope_metrics)
    metrics = (metric for scope in scopes for metric in scope.metrics)
    points = sum(len(getattr(metric, kind).data_points) for metric in metrics if (kind := metric.WhichOneof("data")))
    return Parsed(Signal.METRICS, pa.array([], pa.list_(pa.null())), points, np.empty(0, np.uint64), message)


def flatten(parsed: Sequence[Parsed]) -> Items:
    """The items of payloads of one signal, in their order."""
    resources = pa.concat_arrays([one.resources for one in parsed]).flatten()
    scopes = resources.field("scopes")
    items = scopes.flatten().field("items")
    resource_of_scope = np.asarray(pc.list_parent_indices(scopes), dtype=np.int64)
    scope_of_item = np.asarray(pc.list_parent_indices(items), dtype=np.int64)
    attributes = Attributes.of(resources.field("resource").field("attributes"))
    return Items(items.flatten(), resource_of_scope[scope_of_item], attributes)


def ids(column: pa.Array, width: int) -> NDArray[np.uint64]:
    """Trace or span ids as (n, width / 8) unsigned numbers that sort as their hex digits do.

    An id of another length than `width` bytes is cut or filled with zeros: no SDK sends one.
    """
    try:
        fixed = column.cast(pa.binary(width))
    except pa.ArrowInvalid:
        fixed = pa.array([one[:width].ljust(width, b"\0") for one in column.to_pylist()], pa.binary(width))
    raw = np.frombuffer(fixed.buffers()[1] or b"", dtype=">u8")
    start = fixed.offset * width // 8
    return raw[start : start + len(fixed) * width // 8].reshape(-1, width // 8).astype(np.uint64)


def _trace_keys(signal: Signal, fields: pa.StructArray) -> NDArray[np.uint64]:
    if signal is Signal.METRICS or not len(fields):
        return np.empty(0, np.uint64)
    column = fields.field("trace_id")
    if signal is Signal.LOGS:
        column = column.filter(pc.equal(pc.binary_length(column), 16))
    return np.unique(ids(column, 16)[:, 0])
