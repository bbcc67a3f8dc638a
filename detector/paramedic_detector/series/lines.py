"""Charts: one measure of a series over time, at most so many points.

A step without data is None, never 0: a rate is 0 only where its series is known to have been watched.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from paramedic_collector.windows import SeriesKey
from paramedic_detector.series.slots import BUCKETS, CELLS, DURATION, FIRST_TOKEN, Cell, upper_edge_s

if TYPE_CHECKING:
    from paramedic_detector.series.table import SeriesTable

Sums = NDArray[np.float64]  # (steps, CELLS)
Line = list[tuple[float, float | None]]


def _ratio(top: Sums, bottom: Sums) -> Sums:
    return np.where(bottom > 0, np.clip(top / np.maximum(bottom, 1e-9), 0, 1), np.nan)


def _bad(sums: Sums) -> Sums:
    return np.asarray(sums[:, Cell.ERRORS] + sums[:, Cell.USELESS])


def _refused(sums: Sums) -> Sums:
    return np.asarray(sums[:, [Cell.REFUSED_LOCAL, Cell.REFUSED_COMMAND, Cell.REFUSED_DEADLINE]].sum(axis=1))


_OF_SUMS: Final[dict[str, Callable[[Sums, float], Sums]]] = {
    "calls_per_s": lambda sums, step_s: sums[:, Cell.COUNT] / step_s,
    "refused_per_s": lambda sums, step_s: _refused(sums) / step_s,
    "tokens_per_s": lambda sums, step_s: sums[:, Cell.TOKENS] / step_s,
    "cost_usd_per_s": lambda sums, step_s: sums[:, Cell.COST] / step_s,
    "error_ratio": lambda sums, _: _ratio(sums[:, Cell.ERRORS], sums[:, Cell.COUNT]),
    "success_ratio": lambda sums, _: _ratio(sums[:, Cell.COUNT] - _bad(sums), sums[:, Cell.COUNT]),
    "useless_ratio": lambda sums, _: _ratio(sums[:, Cell.USELESS], sums[:, Cell.COUNT]),
    "mean": lambda sums, _: np.where(
        sums[:, Cell.COUNT] > 0, sums[:, Cell.SECONDS] / np.maximum(sums[:, Cell.COUNT], 1), np.nan
    ),
}
_QUANTILES: Final = {"p50_s": (DURATION, 0.5), "p95_s": (DURATION, 0.95), "first_token_p95_s": (FIRST_TOKEN, 0.95)}
_LEVELS: Final = ("in_flight", "oldest_s")
MEASURES: Final = (*_OF_SUMS, *_QUANTILES, *_LEVELS)


def line(table: "SeriesTable", key: SeriesKey, measure: str, t0: float, t1: float, points: int) -> Line:
    """See `SeriesTable.line`."""
    if measure not in MEASURES:
        raise ValueError(f"measure must be one of {', '.join(MEASURES)}, got {measure!r}")
    start, end = int(np.floor(t0)), int(np.ceil(t1))
    step_s = max(1, -(-(end - start) // max(1, points)))
    steps = max(0, -(-(end - start) // step_s))
    if measure in _QUANTILES:
        values = _quantiles(table, key, start, step_s, steps, *_QUANTILES[measure])
    elif measure in _LEVELS:
        values = _levels(table, key, start, step_s, steps, measure)
    else:
        values = _of_sums(table, key, start, step_s, steps, measure)
    return [
        (float(start + step_s * step), None if np.isnan(value) else float(value)) for step, value in enumerate(values)
    ]


def _of_sums(table: "SeriesTable", key: SeriesKey, start: int, step_s: int, steps: int, measure: str) -> Sums:
    mine = _mask(table, key)
    sums, watched = np.zeros((steps, CELLS)), np.zeros(steps, bool)
    for slot in table.slots(start, start + step_s * steps):
        first, last = _step(slot.ts, start, step_s), _step(slot.ts + slot.span_s - 1, start, step_s)
        inside = slice(max(0, first), min(steps, last + 1))
        cells = slot.cells.pick(mine[slot.cells.idx])
        amounts = np.bincount(cells.code, weights=cells.amount, minlength=CELLS)
        sums[inside] += amounts / (last - first + 1)
        watched[inside] = True
    values = _OF_SUMS[measure](sums, float(step_s))
    return np.where(watched & mine.any(), values, np.nan)


def _quantiles(
    table: "SeriesTable", key: SeriesKey, start: int, step_s: int, steps: int, channel: int, q: float
) -> Sums:
    mine, low = _mask(table, key), channel * BUCKETS
    buckets = np.zeros((steps, BUCKETS))
    for slot in table.slots(start, start + step_s * steps):
        found = slot.details
        inside = mine[found.idx] & (found.code >= low) & (found.code < low + BUCKETS)
        step = min(steps - 1, max(0, _step(slot.ts, start, step_s)))
        buckets[step] += np.bincount(found.code[inside] - low, weights=found.amount[inside], minlength=BUCKETS)
    totals, sums = buckets.sum(axis=1), np.cumsum(buckets, axis=1)
    places = (sums < q * totals[:, None] - 1e-9).sum(axis=1)
    return np.where(totals > 0, upper_edge_s(places), np.nan)


def _levels(table: "SeriesTable", key: SeriesKey, start: int, step_s: int, steps: int, measure: str) -> Sums:
    mine, values = _mask(table, key), np.full(steps, np.nan)
    for slot in table.slots(start, start + step_s * steps):
        step = min(steps - 1, max(0, _step(slot.ts, start, step_s)))
        if measure == "oldest_s":
            idx, age = slot.oldest
            if mine[idx].any():
                values[step] = np.fmax(values[step], age[mine[idx]].max())
            continue
        cells = slot.cells.pick(mine[slot.cells.idx])
        if (cells.code == Cell.IN_FLIGHT_SAID).any():
            level = cells.amount[cells.code == Cell.IN_FLIGHT].sum() / slot.span_s
            values[step] = np.fmax(values[step], level)
    return values


def _mask(table: "SeriesTable", key: SeriesKey) -> NDArray[np.bool_]:
    mine = np.zeros(table.size + 1, bool)
    mine[table.matching(key)] = True
    return mine


def _step(ts: int, start: int, step_s: int) -> int:
    return (ts - start) // step_s
