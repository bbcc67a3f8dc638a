"""A few series second by second: what is asked once something looks odd."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from paramedic_detector.series.slots import BUCKETS, CELLS, KINDS_FROM, Kinds, Slot, upper_edge_s
from paramedic_detector.values import Exemplar

Line = NDArray[np.float32]  # a value a second


class Timed(NamedTuple):
    """Calls of one series with a known time, by the second in which they ended."""

    slow: Line
    calls: Line
    began: Line  # when the quickest slow one of a second began, in seconds from the first one


def dense(slots: Sequence[Slot], size: int, numbers: Sequence[int], t0: int, seconds: int) -> NDArray[np.float32]:
    """(numbers, seconds, CELLS) the seconds from t0 on."""
    place = _places(numbers, size)
    grid = np.zeros((len(numbers), seconds, CELLS), np.float32)
    for slot in slots:
        cells = slot.cells
        row = place[cells.idx]
        mine = row >= 0
        at = (row[mine] * seconds + max(0, slot.ts - t0)) * CELLS + cells.code[mine]
        np.add.at(grid.reshape(-1), at, cells.amount[mine])
    return grid


def timed(
    slots: Sequence[Slot], size: int, wanted: Sequence[tuple[int, int, int]], t0: int, seconds: int
) -> list[Timed]:
    """The calls of each (series, channel, bucket), slow when in a higher bucket."""
    found: dict[int, Timed] = {}
    for channel in {channel for _, channel, _ in wanted}:
        rows = [row for row, one in enumerate(wanted) if one[1] == channel]
        limits = np.array([wanted[row][2] for row in rows], np.int64)
        place = _places([wanted[row][0] for row in rows], size)
        grid = np.zeros((2, len(rows), seconds), np.float32)
        began = np.full((len(rows), seconds), -np.inf, np.float32)
        for slot in slots:
            _time(slot, channel, place, limits, grid, began, max(0, slot.ts - t0))
        for at, row in enumerate(rows):
            found[row] = Timed(grid[0, at], grid[1, at], began[at])
    return [found[row] for row in range(len(wanted))]


def _time(
    slot: Slot, channel: int, place: NDArray[np.int64], limits: NDArray[np.int64], grid: NDArray[np.float32],
    began: NDArray[np.float32], second: int,
) -> None:  # fmt: skip
    details, low = slot.details, channel * BUCKETS
    row = place[details.idx]
    mine = (row >= 0) & (details.code >= low) & (details.code < low + BUCKETS)
    row, bucket, amount = row[mine], details.code[mine].astype(np.int64) - low, details.amount[mine]
    np.add.at(grid[1, :, second], row, amount)
    slow = bucket > limits[row]
    np.add.at(grid[0, :, second], row[slow], amount[slow])
    np.maximum.at(began[:, second], row[slow], (second + 1 - upper_edge_s(bucket[slow])).astype(np.float32))


def long_calls(
    slots: Sequence[Slot], size: int, numbers: Sequence[int], limit: int, t0: int, seconds: int
) -> list[tuple[int, float, float]]:
    """Calls slower than a duration bucket: in which second (from t0) they ended, how long they took, how many."""
    mine = _places(numbers, size) >= 0
    found: list[tuple[int, float, float]] = []
    for slot in slots:
        details = slot.details
        long = details.pick(mine[details.idx] & (details.code > limit) & (details.code < BUCKETS))
        took_s = upper_edge_s(long.code.astype(np.int64))
        ended = max(0, slot.ts - t0)
        found += [(ended, float(s), float(n)) for s, n in zip(took_s, long.amount, strict=True)]
    return found


def errors_since(
    slots: Sequence[Slot], size: int, since: Mapping[int, float], kinds: Kinds
) -> dict[int, dict[str, int]]:
    """Failed calls by error.type, for each series since its own moment; a series without any is left out."""
    numbers = list(since)
    place, starts = _places(numbers, size), np.array(list(since.values()))
    names = kinds.names
    sums = np.zeros((len(numbers), len(names)))
    for slot in slots:
        details = slot.details
        if not len(details.idx):
            continue
        row = place[details.idx]
        mine = (row >= 0) & (details.code >= KINDS_FROM)
        mine[mine] = slot.ts + slot.span_s > starts[row[mine]]
        np.add.at(sums, (row[mine], details.code[mine] - KINDS_FROM), details.amount[mine])
    found: dict[int, dict[str, int]] = {}
    for row, code in zip(*np.nonzero(sums), strict=True):
        group, key = names[int(code)]
        if group == "errors":
            found.setdefault(numbers[int(row)], {})[key] = round(float(sums[row, code]))
    return found


def examples(slots: Sequence[Slot], size: int, numbers: Sequence[int], most: int) -> dict[int, tuple[Exemplar, ...]]:
    """The most telling recent spans of each series: failed before useless before the rest, the newest first.

    Args:
        slots: The newest first.
    """
    mine = _places(numbers, size) >= 0
    found: dict[int, list[tuple[int, Exemplar]]] = {}
    for slot in slots:
        for idx, column in slot.exemplars:
            for row in np.flatnonzero(mine[idx]):
                found.setdefault(int(idx[row]), []).extend(_example(entry) for entry in column[int(row)].as_py())
    for several in found.values():
        several.sort(key=lambda pair: -pair[0])
    return {number: tuple(one for _, one in several[:most]) for number, several in found.items()}


def _example(raw: dict[str, Any]) -> tuple[int, Exemplar]:
    duration_s, note = raw["duration_s"] or 0.0, raw["note"] or ""
    return int(raw["rank"] or 0), Exemplar(raw["trace_id"], raw["span_id"], duration_s, note)


def _places(numbers: Sequence[int], size: int) -> NDArray[np.int64]:
    """(size + 1,) the place of each series among these, -1 for the others."""
    place = np.full(size + 1, -1, np.int64)
    place[np.asarray(numbers, np.int64)] = np.arange(len(numbers))
    return place
