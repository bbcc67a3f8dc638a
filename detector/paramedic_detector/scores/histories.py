"""How long calls usually take: a fading histogram for each series and channel, and from it what counts as slow.

    admitted calls --> histogram --> limit = max(95th percentile, twice the median, median + what a user would feel)

Histories fade with a half-life, but never below KEPT calls: a rare series remembers as many calls as a busy one,
however long ago they were. A histogram gets room when its series first has a call with such a time.

Source: of the effect floors tried on a recorded system, those three together were needed; without them real but
irrelevant shifts of a millisecond are most of the alarms.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paramedic_collector.windows import SCALE
from paramedic_detector.scores.recent import FAR
from paramedic_detector.series.slots import BUCKETS, CHANNELS, bucket_of, upper_edge_s

KEPT: Final = 500.0  # calls that do not fade
HALF_LIFE_S: Final = 900.0
FADE_EVERY_S: Final = 30.0
LEAST: Final = 10.0  # calls before anything is slow
RARE: Final = 0.95
TIMES: Final = 2.0  # a slow call takes this many times the median
FELT_SHARE: Final = 0.2  # and adds this share of a typical request, or no user would feel it
TURNS: Final = 30  # idle histories are looked at again in so many steps

Floats = NDArray[np.float32]
_MIDDLE: Final = 2.0 ** (-0.5 / 2**SCALE)  # of a bucket, from its upper edge


class Histories:
    """Histograms of every series and channel, in rows that are given out when they are needed."""

    def __init__(self) -> None:
        self.felt_s = 0.0  # as last given to `add`
        self._turn = 0
        self._used = 0
        self._pool = np.zeros((0, BUCKETS), np.float32)
        self._faded_at = np.zeros(0)
        self._owner = np.zeros((0, 2), np.int32)  # channel and series of a row
        self._allocate(0)

    def _allocate(self, size: int) -> None:
        self._row = np.full((CHANNELS, size), -1, np.int32)
        self.limit = np.full((CHANNELS, size), BUCKETS, np.int16)  # a call in a higher bucket is slow
        self.calls = np.zeros((CHANNELS, size), np.float32)
        self.slow = np.zeros((CHANNELS, size), np.float32)  # of them
        self.very_slow = np.zeros((CHANNELS, size), np.float32)  # of them, FAR above the limit
        self.median_s = np.full((CHANNELS, size), np.nan, np.float32)

    def grow(self, size: int) -> None:
        names, had = ("_row", "limit", "calls", "slow", "very_slow", "median_s"), self._row.shape[1]
        old: list[NDArray[Any]] = [getattr(self, name) for name in names]
        self._allocate(size)
        for name, one in zip(names, old, strict=True):
            getattr(self, name)[:, :had] = one

    def warm(self, channel: int, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether enough is known of these series to call anything slow."""
        return np.asarray(self.calls[channel, numbers] >= LEAST)

    def add(self, idx: NDArray[np.int32], code: NDArray[np.int16], amount: Floats, now: float, felt_s: float) -> None:
        """Learn calls: `code` is channel * BUCKETS + bucket; a call is felt when it adds `felt_s`."""
        self.felt_s, touched = felt_s, np.empty(0, np.int64)
        if len(idx):
            channel = code // BUCKETS
            row = self._row[channel, idx]
            if (row < 0).any():
                self._give_rows(channel[row < 0], idx[row < 0])
                row = self._row[channel, idx]
            np.add.at(self._pool.reshape(-1), row.astype(np.int64) * BUCKETS + (code - channel * BUCKETS), amount)
            mark = np.zeros(self._used, bool)
            mark[row] = True
            touched = np.flatnonzero(mark)
            self._fade(touched, now)
        slice_ = -(-self._used // TURNS)
        start = self._turn if self._turn < self._used else 0
        self._turn = start + slice_
        turn = np.arange(start, min(self._used, self._turn))
        self._refresh(np.concatenate([touched, turn]))

    def median_of(self, numbers: NDArray[np.int64], channel: int) -> float:
        """Median of the calls of these series together, in seconds; 0 when nothing is known."""
        rows = self._row[channel, numbers]
        rows = rows[rows >= 0]
        if not len(rows):
            return 0.0
        sums = np.cumsum(self._pool[rows].sum(axis=0))
        return float(upper_edge_s(int(np.searchsorted(sums, sums[-1] / 2))) * _MIDDLE) if sums[-1] > 0 else 0.0

    def histogram(self, number: int, channel: int) -> Floats:
        """(BUCKETS,) what was learnt of one series."""
        row = self._row[channel, number]
        return self._pool[row].copy() if row >= 0 else np.zeros(BUCKETS, np.float32)

    def _give_rows(self, channel: NDArray[np.int16], idx: NDArray[np.int32]) -> None:
        distinct = np.unique(channel.astype(np.int64) << 32 | idx)
        owners = np.column_stack([distinct >> 32, distinct & 0xFFFFFFFF]).astype(np.int32)
        need = self._used + len(owners)
        if need > len(self._pool):
            room = need + need // 4 + 64
            pool, faded_at, owner = self._pool, self._faded_at, self._owner
            self._pool = np.zeros((room, BUCKETS), np.float32)
            self._faded_at, self._owner = np.zeros(room), np.zeros((room, 2), np.int32)
            self._pool[: len(pool)], self._faded_at[: len(pool)], self._owner[: len(pool)] = pool, faded_at, owner
        self._owner[self._used : need] = owners
        self._row[owners[:, 0], owners[:, 1]] = np.arange(self._used, need)
        self._used = need

    def _fade(self, rows: NDArray[np.int64], now: float) -> None:
        self._faded_at[rows] = np.where(self._faded_at[rows] == 0, now, self._faded_at[rows])
        due = rows[now - self._faded_at[rows] >= FADE_EVERY_S]
        if not len(due):
            return
        calls = np.maximum(self.calls[self._owner[due, 0], self._owner[due, 1]], 1)
        left = 2.0 ** ((self._faded_at[due] - now) / HALF_LIFE_S)
        self._pool[due] *= np.maximum(left, np.minimum(1, KEPT / calls)).astype(np.float32)[:, None]
        self._faded_at[due] = now

    def _refresh(self, rows: NDArray[np.int64]) -> None:
        if not len(rows):
            return
        sums = np.cumsum(self._pool[rows], axis=1)
        total = sums[:, -1]
        median = upper_edge_s((sums < 0.5 * total[:, None]).sum(axis=1)) * _MIDDLE
        rare = upper_edge_s((sums < RARE * total[:, None]).sum(axis=1))
        bucket = bucket_of(np.maximum(np.maximum(rare, TIMES * median), median + self.felt_s))
        channel, number = self._owner[rows].T
        self.calls[channel, number] = total
        self.slow[channel, number] = total - np.take_along_axis(sums, bucket[:, None], axis=1)[:, 0]
        far = np.minimum(bucket + FAR, BUCKETS - 1)
        self.very_slow[channel, number] = total - np.take_along_axis(sums, far[:, None], axis=1)[:, 0]
        self.median_s[channel, number] = median
        self.limit[channel, number] = np.where(total >= LEAST, bucket, BUCKETS)

    # Surviving a restart

    def arrays(self) -> dict[str, NDArray[Any]]:
        used = self._used
        return {"pool": self._pool[:used], "faded_at": self._faded_at[:used], "owner": self._owner[:used]}

    def place(self, arrays: dict[str, NDArray[Any]], moved: NDArray[np.int64], size: int) -> None:
        """Take up what `arrays` gave; `moved` says which number each series has now, -1 for one that is gone."""
        self._allocate(size)
        owner = arrays["owner"].astype(np.int64)
        number = moved[owner[:, 1]] if len(owner) else np.empty(0, np.int64)
        kept = number >= 0
        self._pool, self._faded_at = arrays["pool"][kept].copy(), arrays["faded_at"][kept].copy()
        self._owner = np.column_stack([owner[kept, 0], number[kept]]).astype(np.int32)
        self._used = int(kept.sum())
        self._row[self._owner[:, 0], self._owner[:, 1]] = np.arange(self._used)
        self._refresh(np.arange(self._used))
