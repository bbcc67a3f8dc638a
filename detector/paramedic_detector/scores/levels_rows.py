"""From the table's seconds to one value a row and bin: gauges, money a second, lines a second.

    cells of a second --add up by row--> sums and counts --every BIN_S--> values

A gauge's value is the mean of what was said in the bin; a bin in which nobody said anything has none. Money and lines
are rates, for which silence is 0.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_collector.windows import SeriesKey
from paramedic_detector.scores.levels_names import Kind, Meaning, meaning
from paramedic_detector.series.slots import Cell, Slot
from paramedic_detector.series.table import SeriesTable

BIN_S: Final = 5  # seconds of a gauge's bin
RATE_BINS: Final = 6  # bins of 5 s in one of a rate
SPREAD_FROM: Final = 5_000  # rows from which a fifth of them is closed each second, not all of them every fifth
_MONEY: Final = Meaning(Kind.COST, False, False, False, False, False, frozenset())
_LINES: Final = Meaning(Kind.LOG, False, False, False, False, False, frozenset())

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Closed:
    """The bins that ended at one second."""

    rows: Ints
    values: NDArray[np.float64]
    at: int  # end of the bins, unix seconds


NOTHING_CLOSED: Final = Closed(np.empty(0, np.int64), np.empty(0), 0)


class Rows:
    """Which series are judged as levels, and what their current bins hold."""

    def __init__(self) -> None:
        self.keys: list[SeriesKey] = []
        self.number = np.empty(0, np.int64)  # (rows,) in the table
        self.kind = np.empty(0, np.int8)
        self.group = np.empty(0, np.int32)  # rows that measure the same of different services and instances
        self.service = np.empty(0, np.int32)
        self.percent = np.empty(0, bool)
        self.supports = np.empty(0, bool)  # may not open an incident by what it measures
        self.total = np.empty(0, bool)
        self.ceiling = np.empty(0, bool)  # says how much there is, not how much is used
        self.by_calls = np.empty(0, bool)  # calls tell the same, where they are counted
        self.rates = np.empty(0, bool)  # money and lines, for which silence is 0
        self.groups: dict[str, int] = {}
        self.services: dict[str, int] = {}
        self.with_calls: set[str] = set()  # services whose calls are known
        self._row_of = np.empty(0, np.int64)  # (table.size,) -1 for what has no row
        self._code = np.empty(0, np.int16)  # of the cell that is summed
        self._sum = np.empty(0, np.float64)
        self._said = np.empty(0, np.float32)
        self._seen = 0  # keys of the table

    @property
    def size(self) -> int:
        return len(self.number)

    def follow(self, table: SeriesTable) -> bool:
        """Rows for the table's new series; whether there are new series."""
        if table.size == self._seen:
            return False
        self._row_of = np.concatenate([self._row_of, np.full(table.size - self._seen, -1, np.int64)])
        new: list[tuple[int, SeriesKey, Meaning]] = []
        for number in range(self._seen, table.size):
            key = table.keys[number]
            if key.family == "gauge":
                new.append((number, key, meaning(key.parts[2])))
            elif key.family == "log":
                new.append((number, key, _LINES))
            elif key.family == "op":
                self.with_calls.add(key.parts[0])
                if key.part("model"):
                    new.append((number, key, _MONEY))
        self._seen = table.size
        self._append(new)
        return True

    def _append(self, new: list[tuple[int, SeriesKey, Meaning]]) -> None:
        if not new:
            return
        codes = {"gauge": Cell.SECONDS, "log": Cell.COUNT, "op": Cell.COST}
        numbers = np.array([number for number, _, _ in new], np.int64)
        self._row_of[numbers] = np.arange(self.size, self.size + len(new))
        self.keys += [key for _, key, _ in new]
        more = {
            "number": numbers,
            "kind": [means.kind for _, _, means in new],
            "group": [self._group(key) for _, key, _ in new],
            "service": [self.services.setdefault(key.parts[0], len(self.services)) for _, key, _ in new],
            "percent": [means.percent for _, _, means in new],
            "supports": [means.shared or means.kind is Kind.LOG for _, _, means in new],
            "total": [means.total for _, _, means in new],
            "ceiling": [means.ceiling for _, _, means in new],
            "by_calls": [means.by_calls for _, _, means in new],
            "rates": [means.kind >= Kind.COST for _, _, means in new],
            "_code": [codes[key.family] for _, key, _ in new],
            "_sum": np.zeros(len(new)),
            "_said": np.zeros(len(new)),
        }
        for name, values in more.items():
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.asarray(values, old.dtype)]))

    def _group(self, key: SeriesKey) -> int:
        name = {"gauge": key.parts[-1], "log": "log", "op": "cost"}[key.family]
        return self.groups.setdefault(name.split("{", 1)[0], len(self.groups))

    def of_call_services(self) -> Flags:
        """(rows,) whether calls of the row's service are counted."""
        known = np.array([name in self.with_calls for name in self.services], bool)
        return known[self.service] if len(known) else np.zeros(self.size, bool)

    def ceilings(self) -> list[tuple[int, int]]:
        """Rows, and the row that says how high each can go: of the same instance and kind, with words in common."""
        by_place: dict[tuple[str, str, int], list[int]] = {}
        for row in np.flatnonzero(self.ceiling).tolist():
            by_place.setdefault(self._place(row), []).append(row)
        found = []
        for row in np.flatnonzero(~self.ceiling & ~self.rates).tolist() if by_place else ():
            words = meaning(self.keys[row].parts[2]).words
            for other in by_place.get(self._place(row), ()):
                if len(words & meaning(self.keys[other].parts[2]).words) >= 2:
                    found.append((row, other))
        return found

    def _place(self, row: int) -> tuple[str, str, int]:
        service, instance = self.keys[row].parts[:2]
        return service, instance, int(self.kind[row])

    def row_of(self, numbers: Ints) -> Ints:
        """The rows of some of the table's series; those without one are left out."""
        rows = self._row_of[numbers[numbers < len(self._row_of)]]
        return np.asarray(rows[rows >= 0])

    def take(self, slot: Slot) -> None:
        """Add what one second says."""
        cells = slot.cells
        row = self._row_of[cells.idx]
        mine = row >= 0
        if not mine.any():
            return
        row, code, amount = row[mine], cells.code[mine], cells.amount[mine]
        main = code == self._code[row]
        said = code == Cell.COUNT
        if len(row) * 8 < self.size:
            np.add.at(self._sum, row[main], amount[main])
            np.add.at(self._said, row[said], amount[said])
            return
        self._sum += np.bincount(row[main], amount[main], self.size)
        self._said += np.bincount(row[said], amount[said], self.size).astype(np.float32)

    def close(self, second: int) -> Closed:
        """The bins that end before `second`; their sums start anew."""
        if self.size < SPREAD_FROM and second % BIN_S:
            return NOTHING_CLOSED
        part = slice(second % BIN_S, self.size, BIN_S if self.size >= SPREAD_FROM else 1)
        rates = self.rates[part]
        said, total = self._said[part], self._sum[part]
        over = np.where(rates, (second // BIN_S) % RATE_BINS == 0, said > 0)
        if not over.any():
            return NOTHING_CLOSED
        rows = np.arange(self.size)[part][over]
        values = np.where(rates, total / (BIN_S * RATE_BINS), total / np.maximum(said, 1))[over]
        self._sum[rows] = 0
        self._said[rows] = 0
        return Closed(rows, values.astype(np.float64), second)
