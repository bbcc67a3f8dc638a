"""Marks (64-bit hashes) to small numbers, for whole columns at once.

    Marks.put(mark, 7) ... Marks.look_up([mark, other, 0]) -> [7, -1, 0]

A table with open addresses, at most half full.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_collector.columns.compiled import compiled, inner

Ints = NDArray[np.int64]
UNKNOWN: Final = -1


class Marks:
    """Knows the number of a mark; mark 0 always has number 0."""

    def __init__(self) -> None:
        self._table = np.zeros((1024, 2), np.int64)  # mark, number
        self._count = 0

    def put(self, mark: int, number: int) -> None:
        if 2 * self._count >= len(self._table):
            old, self._table = self._table, np.zeros((2 * len(self._table), 2), np.int64)
            _insert_all(self._table, old)
        self._count += _insert(self._table, mark, number)

    def look_up(self, marks: Ints) -> Ints:
        """The number of each mark, or UNKNOWN."""
        out = np.empty(len(marks), np.int64)
        _look_up(self._table, marks, out)
        return out

    def clear(self) -> None:
        self._table[:], self._count = 0, 0


@compiled
def _look_up(table: Ints, marks: Ints, out: Ints) -> None:
    last = len(table) - 1
    for at in range(len(marks)):
        mark = marks[at]
        place = _scattered(mark) & last
        while table[place, 0] != mark and table[place, 0] != 0:
            place = (place + 1) & last
        out[at] = 0 if mark == 0 else (table[place, 1] if table[place, 0] == mark else UNKNOWN)


@compiled
def _insert(table: Ints, mark: int, number: int) -> bool:
    """Whether it is new."""
    last = len(table) - 1
    place = _scattered(mark) & last
    while table[place, 0] != mark and table[place, 0] != 0:
        place = (place + 1) & last
    new = table[place, 0] == 0
    table[place, 0], table[place, 1] = mark, number
    return new


@compiled
def _insert_all(table: Ints, old: Ints) -> None:
    for at in range(len(old)):
        if old[at, 0] != 0:
            _insert(table, old[at, 0], old[at, 1])


@inner
def _scattered(mark: int) -> int:
    """Spreads marks that differ in few bits."""
    return np.int64(np.uint64(mark) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(20))


@compiled
def mixed_marks(parts: Ints) -> Ints:
    """One mark for each row of `parts` (n, k), in which the order of the parts counts."""
    n, columns = parts.shape
    out = np.empty(n, np.int64)
    for at in range(n):
        mixed = np.uint64(columns)
        for column in range(columns):
            mixed = (mixed ^ np.uint64(parts[at, column])) * np.uint64(0xC2B2AE3D27D4EB4F)
            mixed ^= mixed >> np.uint64(29)
        out[at] = np.int64(mixed) if mixed != 0 else 1
    return out
