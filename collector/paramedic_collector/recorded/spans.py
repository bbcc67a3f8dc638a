"""Recorded spans as the rows that the collector's own decoder makes of OTLP bytes.

    spans*.parquet --read_spans--> Spans, in the order in which they ended
    Spans.rows(a, b)           --> Rows, for `paramedic_collector.facts.facts_of`

Every distinct text is written once into one pool of bytes, where the rows' columns point to: what makes a series, an
error or a price of a span is decided by the code that reads live telemetry, and by nothing in here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paramedic_collector.columns.keys import NUMBER, NUMBERS, RESOURCE_TEXT, RESOURCE_TEXTS, TEXT, TEXTS
from paramedic_collector.columns.rows import places_of
from paramedic_collector.columns.spans import (
    COLUMNS,
    END,
    KIND,
    LONGEST_NAME,
    MINUS_ZERO,
    PARENT,
    RESOURCE,
    RESOURCE_COLUMNS,
    SPAN,
    START,
    STATUS,
    TEXTS_FROM,
    TRACE,
    VALUES_FROM,
)
from paramedic_collector.columns.wire import hash_of_text
from paramedic_collector.decode import Rows
from paramedic_collector.facts import CLIENT, SERVER, mark
from paramedic_collector.recorded.attributes import Attributes
from paramedic_collector.recorded.columns import Columns, Texts, joined_texts
from paramedic_collector.recorded.ids import span_ids, trace_ids
from paramedic_collector.recorded.kinds import crossings, kinds_of, kinds_of_tree, outcomes_of
from paramedic_collector.recorded.names import operation_of
from paramedic_collector.sketch import NANO, Floats, Ints, group

LATE_S: Final = 1  # a child that ended later than this after its parent's second comes too late, as in live traffic
EARLY_S: Final = 120  # one that ended this long before it is forgotten, and its parent's self-time is not known
_ERROR: Final = 2  # OTLP's status
U64s = NDArray[np.uint64]


@dataclass(slots=True)
class _Raw:
    """The spans of one file, in its order."""

    trace: U64s  # (n, 2)
    span: U64s
    parent: U64s  # 0 for none
    start: Ints  # unix nanoseconds
    end: Ints
    kind: Ints
    status: Ints
    texts: dict[str, Texts]
    resources: dict[str, Texts]
    numbers: dict[str, Floats]


@dataclass(frozen=True, slots=True)
class Spans:
    """Recorded spans, in the order in which they ended."""

    known_at: Ints  # (n,) unix seconds from which each is known: those of its end, and one
    is_tree: bool  # whether the set says who is whose child; without it no self-time and no gap is known
    hop_from: NDArray[np.int32]  # (n,) place in `services` of who called a span without a client's span; -1 for none
    services: list[str]  # of the m resources
    lost: U64s  # marks of spans that outlived what is remembered of their children
    _columns: dict[int, NDArray[np.int64]]  # by column of `columns.spans`; the others are 0
    _codes: dict[int, tuple[NDArray[np.int32], Ints, Ints]]  # a text's column: codes, marks, places in the pool
    _resources: Ints  # (RESOURCE_COLUMNS, m)
    _pool: bytes

    def __len__(self) -> int:
        return len(self.known_at)

    def rows(self, a: int, b: int) -> Rows:
        """The spans from a to b."""
        table = np.zeros((COLUMNS, b - a), np.int64)
        for column, values in self._columns.items():
            table[column] = values[a:b]
        for column, (codes, marks, places) in self._codes.items():
            table[column], table[column + 1] = marks[codes[a:b]], places[codes[a:b]]
        return Rows(table, self._resources, [self._pool], np.zeros(1, np.int64))


def read_spans(files: Sequence[Columns]) -> Spans | None:
    """The spans of all files; None when one of them cannot be read, and the mistakes say why."""
    raws = [_read(columns) for columns in files]
    good = [raw for raw in raws if raw is not None]
    return _spans(good) if len(good) == len(raws) else None


def _read(columns: Columns) -> _Raw | None:
    wanted = [
        (["trace_id"], "it says which spans belong together"),
        (["service"], "every span belongs to a service"),
        (["name"], "it is the operation of a series"),
        (
            ["start_unix_ns", "start_unix_us", "start_unix_ms", "start_unix_s", "start_unix"],
            "it says when a span began",
        ),
        (["duration_ns", "duration_us", "duration_ms", "duration_s", "duration"], "it says how long a span took"),
    ]
    if sum(columns.lacks(names, why) for names, why in wanted):
        return None
    kind = kinds_of(columns)
    failed, codes = outcomes_of(columns, kind)
    span, parent = _ids(columns)
    start = columns.moments("start_unix")
    attributes = Attributes(columns)
    texts = {slot: attributes.text(slot, keys) for slot, keys in TEXTS.items() if slot != "name"}
    texts["name"] = columns.texts("name").mapped(operation_of)
    if codes is not None and len(texts["code"].values) == 1:
        texts["code"] = codes
    numbers = {slot: found for slot, keys in NUMBERS.items() if (found := attributes.number(keys)) is not None}
    resources = {slot: attributes.text(slot, keys) for slot, keys in RESOURCE_TEXTS.items() if slot != "service"}
    resources["service"] = columns.texts("service")
    status = np.where(failed, _ERROR, 0)
    end = start + columns.lengths("duration")
    return _Raw(trace_ids(columns.table["trace_id"]), span, parent, start, end, kind, status, texts, resources, numbers)


def _ids(columns: Columns) -> tuple[U64s, U64s]:
    """Spans without ids are nobody's parents."""
    if not columns.has("span_id"):
        return np.zeros(len(columns), np.uint64), np.zeros(len(columns), np.uint64)
    parent = columns.table["parent_id"] if columns.has("parent_id") else None
    return span_ids(columns.table["span_id"], parent)


def _spans(raws: Sequence[_Raw]) -> Spans:
    span, start, end = _all(raws, "span"), _all(raws, "start"), _all(raws, "end")
    order = np.lexsort((span.view(np.int64), start, end))  # the same for whatever order of rows
    trace, span, parent = _all(raws, "trace")[order], span[order], _all(raws, "parent")[order]
    services = joined_texts([raw.resources["service"] for raw in raws]).take(order)
    known_at = end[order] // NANO + 1
    parent_at = _parents(trace, span, parent)
    is_tree = bool((parent_at >= 0).any())
    kind = _all(raws, "kind")[order]
    if is_tree and not kind.any():
        kind = kinds_of_tree(services.codes, parent_at)
    late = (parent_at >= 0) & (known_at > known_at[parent_at] + LATE_S)
    early = (parent_at >= 0) & (known_at <= known_at[parent_at] - EARLY_S)
    forgetful = parent_at[early]
    columns = {
        TRACE: trace[:, 0].view(np.int64),
        TRACE + 1: trace[:, 1].view(np.int64),
        SPAN: span.view(np.int64),
        PARENT: np.where(late | early, 0, parent.view(np.int64)),
        START: start[order],
        END: end[order],
        KIND: kind,
        STATUS: _all(raws, "status")[order],
    }
    pool = _Pool()
    names = {slot: joined_texts([raw.texts[slot] for raw in raws]).take(order) for slot in TEXTS}
    codes = {
        TEXTS_FROM + 2 * TEXT[slot]: (texts.codes, *pool.add(texts.values))
        for slot, texts in names.items()
        if any(texts.values)
    }
    columns |= _numbers(raws, order)
    whose, resources, of = _resources(raws, order, pool)
    columns[RESOURCE] = whose
    hops = (kind == SERVER) & crossings(services.codes, parent_at) & (kind[parent_at] != CLIENT)
    hop_from = np.where(hops, whose[parent_at], -1).astype(np.int32)
    lost = mark(trace[forgetful], span[forgetful])
    return Spans(known_at, is_tree, hop_from, of, lost, columns, codes, resources, bytes(pool.payload))


def _all(raws: Sequence[_Raw], name: str) -> NDArray[Any]:
    return np.concatenate([getattr(raw, name) for raw in raws])


def _parents(trace: U64s, span: U64s, parent: U64s) -> Ints:
    """Where each span's parent stands; -1 when it has none, or it was not recorded."""
    out = np.full(len(span), -1, np.int64)
    born = np.flatnonzero(parent)
    if len(born):
        own, theirs = mark(trace, span), mark(trace[born], parent[born])
        out[born] = places_of(theirs.view(np.int64), own.view(np.int64))
    out[out == np.arange(len(out))] = -1
    return out


def _numbers(raws: Sequence[_Raw], order: Ints) -> dict[int, Ints]:
    """The bits of each number, as the decoder writes them: 0 for none, -0.0 for 0.0."""
    found = {}
    for slot in sorted({slot for raw in raws for slot in raw.numbers}):
        missing: Callable[[_Raw], Floats] = lambda raw: np.full(len(raw.span), np.nan)  # noqa: E731
        values = np.concatenate([raw.numbers.get(slot, missing(raw)) for raw in raws])[order]
        bits = np.where(values == 0, MINUS_ZERO, values.view(np.int64))
        found[VALUES_FROM + NUMBER[slot]] = np.where(np.isnan(values), 0, bits)
    return found


def _resources(raws: Sequence[_Raw], order: Ints, pool: "_Pool") -> tuple[Ints, Ints, list[str]]:
    """Which resource each span belongs to, the resources as the decoder has them, and the service of each."""
    texts = {slot: joined_texts([raw.resources[slot] for raw in raws]).take(order) for slot in RESOURCE_TEXTS}
    whose, first = group(*(one.codes for one in texts.values()))
    out = np.zeros((RESOURCE_COLUMNS, len(first)), np.int64)
    for slot, one in texts.items():
        marks, places = pool.add(one.values)
        column = TEXTS_FROM + 2 * RESOURCE_TEXT[slot]
        out[column], out[column + 1] = marks[one.codes[first]], places[one.codes[first]]
    service = texts["service"]
    return whose, out, [service.values[code] for code in service.codes[first].tolist()]


class _Pool:
    """Distinct texts, one behind the other, as if they stood in a payload."""

    def __init__(self) -> None:
        self.payload = bytearray()

    def add(self, texts: Sequence[str]) -> tuple[Ints, Ints]:
        """The marks and the places of texts; zeros of the empty one."""
        marks, places = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.int64)
        for at, text in enumerate(texts):
            raw = text.encode()[:LONGEST_NAME]
            if raw:
                marks[at] = hash_of_text(raw.decode(errors="ignore"))
                places[at] = len(self.payload) << 32 | len(raw)
                self.payload += raw
        return marks, places
