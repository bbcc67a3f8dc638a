"""Nested columns of a window, made from flat ones: counts by key, sparse histograms, exemplars.

Everything is "long" inside: (row, key, count), (row, bucket, count), (row, exemplar). Fold makes long
columns out of spans, merge makes them out of windows; both end here, so both mean the same.

Sums are kept exact, and so independent of the order of merging, by adding whole nanoseconds (and
billionths of a dollar): a float64 of seconds gives its nanoseconds back up to 26 days.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from paramedic_collector.columns.rows import among_best, number_rows, sums
from paramedic_collector.windows import COUNTS, EXEMPLAR, EXEMPLARS, HISTOGRAM, SCALE

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
NANO = 1_000_000_000
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


def billionths(values: Floats) -> Ints:
    """Exact integer form of a float that is a multiple of one billionth; beyond ±9.2e9 it is cut."""
    return np.rint(np.clip(np.nan_to_num(values), -9.2e9, 9.2e9) * NANO).astype(np.int64)


def add_up(row: Ints, values: Ints, rows: int) -> Ints:
    """Sum of `values` by row, exact."""
    return sums(row, np.asarray(values, np.int64), rows)


def count_rows(row: Ints, rows: int) -> Ints:
    return np.bincount(row, minlength=rows).astype(np.int64)


def group(*keys: NDArray[np.generic]) -> tuple[Ints, Ints]:
    """Number the distinct combinations of `keys`, in ascending order.

    Returns:
        The number of each element's combination, and for each number one element that has it.
    """
    columns = np.column_stack([key.astype(np.int64, copy=False) for key in keys])
    numbers, first = number_rows(columns)
    order = np.lexsort([key[first] for key in reversed(keys)])
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank[numbers], first[order]


def counts(row: Ints, key: Ints, names: list[str], count: Ints, rows: int) -> pa.ListArray:
    """COUNTS of each row, from (row, key, count) where `key` is a place in `names`, itself sorted."""
    number, first = group(row, key)
    total = add_up(number, count, len(first))
    some = total != 0
    first, total = first[some], total[some]
    keys = pa.array(names, pa.string()).take(pa.array(key[first]))
    pairs = pa.StructArray.from_arrays([keys, pa.array(total)], fields=list(COUNTS.value_type))
    return pa.ListArray.from_arrays(_offsets(row[first], rows), pairs).cast(COUNTS)


@dataclass(frozen=True, slots=True)
class Histograms:
    """Sparse histograms of many rows, long: `row`, `index`, `count` of buckets; the rest by row."""

    present: Flags  # rows without a histogram are null
    scale: Ints
    zero: Ints
    sum_ns: Ints
    row: Ints  # of each bucket
    index: Ints
    count: Ints

    def arrow(self) -> pa.StructArray:
        rows = len(self.present)
        number, first = group(self.row, self.index)
        total = add_up(number, self.count, len(first))
        offsets = _offsets(self.row[first], rows)
        columns = [
            pa.array(self.scale.astype(np.int8)),
            pa.array(self.zero),
            pa.array(self.sum_ns / NANO),
            pa.ListArray.from_arrays(offsets, pa.array(self.index[first].astype(np.int32))),
            pa.ListArray.from_arrays(offsets, pa.array(total)),
        ]
        return pa.StructArray.from_arrays(columns, fields=list(HISTOGRAM), mask=pa.array(~self.present))


def histograms(row: Ints, value_ns: Ints, rows: int, *, null_when_empty: bool) -> pa.StructArray:
    """HISTOGRAM of each row, at SCALE, from values in nanoseconds, each at least 0."""
    positive = value_ns > 0
    index = np.ceil(np.log2(value_ns[positive] / NANO) * 2.0**SCALE).astype(np.int64) - 1
    present = np.ones(rows, bool)
    if null_when_empty:
        present = count_rows(row, rows) > 0
    zero = count_rows(row[~positive], rows)
    ones = np.ones(len(index), np.int64)
    scale = np.full(rows, SCALE, np.int64)
    sums = add_up(row, value_ns, rows)
    return Histograms(present, scale, zero, sums, row[positive], index, ones).arrow()


def no_histograms(rows: int) -> pa.StructArray:
    return pa.nulls(rows, HISTOGRAM)


@dataclass(frozen=True, slots=True)
class Exemplars:
    """Candidates for exemplars of many rows, long."""

    row: Ints
    rank: Ints
    duration_ns: Ints
    trace_id: NDArray[np.uint64]  # (n, 2)
    span_id: NDArray[np.uint64]
    note: Ints  # place in `names`
    names: list[str]

    def arrow(self, rows: int) -> pa.ListArray:
        """The best EXEMPLARS of each row: by rank, then the longest, then by ids; each span once."""
        best = self._best(rows)
        row = self.row[best]
        columns = [
            hex_texts(self.trace_id[best]),
            hex_texts(self.span_id[best][:, None]),
            pa.array(self.rank[best].astype(np.int8)),
            pa.array(self.duration_ns[best] / NANO),
            pa.array(self.names, pa.string()).take(pa.array(self.note[best])),
        ]
        chosen = pa.StructArray.from_arrays(columns, fields=list(EXEMPLAR))
        return pa.ListArray.from_arrays(_offsets(row, rows), chosen)

    def _best(self, rows: int) -> Ints:
        at = np.arange(len(self.row))
        if len(at) > 8 * EXEMPLARS:  # most can be ruled out without looking at their ids
            score = (self.rank << 60) + np.minimum(self.duration_ns, (1 << 60) - 1)
            at = np.flatnonzero(among_best(self.row, score, rows, 4 * EXEMPLARS))
        ids = (self.trace_id[at, 0], self.trace_id[at, 1], self.span_id[at])
        keys = (self.note[at], *ids[::-1], -self.duration_ns[at], -self.rank[at], self.row[at])
        at = at[np.lexsort(keys)]
        at = at[self._is_new(at)]
        place = np.arange(len(at)) - np.searchsorted(self.row[at], self.row[at], side="left")
        return at[place < EXEMPLARS]

    def _is_new(self, at: Ints) -> Flags:
        """Whether a span is not the one before it: sorted, the copies of a span stand together."""
        keys = np.column_stack((self.row[at], self.trace_id[at], self.span_id[at]))
        new = np.ones(len(at), bool)
        new[1:] = (keys[1:] != keys[:-1]).any(axis=1)
        return new


def hex_texts(ids: NDArray[np.uint64]) -> pa.StringArray:
    """(n, k) ids as the hex digits of their k numbers."""
    raw = np.frombuffer(ids.astype(">u8").tobytes(), np.uint8)
    digits = _HEX[np.column_stack((raw >> 4, raw & 15)).ravel()]
    offsets = np.arange(len(ids) + 1, dtype=np.int32) * 16 * ids.shape[1]
    return pa.StringArray.from_buffers(len(ids), pa.py_buffer(offsets), pa.py_buffer(digits))


def _offsets(row: Ints, rows: int) -> pa.Array:
    """Where each row's part begins in a column that is sorted by row."""
    return pa.array(np.searchsorted(row, np.arange(rows + 1)).astype(np.int32))
