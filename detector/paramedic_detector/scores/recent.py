"""Running sums: what every series did in the last 2, 4, ... 180 seconds, kept up to date instead of added up anew.

    slots that arrived --> + in every window that holds their second
    seconds that left  --> - from the window that they left

A step costs what happened since the last one, in whatever order it came; rows that are late find their windows too.
A call is slow by the limit that its series had when the call was counted.
"""

from bisect import bisect_left
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_collector.windows import SCALE
from paramedic_detector.series.slots import BUCKETS, CELLS, CHANNELS, Cell, Slot
from paramedic_detector.series.table import SeriesTable

WINDOWS_S: Final = (2, 4, 8, 16, 32, 60, 120, 180)  # to now
MINUTE: Final = WINDOWS_S.index(60)
LONGEST_S: Final = WINDOWS_S[-1]
FAR: Final = 2 << SCALE  # buckets: four times the limit
COUNTED: Final = (
    Cell.COUNT, Cell.ERRORS, Cell.RATE_LIMITED, Cell.AUTH, Cell.USELESS, Cell.REFUSED_LOCAL, Cell.REFUSED_COMMAND,
    Cell.REFUSED_DEADLINE, Cell.PROBE_ERRORS, Cell.TOKENS,
)  # fmt: skip

Floats = NDArray[np.float32]
Limits = NDArray[np.int16]
Part = tuple[NDArray[np.int64], Floats]  # places in the flat array, without the window; amounts

_W: Final = len(WINDOWS_S)
_ROWS: Final = len(COUNTED) + 3 * CHANNELS
_TIMED: Final = len(COUNTED)  # first row of the calls with a time, a row a channel; then the slow, then the very slow
_ROW_OF: Final = np.full(CELLS, -1, np.int64)
_ROW_OF[list(COUNTED)] = np.arange(len(COUNTED))


class Recent:
    """Sums of every series over WINDOWS_S, all ending with the running second."""

    def __init__(self) -> None:
        self.size = 0
        self._room = 0
        self._end: int | None = None  # the second after the last one that is in
        self._place = 0  # in the table's journal
        self._parts: dict[int, list[Part]] = {}  # by second
        self._known: list[int] = []  # seconds with data, ascending
        self._sums: Floats = np.zeros((_ROWS, _W, 0), np.float32)

    def of(self, cell: Cell) -> Floats:
        """(windows, size) one of COUNTED."""
        return self._sums[_ROW_OF[cell], :, : self.size]

    def timed(self, channel: int) -> Floats:
        """(windows, size) calls whose time is known: DURATION, SELF_TIME (the gap of edges), FIRST_TOKEN."""
        return self._sums[_TIMED + channel, :, : self.size]

    def slow(self, channel: int) -> Floats:
        """(windows, size) of them, those above their series' limit."""
        return self._sums[_TIMED + CHANNELS + channel, :, : self.size]

    def very_slow(self, channel: int) -> Floats:
        """(windows, size) of them, those FAR above their series' limit."""
        return self._sums[_TIMED + 2 * CHANNELS + channel, :, : self.size]

    def seconds(self) -> NDArray[np.float64]:
        """(windows,) seconds in which anybody said anything."""
        end = self._end or 0
        known = bisect_left(self._known, end)
        return np.array([known - bisect_left(self._known, end - span_s) for span_s in WINDOWS_S], np.float64)

    def follow(self, table: SeriesTable, now: float, limits: Limits) -> None:
        """Bring the sums up to `now`.

        Args:
            limits: (CHANNELS, at least the table's size) calls in a bucket above this are slow.
        """
        end, before = int(now) + 1, self._end
        slots, self._place = table.arrivals(self._place)
        self.size, grown = table.size, table.size > self._room
        if slots is None or before is None or grown or not 0 <= end - before < LONGEST_S:
            self._start_over(table, end, limits)
            return
        self._leave(before, end)
        self._end = end
        for second in range(before, end):  # what had come early
            for part in self._parts.get(second, ()):
                self._add([(part, 0)])
        for slot in slots:
            self._take(slot, limits)

    def _start_over(self, table: SeriesTable, end: int, limits: Limits) -> None:
        if table.size > self._room:
            self._room = table.size + table.size // 4 + 64
        self._sums = np.zeros((_ROWS, _W, self._room), np.float32)
        self._parts, self._known, self._end = {}, [], end
        for slot in table.slots(end - LONGEST_S, end + LONGEST_S):
            if slot.span_s == 1:
                self._take(slot, limits)

    def _take(self, slot: Slot, limits: Limits) -> None:
        end = self._end or 0
        if slot.ts < end - LONGEST_S:
            return
        part = self._part_of(slot, limits)
        if slot.ts not in self._parts:
            self._parts[slot.ts] = []
            self._known.insert(bisect_left(self._known, slot.ts), slot.ts)
        self._parts[slot.ts].append(part)
        if slot.ts < end:
            first = next(row for row, span_s in enumerate(WINDOWS_S) if slot.ts >= end - span_s)
            self._add([(part, first)])

    def _part_of(self, slot: Slot, limits: Limits) -> Part:
        cells, details, step = slot.cells, slot.details, _W * self._room
        row = _ROW_OF[cells.code]
        mine = row >= 0
        places, amounts = [row[mine] * step + cells.idx[mine]], [cells.amount[mine]]
        if len(details.idx):
            code, idx, amount = details.code, details.idx, details.amount
            if (code >= CHANNELS * BUCKETS).any():
                timed = code < CHANNELS * BUCKETS
                code, idx, amount = code[timed], idx[timed], amount[timed]
            channel = code // BUCKETS
            at = (_TIMED + channel.astype(np.int64)) * step + idx
            beyond = code - channel * BUCKETS - limits[channel, idx]
            slow, very = beyond > 0, beyond > FAR
            places += [at, at[slow] + CHANNELS * step, at[very] + 2 * CHANNELS * step]
            amounts += [amount, amount[slow], amount[very]]
        return np.concatenate(places), np.concatenate(amounts)

    def _add(self, parts: list[tuple[Part, int]]) -> None:
        """Add to the windows from a given one on."""
        flat = self._sums.reshape(-1)
        for (places, amounts), first in parts:
            if len(places):
                at = places[:, None] + np.arange(first, _W) * self._room
                np.add.at(flat, at.ravel(), np.repeat(amounts, _W - first))

    def _leave(self, before: int, end: int) -> None:
        """Take the seconds away that are no longer in a window."""
        places, amounts = [], []
        for row, span_s in enumerate(WINDOWS_S):
            for second in range(before - span_s, end - span_s):
                for part in self._parts.get(second, ()):
                    places.append(part[0] + row * self._room)
                    amounts.append(part[1])
        for second in range(before - LONGEST_S, end - LONGEST_S):
            if self._parts.pop(second, None) is not None:
                self._known.remove(second)
        if places:
            np.subtract.at(self._sums.reshape(-1), np.concatenate(places), np.concatenate(amounts))
