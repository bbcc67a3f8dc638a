"""The usual range of each level, and how far outside of it a value lies.

    value --waits, unless suspicious or held--> kept values (the last KEPT) --sorted now and then--> low, middle, high

How far out is a value: its distance beyond the usual edge, in units of the distance from the middle to that edge. That
unit is the series' own, whatever its distribution; floors keep it from vanishing: a part of the value, what is usual of
siblings (the same metric elsewhere), one piece of what is counted in pieces. A young history has a wider range.

Downwards the same is measured of 1/value, so that a level that falls to nothing is as far out as one that multiplies.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_detector.scores.levels_names import Kind

KEPT: Final = 96  # values of a series; at one in 30 s or more: 48 minutes and more
WAITING: Final = 3  # kept values wait for so many more before they count
YOUNG: Final = 24  # below this many every value is kept
THIN_S: Final = 30.0  # later, one in so many seconds
LEAST: Final = 10  # values without which nothing is said
LOW: Final = 0.02
HIGH: Final = 0.98
RELATIVE: Final = 0.1  # of the middle: a smaller spread is not believed
OF_SIBLINGS: Final = 0.5  # of what siblings usually vary by
TIGHT: Final = frozenset({Kind.MEMORY, Kind.DISK, Kind.SUCCESS})  # small changes of these count
LATENCY_FLOOR_S: Final = 0.005
ZERO_SHARE: Final = 0.05  # of the middle: below it a level counts as gone
PEAK_KEPT: Final = 0.97  # of how far a peak stood out, at each refresh
MOST_REFRESHED: Final = 4_000  # series in one step

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]


class Usual:
    """Ranges of all rows, in arrays."""

    def __init__(self) -> None:
        self.allocate(0)

    def allocate(self, size: int) -> None:
        self.kept = np.full((size, KEPT), np.nan, np.float32)
        self.count = np.zeros(size, np.int32)  # kept values ever
        self.waiting = np.full((size, WAITING), np.nan, np.float32)
        self.waiting_at = np.zeros((size, WAITING), np.float64)
        self.last_kept = np.zeros(size, np.float64)  # when the last value began to wait
        self.first_at = np.zeros(size, np.float64)  # of the history
        self.due = np.zeros(size, np.int32)  # values since the last refresh
        self.middle = np.full(size, np.nan, np.float32)
        self.low = np.full(size, np.nan, np.float32)
        self.high = np.full(size, np.nan, np.float32)
        self.peak = np.full(size, np.nan, np.float32)  # how high it stayed, for hours
        self.trough = np.full(size, np.nan, np.float32)
        self.whole = np.zeros(size, bool)  # counted in pieces
        self.floor = np.zeros(size, np.float32)
        self.sibling = np.zeros(size, np.float32)  # usual spread of the same metric elsewhere

    @property
    def arrays(self) -> dict[str, NDArray[np.generic]]:
        return {name: array for name, array in vars(self).items() if isinstance(array, np.ndarray)}

    @property
    def warm(self) -> NDArray[np.bool_]:
        """(rows,) whether enough is known."""
        return np.asarray((self.count >= LEAST) & np.isfinite(self.middle))

    # Learning

    def offer(self, rows: Ints, values: Doubles, at: int, suspicious_at: Doubles, step: Floats) -> None:
        """New values; they count when their wait is over and nothing suspicious happened since.

        Args:
            rows: Those with a value that may be learned.
            suspicious_at: (rows of all,) when each was last out of its range; -1 never.
            step: (rows of all,) usual seconds between two values.
        """
        young = self.count[rows] < YOUNG
        often = at - self.last_kept[rows] >= THIN_S - 0.5 * step[rows]
        rows, values = rows[young | often], values[young | often]
        if not len(rows):
            return
        self.last_kept[rows] = at
        fresh = self.count[rows] < LEAST
        self._keep(rows[fresh], values[fresh], at)
        rows, values = rows[~fresh], values[~fresh]
        oldest, since = self.waiting[rows, 0], self.waiting_at[rows, 0]
        fine = np.isfinite(oldest) & (suspicious_at[rows] < since)
        self._keep(rows[fine], oldest[fine].astype(np.float64), at)
        self.waiting[rows, :-1] = self.waiting[rows, 1:]
        self.waiting_at[rows, :-1] = self.waiting_at[rows, 1:]
        self.waiting[rows, -1], self.waiting_at[rows, -1] = values, at

    def _keep(self, rows: Ints, values: Doubles, at: int) -> None:
        if not len(rows):
            return
        new = self.count[rows] == 0
        self.first_at[rows[new]] = at
        self.kept[rows, self.count[rows] % KEPT] = values
        self.count[rows] += 1
        self.due[rows] += 1

    def begin_anew(self, rows: Ints) -> None:
        """What these rows were is no measure of what they are now."""
        self.kept[rows], self.waiting[rows] = np.nan, np.nan
        for array in (self.count, self.due):
            array[rows] = 0
        for edge in (self.middle, self.low, self.high, self.peak, self.trough):
            edge[rows] = np.nan

    def refresh(self, percent: NDArray[np.bool_], kind: NDArray[np.int8]) -> None:
        """Sort the histories that have grown by an eighth."""
        grown = (self.due > 0) & (self.count >= LEAST) & (self.due * 8 >= np.minimum(self.count, KEPT))
        rows = np.flatnonzero(grown)[:MOST_REFRESHED]
        if not len(rows):
            return
        kept = np.sort(self.kept[rows], axis=1)  # NaN last
        n = np.minimum(self.count[rows], KEPT)
        places = np.arange(len(rows))
        middle = kept[places, n // 2]
        low = kept[places, np.floor(LOW * (n - 1)).astype(int)]
        high = kept[places, np.ceil(HIGH * (n - 1)).astype(int)]
        self.peak[rows] = np.fmax(high, high + (self.peak[rows] - high) * PEAK_KEPT)
        self.trough[rows] = np.fmin(low, low + (self.trough[rows] - low) * PEAK_KEPT)
        self.middle[rows], self.low[rows], self.high[rows] = middle, low, high
        self.whole[rows] = (np.nan_to_num(kept) % 1 == 0).all(axis=1)
        self.floor[rows] = self._floors(middle, kept[places, n - 1], self.whole[rows], percent[rows], kind[rows])
        self.due[rows] = 0

    def remember(self, rows: Ints, stayed_above: Doubles, stayed_below: Doubles) -> None:
        """How high and how low these levels stayed for as long as an alert needs, in health."""
        self.peak[rows] = np.fmax(self.peak[rows], stayed_above)
        self.trough[rows] = np.fmin(self.trough[rows], stayed_below)

    @staticmethod
    def _floors(
        middle: Floats, most: Floats, whole: NDArray[np.bool_], percent: NDArray[np.bool_], kind: NDArray[np.int8]
    ) -> Floats:
        relative = np.where(np.isin(kind, [int(one) for one in TIGHT]), RELATIVE / 2, RELATIVE)
        floor = relative * np.abs(middle)
        floor = np.maximum(floor, np.where(whole, np.sqrt(np.abs(middle) + 1), 0))
        floor = np.maximum(floor, np.where(percent, np.where(most > 1.5, 1.0, 0.01), 0))
        floor = np.maximum(floor, np.where(kind == Kind.LATENCY, LATENCY_FLOOR_S, 0))
        return np.asarray(floor, np.float32)

    def compare_siblings(self, group: NDArray[np.int32]) -> None:
        """How much the same metric usually varies elsewhere: the median over the rows of each group."""
        rows = np.flatnonzero(self.warm)
        if not len(rows):
            return
        spread = (self.high - self.low)[rows] / 2
        order = np.lexsort((spread, group[rows]))
        groups, first, size = np.unique(group[rows][order], return_index=True, return_counts=True)
        medians = np.zeros(int(group.max()) + 1, np.float32)
        medians[groups] = spread[order][first + size // 2]
        self.sibling = medians[group]

    # Judging

    def beyond(self, rows: Ints, values: Doubles, at: float, season: tuple[Floats, Floats] | None = None) -> Doubles:
        """(rows,) how far outside of its usual range each value lies, negative below it; 0 inside; NaN when unknown."""
        middle, low, high = self.middle[rows], self.low[rows], self.high[rows]
        floor = np.maximum(self.floor[rows], OF_SIBLINGS * self.sibling[rows]) + 1e-12
        top, bottom = np.fmax(high, self.peak[rows]), np.fmin(low, self.trough[rows])
        if season is not None:
            top, bottom = np.fmax(top, season[0]), np.fmin(bottom, season[1])
        above = (values - top) / (high - middle + floor)
        positive = (bottom > 0) & (middle > 0)
        below = np.where(
            positive,
            _fallen(
                values, np.where(positive, bottom, 1), np.where(positive, low, 1), np.where(positive, middle, 1), floor
            ),
            (bottom - values) / (middle - low + floor),
        )
        beyond = np.where(above > 0, above, np.where(below > 0, -below, 0.0))
        return np.asarray(np.where(self.warm[rows], beyond / self._youth(rows, at), np.nan))

    def _youth(self, rows: Ints, at: float) -> Doubles:
        n = np.minimum(self.count[rows], KEPT)
        return np.asarray(1 + 6 / np.maximum(n, 1) + 300 / np.maximum(at - self.first_at[rows], 1))


def _fallen(values: Doubles, bottom: Floats, low: Floats, middle: Floats, floor: Doubles) -> Doubles:
    """How far below: the same measure of 1/value."""
    least = np.maximum(ZERO_SHARE * middle, 1e-12)
    upside = 1 / (np.maximum(values, 0) + least) - 1 / (bottom + least)
    part = np.minimum(floor, 0.9 * middle)
    unit = 1 / (low + least) - 1 / (middle + least) + 1 / (middle - part + least) - 1 / (middle + least)
    return np.asarray(upside / np.maximum(unit, 1e-12))
