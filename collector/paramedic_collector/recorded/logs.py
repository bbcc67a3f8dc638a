"""Recorded log lines as the collector's own windows of logs and flows take them.

logs*.parquet (ts_unix_ns, service, trace_id, span_id, severity, template, body) --> Logs.told(a, b)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from paramedic_collector.logs import Told, template_of
from paramedic_collector.recorded.columns import Columns, Texts, joined_texts, texts_of
from paramedic_collector.recorded.ids import given_ids
from paramedic_collector.sketch import NANO, Flags, Ints
from paramedic_collector.tables import Tables

_LONGEST: Final = 240  # characters of a template, as of those that live logs make
_SEVERITIES: Final = ("", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")  # four of OTLP's numbers each
_MOMENTS: Final = ["ts_unix_ns", "ts_unix_us", "ts_unix_ms", "ts_unix_s", "ts_unix", "ts"]
U64s = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Logs:
    """Recorded log lines in time order; lines of one moment in the order of the file."""

    known_at: Ints  # unix seconds from which each is known
    ns: Ints
    service: Texts
    severity: Texts
    template: Texts
    body: pa.Array
    trace: U64s  # (n, 2)
    has_trace: Flags
    span: U64s  # 0 for none

    def __len__(self) -> int:
        return len(self.ns)

    def numbers(self, tables: Tables) -> tuple[Ints, Ints, Ints]:
        """The numbers of the names of services, severities and templates, by their codes."""
        service, severity, template = (
            tables.names.intern(one.values) for one in (self.service, self.severity, self.template)
        )
        return service, severity, template

    def told(self, a: int, b: int, numbers: tuple[Ints, Ints, Ints]) -> Told:
        """Lines a to b."""
        columns = (self.service, self.severity, self.template)
        service, severity, template = (number[one.codes[a:b]] for one, number in zip(columns, numbers, strict=True))
        body = self.body.slice(a, b - a).cast(pa.string())
        ids = (self.trace[a:b], self.has_trace[a:b], self.span[a:b])
        return Told(self.ns[a:b], service, severity, template, body, *ids)


def read_logs(files: Sequence[Columns]) -> Logs | None:
    """The lines of all files; None when one of them cannot be read, and the mistakes say why."""
    found = [_read(columns) for columns in files]
    read = [one for one in found if one is not None]
    if len(read) < len(found):
        return None
    ns = np.concatenate([one.ns for one in read])
    order = np.argsort(ns, kind="stable")
    texts = [joined_texts([getattr(one, name) for one in read]) for name in ("service", "severity", "template")]
    service, severity, template = (one.take(order) for one in texts)
    body = pa.concat_arrays([one.body for one in read]).take(pa.array(order))
    trace, has_trace, span = (
        np.concatenate([getattr(o, n) for o in read])[order] for n in ("trace", "has_trace", "span")
    )
    return Logs(ns[order] // NANO + 1, ns[order], service, severity, template, body, trace, has_trace, span)


def _read(columns: Columns) -> Logs | None:
    wanted = [
        (_MOMENTS, "it says when a line was written"),
        (["service"], "every line belongs to a service"),
        (["template", "body"], "it says what the line tells"),
    ]
    if sum(columns.lacks(names, why) for names, why in wanted):
        return None
    ns = columns.moments("ts_unix", "ts")
    body, template = _lines(columns)
    trace, has_trace = _ids(columns, "trace_id")
    span, has_span = _ids(columns, "span_id")
    mixed = np.maximum(span[:, 1] ^ (span[:, 0] * np.uint64(0x9E3779B97F4A7C15)), np.uint64(1))
    if not columns.has("span_id"):
        has_span = has_trace  # the lines of a service and trace are then one flow
    severity = columns.texts("severity").mapped(_severity)
    own = np.where(has_span, mixed, np.uint64(0))
    return Logs(ns, ns, columns.texts("service"), severity, template, body, trace, has_trace, own)


def _ids(columns: Columns, name: str) -> tuple[U64s, Flags]:
    if columns.has(name):
        return given_ids(columns.table[name])
    return np.zeros((len(columns), 2), np.uint64), np.zeros(len(columns), bool)


def _lines(columns: Columns) -> tuple[pa.Array, Texts]:
    """Bodies, and templates: those of the set, else what stays the same of each body."""
    given = columns.texts("template").mapped(lambda one: one[:_LONGEST])
    if not columns.has("body"):
        return pa.DictionaryArray.from_arrays(pa.array(given.codes), pa.array(given.values)).cast(
            pa.large_string()
        ), given
    column = columns.table["body"].cast(pa.large_string())
    body = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], pa.large_string())
    without = np.array([not value for value in given.values])[given.codes]
    if not without.any():
        return body, given
    own = body.filter(pa.array(without)).cast(pa.string()).dictionary_encode()
    made = texts_of(pa.chunked_array([template_of(own.dictionary).take(own.indices)]))
    both = joined_texts([given, made])
    codes = both.codes[: len(given)].copy()
    codes[without] = both.codes[len(given) :]
    return pc.fill_null(body, ""), Texts(codes, both.values)


def _severity(said: str) -> str:
    """In upper case; OTLP's numbers from 1 to 24 by their names."""
    number = int(said) if said.isdigit() and int(said) <= 24 else 0
    return _SEVERITIES[(number + 3) // 4] if number else said[:10].upper()
