"""Excursions: levels out of their usual range, for how long, how far, and how surprising that is by itself.

    a bin's values -> points (totals become growth) -> how far out -> for two points on end? -> learned, or a run

A run begins with the first point out of the range and ends with the first one inside. While it lasts nothing of it is
learned; when it was short and raised no alert, it was noise. What stays out for half an hour is the new normal.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paramedic_detector.scores.baselines import Flags
from paramedic_detector.scores.levels_names import Kind
from paramedic_detector.scores.levels_noise import FROM, Noise
from paramedic_detector.scores.levels_rows import BIN_S, Closed, Rows
from paramedic_detector.scores.levels_usual import Usual
from paramedic_detector.scores.seasons import Seasons

STAYS: Final = 0.5  # an alert lasts while its level is this far out
SUSPICIOUS: Final = 1.0  # from here on nothing is learned
FAST_S: Final = 12.0  # points that come faster must stay out for three bins
NEW_NORMAL_S: Final = 1800.0
NEW_NORMAL_STEPS: Final = 8
HOLE_STEPS: Final = 3  # what lies so many steps apart is not on end
SLOPE: Final = 0.2  # of the step: how fast the usual time between points is learned
HABIT_HALF_LIFE_S: Final = 7200.0
HABIT: Final = 2.0  # alerts of a row lately, from which on the next one like them is how this row is
COUNTER_FROM: Final = 20  # rises without a fall make a running total
_NEVER_TOTALS: Final = (Kind.MEMORY, Kind.DISK, Kind.POOL, Kind.SUCCESS, Kind.LATENCY)

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]


class Runs:
    """The excursions of all rows, in arrays."""

    def __init__(self, rows: Rows, usual: Usual, noise: Noise, seasons: Seasons) -> None:
        self.rows, self.usual, self.noise, self.seasons = rows, usual, noise, seasons
        self.judged = np.empty(0, bool)  # rows that are worth a judgement
        self.allocate(0)

    def allocate(self, size: int) -> None:
        self.last_at = np.zeros(size)  # last point, unix seconds; 0 none
        self.value = np.full(size, np.nan)  # of the last bin, of totals what they grew by a second
        self.raw = np.full(size, np.nan)
        self.step = np.zeros(size, np.float32)
        self.rises = np.zeros(size, np.float32)
        self.falls = np.zeros(size, np.float32)
        self.counter = np.zeros(size, bool)
        self.far = np.zeros((size, 3), np.float32)  # how far out the last three bins were, newest last
        self.recent = np.full((size, 3), np.nan, np.float32)  # and what they were
        self.run_since = np.zeros(size)  # first point of the excursion; 0 none
        self.furthest = np.zeros(size, np.float32)  # of this excursion
        self.alone = np.zeros(size, np.float32)  # how surprising the level is by itself
        self.upwards = np.zeros(size, bool)
        self.active = np.zeros(size, bool)
        self.habit = np.zeros(size, np.float32)  # alerts of the last hours, fading
        self.reached = np.zeros(size)  # where the level stayed when it was furthest out
        self.best = np.zeros(size, np.float32)  # score of the alert at its highest
        self.suspicious_at = np.full(size, -1.0)

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        names = ("last_at", "value", "raw", "step", "rises", "falls", "counter", "far", "recent", "run_since",
                 "furthest", "alone", "upwards", "active", "habit", "reached", "best", "suspicious_at")  # fmt: skip
        return {name: getattr(self, name) for name in names}

    def take(self, closed: Closed, held: Flags) -> tuple[Ints, Doubles]:
        """Judge and learn the bins that ended; gives the rows and values that were judged."""
        rows, values, hole = self._points(closed)
        if not len(rows):
            return rows, values
        at = closed.at
        far = self.usual.beyond(rows, values, at, self.seasons.range_of(rows))
        known = np.isfinite(far) & self.judged[rows]
        far = np.where(known, far, 0)
        lasting = self._lasting(rows, far, hole)
        self._stayed(rows, values, hole, at, held)
        self.noise.watch(self.rows.group[rows[known]], self.step[rows[known]])
        self._learn(rows, values, far, at, held)
        self._rate(rows, lasting, at)
        return rows, values

    def _points(self, closed: Closed) -> tuple[Ints, Doubles, Flags]:
        """The values to judge (of running totals, what they grew by a second), and whether a hole came before."""
        rows, raw, at = closed.rows, closed.values, closed.at
        passed, before = at - self.last_at[rows], self.raw[rows]
        first = self.last_at[rows] == 0
        step = self.step[rows]
        near = (passed > 0) & ~first
        known = near & (step > 0)
        step = np.where(near & ~known, passed, step)
        step = np.where(known, step + np.clip(passed - step, -SLOPE * step, SLOPE * step), step)
        self.step[rows] = step
        self.rises[rows] = 0.99 * self.rises[rows] + (raw > before)
        self.falls[rows] = 0.99 * self.falls[rows] + (raw < before)
        self._notice_totals(rows)
        self.last_at[rows], self.raw[rows] = at, raw
        counter = self.counter[rows]
        with np.errstate(invalid="ignore"):
            values = np.where(counter, (raw - before) / np.maximum(passed, 1), raw)
        hole: Flags = np.asarray(first | (passed > HOLE_STEPS * np.maximum(step, BIN_S)))
        fine = np.flatnonzero(~counter | (~hole & (values >= 0)))
        self.value[rows[fine]] = values[fine]
        return np.asarray(rows[fine]), np.asarray(values[fine]), hole[fine]

    def _notice_totals(self, rows: Ints) -> None:
        level = np.isin(self.rows.kind[rows], _NEVER_TOTALS)
        grows = (self.rises[rows] >= COUNTER_FROM) & (self.falls[rows] < 0.05 * self.rises[rows])
        named = self.rows.total[rows] & (self.rises[rows] >= 3) & (self.falls[rows] < 0.1 * self.rises[rows])
        is_one = ((grows & ~level) | named) & ~self.rows.rates[rows]
        was = self.counter[rows]
        stays = was & (self.falls[rows] < 0.3 * self.rises[rows])
        now = is_one | stays
        turned = rows[now != was]
        if len(turned):
            self.usual.begin_anew(turned)
            self.seasons.forget(turned)
            self.counter[turned] = ~self.counter[turned]

    def _lasting(self, rows: Ints, far: Doubles, hole: Flags) -> Doubles:
        """How far out each level stayed for its last two points, or three bins; signed."""
        recent = self.far[rows]
        recent[hole] = 0
        recent[:, :-1] = recent[:, 1:]
        recent[:, -1] = far
        self.far[rows] = recent
        need = np.where(self.step[rows] < FAST_S, recent[:, 0], recent[:, 1])
        least = np.minimum(np.minimum(np.abs(need), np.abs(recent[:, 1])), np.abs(recent[:, 2]))
        one_way = (np.sign(need) == np.sign(recent[:, 2])) & (np.sign(recent[:, 1]) == np.sign(recent[:, 2]))
        return np.where(one_way, np.sign(far) * least, 0)

    def _stayed(self, rows: Ints, values: Doubles, hole: Flags, at: int, held: Flags) -> None:
        """Learn how high and low healthy levels stay for as long as an alert needs."""
        recent = self.recent[rows]
        recent[hole] = np.nan
        recent[:, :-1] = recent[:, 1:]
        recent[:, -1] = values
        self.recent[rows] = recent
        fast = self.step[rows] < FAST_S
        least = np.where(fast, recent.min(axis=1), recent[:, 1:].min(axis=1))
        most = np.where(fast, recent.max(axis=1), recent[:, 1:].max(axis=1))
        calm: Flags = np.asarray((np.abs(self.far[rows]) < SUSPICIOUS).all(axis=1))
        self.usual.remember(rows[calm], least[calm], most[calm])
        free = ~held[rows]
        self.seasons.learn(rows[free], least[free], most[free], ~calm[free], at)

    def _learn(self, rows: Ints, values: Doubles, far: Doubles, at: int, held: Flags) -> None:
        odd = np.abs(far) >= SUSPICIOUS
        begun = odd & (self.run_since[rows] == 0)
        self.run_since[rows[begun]] = at - np.minimum(self.step[rows[begun]], 60) / 2
        self.suspicious_at[rows[odd]] = at
        over = rows[~odd & (self.run_since[rows] > 0)]
        spans = at - self.run_since[over]
        counts = self.furthest[over] >= FROM
        self._end(over[counts], spans[counts])
        self.run_since[over], self.furthest[over] = 0, 0
        lasted = at - self.run_since[rows]
        changed = odd & (lasted >= np.maximum(NEW_NORMAL_S, NEW_NORMAL_STEPS * self.step[rows]))
        self.usual.begin_anew(rows[changed])
        self.run_since[rows[changed]], self.far[rows[changed]] = 0, 0
        self.active[rows[changed]] = False
        free = ~held[rows]
        self.usual.offer(rows[free], values[free], at, self.suspicious_at, self.step)

    def _end(self, over: Ints, spans: Doubles) -> None:
        """These excursions are over: they tell how their metric is, and some rows have the habit."""
        told = self.active[over]
        self.noise.ended(self.rows.group[over], self.furthest[over], spans, told)
        self.habit[over[told]] += 1
        usual = over[told & (self.habit[over] > HABIT)]
        self.usual.remember(usual, self.reached[usual], self.reached[usual])

    def fade(self, passed_s: float) -> None:
        """Let habits fade."""
        self.habit *= 2.0 ** (-passed_s / HABIT_HALF_LIFE_S)

    def _rate(self, rows: Ints, lasting: Doubles, at: int) -> None:
        """How surprising each level is by itself."""
        further = np.abs(lasting) > self.furthest[rows]
        self.furthest[rows] = np.maximum(self.furthest[rows], np.abs(lasting))
        self.reached[rows[further]] = self.value[rows[further]]
        step = np.maximum(self.step[rows], BIN_S).astype(np.float64)
        longer = np.maximum(0, at - self.run_since[rows] - np.where(step < FAST_S, 2, 1.5) * step)
        self.alone[rows] = self.noise.surprise(self.rows.group[rows], np.abs(lasting), longer, step)
        self.upwards[rows] = lasting > 0
        self.active[rows] &= np.abs(self.far[rows, 2]) >= STAYS
