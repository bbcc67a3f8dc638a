"""Slow drifts: levels that grow for minutes or for hours towards a limit, and when they will reach it.

    values --means of 5 s, 30 s and 450 s--> the last 64 of each --8 blocks--> Theil-Sen slope --> time to the limit

A leak is a trend and no excursion: each value is near the one before, and the usual range learns it. So the trend is
asked for: do the blocks rise (nearly) all, by much more than they wobble? Then the limit: said by another metric or by
the unit, or learned from a fall after a long rise, which is how processes out of memory end. The claim is a time with a
range; it is made only for about twice as long as the trend was watched.

Source: Theil (1950) and Sen (1968) for the slope and its range; Mann (1945) and Kendall for the test of a trend.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SCALES_S: Final = (5, 30, 450)  # a point each; 64 of them are 5 minutes, 32 minutes and 8 hours
CALM_S: Final = 30  # the scale that says whether a level was flat before it rose within minutes
FLAT: Final = 0.25  # of the level: how near it must have been to where the rise began
FLAT_POINTS: Final = 8  # of CALM_S each
DOUBLES: Final = 0.8  # growth within minutes that is worth an incident without a known limit
POINTS: Final = 64
BLOCKS: Final = 8
LEAST_BLOCKS: Final = 5
RISING: Final = 0.9  # share of the pairs of blocks that rise
CLEAR: Final = 4.0  # the growth against what blocks wobble about the line
GROWTH: Final = 0.05  # of the level, at least
ALONE: Final = 0.3  # growth without a known limit that is worth a word
AHEAD: Final = 2.0  # spans of the trend, for which a claim is made
MOST_AHEAD_S: Final = 24 * 3600.0
FALLEN: Final = 0.6  # below this share of the point before, after a rise, a level fell
LATELY: Final = 4  # of the last so many points one must be known
OFTEN: Final = 3  # falls within the points: a sawtooth, and no end of anything
AT_ONCE: Final = 4_000  # rows judged in one step

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]
_FIRST, _SECOND = np.triu_indices(BLOCKS, 1)


@dataclass(frozen=True, slots=True)
class Drift:
    """A level that grows."""

    row: int
    level: float
    began: float  # its level when the trend was first seen
    a_second: float  # growth
    since: float
    limit: float | None
    left_s: float | None  # until the limit; None without one
    soonest_s: float | None
    latest_s: float | None
    score: float


class _Scale:
    """Means of equal spans, the newest last."""

    def __init__(self, span_s: int) -> None:
        self.span_s, self.ends_at = span_s, 0
        self.points = np.full((0, POINTS), np.nan, np.float32)
        self.sums, self.counts = np.zeros(0), np.zeros(0, np.float32)
        self.turn = 0  # rows from here on are still to be judged
        self.todo = 0

    def follow(self, size: int) -> None:
        more = size - len(self.sums)
        self.points = np.concatenate([self.points, np.full((more, POINTS), np.nan, np.float32)])
        self.sums = np.concatenate([self.sums, np.zeros(more)])
        self.counts = np.concatenate([self.counts, np.zeros(more, np.float32)])

    def close(self, at: int) -> bool:
        """End the span when it is over; a hole of several spans stays a hole."""
        if not self.ends_at:
            self.ends_at = at // self.span_s * self.span_s + self.span_s
        passed = (at - self.ends_at) // self.span_s + 1
        if passed <= 0:
            return False
        holes = min(POINTS, passed)
        self.points[:, :-holes] = self.points[:, holes:]
        self.points[:, -holes:] = np.nan
        with np.errstate(invalid="ignore", divide="ignore"):
            self.points[:, -holes] = np.where(self.counts > 0, self.sums / self.counts, np.nan)
        self.sums[:], self.counts[:] = 0, 0
        self.ends_at += passed * self.span_s
        return True


class Drifts:
    """Trends of all rows."""

    def __init__(self) -> None:
        self.scales = [_Scale(span_s) for span_s in SCALES_S]
        self.learned = np.empty(0, np.float32)  # limit read from a fall after a rise
        self.found: dict[tuple[int, int], Drift] = {}  # by scale and row

    def follow(self, size: int) -> None:
        """Make room for new rows."""
        for scale in self.scales:
            scale.follow(size)
        self.learned = np.concatenate([self.learned, np.full(size - len(self.learned), np.nan, np.float32)])

    def add(self, rows: Ints, values: Doubles, at: int) -> None:
        """Values of bins that ended at `at`; each row at most once."""
        for scale in self.scales:
            if scale.close(at):
                scale.turn, scale.todo = 0, len(scale.sums)
                if scale.span_s == CALM_S:
                    self._learn_limits(scale)
            scale.sums[rows] += values
            scale.counts[rows] += 1

    def _learn_limits(self, scale: _Scale) -> None:
        points = scale.points
        before, now = points[:, -2], points[:, -1]
        fallen = now < FALLEN * before
        if fallen.any():
            rows = np.flatnonzero(fallen)
            top = np.nanmax(points[rows], axis=1)
            grown = before[rows] >= 0.95 * top
            self.learned[rows[grown]] = before[rows[grown]]

    def judge(self, limits: Doubles, levels: NDArray[np.bool_], now: float) -> list[Drift]:
        """The drifts that are known now.

        Args:
            limits: (rows,) what each level can reach, NaN where nobody said.
            levels: (rows,) whether a trend of this row means anything.
        """
        for place, scale in enumerate(self.scales):
            if scale.turn < scale.todo:
                part = np.arange(scale.turn, min(scale.todo, scale.turn + AT_ONCE))
                scale.turn += AT_ONCE
                for row in part:
                    self.found.pop((place, int(row)), None)
                for drift in self._trends(scale, part[levels[part]], limits, now):
                    self.found[place, drift.row] = drift
        return list(self.found.values())

    def _trends(self, scale: _Scale, rows: Ints, limits: Doubles, now: float) -> list[Drift]:
        rows = rows[np.isfinite(scale.points[rows, -LATELY:]).any(axis=1)]
        if not len(rows):
            return []
        points = scale.points[rows].astype(np.float64)
        known = np.isfinite(points)
        each = known.reshape(len(rows), BLOCKS, -1).sum(axis=2)
        blocks = np.where(known, points, 0).reshape(len(rows), BLOCKS, -1).sum(axis=2) / np.maximum(each, 1)
        whole = each * 2 >= POINTS // BLOCKS
        width_s = scale.span_s * POINTS / BLOCKS
        rise = (blocks[:, _SECOND] - blocks[:, _FIRST]) / ((_SECOND - _FIRST) * width_s)
        pair = whole[:, _SECOND] & whole[:, _FIRST]
        pairs = pair.sum(axis=1)
        rising = ((rise > 0) & pair).sum(axis=1) / np.maximum(pairs, 1)
        good = (whole.sum(axis=1) >= LEAST_BLOCKS) & whole[:, -1] & (rising >= RISING)
        good &= self._falls(points) < OFTEN
        if scale.span_s < CALM_S:  # what rises and falls by turns shows that only over a longer time
            calm = next(one for one in self.scales if one.span_s == CALM_S)
            good &= self._falls(calm.points[rows].astype(np.float64)) == 0
        return [
            drift
            for at in np.flatnonzero(good)
            if (drift := self._drift(int(rows[at]), blocks[at], whole[at], np.sort(rise[at][pair[at]]), width_s,
                                     float(limits[rows[at]]), now))
        ]  # fmt: skip

    @staticmethod
    def _falls(points: Doubles) -> Ints:
        with np.errstate(invalid="ignore"):
            return np.asarray((points[:, 1:] < FALLEN * points[:, :-1]).sum(axis=1))

    def _drift(
        self, row: int, blocks: Doubles, whole: NDArray[np.bool_], slopes: Doubles, width_s: float, limit: float,
        now: float,
    ) -> Drift | None:  # fmt: skip
        """One row whose blocks rise: is it clear, and where does it lead?"""
        at = np.arange(BLOCKS)[whole] * width_s
        seen = blocks[whole]
        slope = float(np.median(slopes))
        line = np.median(seen - slope * at) + slope * at
        wobble = float(np.median(np.abs(seen - line))) * 1.4826
        span_s = float(at[-1] - at[0]) + width_s
        growth, level = slope * span_s, float(line[-1] + slope * width_s / 2)
        if growth < CLEAR * wobble or growth < GROWTH * abs(level):
            return None
        if not np.isfinite(limit):
            limit = float(self.learned[row])
        clear = float(np.log10(max(growth / max(wobble, 1e-3 * growth) / CLEAR, 1.0)))
        score = 4.5 + min(2.0, 2 * clear)
        if not np.isfinite(limit) or limit <= level:
            began, quick = level - growth, width_s * BLOCKS < CALM_S * POINTS
            if growth < (DOUBLES if quick else ALONE) * abs(began) or (quick and not self._was_flat(row, began)):
                return None
            return Drift(
                row, level, began, slope, now - span_s, None, None, None, None, score if quick else min(score, 4.9)
            )
        steep, flat = np.maximum(np.quantile(slopes, (0.9, 0.1)), 0.05 * slope)
        soonest, latest = float((limit - level) / steep), float((limit - level) / flat)
        left_s = (limit - level) / slope
        if left_s > min(MOST_AHEAD_S, AHEAD * span_s):
            return None
        return Drift(row, level, level - growth, slope, now - span_s, limit, left_s, soonest, latest, score)

    def _was_flat(self, row: int, level: float) -> bool:
        """Whether it stood near this level for minutes: what is young warms up."""
        calm = next(scale for scale in self.scales if scale.span_s == CALM_S)
        points = calm.points[row, : -(SCALES_S[0] * POINTS // CALM_S)]
        points = points[np.isfinite(points)]
        return len(points) >= FLAT_POINTS and abs(float(np.median(points)) - level) <= FLAT * abs(level)

    # Surviving a restart

    def checkpoint(self) -> dict[str, NDArray[Any]]:
        """One entry a row in each array but `ends`."""
        return {
            "learned": self.learned,
            "ends": np.array([scale.ends_at for scale in self.scales]),
            **{f"points_{scale.span_s}": scale.points for scale in self.scales},
        }

    def restore(self, arrays: dict[str, NDArray[Any]], rows: Ints, places: Ints) -> None:
        """Take from a checkpoint what it knows of rows: of each, its place there."""
        self.learned[rows] = arrays["learned"][places]
        for scale, ends_at in zip(self.scales, arrays["ends"].tolist(), strict=True):
            scale.points[rows] = arrays[f"points_{scale.span_s}"][places]
            scale.ends_at = int(ends_at)
