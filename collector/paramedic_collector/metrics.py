"""Metric points to windows: one row for each (service, instance, metric) and second.

    gauge, up-down counter: the value          monotonic sum: what was added since the last point
    histogram: NAME.count and NAME.sum, as sums        a guard's gauges: also into edge and callee

Points are few (one a series and export, not one a call), so a plain loop reads them.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from paramedic.contract import attributes as contract
from paramedic_collector.decode import Items
from paramedic_collector.facts import Tables
from paramedic_collector.fold import assemble
from paramedic_collector.pivot import INSTANCE, PEERS, SERVICE

_CUMULATIVE: Final = 2  # AggregationTemporality
_KINDS: Final = ("gauge", "sum", "histogram", "exponential")
_MOST_STREAMS: Final = 200_000  # cumulative streams and guards whose last value is remembered


@dataclass(frozen=True, slots=True)
class Point:
    """One number at one moment."""

    ts: int  # unix seconds
    service: str
    instance: str
    metric: str
    attributes: tuple[tuple[str, Any], ...]  # sorted
    value: float
    cumulative: bool  # a running total: the window gets the difference to the last one


def points_of(metrics: Items) -> Iterator[Point]:
    """Every point of every metric; a histogram gives two."""
    services, instances = (metrics.resources.text(*keys).to_pylist() for keys in ((SERVICE,), INSTANCE))
    names = metrics.column("name").to_pylist()
    for kind in _KINDS:
        column = metrics.column(kind)
        for at in np.flatnonzero(np.asarray(column.is_valid())).tolist():
            resource = metrics.resource[at]
            who = (services[resource] or "", instances[resource] or "", names[at])
            yield from _points(kind, column[at].as_py(), *who)


def _points(kind: str, data: dict[str, Any], service: str, instance: str, name: str) -> Iterator[Point]:
    running = data.get("temporality") == _CUMULATIVE and data.get("is_monotonic", True)
    for point in data["points"]:
        ts, attributes = point["time_unix_nano"] // 1_000_000_000, _plain(point["attributes"])
        for metric, value in _values(kind, name, point):
            if np.isfinite(value):
                yield Point(ts, service, instance, metric, attributes, float(value), running)


def _values(kind: str, name: str, point: dict[str, Any]) -> list[tuple[str, float]]:
    if kind in ("histogram", "exponential"):
        return [(f"{name}.count", point["count"]), (f"{name}.sum", point["sum"])]
    value = point["as_double"] if point["as_double"] is not None else point["as_int"]
    return [] if value is None else [(name, value)]


def _plain(attributes: list[dict[str, Any]]) -> tuple[tuple[str, Any], ...]:
    """Sorted (key, value) pairs; a value that OTLP leaves open is None."""
    pairs = []
    for pair in attributes:
        values = (value for value in (pair["value"] or {}).values() if value is not None)
        pairs.append((pair["key"], next(values, None)))
    return tuple(sorted(pairs, key=lambda pair: pair[0]))


class MetricFold:
    """Folds points; remembers the last value of running totals and of guards' gauges."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._totals: dict[tuple[object, ...], float] = {}
        self._in_flight: dict[tuple[object, ...], tuple[int, float]] = {}  # value said last, and for which second

    def fold(self, points: list[Point]) -> list[pa.RecordBatch]:
        """The windows of the families gauge, edge and callee."""
        rows: dict[tuple[int, tuple[str, ...]], list[float]] = defaultdict(list)
        for point in points:
            value = self._increase(point) if point.cumulative else point.value
            if value is not None:
                rows[point.ts, (point.service, point.instance, point.metric)].append(value)
        guards = [point for point in points if point.metric in (contract.IN_FLIGHT, contract.OLDEST_S)]
        found = [self._gauges(rows), *(self._guards(family, guards) for family in ("edge", "callee"))]
        self._bound()
        return [batch for batch in found if batch.num_rows]

    def _increase(self, point: Point) -> float | None:
        """What a running total grew by; None the first time, the whole of it after a restart."""
        stream = (point.service, point.instance, point.metric, point.attributes)
        before = self._totals.get(stream)
        self._totals[stream] = point.value
        if before is None:
            return None
        return point.value - before if point.value >= before else point.value

    def _gauges(self, rows: dict[tuple[int, tuple[str, ...]], list[float]]) -> pa.RecordBatch:
        series = self._tables.series["gauge"].intern([key for _, key in rows])
        values = list(rows.values())
        columns = {
            "count": pa.array([len(one) for one in values], pa.int64()),
            "sum": pa.array([sum(one) for one in values], pa.float64()),
            "min": pa.array([min(one) for one in values], pa.float64()),
            "max": pa.array([max(one) for one in values], pa.float64()),
        }
        return assemble("gauge", _seconds(rows), series, columns, self._tables)

    def _guards(self, family: str, points: list[Point]) -> pa.RecordBatch:
        in_flight: dict[tuple[int, tuple[str, ...]], float | None] = {}
        oldest: dict[tuple[int, tuple[str, ...]], float | None] = {}
        for point in points:
            attributes = dict(point.attributes)
            peer = next((str(attributes[key]) for key in PEERS if attributes.get(key)), "")
            if not peer:
                continue
            callee = (peer, str(attributes.get(contract.PEER_ZONE) or ""))
            row = (point.ts, callee if family == "callee" else (point.service, *callee))
            in_flight.setdefault(row, None)
            oldest.setdefault(row, None)
            if point.metric == contract.IN_FLIGHT:
                in_flight[row] = (in_flight[row] or 0) + self._news(family, point)
            else:
                oldest[row] = max(oldest[row] or 0.0, point.value)
        series = self._tables.series[family].intern([key for _, key in in_flight])
        columns = {
            "in_flight": pa.array([None if one is None else round(one) for one in in_flight.values()], pa.int64()),
            "oldest_s": pa.array(list(oldest.values()), pa.float64()),
        }
        return assemble(family, _seconds(in_flight), series, columns, self._tables)

    def _news(self, family: str, point: Point) -> float:
        """In-flight calls less what the same guard already said for this second: rows are added up later."""
        guard = (family, point.service, point.instance, point.attributes)
        ts, said = self._in_flight.get(guard, (0, 0.0))
        self._in_flight[guard] = (point.ts, point.value)
        return point.value - said if ts == point.ts else point.value

    def _bound(self) -> None:
        for table in (self._totals, self._in_flight):
            while len(table) > _MOST_STREAMS:  # the ones that were first seen longest ago
                del table[next(iter(table))]


def _seconds(rows: dict[tuple[int, tuple[str, ...]], Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array([ts for ts, _ in rows], np.int64)
