"""Facts of spans to windows: one row for each series and second, without a loop over spans.

    FACT array --group by (ts, series)--> counts, errors, histograms, exemplars --> RecordBatch a family

Refused calls were not made: they count in `refused` and nowhere else.
"""

from typing import Final

import numpy as np
import pyarrow as pa

from paramedic_collector import sketch
from paramedic_collector.facts import NOWHERE, Facts, Tables
from paramedic_collector.interner import EMPTY, Interner
from paramedic_collector.sketch import NANO, Flags, Ints
from paramedic_collector.windows import COUNTS, EXEMPLAR, KEYS, SCHEMAS

Columns = dict[str, pa.Array]
_SERIES_OF_SPANS: Final = ("op", "edge", "callee")


def fold_spans(facts: Facts, tables: Tables) -> list[pa.RecordBatch]:
    """The windows of every family that spans have."""
    return [batch for family in _SERIES_OF_SPANS if (batch := fold_family(family, facts, tables)).num_rows]


def fold_family(family: str, facts: Facts, tables: Tables) -> pa.RecordBatch:
    """The windows of "op", "edge" or "callee"; spans that have no series of it are left out."""
    inside = facts[family] != NOWHERE
    facts = facts if inside.all() else facts[inside]
    row, first = sketch.group(facts["ts"], facts[family])
    columns = _calls(facts, row, len(first), tables.names)
    if family == "op":
        columns |= _amounts(facts, row, len(first))
    return assemble(family, facts["ts"][first], facts[family][first], columns, tables)


def fold_histogram(family: str, name: str, ts: Ints, series: Ints, value_ns: Ints, tables: Tables) -> pa.RecordBatch:
    """Windows that hold nothing but the histogram `name`: what the join found out later."""
    row, first = sketch.group(ts, series)
    columns = {name: sketch.histograms(row, value_ns, len(first), null_when_empty=True)}
    return assemble(family, ts[first], series[first], columns, tables)


def assemble(family: str, ts: Ints, series: Ints, values: Columns, tables: Tables) -> pa.RecordBatch:
    """A record batch of the family's schema; the value columns that are not given hold nothing."""
    schema, table = SCHEMAS[family], tables.series[family]
    keys = [table[one] for one in series.tolist()]
    columns: Columns = {"ts": pa.array(ts), **values}
    for place, name in enumerate(KEYS[family]):
        columns[name] = pa.array([key[place] for key in keys], pa.string())
    rows = len(ts)
    arrays = [columns[field.name] if field.name in columns else nothing(field, rows) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


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


def _calls(facts: Facts, row: Ints, rows: int, names: Interner[str]) -> Columns:
    made, failed = facts["made"], facts["error"] != EMPTY
    probe = facts["probe"] & made
    ended, row_ended = (facts, row) if made.all() else (facts[made], row[made])
    return {
        "count": pa.array(sketch.count_rows(row_ended, rows)),
        "errors": _counts(row, facts["error"], failed, rows, names),
        "refused": _counts(row, facts["refused"], facts["refused"] != EMPTY, rows, names),
        "probes": pa.array(sketch.count_rows(row[probe], rows)),
        "probe_errors": pa.array(sketch.count_rows(row[probe & failed], rows)),
        "useless": _counts(row, facts["useless"], facts["useless"] != EMPTY, rows, names),
        "duration": sketch.histograms(row_ended, ended["end"] - ended["start"], rows, null_when_empty=False),
        "exemplars": _exemplars(ended, row_ended, rows, names),
    }


def _amounts(facts: Facts, row: Ints, rows: int) -> Columns:
    """Refused calls have none."""
    streamed = facts["first_token"] >= 0
    return {
        "first_token": sketch.histograms(row[streamed], facts["first_token"][streamed], rows, null_when_empty=True),
        "input_tokens": pa.array(sketch.add_up(row, facts["input_tokens"], rows)),
        "output_tokens": pa.array(sketch.add_up(row, facts["output_tokens"], rows)),
        "cost_usd": pa.array(sketch.add_up(row, facts["cost"], rows) / NANO),
    }


def _counts(row: Ints, name: Ints, which: Flags, rows: int, names: Interner[str]) -> pa.ListArray:
    if not which.any():
        return nothing(pa.field("errors", COUNTS), rows)
    places, texts = sorted_names(name[which], names)
    return sketch.counts(row[which], places, texts, np.ones(len(places), np.int64), rows)


def sorted_names(numbers: Ints, names: Interner[str]) -> tuple[Ints, list[str]]:
    """Numbers of names as places in a short sorted list of the texts that occur."""
    distinct, places = np.unique(numbers, return_inverse=True)
    texts = [names[number] for number in distinct.tolist()]
    order = sorted(range(len(texts)), key=texts.__getitem__)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank[places], [texts[place] for place in order]


def _exemplars(facts: Facts, row: Ints, rows: int, names: Interner[str]) -> pa.ListArray:
    if not len(facts):
        return nothing(pa.field("exemplars", pa.list_(EXEMPLAR)), rows)
    failed, useless = facts["error"] != EMPTY, facts["useless"] != EMPTY
    rank = np.where(failed, 2, np.where(useless, 1, 0))
    note, texts = sorted_names(np.where(failed, facts["error"], facts["useless"]), names)
    duration = facts["end"] - facts["start"]
    return sketch.Exemplars(row, rank, duration, facts["trace"], facts["span"], note, texts).arrow(rows)
