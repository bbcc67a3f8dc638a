"""Parts of windows, by series numbers, put together into record batches: what the fold works with inside.

    Part(family, ts, series, {"count": ..., "duration": ...})  some columns of some windows
    whole([part, part, ...]) -> RecordBatch                    one row a (series, ts), every column, with names

A part holds the columns that its maker knows something of; so what the join finds out later costs no merging of
what the fold had counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from paramedic_collector import sketch
from paramedic_collector.merge import merge_column
from paramedic_collector.sketch import Ints
from paramedic_collector.tables import Tables
from paramedic_collector.windows import KEYS, SCHEMAS

Columns = dict[str, pa.Array]


@dataclass(frozen=True, slots=True)
class Part:
    """Some columns of some windows."""

    family: str
    ts: Ints  # unix seconds
    series: Ints  # numbers in the family's table
    columns: Columns

    def __len__(self) -> int:
        return len(self.ts)


def whole(parts: Sequence[Part], tables: Tables) -> pa.RecordBatch:
    """The windows of parts of one family, sorted by second; what no part speaks of holds nothing.

    Raises:
        ValueError: None was given, or they are of different families.
    """
    families = {part.family for part in parts}
    if len(families) != 1:
        raise ValueError(f"parts of one family are needed, got {sorted(families) or 'none'}")
    family = families.pop()
    row, first = sketch.group(*(np.concatenate([getattr(part, key) for part in parts]) for key in ("ts", "series")))
    ts, series = (np.concatenate([getattr(part, key) for part in parts])[first] for key in ("ts", "series"))
    rows = np.split(row, np.cumsum([len(part) for part in parts])[:-1])
    names = dict(zip(KEYS[family], tables.names_of(family, series), strict=True))
    columns: Columns = {"ts": pa.array(ts), **names}
    for field in SCHEMAS[family]:
        if field.name not in columns:
            columns[field.name] = _column(field, parts, rows, len(first))
    return pa.RecordBatch.from_arrays([columns[field.name] for field in SCHEMAS[family]], schema=SCHEMAS[family])


def nothing(field: pa.Field, rows: int) -> pa.Array:
    """`rows` times the value that changes nothing when it is merged with another."""
    if field.name == "duration":
        return sketch.histograms(np.empty(0, np.int64), np.empty(0, np.int64), rows, null_when_empty=False)
    if field.name in ("in_flight", "oldest_s", "example") or pa.types.is_struct(field.type):
        return pa.nulls(rows, field.type)
    if pa.types.is_list(field.type):
        empty = pa.array([], field.type.value_type)
        return pa.ListArray.from_arrays(pa.array(np.zeros(rows + 1, np.int32)), empty).cast(field.type)
    return pa.array(np.zeros(rows), pa.float64()).cast(field.type)


def _column(field: pa.Field, parts: Sequence[Part], rows: Sequence[Ints], count: int) -> pa.Array:
    given = [
        (part.columns[field.name], row) for part, row in zip(parts, rows, strict=True) if field.name in part.columns
    ]
    if not given:
        return nothing(field, count)
    values, row = pa.concat_arrays([one for one, _ in given]), np.concatenate([row for _, row in given])
    theirs = np.flatnonzero(np.bincount(row, minlength=count))
    if len(theirs) < len(row):
        values, row = merge_column(values, field, np.searchsorted(theirs, row), len(theirs)), theirs
    if len(row) == count and (row == np.arange(count)).all():
        return values
    place = np.full(count, len(values))  # behind the last: nothing
    place[row] = np.arange(len(values))
    return pa.concat_arrays([values, nothing(field, 1)]).take(pa.array(place))
