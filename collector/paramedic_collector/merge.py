"""Windows of one series and second, added up.

    merge(a, b) == merge(b, a);  merge(merge(a, b), c) == merge(a, merge(b, c));  rows come out sorted

Counts, tokens, cost and histograms are exact. A histogram of a finer scale goes down to the coarser
one by shifting its indexes: bucket 2i and 2i+1 lie in bucket i of the next coarser scale. Sums of gauges
are plain float64 and exact only as far as those are.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from paramedic_collector import sketch
from paramedic_collector.sketch import NANO, Ints
from paramedic_collector.windows import COUNTS, EXEMPLAR, HISTOGRAM, KEYS, SCHEMAS

_TRACE_IDS: Final = 4  # kept per log window


def merge(a: pa.RecordBatch, b: pa.RecordBatch) -> pa.RecordBatch:
    """The windows of both, one row a (series, ts).

    Raises:
        ValueError: They are of different families.
    """
    return merge_all([a, b])


def merge_all(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """The windows of all, one row a (series, ts), sorted by ts and key.

    Raises:
        ValueError: None was given, or they are of different families.
    """
    families = {family_of(batch) for batch in batches}
    if len(families) != 1:
        raise ValueError(f"merge needs batches of one family, got {sorted(families) or 'none'}")
    family = families.pop()
    together = pa.concat_batches(list(batches))
    row, first = _rows(together, family)
    of_first, merged = pa.array(first), []
    for field in SCHEMAS[family]:
        column = together.column(field.name)
        is_key = field.name == "ts" or field.name in KEYS[family]
        merged.append(column.take(of_first) if is_key else merge_column(column, field, row, len(first)))
    return pa.RecordBatch.from_arrays(merged, schema=SCHEMAS[family])


def family_of(batch: pa.RecordBatch) -> str:
    return str((batch.schema.metadata or {}).get(b"family", b"unknown").decode())


def _rows(batch: pa.RecordBatch, family: str) -> tuple[Ints, Ints]:
    keys = [_ranks(batch.column(name)) for name in KEYS[family]]
    return sketch.group(np.asarray(batch.column("ts")), *keys)


def _ranks(texts: pa.StringArray) -> Ints:
    """Numbers that sort as the texts do."""
    encoded = texts.fill_null("").dictionary_encode()
    order = np.asarray(pc.sort_indices(encoded.dictionary), dtype=np.int64)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    ranks: Ints = rank[np.asarray(encoded.indices)]
    return ranks


def merge_column(column: pa.Array, field: pa.Field, row: Ints, rows: int) -> pa.Array:
    """The values of one column of windows, merged by row; every row has at least one."""
    if field.name in _BY_NAME:
        return _BY_NAME[field.name](column, row, rows)
    if field.type == HISTOGRAM:
        return _histograms(column, row, rows)
    if field.type == COUNTS:
        return _counts(column, row, rows)
    return pa.array(sketch.add_up(row, np.asarray(column.fill_null(0)), rows))


def _exact_sum(column: pa.Array, row: Ints, rows: int) -> pa.Array:
    return pa.array(sketch.add_up(row, sketch.billionths(np.asarray(column.fill_null(0.0))), rows) / NANO)


def _by(function: str) -> Callable[[pa.Array, Ints, int], pa.Array]:
    def aggregated(column: pa.Array, row: Ints, rows: int) -> pa.Array:
        """By row, without the nulls; null where there is nothing else."""
        table = pa.table({"row": row, "value": column}).group_by("row").aggregate([("value", function)])
        order = np.argsort(np.asarray(table["row"]))
        return table[f"value_{function}"].combine_chunks().take(pa.array(order))

    return aggregated


def _counts(column: pa.ListArray, row: Ints, rows: int) -> pa.ListArray:
    parents = np.asarray(pc.list_parent_indices(column), dtype=np.int64)
    pairs = column.flatten()
    texts = pairs.field("key")
    names = sorted(set(texts.to_pylist()) - {None})
    places = np.asarray(pc.index_in(texts, value_set=pa.array(names, pa.string())), dtype=np.int64)
    return sketch.counts(row[parents], places, names, np.asarray(pairs.field("count")), rows)


def _histograms(column: pa.StructArray, row: Ints, rows: int) -> pa.StructArray:
    valid = np.asarray(column.is_valid())
    column, row = column.filter(pa.array(valid)), row[valid]
    scale = np.asarray(column.field("scale"), dtype=np.int64)
    coarsest = np.full(rows, 127, np.int64)
    np.minimum.at(coarsest, row, scale)
    bucket = np.asarray(pc.list_parent_indices(column.field("index")), dtype=np.int64)
    index = np.asarray(column.field("index").flatten(), dtype=np.int64)
    index >>= np.minimum((scale - coarsest[row])[bucket], 62)
    present = sketch.count_rows(row, rows) > 0
    return sketch.Histograms(
        present,
        np.where(present, coarsest, 0),
        sketch.add_up(row, np.asarray(column.field("zero")), rows),
        sketch.add_up(row, sketch.billionths(np.asarray(column.field("sum"))), rows),
        row[bucket],
        index,
        np.asarray(column.field("count").flatten()),
    ).arrow()


def _exemplars(column: pa.ListArray, row: Ints, rows: int) -> pa.ListArray:
    parents = np.asarray(pc.list_parent_indices(column), dtype=np.int64)
    if not len(parents):
        return pa.array([[]] * rows, pa.list_(EXEMPLAR))
    one = column.flatten()
    both = zip(one.field("trace_id").to_pylist(), one.field("span_id").to_pylist(), strict=True)
    hexes = "".join(trace_id + span_id for trace_id, span_id in both)
    ids = np.frombuffer(bytes.fromhex(hexes), ">u8").reshape(-1, 3).astype(np.uint64)
    notes = sorted(set(one.field("note").to_pylist()))
    place = np.asarray(pc.index_in(one.field("note"), value_set=pa.array(notes, pa.string())), dtype=np.int64)
    rank = np.asarray(one.field("rank"), dtype=np.int64)
    duration = sketch.billionths(np.asarray(one.field("duration_s")))
    return sketch.Exemplars(row[parents], rank, duration, ids[:, :2], ids[:, 2], place, notes).arrow(rows)


def _trace_ids(column: pa.ListArray, row: Ints, rows: int) -> pa.ListArray:
    parents = np.asarray(pc.list_parent_indices(column), dtype=np.int64)
    kept: list[set[str]] = [set() for _ in range(rows)]
    for at, trace_id in zip(row[parents].tolist(), column.flatten().to_pylist(), strict=True):
        kept[at].add(trace_id)
    return pa.array([sorted(one)[:_TRACE_IDS] for one in kept], pa.list_(pa.string()))


_BY_NAME: Final[dict[str, Callable[[pa.Array, Ints, int], pa.Array]]] = {
    "in_flight": _by("sum"),
    "oldest_s": _by("max"),
    "cost_usd": _exact_sum,
    "sum": _by("sum"),
    "min": _by("min"),
    "max": _by("max"),
    "example": _by("min"),
    "exemplars": _exemplars,
    "trace_ids": _trace_ids,
}
