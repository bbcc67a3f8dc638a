"""Levels: gauges, money and lines a second, each against its own usual range; both directions, all in arrays.

    seconds -> bins (levels_rows) -> how far outside (levels_usual) -> lasting? -> how rare (levels_noise) -> Alerts

A bin that is out of its range says little: levels jump. An alert needs the level to stay out for two points (15 s when
they come faster), so far that no chance among all rows explains it, and to move in a direction that hurts. Everything
else is support: it explains an incident, and opens none.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paramedic_detector.scores.baselines import Flags
from paramedic_detector.scores.levels_alerts import Level, alert_of
from paramedic_detector.scores.levels_names import OPEN_DOWN, OPEN_UP, RESOURCES, Kind
from paramedic_detector.scores.levels_noise import FROM, Noise
from paramedic_detector.scores.levels_rows import BIN_S, RATE_BINS, Closed, Rows
from paramedic_detector.scores.levels_usual import Usual
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.values import Alert

MARGIN: Final = 4.0  # decades: by chance one alert among all rows in 10,000 minutes
SUPPORT: Final = 4.9  # the most that support scores: below what opens an incident
SUPPORT_FROM: Final = 4.0
COMPANY_FROM: Final = 2.0  # what another kind of level of the same service is above this, counts
COMPANY: Final = 0.7
COMPANY_MOST: Final = 2.5
STAYS: Final = 0.5  # an alert lasts while its level is this far out
SUSPICIOUS: Final = 1.0  # from here on nothing is learned
FAST_S: Final = 12.0  # points that come faster must stay out for three bins
NEW_NORMAL_S: Final = 1800.0
NEW_NORMAL_STEPS: Final = 8
STALE_STEPS: Final = 2.5  # without a point for so long, nothing is said
GAP_S: Final = 300  # a hole in the data this long is skipped
COMPARE_EVERY_S: Final = 60
SLOPE: Final = 0.2  # of the step: how fast the usual time between points is learned
SHORT_S: Final = 120.0  # an excursion that is over by then was noise; a longer one was an event
SHORT_STEPS: Final = 3
COUNTER_FROM: Final = 20  # rises without a fall make a running total
MOST_ALERTS: Final = 200

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]


class Levels:
    """Scores the levels of one table."""

    def __init__(self) -> None:
        self.rows, self.usual, self.noise = Rows(), Usual(), Noise()
        self.threshold: float | None = None
        self._done: int | None = None  # seconds before this one were read
        self._compared_at = 0.0
        self._opens_up = self._opens_down = np.empty(0, bool)
        self._judged = np.empty(0, bool)
        self._restored: dict[str, NDArray[Any]] = {}
        self._places: dict[str, int] = {}  # of a checkpoint, until the table has the series
        self._groups: list[str] = []
        self._allocate(0)

    def _allocate(self, size: int) -> None:
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
        self.best = np.zeros(size, np.float32)  # score of the alert at its highest
        self.suspicious_at = np.full(size, -1.0)

    @property
    def _arrays(self) -> dict[str, NDArray[Any]]:
        names = ("last_at", "value", "raw", "step", "rises", "falls", "counter", "far", "recent", "run_since",
                 "furthest", "alone", "upwards", "active", "best", "suspicious_at")  # fmt: skip
        return {name: getattr(self, name) for name in names}

    def score(self, table: SeriesTable, now: float, held: Flags) -> list[Alert]:
        """Levels that are abnormal now, the most surprising first.

        Args:
            held: (table.size,) series of open incidents: they do not learn.
        """
        mark = table.watermark
        if mark is None:
            return []
        self._follow(table)
        if not self.rows.size:
            return []
        until = min(mark, int(now))
        if self._done is None:
            slots = table.slots(mark - table.history_s, until)
            self._done = slots[0].ts if slots else until
        mine = np.zeros(self.rows.size, bool)
        mine[self.rows.row_of(np.flatnonzero(held))] = True
        if self._read(table, until, mine):
            self.usual.refresh(self.rows.percent, self.rows.kind)
        self.noise.fade(now)
        if now - self._compared_at >= COMPARE_EVERY_S:
            self._compared_at = now
            self.usual.compare_siblings(self.rows.group)
        return self._alerts(table, now)

    # Following the table

    def _follow(self, table: SeriesTable) -> None:
        if not self.rows.follow(table):
            return
        old, size = self._arrays, self.rows.size
        usual = self.usual.arrays
        have = len(self.last_at)
        if size == have:
            self._settle_directions()
            return
        self._allocate(size)
        self.usual.allocate(size)
        for name, array in old.items():
            getattr(self, name)[:have] = array
        for name, array in usual.items():
            getattr(self.usual, name)[:have] = array
        self.noise.allocate(len(self.rows.groups))
        self._place(have)
        self._settle_directions()

    def _settle_directions(self) -> None:
        rows = self.rows
        kinds = {int(kind) for kind in OPEN_UP}
        calls = rows.of_call_services()
        resource = np.isin(rows.kind, [int(kind) for kind in RESOURCES])
        money = rows.kind == Kind.COST
        may = ~rows.supports & (~calls | resource | money)
        self._opens_up = may & np.isin(rows.kind, list(kinds))
        self._opens_down = may & np.isin(rows.kind, [int(kind) for kind in OPEN_DOWN])
        self._judged = ~(rows.by_calls & calls)

    # Reading

    def _read(self, table: SeriesTable, until: int, held: Flags) -> bool:
        """Take in the complete seconds; whether any bin ended."""
        start = self._done if self._done is not None else until
        judged = False
        if until <= start:
            return judged
        slots = {slot.ts: slot for slot in table.slots(start, until) if slot.ts >= start}
        seconds: list[int] = list(range(start, until))
        if until - start > GAP_S:
            seconds = sorted({second + more for second in slots for more in range(BIN_S * RATE_BINS)})
            seconds = [second for second in seconds if second < until]
        for second in seconds:
            if second in slots:
                self.rows.take(slots[second])
            closed = self.rows.close(second + 1)
            if len(closed.rows):
                self._judge(closed, held)
                judged = True
        self._done = until
        return judged

    def _judge(self, closed: Closed, held: Flags) -> None:
        rows, values = self._points(closed)
        if not len(rows):
            return
        far = self.usual.beyond(rows, values, closed.at)
        known = np.isfinite(far) & self._judged[rows]
        far = np.where(known, far, 0)
        lasting = self._lasting(rows, values, far, closed.at)
        self.noise.watch(self.rows.group[rows[known]], self.step[rows[known]])
        self._learn(rows, values, far, closed.at, held)
        self._rate(rows, lasting, closed.at)

    def _points(self, closed: Closed) -> tuple[Ints, Doubles]:
        """The values to judge: of running totals, what they grew by a second."""
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
        fine = ~counter | (~first & (values >= 0) & (passed <= 3 * np.maximum(step, BIN_S)))
        self.value[rows[fine]] = values[fine]
        return np.asarray(rows[fine]), np.asarray(values[fine])

    def _notice_totals(self, rows: Ints) -> None:
        level = np.isin(self.rows.kind[rows], (Kind.MEMORY, Kind.DISK, Kind.POOL, Kind.SUCCESS, Kind.LATENCY))
        grows = (self.rises[rows] >= COUNTER_FROM) & (self.falls[rows] < 0.05 * self.rises[rows])
        named = self.rows.total[rows] & (self.rises[rows] >= 3) & (self.falls[rows] < 0.1 * self.rises[rows])
        is_one = ((grows & ~level) | named) & ~self.rows.rates[rows]
        was = self.counter[rows]
        stays = was & (self.falls[rows] < 0.3 * self.rises[rows])
        now = is_one | stays
        turned = rows[now != was]
        if len(turned):
            self.usual.begin_anew(turned)
            self.counter[turned] = ~self.counter[turned]

    def _lasting(self, rows: Ints, values: Doubles, far: Doubles, at: int) -> Doubles:
        """How far out each level stayed for its last two points, or three bins; signed."""
        recent = self.far[rows]
        gap = at - self.last_at[rows] > 3 * np.maximum(self.step[rows], BIN_S)
        recent[gap] = 0
        recent[:, :-1] = recent[:, 1:]
        recent[:, -1] = far
        self.far[rows] = recent
        self._stayed(rows, gap, values)
        need = np.where(self.step[rows] < FAST_S, recent[:, 0], recent[:, 1])
        least = np.minimum(np.minimum(np.abs(need), np.abs(recent[:, 1])), np.abs(recent[:, 2]))
        one_way = (np.sign(need) == np.sign(recent[:, 2])) & (np.sign(recent[:, 1]) == np.sign(recent[:, 2]))
        return np.where(one_way, np.sign(far) * least, 0)

    def _stayed(self, rows: Ints, gap: NDArray[np.bool_], values: Doubles) -> None:
        """Learn how high and low healthy levels stay for as long as an alert needs."""
        recent = self.recent[rows]
        recent[gap] = np.nan
        recent[:, :-1] = recent[:, 1:]
        recent[:, -1] = values
        self.recent[rows] = recent
        fast = self.step[rows] < FAST_S
        least = np.where(fast, recent.min(axis=1), recent[:, 1:].min(axis=1))
        most = np.where(fast, recent.max(axis=1), recent[:, 1:].max(axis=1))
        calm = (np.abs(self.far[rows]) < SUSPICIOUS).all(axis=1)
        self.usual.remember(rows[calm], least[calm], most[calm])

    def _learn(self, rows: Ints, values: Doubles, far: Doubles, at: int, held: Flags) -> None:
        odd = np.abs(far) >= SUSPICIOUS
        begun = odd & (self.run_since[rows] == 0)
        self.run_since[rows[begun]] = at - np.minimum(self.step[rows[begun]], 60) / 2
        self.suspicious_at[rows[odd]] = at
        over = rows[~odd & (self.run_since[rows] > 0)]
        spans = at - self.run_since[over]
        short = spans <= np.maximum(SHORT_S, SHORT_STEPS * self.step[over])
        noise = short & (self.furthest[over] >= FROM) & ~self.active[over] & ~held[over]
        self.noise.ended(self.rows.group[over[noise]], self.furthest[over[noise]], spans[noise])
        self.run_since[over], self.furthest[over] = 0, 0
        lasted = at - self.run_since[rows]
        changed = odd & (lasted >= np.maximum(NEW_NORMAL_S, NEW_NORMAL_STEPS * self.step[rows]))
        self.usual.begin_anew(rows[changed])
        self.run_since[rows[changed]], self.far[rows[changed]] = 0, 0
        self.active[rows[changed]] = False
        free = ~held[rows]
        self.usual.offer(rows[free], values[free], at, self.suspicious_at, self.step)

    def _rate(self, rows: Ints, lasting: Doubles, at: int) -> None:
        """How surprising each level is by itself."""
        self.furthest[rows] = np.maximum(self.furthest[rows], np.abs(lasting))
        step = np.maximum(self.step[rows], BIN_S).astype(np.float64)
        longer = np.maximum(0, at - self.run_since[rows] - np.where(step < FAST_S, 2, 1.5) * step)
        self.alone[rows] = self.noise.surprise(self.rows.group[rows], np.abs(lasting), longer, step)
        self.upwards[rows] = lasting > 0
        self.active[rows] &= np.abs(self.far[rows, 2]) >= STAYS

    # Telling

    def _alerts(self, table: SeriesTable, now: float) -> list[Alert]:
        fresh = now - self.last_at <= STALE_STEPS * np.maximum(self.step, BIN_S) + BIN_S * RATE_BINS
        rows = np.flatnonzero(((self.alone > 0) | self.active) & fresh & self._judged)
        if not len(rows):
            return []
        self.threshold = float(np.log10(max(1, self.usual.warm.sum()))) + MARGIN
        up = self.upwards[rows]
        opens = np.where(up, self._opens_up[rows], self._opens_down[rows])
        scores = self.alone[rows] + self._company(rows)
        scores = np.where(opens, scores, np.minimum(scores, SUPPORT))
        enough = scores >= np.where(opens, self.threshold, SUPPORT_FROM)
        self.best[rows] = np.where(self.active[rows], np.maximum(self.best[rows], scores), scores)
        self.active[rows] |= enough & (self.alone[rows] > 0)
        found = rows[self.active[rows]]
        found = found[np.argsort(-self.best[found])][:MOST_ALERTS]
        return [self._alert(int(row), now) for row in found]

    def _company(self, rows: Ints) -> Doubles:
        """What other kinds of levels of the same service add; nothing where more traffic explains them all."""
        kind, service = self.rows.kind[rows], self.rows.service[rows]
        services, place = np.unique(service, return_inverse=True)
        best = np.zeros((len(services), len(Kind)))
        np.maximum.at(best, (place, kind), self.alone[rows])
        busier = np.zeros(len(services), bool)
        busier[place[(kind == Kind.REQUESTS) & self.upwards[rows] & (self.alone[rows] > 0)]] = True
        best[:, [Kind.LOG, Kind.COST]] = 0
        others = np.maximum(0, best - COMPANY_FROM)
        added = others.sum(axis=1)[place] - others[place, kind]
        return np.where(busier[place], 0, np.minimum(COMPANY_MOST, COMPANY * added))

    def _alert(self, row: int, now: float) -> Alert:
        usual = self.usual
        return alert_of(
            Level(
                key=self.rows.keys[row],
                kind=Kind(int(self.rows.kind[row])),
                percent=bool(self.rows.percent[row]),
                growth=bool(self.counter[row]),
                score=float(self.best[row]),
                value=float(self.value[row]),
                middle=float(usual.middle[row]),
                low=float(usual.low[row]),
                high=float(usual.high[row]),
                since=float(self.run_since[row] or self.last_at[row]),
                history_s=float(now - usual.first_at[row]),
                points=int(max(1, (now - self.run_since[row]) // max(float(self.step[row]), 1.0))),
            ),
            now,
        )

    # Surviving a restart

    def checkpoint(self) -> dict[str, NDArray[Any]]:
        """What is known of every row, by the names of the series; arrays only."""
        usual = {f"usual_{name}": array for name, array in self.usual.arrays.items()}
        return {
            "names": _bytes([str(key) for key in self.rows.keys]),
            "done": np.array([-1 if self._done is None else self._done]),
            "groups": _bytes(list(self.rows.groups)),
            "noise": np.stack([self.noise.minutes, self.noise.runs, self.noise.logs, self.noise.spans]),
            **{f"row_{name}": array for name, array in self._arrays.items()},
            **usual,
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `checkpoint` gave; rows are found again by name when the table is known.

        Raises:
            ValueError: Something is missing in it.
        """
        try:
            self._restored = dict(arrays)
            self._places = {name: place for place, name in enumerate(_list(arrays["names"]))}
            self._groups = _list(arrays["groups"])
            self._done = int(arrays["done"][0]) if arrays["done"][0] >= 0 else None
        except KeyError as error:
            raise ValueError(f"a checkpoint of levels without {error}") from None

    def _place(self, have: int) -> None:
        """Give the rows from `have` on what a checkpoint knew of them."""
        if not self._places:
            return
        found = [(row, self._places.pop(str(self.rows.keys[row]), -1)) for row in range(have, self.rows.size)]
        rows = np.array([row for row, place in found if place >= 0], np.int64)
        places = np.array([place for _, place in found if place >= 0], np.int64)
        for name, array in self._arrays.items():
            array[rows] = self._restored[f"row_{name}"][places]
        for name, array in self.usual.arrays.items():
            array[rows] = self._restored[f"usual_{name}"][places]
        self._place_noise()

    def _place_noise(self) -> None:
        for place, name in enumerate(self._groups):
            group = self.rows.groups.get(name)
            if group is not None and self.noise.minutes[group] == 0:
                noise = self.noise
                for array, column in zip(
                    (noise.minutes, noise.runs, noise.logs, noise.spans), self._restored["noise"], strict=True
                ):
                    array[group] = column[place]


def _bytes(names: list[str]) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(names).encode(), np.uint8)


def _list(data: NDArray[Any]) -> list[str]:
    return [str(name) for name in json.loads(data.tobytes())]
