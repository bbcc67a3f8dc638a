"""What is usual for each series: sums, rates and durations of the seconds that looked healthy.

    a second --10 s later, unless its series was suspicious since, or is frozen--> admitted to the baseline

Seconds wait before they count, so that the first seconds of a fault, which look only a little odd, are not learned
as normal before it is recognised. Old seconds fade with a half-life of 15 minutes. A series is warm after some
admitted seconds and calls; before that its usual is not known, and nothing is said about it.
"""

import json
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_collector.windows import SeriesKey
from paramedic_detector.series.packing import pack, unpack
from paramedic_detector.series.slots import BUCKETS, CELLS, Cell, bucket_of, upper_edge_s
from paramedic_detector.series.table import SeriesTable

QUARANTINE_S: Final = 10  # seconds wait this long before they count
BURN_IN_S: Final = 4  # first seconds of a series: cold caches and connections
WARM_SECONDS: Final = 10  # admitted seconds
WARM_CALLS: Final = 20
HALF_LIFE_S: Final = 900.0
FADE_EVERY_S: Final = 30
NEW_NORMAL_S: Final = 1800.0  # a series suspicious for this long without an incident has changed for good
FELT_SHARE: Final = 0.2  # a slow call must add this share of a typical request, or no user would feel it
REFRESH: Final = 12_000  # series whose thresholds are refreshed in one step
SILENCE_S: Final = 8  # a series that was silent this long and comes back is cold again
NEVER: Final = -1.0

Flags = NDArray[np.bool_]
_ATTEMPTS: Final = [Cell.COUNT, Cell.REFUSED_LOCAL, Cell.REFUSED_COMMAND, Cell.REFUSED_DEADLINE]


class Baselines:
    """The usual of every series, in arrays that follow the table's numbers."""

    def __init__(self) -> None:
        self.admitted_until: int | None = None  # seconds before this one have been judged
        self.started: int | None = None  # first second with data
        self._looked_until = 0  # seconds before this one were looked at for silence
        self._faded_at = 0
        self._turn = 0
        self._restored: dict[str, int] | None = None  # series of a checkpoint, until the table is known
        self._allocate(0)

    def _allocate(self, size: int) -> None:
        self.first = np.full(size, NEVER)  # first second with a call
        self.seconds = np.zeros(size, np.float32)  # admitted, fading
        self.active = np.zeros(size, np.float32)  # of them, with a call
        self.sums = np.zeros((size, CELLS), np.float32)
        self.durations = np.zeros((size, BUCKETS), np.float32)
        self.oldest_high = np.zeros(size, np.float32)  # usual upper end of the age of the oldest call in flight
        self.suspicious_at = np.full(size, NEVER)
        self.suspicious_since = np.full(size, NEVER)
        self.last_call = np.full(size, NEVER)
        self.resumed_at = np.full(size, NEVER)
        self.slow_bucket = np.full(size, BUCKETS - 1, np.int16)  # a call in a higher bucket is slow
        self.usual_slow = np.zeros(size, np.float32)  # such calls in the history
        self.usual_s = np.full(size, np.nan, np.float32)  # median duration

    @property
    def _arrays(self) -> dict[str, NDArray[np.generic]]:
        return {name: array for name, array in vars(self).items() if isinstance(array, np.ndarray)}

    def follow(self, table: SeriesTable) -> None:
        """Make room for the table's new series; place what a checkpoint brought."""
        old = self._arrays
        if self._restored is not None:
            names, self._restored = self._restored, None
            self._allocate(table.size)
            for number, key in enumerate(table.keys):
                place = names.get(str(key))
                for name, array in old.items():
                    if place is not None:
                        getattr(self, name)[number] = array[place]
            return
        size = len(self.first)
        if table.size > size:
            self._allocate(max(table.size, size + size // 2))
            for name, array in old.items():
                getattr(self, name)[:size] = array

    # What is usual

    @property
    def warm(self) -> Flags:
        """(size,) whether enough healthy seconds and calls are known to call anything unusual."""
        attempts = self.sums[:, _ATTEMPTS].sum(axis=1)
        return np.asarray((self.seconds >= WARM_SECONDS) & (attempts >= WARM_CALLS))

    @property
    def rate(self) -> NDArray[np.float32]:
        """(size,) usual calls a second, made or refused."""
        return np.asarray(self.sums[:, _ATTEMPTS].sum(axis=1) / np.maximum(self.seconds, 1))

    # Learning

    def learn(self, table: SeriesTable, now: float, frozen: Flags, typical_s: float) -> None:
        """Admit the seconds whose wait is over, let old ones fade, refresh what counts as slow."""
        mark = table.watermark
        if mark is None:
            return
        until = min(mark, int(now)) - QUARANTINE_S
        if self.admitted_until is None:
            first = table.slots(mark - table.history_s, now + 1)
            self.admitted_until = self.started = first[0].ts if first else until
        self._notice_silence(table, min(mark, int(now)))
        for second in range(max(self.admitted_until, until - 120), until):
            self._admit(table, second, now, frozen)
        self.admitted_until = max(self.admitted_until, until)
        if now - self._faded_at >= FADE_EVERY_S:
            self._fade(now)
        self._refresh(typical_s)

    def suspect(self, numbers: NDArray[np.int64], now: float) -> None:
        """Quarantine these series: nothing they did lately counts as usual."""
        fresh = now - self.suspicious_at[numbers] > 2 * QUARANTINE_S
        self.suspicious_since[numbers] = np.where(fresh, now, self.suspicious_since[numbers])
        self.suspicious_at[numbers] = now

    def _admit(self, table: SeriesTable, second: int, now: float, frozen: Flags) -> None:
        slots = table.slots(second, second + 1)
        if not slots:
            return  # nobody said anything in that second: not a silence of the series
        cells = slots[0].cells
        calls = np.unique(cells.idx[np.isin(cells.code, _ATTEMPTS)])
        unseen = calls[self.first[calls] == NEVER]
        self.first[unseen] = second
        quarantined = (self.suspicious_at >= second) & (now - self.suspicious_since < NEW_NORMAL_S)
        cold = (self.first == NEVER) | (second < self.first + BURN_IN_S) | self._cold(second)
        fine = ~(quarantined | cold)
        fine[: len(frozen)] &= ~frozen
        self.seconds[fine] += 1
        self.active[calls[fine[calls]]] += 1
        mine = fine[cells.idx]
        np.add.at(self.sums, (cells.idx[mine], cells.code[mine]), cells.amount[mine])
        details = slots[0].details
        mine = fine[details.idx] & (details.code < BUCKETS)
        np.add.at(self.durations, (details.idx[mine], details.code[mine]), details.amount[mine])
        idx, age = slots[0].oldest
        self.oldest_high[fine] *= 0.997
        np.maximum.at(self.oldest_high, idx[fine[idx]], age[fine[idx]])

    def _cold(self, second: float) -> Flags:
        since_s = second - self.resumed_at
        return np.asarray((self.resumed_at != NEVER) & (since_s >= 0) & (since_s < BURN_IN_S))

    def _notice_silence(self, table: SeriesTable, until: int) -> None:
        """Remember which series came back after a silence that is not usual for them."""
        busy = self.rate * SILENCE_S >= 5
        for slot in table.slots(max(self._looked_until, until - 30), until):
            cells = slot.cells
            calls = np.unique(cells.idx[cells.code == Cell.COUNT])
            silent = (slot.ts - self.last_call[calls] > SILENCE_S) & (self.last_call[calls] != NEVER)
            back = calls[silent & busy[calls]]
            self.resumed_at[back] = slot.ts
            self.last_call[calls] = np.maximum(self.last_call[calls], slot.ts)
        self._looked_until = max(self._looked_until, until)

    def _fade(self, now: float) -> None:
        left = 2.0 ** (-FADE_EVERY_S / HALF_LIFE_S)
        for array in (self.seconds, self.active, self.sums, self.durations):
            array *= left
        self._faded_at = int(now)

    def _refresh(self, typical_s: float) -> None:
        """Thresholds of the next slice of series: what is slow must be rare, twice the usual, and felt."""
        size = len(self.first)
        start = self._turn if self._turn < size else 0
        part = slice(start, min(size, start + REFRESH))
        self._turn = part.stop
        history = self.durations[part]
        sums = np.cumsum(history, axis=1)
        totals = sums[:, -1]
        median = upper_edge_s((sums < 0.5 * totals[:, None]).sum(axis=1))
        rare = upper_edge_s((sums < 0.95 * totals[:, None]).sum(axis=1))
        limit = np.maximum(np.maximum(rare, 2 * median), median + FELT_SHARE * typical_s)
        bucket = np.where(totals > 0, bucket_of(limit), BUCKETS - 1)
        self.slow_bucket[part] = bucket
        self.usual_s[part] = np.where(totals > 0, median, np.nan)
        self.usual_slow[part] = totals - np.take_along_axis(sums, bucket[:, None], axis=1)[:, 0]

    def typical_s(self, numbers: Iterable[int]) -> float:
        """Median duration of the calls of these series together; 0 when nothing is known yet."""
        sums = np.cumsum(self.durations[list(numbers)].sum(axis=0))
        return float(upper_edge_s(int(np.searchsorted(sums, sums[-1] / 2)))) if sums[-1] > 0 else 0.0

    # Surviving a restart

    def checkpoint(self, keys: list[SeriesKey]) -> bytes:
        names = [str(key) for key in keys] if self._restored is None else list(self._restored)
        arrays = {name: array[: len(names)] for name, array in self._arrays.items()}
        about = {"admitted_until": self.admitted_until, "started": self.started, "looked_until": self._looked_until,
                 "series": names}  # fmt: skip
        return pack("baselines", arrays, json.dumps(about))

    @classmethod
    def restore(cls, data: bytes) -> "Baselines":
        """The baselines that `checkpoint` wrote; they find their series by name.

        Raises:
            ValueError: Not a checkpoint of this version.
        """
        arrays, text = unpack("baselines", data)
        about, baselines = json.loads(text), cls()
        for name, array in arrays.items():
            setattr(baselines, name, array)
        baselines.admitted_until, baselines.started = about["admitted_until"], about["started"]
        baselines._looked_until = about["looked_until"]
        baselines._restored = {name: place for place, name in enumerate(about["series"])}
        return baselines
