"""Metric points to windows: what each series said, second by second.

    points_of --> Totals: what running totals grew by --> Names: which series --> rows of the family gauge
                      |--> the guards' gauges --> edge and callee
                      '--> metrics that a Collector made of spans --> op, edge and callee

A histogram gives NAME.count with its distribution, NAME.sum, and of calls that failed NAME.errors{error.type}. Points
are few (one a stream and export, not one a call), so plain loops read them; rows of one series and second add up in
the merge.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from paramedic.contract import attributes as contract
from paramedic_collector import counters as count
from paramedic_collector.columns.keys import PEERS
from paramedic_collector.counters import Counters
from paramedic_collector.metrics_names import COUNTED_PLAINLY, Names
from paramedic_collector.metrics_points import Kind, Point
from paramedic_collector.metrics_points import points_of as points_of
from paramedic_collector.metrics_spans import fold_span_metrics, is_of_spans, service_of
from paramedic_collector.metrics_totals import Totals
from paramedic_collector.parts import Part
from paramedic_collector.tables import Tables
from paramedic_collector.windows import HISTOGRAM

SPANS_KEEP_S: Final = 120  # how long after its last span a service's span metrics are ignored
_GUARDS: Final = (contract.IN_FLIGHT, contract.OLDEST_S)
_MOST_GUARDS: Final = 100_000


class _Row(NamedTuple):
    ts: int
    series: tuple[str, str, str]
    value: float
    distribution: dict[str, Any] | None = None


class MetricFold:
    """Folds points; remembers running totals, guards' gauges and whose spans come here. Used by one thread.

    Args:
        counters: Counts the span metrics that are ignored.
    """

    def __init__(self, tables: Tables, counters: Counters | None = None) -> None:
        self.tables, self._counters = tables, counters or Counters()
        self._totals, self._names = Totals(), Names()
        self._in_flight: dict[tuple[str, int], tuple[int, float]] = {}  # said last, and for which second
        self._spans_at: dict[str, float] = {}  # by service: when its last span came

    def saw_spans(self, services: Iterable[str], now: float) -> None:
        """Spans of these services came here: what a Collector counted of them must not count again.

        Args:
            now: Unix seconds.
        """
        self._spans_at |= dict.fromkeys(services, now)

    def fold(self, points: Iterable[Point], now: float) -> list[Part]:
        """The windows of the families gauge, op, edge and callee.

        Args:
            points: In any order.
            now: Unix seconds.
        """
        found = sorted(points, key=lambda point: point.ns)
        news = [one for point in found if (one := self._news(point)) is not None]
        of_spans = [point for point in news if is_of_spans(point)]
        rows = [row for point in news if not is_of_spans(point) for row in self._rows(point)]
        guards = [point for point in news if point.metric in _GUARDS]
        parts = [self._gauges(rows), *(self._guards(family, guards) for family in ("edge", "callee"))]
        parts += fold_span_metrics(self._without_spans(of_spans, now), self.tables)
        return [part for part in parts if len(part)]

    def _news(self, point: Point) -> Point | None:
        return self._totals.news(point) if point.kind is Kind.TOTAL else point

    def _rows(self, point: Point) -> Iterable[_Row]:
        metric = self._names.metric(point)
        if metric is None:
            return
        name, split = metric
        if point.distribution is None:
            value = point.value or 0.0
            suffix = ".sum" if name in COUNTED_PLAINLY and point.kind is Kind.GROWTH else ""
            yield _Row(point.ts, _series(point, name + suffix, split), value)
            return
        values = point.distribution
        yield _Row(
            point.ts, _series(point, f"{name}.count", split), values.count, values.sparse() if values.count else None
        )
        if values.total is not None:
            yield _Row(point.ts, _series(point, f"{name}.sum", split), values.total)
        error = self._names.failed(point, name)
        if error and values.count:
            yield _Row(point.ts, _series(point, f"{name}.errors", error), values.count)

    def _gauges(self, rows: list[_Row]) -> Part:
        series = self.tables.series["gauge"].intern([row.series for row in rows])
        values = pa.array([float(row.value) for row in rows], pa.float64())
        columns = {
            "count": pa.array([1] * len(rows), pa.int64()),
            **dict.fromkeys(("sum", "min", "max"), values),
            "distribution": pa.array([row.distribution for row in rows], HISTOGRAM),
        }
        return Part("gauge", np.array([row.ts for row in rows], np.int64), series, columns)

    def _without_spans(self, points: list[Point], now: float) -> list[Point]:
        """The points of services none of whose spans came here lately."""
        if not points:
            return []
        self._spans_at = {name: at for name, at in self._spans_at.items() if at > now - SPANS_KEEP_S}
        wanted = [point for point in points if service_of(point) not in self._spans_at]
        self._counters.add(count.SPAN_METRICS_IGNORED, len(points) - len(wanted))
        return wanted

    def _guards(self, family: str, points: list[Point]) -> Part:
        in_flight: dict[tuple[int, tuple[str, ...]], float | None] = {}
        oldest: dict[tuple[int, tuple[str, ...]], float | None] = {}
        for point in points:
            peer = next((str(point.attributes[key]) for key in PEERS if point.attributes.get(key)), "")
            if not peer:
                continue
            callee = (peer, str(point.attributes.get(contract.PEER_ZONE) or ""))
            row = (point.ts, callee if family == "callee" else (point.source.service, *callee))
            in_flight.setdefault(row, None)
            oldest.setdefault(row, None)
            if point.metric == contract.IN_FLIGHT:
                in_flight[row] = (in_flight[row] or 0) + self._more_in_flight(family, point)
            else:
                oldest[row] = max(oldest[row] or 0.0, point.value or 0.0)
        series = self.tables.series[family].intern([key for _, key in in_flight])
        columns = {
            "in_flight": pa.array([None if one is None else round(one) for one in in_flight.values()], pa.int64()),
            "oldest_s": pa.array(list(oldest.values()), pa.float64()),
        }
        return Part(family, np.array([ts for ts, _ in in_flight], np.int64), series, columns)

    def _more_in_flight(self, family: str, point: Point) -> float:
        """In-flight calls less what the same guard already said for this second: rows are added up later."""
        guard, value = (family, point.stream), point.value or 0.0
        ts, said = self._in_flight.get(guard, (0, 0.0))
        self._in_flight[guard] = (point.ts, value)
        if len(self._in_flight) > _MOST_GUARDS:  # the ones that were first seen longest ago
            del self._in_flight[next(iter(self._in_flight))]
        return value - said if ts == point.ts else value


def _series(point: Point, name: str, split: str) -> tuple[str, str, str]:
    return point.source.service, point.source.instance, f"{name}{{{split}}}" if split else name
