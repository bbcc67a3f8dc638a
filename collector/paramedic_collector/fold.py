"""Facts of spans to windows: one row for each series and second, without a loop over spans.

    Facts --group by (ts, series)--> counts, errors, histograms, exemplars --> Part of each family

Refused calls were not made: they count in `refused` and nowhere else.
"""

from typing import Final

import numpy as np
import pyarrow as pa

from paramedic_collector import sketch
from paramedic_collector.facts import NOWHERE, Facts
from paramedic_collector.interner import EMPTY, Interner
from paramedic_collector.parts import Columns, Part, nothing
from paramedic_collector.sketch import NANO, Flags, Ints
from paramedic_collector.tables import Tables
from paramedic_collector.windows import COUNTS, EXEMPLAR

_SERIES_OF_SPANS: Final = ("op", "edge", "callee")


def fold_spans(facts: Facts, tables: Tables) -> list[Part]:
    """The windows of every family that spans have."""
    return [part for family in _SERIES_OF_SPANS if len(part := fold_family(family, facts, tables))]


def fold_family(family: str, facts: Facts, tables: Tables) -> Part:
    """The windows of "op", "edge" or "callee"; spans that have no series of it are left out."""
    facts = facts.where(facts[family] != NOWHERE)
    row, first = sketch.group(facts["ts"], facts[family])
    columns = _calls(facts, row, len(first), tables.names)
    if family == "op":
        columns |= _amounts(facts, row, len(first))
    return Part(family, facts["ts"][first], facts[family][first], columns)


def fold_histogram(family: str, name: str, ts: Ints, series: Ints, value_ns: Ints) -> Part:
    """Windows that hold nothing but the histogram `name`: what the join found out later."""
    row, first = sketch.group(ts, series)
    columns = {name: sketch.histograms(row, value_ns, len(first), null_when_empty=True)}
    return Part(family, ts[first], series[first], columns)


def _calls(facts: Facts, row: Ints, rows: int, names: Interner[str]) -> Columns:
    made, failed = facts["made"], facts["error"] != EMPTY
    probe = facts["probe"] & made
    ended, row_ended = facts.where(made), row[made]
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
