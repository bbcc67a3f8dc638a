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
from paramedic_detector.scores.drift import Drift, Drifts
from paramedic_detector.scores.levels_alerts import Level, Trend, alert_of, shape_alert, trend_alert
from paramedic_detector.scores.levels_names import FILL_UP, OPEN_DOWN, OPEN_UP, RESOURCES, Kind
from paramedic_detector.scores.levels_noise import NAMES, Noise
from paramedic_detector.scores.levels_rows import BIN_S, RATE_BINS, Rows
from paramedic_detector.scores.levels_runs import FAST_S, Runs
from paramedic_detector.scores.levels_usual import Usual
from paramedic_detector.scores.seasons import Seasons
from paramedic_detector.scores.shape import Shapes
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.values import Alert

MARGIN: Final = 3.5  # decades: by chance one alert among all rows in 3,000 minutes
SUPPORT: Final = 4.9  # the most that support scores: below what opens an incident
SUPPORT_FROM: Final = 4.0
COMPANY_FROM: Final = 2.0  # what another kind of level of the same service is above this, counts
COMPANY: Final = 0.7
COMPANY_MOST: Final = 2.5
STALE_STEPS: Final = 2.5  # without a point for so long, nothing is said
STALE_TREND_S: Final = 900.0
GAP_S: Final = 300  # a hole in the data this long is skipped
COMPARE_EVERY_S: Final = 60
SWELLS: Final = 1.8  # times the highest usual level of memory
FIRST: Final = 1.15  # already the first of three bins: a single step is over in two
STILL: Final = 1.03  # times the bin before, while it grows
SWELLING: Final = 6.0  # score of that while it still grows
MOST_ALERTS: Final = 200

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]


class Levels:
    """Scores the levels of one table."""

    def __init__(self) -> None:
        self.rows, self.usual, self.noise, self.seasons = Rows(), Usual(), Noise(), Seasons()
        self.runs = Runs(self.rows, self.usual, self.noise, self.seasons)
        self.drifts, self.shapes = Drifts(), Shapes()
        self.threshold: float | None = None
        self._done: int | None = None  # seconds before this one were read
        self._compared_at = 0.0
        self._limits = np.empty(0)
        self._ceilings: list[tuple[int, int]] = []
        self._fills = np.empty(0, bool)
        self._opens_up = self._opens_down = np.empty(0, bool)
        self._restored: dict[str, NDArray[Any]] = {}
        self._places: dict[str, int] = {}  # of a checkpoint, until the table has the series
        self._groups: list[str] = []

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
        if now - self._compared_at >= COMPARE_EVERY_S:
            self.noise.fade(now)
            self.runs.fade(min(3600.0, now - self._compared_at))
            self._compared_at = now
            self.usual.compare_siblings(self.rows.group)
            self._look_up_limits()
        self.shapes.step(self.runs.value, self.runs.last_at, mine, self.runs.run_since > 0, now)
        return self._alerts(now) + self._trends(now) + self._swelling(now) + self._odd_shapes(now)

    # Following the table

    def _follow(self, table: SeriesTable) -> None:
        if not self.rows.follow(table):
            return
        old, size = self.runs.arrays, self.rows.size
        usual = self.usual.arrays
        have = len(self.runs.last_at)
        if size == have:
            self._settle_directions()
            return
        self.runs.allocate(size)
        self.usual.allocate(size)
        for name, array in old.items():
            getattr(self.runs, name)[:have] = array
        for name, array in usual.items():
            getattr(self.usual, name)[:have] = array
        self.noise.allocate(len(self.rows.groups))
        self.seasons.follow(size)
        self.drifts.follow(size)
        self._ceilings = self.rows.ceilings()
        self._fills = np.isin(self.rows.kind, [int(kind) for kind in FILL_UP])
        self._look_up_limits()
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
        self.runs.judged = ~(rows.by_calls & calls)
        self.shapes.follow(rows.service, self.runs.judged & ~rows.supports & ~rows.rates & ~rows.ceiling)

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
                rows, values = self.runs.take(closed, held)
                fills = self._fills[rows]
                self.drifts.add(rows[fills], values[fills], closed.at)
                judged = True
        self._done = until
        return judged

    def _look_up_limits(self) -> None:
        """How high each row can go, as its unit or another metric says."""
        value = self.runs.value
        with np.errstate(invalid="ignore"):
            full = np.where(np.fmax(self.usual.high, value) > 1.5, 100.0, 1.0)
        self._limits = np.where(self.rows.percent & np.isfinite(value), full, np.nan)
        for row, ceiling in self._ceilings:
            self._limits[row] = np.fmin(self._limits[row], value[ceiling] if value[ceiling] > 0 else np.nan)

    # Telling

    def _alerts(self, now: float) -> list[Alert]:
        runs = self.runs
        fresh = now - runs.last_at <= STALE_STEPS * np.maximum(runs.step, BIN_S) + BIN_S * RATE_BINS
        saves = (self.rows.kind == Kind.COST) & ~runs.upwards  # what costs less than usual hurts nobody
        rows = np.flatnonzero(((runs.alone > 0) | runs.active) & fresh & runs.judged & ~saves)
        if not len(rows):
            return []
        self.threshold = float(np.log10(max(1, (runs.judged & (now - runs.last_at < 3600)).sum()))) + MARGIN
        up = runs.upwards[rows]
        opens = np.where(up, self._opens_up[rows], self._opens_down[rows])
        scores = runs.alone[rows] + self._company(rows)
        scores = np.where(opens, scores, np.minimum(scores, SUPPORT))
        enough = scores >= np.where(opens, self.threshold, SUPPORT_FROM)
        runs.best[rows] = np.where(runs.active[rows], np.maximum(runs.best[rows], scores), scores)
        runs.active[rows] |= enough & (runs.alone[rows] > 0)
        found = rows[runs.active[rows]]
        found = found[np.argsort(-runs.best[found])][:MOST_ALERTS]
        return [alert_of(self._level(int(row), now), now) for row in found]

    def _company(self, rows: Ints) -> Doubles:
        """What other kinds of levels of the same service add; nothing where more traffic explains them all."""
        runs = self.runs
        kind, service = self.rows.kind[rows], self.rows.service[rows]
        services, place = np.unique(service, return_inverse=True)
        best = np.zeros((len(services), len(Kind)))
        np.maximum.at(best, (place, kind), runs.alone[rows])
        busier = np.zeros(len(services), bool)
        busier[place[(kind == Kind.REQUESTS) & runs.upwards[rows] & (runs.alone[rows] > 0)]] = True
        best[:, [Kind.LOG, Kind.COST]] = 0
        others = np.maximum(0, best - COMPANY_FROM)
        added = others.sum(axis=1)[place] - others[place, kind]
        return np.where(busier[place], 0, np.minimum(COMPANY_MOST, COMPANY * added))

    def _level(self, row: int, now: float) -> Level:
        usual, runs = self.usual, self.runs
        return Level(
            key=self.rows.keys[row],
            kind=Kind(int(self.rows.kind[row])),
            percent=bool(self.rows.percent[row]),
            growth=bool(runs.counter[row]),
            score=float(runs.best[row]),
            value=float(runs.value[row]),
            middle=float(usual.middle[row]),
            low=float(usual.low[row]),
            high=float(usual.high[row]),
            since=float(runs.run_since[row] or runs.last_at[row]),
            history_s=float(now - usual.first_at[row]),
            points=int(max(1, (now - runs.run_since[row]) // max(float(runs.step[row]), 1.0))),
        )

    def _trends(self, now: float) -> list[Alert]:
        found = self.drifts.judge(self._limits, self._fills & ~self.runs.counter & ~self.rows.ceiling, now)
        found = sorted(found, key=lambda drift: -drift.score)[:MOST_ALERTS]
        return [self._trend(drift, now) for drift in found if now - self.runs.last_at[drift.row] <= STALE_TREND_S]

    def _swelling(self, now: float) -> list[Alert]:
        """Memory that has doubled within seconds and still grows: no trend of minutes, and a process that dies soon."""
        runs, usual = self.runs, self.usual
        with np.errstate(invalid="ignore"):
            high = (runs.value >= SWELLS * usual.high) & (runs.recent[:, 0] >= FIRST * usual.high)
            grows = (runs.recent[:, 1:] > STILL * runs.recent[:, :-1]).all(axis=1)
        fast = (runs.step > 0) & (runs.step < FAST_S) & (now - runs.last_at <= BIN_S * RATE_BINS)
        memory = (self.rows.kind == Kind.MEMORY) & ~self.rows.ceiling & runs.judged & (runs.run_since > 0)
        return [self._swollen(int(row), now) for row in np.flatnonzero(memory & high & grows & fast)][:MOST_ALERTS]

    def _swollen(self, row: int, now: float) -> Alert:
        level = self._level(row, now)
        limit = float(self._limits[row]) if np.isfinite(self._limits[row]) else None
        a_second = (level.value - level.middle) / max(1.0, now - level.since)
        left_s = (limit - level.value) / a_second if limit is not None and limit > level.value else None
        return trend_alert(
            Trend(
                level.key, level.kind, level.percent, SWELLING, level.value, level.middle, a_second, level.since,
                limit, left_s, left_s, left_s,
            ),
            now,
        )  # fmt: skip

    def _trend(self, drift: Drift, now: float) -> Alert:
        row = drift.row
        level = self._level(row, now)
        score = min(drift.score, SUPPORT) if self.rows.supports[row] else drift.score
        return trend_alert(
            Trend(
                level.key, level.kind, level.percent, score, drift.level, drift.began, drift.a_second, drift.since,
                drift.limit, drift.left_s, drift.soonest_s, drift.latest_s,
            ),
            now,
        )  # fmt: skip

    def _odd_shapes(self, now: float) -> list[Alert]:
        names = list(self.rows.services)
        return [
            shape_alert(names[odd.service], odd, [self.rows.keys[row] for row in odd.rows], now)
            for odd in self.shapes.odd()
        ]

    # Surviving a restart

    def checkpoint(self) -> dict[str, NDArray[Any]]:
        """What is known of every row, by the names of the series; arrays only."""
        usual = {f"usual_{name}": array for name, array in self.usual.arrays.items()}
        return {
            "names": _bytes([str(key) for key in self.rows.keys]),
            "done": np.array([-1 if self._done is None else self._done]),
            "groups": _bytes(list(self.rows.groups)),
            "noise": np.stack([getattr(self.noise, name) for name in NAMES]),
            **{f"row_{name}": array for name, array in self.runs.arrays.items()},
            **usual,
            **{f"season_{name}": array for name, array in self.seasons.checkpoint().items()},
            **{f"drift_{name}": array for name, array in self.drifts.checkpoint().items()},
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `checkpoint` gave; rows are found again by name when the table is known.

        Raises:
            ValueError: Something is missing in it.
        """
        missing = sorted(set(self.checkpoint()) - set(arrays))
        if missing:
            raise ValueError(f"a checkpoint of levels without {', '.join(missing)}")
        self._restored = dict(arrays)
        self._places = {name: place for place, name in enumerate(_list(arrays["names"]))}
        self._groups = _list(arrays["groups"])
        self._done = int(arrays["done"][0]) if arrays["done"][0] >= 0 else None

    def _place(self, have: int) -> None:
        """Give the rows from `have` on what a checkpoint knew of them."""
        if not self._places:
            return
        found = [(row, self._places.pop(str(self.rows.keys[row]), -1)) for row in range(have, self.rows.size)]
        rows = np.array([row for row, place in found if place >= 0], np.int64)
        places = np.array([place for _, place in found if place >= 0], np.int64)
        for name, array in self.runs.arrays.items():
            array[rows] = self._restored[f"row_{name}"][places]
        for name, array in self.usual.arrays.items():
            array[rows] = self._restored[f"usual_{name}"][places]
        self.seasons.restore(_under("season_", self._restored), rows, places)
        self.drifts.restore(_under("drift_", self._restored), rows, places)
        self._place_noise()

    def _place_noise(self) -> None:
        for place, name in enumerate(self._groups):
            group = self.rows.groups.get(name)
            if group is not None and self.noise.minutes[group] == 0:
                for one, column in zip(NAMES, self._restored["noise"], strict=True):
                    getattr(self.noise, one)[group] = column[place]


def _under(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _bytes(names: list[str]) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(names).encode(), np.uint8)


def _list(data: NDArray[Any]) -> list[str]:
    return [str(name) for name in json.loads(data.tobytes())]
