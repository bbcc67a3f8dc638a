"""Columns of windows made from flat arrays: counts by name, sparse histograms.

Everything is (row, what, amount) first.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from paramedic_collector.windows import COUNTS, EXEMPLAR, HISTOGRAM, SCALE, VALUES

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def histograms(row: Ints, seconds: Floats, rows: int, *, null_when_empty: bool) -> pa.StructArray:
    """HISTOGRAM of each row, from values of at least 0 in seconds; `row` in any order."""
    positive = seconds > 1e-9
    index = np.ceil(np.log2(seconds[positive]) * 2**SCALE).astype(np.int64) - 1
    places, counts = np.unique(row[positive] << 16 | (index + 32768), return_counts=True)
    offsets = _offsets(places >> 16, rows)
    columns = [
        pa.array(np.full(rows, SCALE, np.int8)),
        pa.array(np.bincount(row[~positive], minlength=rows).astype(np.int64)),
        pa.array(np.bincount(row, np.maximum(seconds, 0), minlength=rows).astype(np.float64)),
        pa.ListArray.from_arrays(offsets, pa.array(((places & 0xFFFF) - 32768).astype(np.int32))),
        pa.ListArray.from_arrays(offsets, pa.array(counts.astype(np.int64))),
    ]
    absent = np.bincount(row, minlength=rows) == 0 if null_when_empty else np.zeros(rows, bool)
    return pa.StructArray.from_arrays(columns, fields=list(HISTOGRAM), mask=pa.array(absent))


def counts(row: Ints, word: NDArray[np.int16], names: list[str], rows: int) -> pa.ListArray:
    """COUNTS of each row, of words that are not 0."""
    said = word != 0
    if not said.any():
        return nothing(pa.field("errors", COUNTS), rows)
    texts = np.array(names, object)
    order = np.argsort(texts)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    places, amounts = np.unique(row[said] << 16 | rank[word[said]], return_counts=True)
    keys = pa.array(texts[order][places & 0xFFFF].tolist(), pa.string())
    pairs = pa.StructArray.from_arrays([keys, pa.array(amounts.astype(np.int64))], fields=list(COUNTS.value_type))
    return pa.ListArray.from_arrays(_offsets(places >> 16, rows), pairs).cast(COUNTS)


def exemplars(
    row: Ints, rank: NDArray[np.int8], trace: Ints, duration_s: Floats, notes: list[str], rows: int
) -> pa.ListArray:
    """One exemplar for each place, `row` ascending."""
    columns = [
        pa.array([f"{number:032x}" for number in trace.tolist()], pa.string()),
        pa.array([f"{number & 0xFFFFFFFFFFFFFFFF:016x}" for number in (trace * 31 + 7).tolist()], pa.string()),
        pa.array(rank),
        pa.array(duration_s),
        pa.array(notes, pa.string()),
    ]
    chosen = pa.StructArray.from_arrays(columns, fields=list(EXEMPLAR))
    return pa.ListArray.from_arrays(_offsets(row, rows), chosen)


def nothing(field: pa.Field, rows: int) -> pa.Array:
    """`rows` times the value that changes nothing when it is merged with another."""
    if field.name in ("in_flight", "oldest_s", "example") or pa.types.is_struct(field.type):
        return pa.nulls(rows, field.type)
    if pa.types.is_list(field.type):
        empty = pa.array([], field.type.value_type)
        return pa.ListArray.from_arrays(pa.array(np.zeros(rows + 1, np.int32)), empty).cast(field.type)
    return pa.array(np.zeros(rows), pa.float64()).cast(field.type)


def value_fields(family: str) -> list[pa.Field]:
    return [pa.field(name, kind) for name, kind in VALUES[family]]


def _offsets(row: Ints, rows: int) -> pa.Array:
    return pa.array(np.searchsorted(row, np.arange(rows + 1)).astype(np.int32))
