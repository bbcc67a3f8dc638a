"""OTLP metrics as points: one number, or one distribution, of one stream at one moment.

    ExportMetricsServiceRequest --points_of--> Point(stream, metric, unit in seconds, value | distribution)

Read are gauges, sums, histograms with explicit bounds, exponential histograms and summaries. Left out is what says
nothing: a point without a value, with the flag "no recorded value", NaN and infinity.

Times in milliseconds, microseconds and nanoseconds become seconds, by the metric's own `unit`; its name stays.

Source: OpenTelemetry metrics data model, 1.44.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from paramedic_collector.columns.keys import INSTANCE, SERVICE
from paramedic_collector.metrics_buckets import Distribution, explicit, exponential

NANO: Final = 1_000_000_000
SECONDS_OF: Final = {  # UCUM codes, and how some write them instead
    "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9,
    "millisecond": 1e-3, "milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9,
}  # fmt: skip
_CUMULATIVE: Final = 2  # AggregationTemporality
_NO_VALUE: Final = 1  # DataPointFlags
_MOST_QUANTILES: Final = 20  # of a summary


class Kind(StrEnum):
    """What a point's value is."""

    LEVEL = "level"  # a gauge, or a total that may fall: how much there is
    GROWTH = "growth"  # what came since the last point
    TOTAL = "total"  # a running total since `Point.start_ns`


@dataclass(frozen=True, slots=True)
class Source:
    """What one resource says of itself."""

    service: str
    instance: str
    attributes: Mapping[str, Any]
    mark: int  # stands for the whole resource


@dataclass(frozen=True, slots=True)
class Point:
    """What one stream said at one moment."""

    ts: int  # unix seconds
    ns: int  # unix nanoseconds of the same
    start_ns: int  # since when a total counts; 0 when unknown
    source: Source
    scope: int  # mark of the instrumentation that measured
    metric: str  # as it was sent
    unit: str  # as it was sent; values in ms, us and ns are in seconds already
    attributes: Mapping[str, Any]
    kind: Kind
    value: float | None  # None when it is a distribution
    distribution: Distribution | None = None
    quantile: str = ""  # "p99": of a summary's quantiles

    @property
    def stream(self) -> int:
        """One number for who, what, since when and with which attributes; two share one with a chance of 2^-61."""
        who = (self.source.mark, self.scope, self.metric, self.kind)
        return hash((*who, self.start_ns if self.kind is Kind.TOTAL else 0, _mark(self.attributes)))

    def grown(self, value: float | None, distribution: Distribution | None) -> "Point":
        """The same point, of a running total, with what came since the last one."""
        where = (self.ts, self.ns, self.start_ns, self.source, self.scope, self.metric, self.unit, self.attributes)
        return Point(*where, Kind.GROWTH, value, distribution)


def points_of(requests: Iterable[ExportMetricsServiceRequest]) -> Iterator[Point]:
    """Every point of every metric, in the order in which they came."""
    for request in requests:
        for resource in request.resource_metrics:
            source = _source(resource.resource)
            for scope in resource.scope_metrics:
                mark = hash((scope.scope.name, scope.scope.version))
                for metric in scope.metrics:
                    yield from _points(metric, source, mark)


def _source(resource: Any) -> Source:
    attributes = _plain(resource.attributes)
    instance = next((str(attributes[key]) for key in INSTANCE if attributes.get(key)), "")
    return Source(str(attributes.get(SERVICE) or ""), instance, attributes, _mark(attributes))


def _points(metric: Metric, source: Source, scope: int) -> Iterator[Point]:
    which = metric.WhichOneof("data")
    if which is None:
        return
    data = getattr(metric, which)
    kind, factor = _kind(which, data), SECONDS_OF.get(metric.unit, 1.0)
    for point in data.data_points:
        if point.flags & _NO_VALUE:
            continue
        ns, attributes = point.time_unix_nano, _plain(point.attributes)
        start_ns = point.start_time_unix_nano
        said = partial(Point, ns // NANO, ns, start_ns, source, scope, metric.name, metric.unit, attributes)
        if which in ("gauge", "sum"):
            value = _number(point) * factor
            if math.isfinite(value):
                yield said(kind, value)
            continue
        if which == "summary":
            yield from _quantiles(point, said, factor)
        yield said(kind, None, _distribution(which, point, factor))


def _kind(which: str, data: Any) -> Kind:
    if which == "gauge":
        return Kind.LEVEL
    if which == "summary":
        return Kind.TOTAL
    if data.aggregation_temporality != _CUMULATIVE:
        return Kind.GROWTH
    return Kind.LEVEL if which == "sum" and not data.is_monotonic else Kind.TOTAL


def _number(point: Any) -> float:
    which = point.WhichOneof("value")
    return float(getattr(point, which)) if which else math.nan


def _distribution(which: str, point: Any, factor: float) -> Distribution:
    if which == "histogram":
        return explicit(point, factor)
    if which == "exponential_histogram":
        return exponential(point, factor)
    return Distribution(point.count, point.sum * factor)


def _quantiles(point: Any, said: partial[Point], factor: float) -> Iterator[Point]:
    for one in point.quantile_values[:_MOST_QUANTILES]:
        if math.isfinite(one.value) and 0 <= one.quantile <= 1:
            yield said(Kind.LEVEL, one.value * factor, quantile=f"p{100 * one.quantile:.6g}")


def _plain(attributes: Iterable[Any]) -> dict[str, Any]:
    """Values by key, each hashable; of a key that comes twice the last one counts."""
    return {pair.key: _value(pair.value) for pair in attributes}


def _mark(attributes: Mapping[str, Any]) -> int:
    """Of what is written, not of the values: Python's -1 and -2 have one hash, and NaN has many."""
    return hash(frozenset((key, value if type(value) is str else repr(value)) for key, value in attributes.items()))


def _value(value: AnyValue) -> Any:
    which = value.WhichOneof("value")
    if which is None:
        return None
    if which in ("array_value", "kvlist_value"):
        return value.SerializeToString(deterministic=True)
    return getattr(value, which)
