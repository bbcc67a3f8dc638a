"""Log records to windows: one row for each (service, severity, template) and second.

    Rows --told--> Told (numbers of names) --fold_told--> Part of the family log
                                           --said-------> flows, see `paramedic_collector.flows`

    "user 4711 not found in 12 ms" --mask ids and numbers--> "user <n> not found in <n> ms"

Lines that differ only in their numbers and ids are one series; the number of templates is bounded
by the family's cardinality limit.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from paramedic_collector import sketch
from paramedic_collector.columns.keys import RESOURCE_TEXT
from paramedic_collector.columns.logs import (
    BODY,
    EVENT_NAME,
    HAS_TRACE,
    OBSERVED,
    RESOURCE,
    SEVERITY,
    SEVERITY_TEXT,
    SPAN,
    TIME,
    TRACE,
)
from paramedic_collector.columns.spans import TEXTS_FROM, place_of
from paramedic_collector.decode import Rows
from paramedic_collector.facts import mark
from paramedic_collector.flows import Said
from paramedic_collector.interner import intern_column
from paramedic_collector.parts import Part
from paramedic_collector.tables import Tables

_LONGEST: Final = 240  # characters of a body that are looked at
_TRACE_IDS: Final = 4  # kept per window
_SERVICE: Final = TEXTS_FROM + 2 * RESOURCE_TEXT["service"]
_SEVERITIES: Final = ("", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")  # four OTLP numbers each
_MASKS: Final = (  # in this order; RE2 syntax
    (r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b", "<id>"),
    (r"\b0x[0-9a-fA-F]+\b", "<id>"),
    (r"\b[a-fA-F]*[0-9]+[a-fA-F]+[0-9a-fA-F]{6,}\b", "<id>"),
    (r"\b[0-9a-fA-F]{16,}\b", "<id>"),
    (r"[0-9]+(?:[.,:][0-9]+)*", "<n>"),
)


def template_of(bodies: pa.StringArray) -> pa.StringArray:
    """What stays the same of each line."""
    masked = pc.utf8_slice_codeunits(bodies.fill_null(""), 0, _LONGEST)
    for pattern, mask in _MASKS:
        masked = pc.replace_substring_regex(masked, pattern, mask)
    return pc.utf8_trim_whitespace(masked)


@dataclass(frozen=True, slots=True)
class Told:
    """What windows need to know of n log records."""

    ns: sketch.Ints  # unix nanoseconds
    service: sketch.Ints  # numbers of names
    severity: sketch.Ints
    template: sketch.Ints
    body: pa.StringArray
    trace: NDArray[np.uint64]  # (n, 2)
    has_trace: sketch.Flags
    span: NDArray[np.uint64]  # 0 for none

    def said(self) -> Said:
        """The same lines, as flows need them."""
        inside = self.has_trace & (self.span != 0)
        return Said(np.where(inside, mark(self.trace, self.span), 0), self.ns, self.service, self.template)


def told(logs: Rows, tables: Tables) -> Told:
    """What the records say."""
    body = _texts(logs, BODY, or_else=EVENT_NAME)
    encoded = body.dictionary_encode()  # the same line often comes many times
    templates = template_of(encoded.dictionary).take(encoded.indices)
    service = tables.names.numbers_of(
        np.take(logs.resources[_SERVICE], logs.table[RESOURCE]), lambda at: _service(logs, at)
    )
    severity = intern_column(tables.names, _severities(logs))
    trace = np.column_stack((logs.table[TRACE], logs.table[TRACE + 1])).view(np.uint64)
    span = logs.table[SPAN].view(np.uint64)
    template = intern_column(tables.names, templates)
    return Told(_moments(logs), service, severity, template, body, trace, logs.table[HAS_TRACE] > 0, span)


def fold_told(one: Told, tables: Tables) -> Part:
    """The windows of the family log."""
    series = tables.series_of("log", one.service, one.severity, one.template)
    ts = one.ns // sketch.NANO
    row, first = sketch.group(ts, series)
    columns = {
        "count": pa.array(sketch.count_rows(row, len(first))),
        "example": _examples(one.body, row, len(first)),
        "trace_ids": _trace_ids(one, row, len(first)),
    }
    return Part("log", ts[first], series[first], columns)


def fold_logs(logs: Rows, tables: Tables) -> Part:
    """The windows of the family log, of what was received."""
    return fold_told(told(logs, tables), tables)


def seconds_of(logs: Rows) -> sketch.Ints:
    """When each record was made, or else observed; unix seconds."""
    return _moments(logs) // sketch.NANO


def _moments(logs: Rows) -> sketch.Ints:
    made, observed = logs.table[TIME], logs.table[OBSERVED]
    moments: sketch.Ints = np.where(made > 0, made, observed)
    return moments


def _texts(logs: Rows, column: int, or_else: int) -> pa.StringArray:
    texts = logs.texts(column)
    if not all(texts):
        texts = [one or other for one, other in zip(texts, logs.texts(or_else), strict=True)]
    return pa.array([one.decode(errors="replace") for one in texts], pa.string())


def _service(logs: Rows, at: int) -> str:
    return logs.text(at, *place_of(int(logs.resources[_SERVICE + 1, logs.table[RESOURCE, at]])))


def _severities(logs: Rows) -> pa.Array:
    number = np.clip(logs.table[SEVERITY], 0, 24)
    named = pa.array(_SEVERITIES).take(pa.array((number + 3) // 4))
    if (number > 0).all():
        return named
    said = pa.array([one[:10].decode(errors="replace") for one in logs.texts(SEVERITY_TEXT)], pa.string())
    return pc.if_else(pa.array(number == 0), pc.utf8_upper(said), named)


def _examples(body: pa.StringArray, row: sketch.Ints, rows: int) -> pa.Array:
    """The smallest line of each row by text: any would do, but merging must not depend on order."""
    short = pc.utf8_slice_codeunits(body, 0, _LONGEST)
    table = pa.table({"row": row, "body": short}).group_by("row").aggregate([("body", "min")])
    return table["body_min"].combine_chunks().take(pa.array(np.argsort(np.asarray(table["row"]))))


def _trace_ids(one: Told, row: sketch.Ints, rows: int) -> pa.ListArray:
    traced = np.flatnonzero(one.has_trace)
    trace = one.trace[traced]
    _, first = sketch.group(row[traced], trace[:, 0], trace[:, 1])
    of_row = row[traced][first]
    place = np.arange(len(first)) - np.searchsorted(of_row, of_row, side="left")
    kept = first[place < _TRACE_IDS]
    texts = [f"{high:016x}{low:016x}" for high, low in trace[kept].tolist()]
    offsets = np.searchsorted(row[traced][kept], np.arange(rows + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(texts, pa.string()))
