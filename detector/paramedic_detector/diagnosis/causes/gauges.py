"""Levels far outside their usual range: processor, memory, disk, sockets, or whatever a system measures.

    points on a grid --beyond the usual range, in units of it--> series --against the noise of their kind--> names

Both directions count, drops less: load falls everywhere when one service stops. A series that hardly ever moves does
not explode: its range has a floor that follows its own size and its siblings', and its kind of metric is calibrated
on quiet time.

Source: L. Pham, H. Ha and H. Zhang, BARO (FSE 2024), for ranking by robustly scaled levels after the onset.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_detector.diagnosis.causes.index import Numbers
from paramedic_detector.diagnosis.causes.module import Evidence, best_of
from paramedic_detector.diagnosis.causes.roles import Role
from paramedic_detector.diagnosis.causes.view import View
from paramedic_detector.series.slots import Cell, Triples, joined

Floats = NDArray[np.float64]
STEPS: Final = 18  # of the grid, in a window that has so many points
LONGEST_STEP_S: Final = 10.0  # unless the points themselves lie farther apart
MOST_STEPS: Final = 720  # of quiet time
FOLDS: Final = 4
LEAST_POINTS: Final = 6  # of quiet time, for a series that is judged
OWN_FLOOR: Final = 0.02  # of the largest value that the series ever had
SIBLINGS_FLOOR: Final = 0.05  # of what the same metric usually is elsewhere
LARGER: Final = 0.9  # share of the siblings that are smaller than the one they are measured by
SIBLINGS_RANGE: Final = 1.0  # of the range that the same metric usually has elsewhere
USUAL_FLOOR: Final = 0.1  # of the series' own median
DROPS_COUNT: Final = 0.5
OUTCOMES_COUNT: Final = 0.7  # as an exponent; of metrics that callers feel too
HALF: Final = 0.5  # likewise; of metrics that follow traffic, or that everything on a host shares
LITTLE: Final = 1e-3
LEAST: Final = 0.5  # ranges beyond the usual range that are nothing in any system
MOST: Final = 100.0
COUNTER_RISES: Final = (0.98, 0.5)  # never falls, and rises in half of the steps: a running total


@dataclass(frozen=True)
class Grid:
    """Values of every gauge series: (series, steps), NaN where nobody said."""

    quiet: Floats
    window: Floats  # no steps where quiet time is looked at alone
    width: int  # steps of one piece of quiet time


class Gauges:
    """Score: ranges beyond the usual range, in units of what this kind of metric shows in quiet time."""

    name, least = "gauges", 1.0

    def __call__(self, view: View) -> Evidence | None:
        numbers, owner, metric = view.index.series("gauge")
        if not len(numbers):
            return None
        grid = _grid(view, numbers)
        if grid is None:
            return None
        quiet, window = _ranges(grid, metric)
        noise = _noise(quiet, metric)
        told = np.array([_weight(role, view) for role in view.index.roles])[metric]
        seen = quiet if view.is_quiet else window
        values = np.maximum(seen / noise[:, None], LITTLE) ** told[:, None]
        values[told == 0] = 0
        scores = best_of(len(view.index.names), owner, values.T)

        def say(name: int) -> str:
            mine = np.flatnonzero(owner == name)
            at = int(mine[np.argmax(values[mine, 0])])
            now, usual = (float(np.median(row[~np.isnan(row)])) for row in (grid.window[at], grid.quiet[at]))
            return f"{view.table.keys[int(numbers[at])].part('metric')} is {now:.3g} instead of {usual:.3g}"

        return Evidence(scores, np.ones(len(scores)), say)


def _weight(role: Role, view: View) -> float:
    """How much a metric counts: what spans measure is left to them."""
    if role is Role.OUTCOME:
        return 0.0 if len(view.index.series("server")[0]) else OUTCOMES_COUNT
    return HALF if role in (Role.HOST, Role.TRAFFIC) else 1.0


@dataclass(frozen=True)
class Points:
    """Entries of gauges: when, which series, and how many values (`count`) with which sum (`total`) they add."""

    moment: Floats
    row: Numbers
    count: Floats
    total: Floats

    @classmethod
    def of(cls, slots: Sequence[tuple[float, Triples]], rows: Numbers) -> "Points":
        whole = joined([cells for _, cells in slots])
        moment = np.repeat([middle for middle, _ in slots], [len(cells.idx) for _, cells in slots])
        row = rows[whole.idx]
        mine = row >= 0
        row, code, amount = row[mine], whole.code[mine], whole.amount[mine].astype(np.float64)
        return cls(
            moment[mine], row, np.where(code == Cell.COUNT, amount, 0), np.where(code == Cell.SECONDS, amount, 0)
        )

    def on_grid(self, step_s: float, rows: int) -> Floats:
        """(rows, steps) mean value in each step that anybody has a point in; NaN for those who have none."""
        steps, step = np.unique(np.floor(self.moment / step_s).astype(np.int64), return_inverse=True)
        place = self.row * len(steps) + step
        counts = np.bincount(place, self.count, rows * len(steps))
        sums = np.bincount(place, self.total, rows * len(steps))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(counts > 0, sums / counts, np.nan).reshape(rows, len(steps))


def _grid(view: View, numbers: Numbers) -> Grid | None:
    """The points of quiet time and of the window, both in the same steps."""
    rows = np.full(view.table.size + 1, -1, np.int64)
    rows[numbers] = np.arange(len(numbers))
    now = Points.of([(slot.ts + slot.span_s / 2, slot.cells) for slot in view.slots], rows)
    usual = Points.of([(middle, cells) for middle, _, cells in view.quiet.slots], rows)
    if not len(usual.row) or not (view.is_quiet or len(now.row)):
        return None
    length_s = float(np.median(view.seconds)) if view.is_quiet else float(np.ptp(now.moment)) + 1
    step_s = _step_s(length_s, usual)
    quiet, window = (part.on_grid(step_s, len(numbers)) for part in (usual, now))
    width = max(1, round(length_s / step_s)) if view.is_quiet else max(1, window.shape[1])
    return _rates_of_counters(Grid(quiet[:, -MOST_STEPS:], window, width))


def _step_s(length_s: float, quiet: Points) -> float:
    """Long enough that most series have a point in each step.

    Args:
        length_s: Of a window.
    """
    moments = np.unique(quiet.moment)
    per_series = float((quiet.count > 0).sum()) / max(1, len(np.unique(quiet.row)))
    gaps = np.diff(moments)
    covered_s = float(np.minimum(gaps, 2 * np.median(gaps)).sum()) if len(gaps) > 1 else 1.0
    apart_s = max(1.0, covered_s / max(per_series, 1.0))
    return float(max(round(apart_s), min(LONGEST_STEP_S, length_s // STEPS), 1.0))


def _rates_of_counters(grid: Grid) -> Grid:
    """Running totals as what they grew by; the first step of each part is lost."""
    rise = np.diff(grid.quiet, axis=1)
    known = np.maximum((~np.isnan(rise)).sum(axis=1), 1)
    with np.errstate(invalid="ignore"):
        counter = ((rise >= 0).sum(axis=1) >= COUNTER_RISES[0] * known) & (
            (rise > 0).sum(axis=1) >= COUNTER_RISES[1] * known
        )
    counter &= known >= LEAST_POINTS
    if not counter.any():
        return grid
    quiet, window = grid.quiet.copy(), grid.window.copy()
    quiet[counter, 1:] = rise[counter]
    quiet[counter, 0] = np.nan
    joined = np.concatenate([grid.quiet[counter, -1:], grid.window[counter]], axis=1)
    window[counter] = np.maximum(np.diff(joined, axis=1), 0)
    if window.shape[1] > 1:
        window[counter, 0] = np.nan  # it lies across the gap between the two
    return Grid(quiet, window, grid.width)


def _ranges(grid: Grid, metric: Numbers) -> tuple[Floats, Floats]:
    """How many usual ranges each series lies beyond its usual range: in pieces of quiet time, and in the window.

    A piece is held against the others alone: its own points would make it look usual.
    """
    width = grid.width
    pieces = grid.quiet.shape[1] // width
    quiet = grid.quiet[:, grid.quiet.shape[1] - pieces * width :]
    biggest = np.fmax(_largest(np.abs(grid.quiet)), _largest(np.abs(grid.window)))
    fold = np.arange(pieces) % FOLDS
    found = np.zeros((len(quiet), pieces))
    for part in range(min(FOLDS, pieces) if pieces > 1 else 0):
        mine = np.repeat(fold == part, width)
        usual = _usual(quiet[:, ~mine], biggest, metric)
        found[:, fold == part] = _lasting(usual.beyond(quiet[:, mine]).reshape(len(quiet), -1, width))
    if not grid.window.shape[1]:
        return found, np.zeros((len(quiet), 0))
    window = _usual(grid.quiet, biggest, metric).beyond(grid.window)
    return found, _lasting(window[:, None, :])


@dataclass(frozen=True)
class Usual:
    """The usual range of each series, and what counts as one range; NaN for a series with too few points."""

    low: Floats
    high: Floats
    below: Floats
    above: Floats

    def beyond(self, values: Floats) -> Floats:
        """(series, steps) ranges beyond the usual range, either way; 0 inside, NaN where nothing is known."""
        with np.errstate(invalid="ignore"):
            up = (values - self.high[:, None]) / self.above[:, None]
            down = DROPS_COUNT * (self.low[:, None] - values) / self.below[:, None]
            return np.clip(np.fmax(up, down), 0, MOST)


def _usual(quiet: Floats, biggest: Floats, metric: Numbers) -> Usual:
    low, median, high = _quantiles(quiet, (0.02, 0.5, 0.98))
    elsewhere = SIBLINGS_FLOOR * _usual_of_kind(median, metric) + SIBLINGS_RANGE * _usual_of_kind(high - median, metric)
    floor = np.maximum(USUAL_FLOOR * np.abs(median) + OWN_FLOOR * biggest + elsewhere, 1e-12)
    judged = (~np.isnan(quiet)).sum(axis=1) >= LEAST_POINTS
    return Usual(
        low=np.where(judged, low, np.nan),
        high=np.where(judged, high, np.nan),
        below=median - low + floor,
        above=high - median + floor,
    )


def _lasting(values: Floats) -> Floats:
    """(series, pieces) mean of the larger half of each piece: what lasts counts, one point hardly."""
    ordered = -np.sort(-np.nan_to_num(values), axis=-1)
    return np.asarray(ordered[..., : (values.shape[-1] + 1) // 2].mean(axis=-1))


def _noise(quiet: Floats, metric: Numbers) -> Floats:
    """(series,) what the series and its kind reach in quiet time, as a geometric mean."""
    if not quiet.shape[1]:
        return np.full(len(quiet), 2 * LEAST)
    kinds = int(metric.max()) + 1
    worst = np.zeros((kinds, quiet.shape[1]))
    np.maximum.at(worst, metric, quiet)
    of_kind = np.quantile(worst, 0.9, axis=1)[metric]
    own = np.quantile(quiet, 0.9, axis=1)
    return np.asarray(np.maximum(np.maximum(of_kind, own), LEAST))


def _quantiles(values: Floats, shares: tuple[float, ...]) -> tuple[Floats, ...]:
    """(series,) of each share, over what is not NaN; NaN without any."""
    ordered = np.sort(values, axis=1)  # NaN last
    known = (~np.isnan(values)).sum(axis=1)
    rows = np.arange(len(values))
    return tuple(
        np.where(known > 0, ordered[rows, np.round(share * np.maximum(known - 1, 0)).astype(int)], np.nan)
        for share in shares
    )


def _largest(values: Floats) -> Floats:
    return np.asarray(np.where(np.isnan(values), 0, values).max(axis=1, initial=0.0))


def _usual_of_kind(values: Floats, metric: Numbers) -> Floats:
    """(series,) what the larger ones among all series of the same metric usually have."""
    size = np.nan_to_num(np.abs(values))
    order = np.lexsort((size, metric))
    kinds, start, count = np.unique(metric[order], return_index=True, return_counts=True)
    large = size[order][start + np.floor(LARGER * (count - 1)).astype(np.int64)]
    of_kind = np.zeros(int(metric.max()) + 1)
    of_kind[kinds] = large
    return np.asarray(of_kind[metric])
