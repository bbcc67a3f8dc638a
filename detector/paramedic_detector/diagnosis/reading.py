"""What an incident's neighbourhood did since onset and what it did before: one pass over the table, in arrays.

    onset - 600 s ........ onset - 4 | onset - 2 ........ now
         usual, less earlier incidents |        during

Only series of the suspects, of who calls them and of whom they call are read, and of the services where users come in.
What was usual does not change while an incident lasts, so it is kept for the next diagnosis.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paramedic_collector.windows import SeriesKey
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.series.slots import BUCKETS, CELLS, CHANNELS, KINDS_FROM, Cell, Slot
from paramedic_detector.series.table import SeriesTable

LOOK_BACK_S: Final = 2.0  # before the onset: it is known to a second or two
USUAL_S: Final = 600.0
DURING_S: Final = 300.0  # of a long incident only the newest is read
APART_S: Final = 2.0  # between usual and during
TREND_S: Final = 3600.0  # how far back levels are looked at
BINS: Final = 48  # of the trend
LONG_VIEW_S: Final = 5.0  # how old it may be
CLOSE_S: Final = 120.0  # further back every fourth slot is enough
KEPT: Final = 4  # incidents whose usual is kept
Numbers = NDArray[np.int64]
Sums = NDArray[np.float64]
Span = tuple[float, float]  # unix seconds

_INDEXED: Final = {
    "edge": ("caller", "callee"),
    "callee": ("callee",),
    "op": ("service", "peer"),
    "gauge": ("service",),
    "log": ("service",),
}


class Index:
    """The series of a name, found without a walk over all of them."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        self._followed = 0

    def follow(self, table: SeriesTable) -> None:
        """Take in the series that are new."""
        for number in range(self._followed, table.size):
            key = table.keys[number]
            for column in _INDEXED.get(key.family, ()):
                if name := key.part(column):
                    self._found[key.family, column, name].append(number)
        self._followed = table.size

    def of(self, family: str, column: str, name: str) -> list[int]:
        """Numbers of the series whose key column is this name."""
        return self._found.get((family, column, name), [])

    def around(self, names: Iterable[str]) -> Numbers:
        """Numbers of all series that have one of the names in their key, ascending."""
        found: set[int] = set()
        for name in names:
            for family, columns in _INDEXED.items():
                for column in columns:
                    found.update(self.of(family, column, name))
        return np.array(sorted(found), np.int64)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Sums of some series over some seconds."""

    seconds: float
    cells: Sums  # (series, CELLS)
    buckets: Sums  # (series, CHANNELS * BUCKETS)
    kinds: dict[tuple[str, str], Sums]  # ("useless", "empty") -> (series,)


@dataclass(frozen=True, slots=True)
class Long:
    """The last hour, or as much of it as there is."""

    start: float  # unix seconds
    end: float
    levels: Sums  # (BINS, series) mean of each gauge by time; NaN where nobody said
    first_seen: Sums  # (series,) unix seconds of the first second in the table; NaN for none

    def bin_of(self, at: float) -> int:
        return min(BINS - 1, max(0, int((at - self.start) / max(self.end - self.start, 1.0) * BINS)))


@dataclass(frozen=True)
class Reading:
    """What one diagnosis sees. Rows of all arrays are the series of `numbers`."""

    table: SeriesTable
    topology: Topology
    index: Index
    now: float
    onset: float
    numbers: Numbers
    during: Stretch
    usual: Stretch
    long: Long
    _rows: dict[int, int] = field(default_factory=dict)

    def rows(self, family: str, column: str, name: str, wanted: Callable[[SeriesKey], bool] | None = None) -> Numbers:
        """Rows of the series with this name in this key column, and of them those that are wanted."""
        keys = self.table.keys
        found = [
            self._rows[number]
            for number in self.index.of(family, column, name)
            if number in self._rows and (wanted is None or wanted(keys[number]))
        ]
        return np.array(found, np.int64)

    def key(self, row: int) -> SeriesKey:
        return self.table.keys[int(self.numbers[row])]


class Reader:
    """Reads one table; keeps what was usual before an incident."""

    def __init__(self) -> None:
        self._table: SeriesTable | None = None
        self._index = Index()
        self._kept: dict[tuple[object, ...], Stretch] = {}
        self._seen: dict[tuple[object, ...], Long] = {}

    def read(
        self,
        peers: Iterable[str],
        table: SeriesTable,
        topology: Topology,
        now: float,
        onset: float,
        past: Sequence[Span] = (),
    ) -> Reading:
        """The reading of some suspects.

        Args:
            peers: Names of the suspects.
            past: Earlier incidents, which are not usual.
        """
        if table is not self._table:
            self._table, self._index, self._kept, self._seen = table, Index(), {}, {}
        self._index.follow(table)
        numbers = self._index.around(_neighbourhood(set(peers), topology))
        start = max(onset - LOOK_BACK_S, now - DURING_S)
        during = _stretch(table, table.slots(start, now + 1), numbers, start, now + 1)
        return Reading(
            table=table,
            topology=topology,
            index=self._index,
            now=now,
            onset=onset,
            numbers=numbers,
            during=during,
            usual=self._usual(table, numbers, onset, past),
            long=self._long(table, numbers, now),
            _rows={int(number): row for row, number in enumerate(numbers)},
        )

    def _usual(self, table: SeriesTable, numbers: Numbers, onset: float, spans: Sequence[Span]) -> Stretch:
        end = onset - LOOK_BACK_S - APART_S
        past = tuple(
            (start, min(until, end)) for start, until in spans if start < end
        )  # one that goes on does not move
        name = (int(onset), past, len(numbers), int(numbers.sum()))
        if name not in self._kept:
            slots = [s for s in table.slots(end - USUAL_S, end) if not _within(s, past) and s.ts + s.span_s <= end + 1]
            _make_room(self._kept)
            self._kept[name] = _stretch(table, slots, numbers, end - USUAL_S, end)
        return self._kept[name]

    def _long(self, table: SeriesTable, numbers: Numbers, now: float) -> Long:
        """The long view, a few seconds old at most."""
        name = (int(now / LONG_VIEW_S), len(numbers), int(numbers.sum()))
        if name not in self._seen:
            _make_room(self._seen)
            self._seen[name] = _long_view(table, numbers, now)
        return self._seen[name]


def _make_room(kept: dict[tuple[object, ...], Any]) -> None:
    while len(kept) >= KEPT:
        del kept[next(iter(kept))]


def _neighbourhood(peers: set[str], topology: Topology) -> set[str]:
    around = peers | set(topology.entry_services())
    for edge in topology.edges():
        if edge.callee in peers:
            around.add(edge.caller)
        if edge.caller in peers:
            around.add(edge.callee)
    return around


def _within(slot: Slot, past: Sequence[Span]) -> bool:
    return any(slot.ts < end and slot.ts + slot.span_s > start for start, end in past)


def _stretch(table: SeriesTable, slots: Sequence[Slot], numbers: Numbers, t0: float, t1: float) -> Stretch:
    size = len(numbers)
    place = _places(table, numbers)
    cells, buckets = np.zeros(size * CELLS), np.zeros(size * CHANNELS * BUCKETS)
    counts: dict[int, Sums] = {}
    for slot in slots:
        for part in slot.cell_parts:
            row = place[part.idx]
            mine = row >= 0
            at = row[mine] * CELLS + part.code[mine]
            np.add.at(cells, at, part.amount[mine])
        for part in slot.detail_parts:
            row = place[part.idx]
            mine = (row >= 0) & (part.code < CHANNELS * BUCKETS)
            np.add.at(buckets, row[mine] * (CHANNELS * BUCKETS) + part.code[mine], part.amount[mine])
            named = (row >= 0) & (part.code >= KINDS_FROM)
            for code in np.unique(part.code[named]):
                this = named & (part.code == code)
                np.add.at(counts.setdefault(int(code), np.zeros(size)), row[this], part.amount[this])
    seconds = float(sum(min(slot.ts + slot.span_s, t1) - max(slot.ts, t0) for slot in slots))
    kinds = {table._kinds.names[code - KINDS_FROM]: found for code, found in counts.items()}
    return Stretch(max(seconds, 0.0), cells.reshape(size, CELLS), buckets.reshape(size, -1), kinds)


def _long_view(table: SeriesTable, numbers: Numbers, now: float) -> Long:
    place, size, slots = _places(table, numbers), len(numbers), table.slots(now - TREND_S, now + 1)
    start = max(now - TREND_S, slots[0].ts) if slots else now - TREND_S
    found = Long(start, now + 1, np.full((BINS, size), np.nan), np.full(size, np.nan))
    sums, counts = np.zeros((BINS, size)), np.zeros((BINS, size))
    gauge = np.array([table.keys[int(number)].family == "gauge" for number in numbers], bool)
    for number, slot in enumerate(slots):
        if number % 4 and slot.ts < now - CLOSE_S:
            continue
        at = found.bin_of(slot.ts)
        for part in slot.cell_parts:
            row = place[part.idx]
            seen = row[row >= 0]
            new = seen[np.isnan(found.first_seen[seen])]
            found.first_seen[new] = slot.ts
            for cell, into in ((Cell.SECONDS, sums), (Cell.COUNT, counts)):
                this = (row >= 0) & (part.code == cell)
                this[this] = gauge[row[this]]
                np.add.at(into[at], row[this], part.amount[this])
    said = counts > 0
    found.levels[said] = sums[said] / counts[said]
    return found


def _places(table: SeriesTable, numbers: Numbers) -> Numbers:
    place = np.full(table.size + 1, -1, np.int64)
    place[numbers] = np.arange(len(numbers))
    return place
