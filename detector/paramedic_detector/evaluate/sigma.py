"""What a three-sigma alert on every series would have sent: the base of the noise figure, never a source of incidents.

    WindowBatch --one value a series and minute--> beyond mean +- 3 deviations of its own last three hours: one alert

A gauge gives its mean of the minute. Calls count only in a set without gauges, since most teams alert on metrics:
each service and operation then gives its calls, its share of failures and its mean duration. The rule is causal: a
value is compared with the minutes before it alone, from half an hour of them on.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from paramedic_collector.windows import WindowBatch

SIGMA: Final = 3.0
MEMORY_S: Final = 3 * 3600.0
LEAST: Final = 30  # earlier values
LEAST_COARSE: Final = 12  # where there is one point in five minutes, half an hour holds only six
MINUTE_S: Final = 60

Array = NDArray[np.float64]


class MinuteSeries:
    """Collects one value a series and minute from windows as they pass.

    Args:
        calls: Whether calls count, as in a set without gauges.
    """

    def __init__(self, *, calls: bool = True) -> None:
        self._wants_calls = calls
        self._gauges = _Cells()
        self._calls = {name: _Cells() for name in ("calls", "errors", "duration")}

    def add(self, batch: WindowBatch) -> None:
        for family, rows in batch.tables.items():
            if family == "gauge":
                self._gauges.add(rows, ("service", "instance", "metric"), rows.column("sum"), rows.column("count"))
            elif family == "op" and self._wants_calls:
                self._add_calls(rows)

    def _add_calls(self, rows: pa.RecordBatch) -> None:
        names, count = ("service", "operation", "kind"), rows.column("count")
        ones = pa.array(np.ones(len(rows)))
        errors = pa.array([float(sum(n for _, n in kinds or ())) for kinds in _pairs(rows.column("errors"))])
        seconds = pc.struct_field(rows.column("duration"), "sum")
        self._calls["calls"].add(rows, names, count, ones, mean=False)
        self._calls["errors"].add(rows, names, errors, count)
        self._calls["duration"].add(rows, names, seconds, count)

    def alerts(self) -> "SigmaAlerts":
        """All that the rule would have sent over what was added."""
        if self._gauges:
            return sigma_alerts({"gauge": self._gauges.series()})
        return sigma_alerts({name: cells.series() for name, cells in self._calls.items() if cells})


def _pairs(column: pa.Array) -> list[list[tuple[str, int]]]:
    return [[(one["key"], one["count"]) for one in kinds or ()] for kinds in column.to_pylist()]


class _Cells:
    """Sums and counts by series and minute."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._parts: list[tuple[NDArray[np.int64], NDArray[np.int64], Array, Array]] = []
        self._mean = True

    def __bool__(self) -> bool:
        return bool(self._parts)

    def add(
        self, rows: pa.RecordBatch, names: tuple[str, ...], sums: pa.Array, counts: pa.Array, *, mean: bool = True
    ) -> None:
        self._mean = mean
        keys = [rows.column(name).cast(pa.string()).fill_null("") for name in names]
        named = pc.binary_join_element_wise(*keys, "\x1f").dictionary_encode()
        codes = [self._numbers.setdefault(name, len(self._numbers)) for name in named.dictionary.to_pylist()]
        series = np.array(codes, np.int64)[named.indices.to_numpy(zero_copy_only=False)]
        minute = rows.column("ts").to_numpy(zero_copy_only=False) // MINUTE_S
        self._parts.append((series, minute.astype(np.int64), _floats(sums), _floats(counts)))

    def series(self) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
        """Number of the series, minute and value, sorted by both."""
        series, minute, sums, counts = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        order = np.lexsort((minute, series))
        series, minute, sums, counts = series[order], minute[order], sums[order], counts[order]
        first = np.flatnonzero(np.r_[True, (series[1:] != series[:-1]) | (minute[1:] != minute[:-1])])
        total, many = np.add.reduceat(sums, first), np.add.reduceat(counts, first)
        value = np.divide(total, many, out=np.full(len(total), np.nan), where=many > 0) if self._mean else total
        known = np.isfinite(value)
        return series[first][known], minute[first][known], value[known]


def _floats(column: pa.Array) -> Array:
    return np.asarray(column.cast(pa.float64()).fill_null(0.0).to_numpy(zero_copy_only=False), np.float64)


class SigmaAlerts:
    """When each alert was sent."""

    def __init__(self, at: NDArray[np.int64], series: int) -> None:
        self.at, self.series = np.sort(at), series  # unix seconds; how many series were watched

    def between(self, start: float, end: float) -> int:
        return int(np.searchsorted(self.at, end, "right") - np.searchsorted(self.at, start, "left"))


def sigma_alerts(found: Mapping[str, tuple[NDArray[np.int64], NDArray[np.int64], Array]]) -> SigmaAlerts:
    """One alert for each series and minute whose value lies beyond three deviations of the earlier ones.

    Args:
        found: By measure: number of the series, minute and value, sorted by series and then minute.
    """
    moments: dict[str, NDArray[np.int64]] = {}
    watched = 0
    for measure, (series, minute, value) in found.items():
        moments[measure] = minute[_beyond(series, minute, value)] * MINUTE_S
        watched += len(np.unique(series))
    return SigmaAlerts(np.concatenate([*moments.values(), np.empty(0, np.int64)]), watched)


def _beyond(series: NDArray[np.int64], minute: NDArray[np.int64], value: Array) -> NDArray[np.bool_]:
    """(n,) by sums that run along each series, from the first minute that is still remembered."""
    beyond = np.zeros(len(value), bool)
    edges = np.flatnonzero(np.r_[True, series[1:] != series[:-1], True]) if len(series) else np.zeros(1, np.int64)
    for start, end in pairwise(edges):
        when, values = minute[start:end], value[start:end] - value[start]  # shifted, so that squares stay exact
        first = np.searchsorted(when, when - int(MEMORY_S // MINUTE_S))
        here = np.arange(len(values))
        many = here - first
        step = float(np.median(np.diff(when))) if len(when) > 1 else 1.0
        least = LEAST if step < 2 else LEAST_COARSE
        once, twice = np.r_[0.0, np.cumsum(values)], np.r_[0.0, np.cumsum(values**2)]
        mean = (once[here] - once[first]) / np.maximum(many, 1)
        spread = np.sqrt(np.maximum(0.0, (twice[here] - twice[first]) / np.maximum(many, 1) - mean**2))
        beyond[start:end] = (many >= least) & (spread > 1e-9) & (np.abs(values - mean) > SIGMA * spread)
    return beyond
