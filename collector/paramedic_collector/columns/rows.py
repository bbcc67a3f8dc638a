"""Grouping, adding up and finding again, for long columns: what NumPy would sort for.

number_rows([[7, 1], [8, 1], [7, 1]]) -> [0, 1, 0], [0, 1]
"""

import numpy as np
from numpy.typing import NDArray

from paramedic_collector.columns.compiled import compiled, inner

Ints = NDArray[np.int64]


@compiled
def number_rows(keys: Ints) -> tuple[Ints, Ints]:
    """Number the distinct rows of `keys` (n, k) in the order in which they first come.

    Returns:
        The number of each row, and for each number the first row that has it.
    """
    n, columns = keys.shape
    size = 16
    while size < 2 * n:
        size *= 2
    table = np.full(size, -1, np.int64)
    numbers, first, count = np.empty(n, np.int64), np.empty(n, np.int64), 0
    for at in range(n):
        mixed = np.uint64(0)
        for column in range(columns):
            mixed = (mixed ^ np.uint64(keys[at, column])) * np.uint64(0xC2B2AE3D27D4EB4F)
            mixed ^= mixed >> np.uint64(29)
        place = np.int64(mixed & np.uint64(size - 1))
        while table[place] >= 0 and not _same(keys, first[table[place]], at):
            place = (place + 1) & (size - 1)
        if table[place] < 0:
            table[place] = count
            first[count] = at
            count += 1
        numbers[at] = table[place]
    return numbers, first[:count].copy()


@inner
def _same(keys: Ints, a: int, b: int) -> bool:
    column = 0
    while column < keys.shape[1] and keys[a, column] == keys[b, column]:
        column += 1
    return column == keys.shape[1]


@compiled
def sums(row: Ints, values: Ints, rows: int) -> Ints:
    """Sum of `values` by row, exact."""
    out = np.zeros(rows, np.int64)
    for at in range(len(row)):
        out[row[at]] += values[at]
    return out


@compiled
def places_of(needles: Ints, hay: Ints) -> Ints:
    """Where in `hay` each needle stands, the last one if there are several; -1 for nowhere. Neither holds a 0."""
    size = 16
    while size < 2 * len(hay):
        size *= 2
    marks, places = np.zeros(size, np.int64), np.zeros(size, np.int64)
    for at in range(len(hay)):
        place = np.int64(np.uint64(hay[at]) & np.uint64(size - 1))
        while marks[place] != 0 and marks[place] != hay[at]:
            place = (place + 1) & (size - 1)
        marks[place], places[place] = hay[at], at
    out = np.full(len(needles), -1, np.int64)
    for at in range(len(needles)):
        place = np.int64(np.uint64(needles[at]) & np.uint64(size - 1))
        while marks[place] != 0 and marks[place] != needles[at]:
            place = (place + 1) & (size - 1)
        if marks[place] != 0:
            out[at] = places[place]
    return out


@compiled
def among_best(row: Ints, score: Ints, rows: int, most: int) -> NDArray[np.bool_]:
    """Whether each element is one of the `most` with the highest score in its row, or as good as the last of them."""
    best = np.full((rows, most), np.iinfo(np.int64).min, np.int64)  # ascending
    for at in range(len(row)):
        mine = best[row[at]]
        if score[at] > mine[0]:
            place = 0
            while place + 1 < most and mine[place + 1] < score[at]:
                mine[place] = mine[place + 1]
                place += 1
            mine[place] = score[at]
    out = np.empty(len(row), np.bool_)
    for at in range(len(row)):
        out[at] = score[at] >= best[row[at], 0]
    return out


@compiled
def union_lengths(owner: Ints, start: Ints, end: Ints, rows: int) -> Ints:
    """For each owner, the length of the union of its intervals, which come sorted by owner, then start."""
    out, reached, last = np.zeros(rows, np.int64), np.int64(0), np.int64(-1)
    for at in range(len(owner)):
        first = start[at] if owner[at] != last else max(start[at], reached)
        if owner[at] != last:
            last, reached = owner[at], end[at]
        out[last] += max(end[at] - first, 0)
        reached = max(reached, end[at])
    return out
