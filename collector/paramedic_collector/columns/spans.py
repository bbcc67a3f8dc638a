"""Spans of an OTLP request to columns, in one pass over its bytes.

    payload --spans_of--> (COLUMNS, n) numbers; of a text its hash, and its place and size in the payload

No text is copied: most are names that the collector knows already, by their hash. Attributes that make no series
are passed over.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_collector.columns.compiled import compiled, inlined, inner, word_at
from paramedic_collector.columns.keys import (
    NUMBERS,
    NUMBERS_FROM,
    OF_EVENTS,
    OF_RESOURCES,
    OF_SPANS,
    RESOURCE_TEXTS,
    TEXT,
    TEXTS,
    key_table,
)
from paramedic_collector.columns.wire import BROKEN, Bytes, content, hash_of, skipped, varint

Table = NDArray[np.int64]

LONGEST_NAME: Final = 200  # bytes of a name that are looked at
A_NUMBER: Final = -1  # the place of a text that was sent as a whole number; its size is that number
# Columns of a span. Ids are unsigned numbers that sort as their hex digits do.
TRACE, SPAN, PARENT, START, END, KIND, STATUS, RESOURCE = 0, 2, 3, 4, 5, 6, 7, 8
TEXTS_FROM: Final = 9  # two columns a text: its hash, and where it is (see `place_of`); zeros for none
VALUES_FROM: Final = TEXTS_FROM + 2 * len(TEXTS)  # a column a number: bits of a float64; 0 for none, -0.0 for 0.0
COLUMNS: Final = VALUES_FROM + len(NUMBERS)
RESOURCE_COLUMNS: Final = TEXTS_FROM + 2 * len(RESOURCE_TEXTS)  # as of a span; the first ones are not used
MINUS_ZERO: Final = -(1 << 63)

_NAME: Final = TEXT["name"]
_NO_RANK: Final = 99
_SLOTS: Final = NUMBERS_FROM + len(NUMBERS)
_KEYS: Final = key_table()


def spans_of(payload: Bytes) -> tuple[Table, Table] | None:
    """The spans of an `ExportTraceServiceRequest`.

    Returns:
        (COLUMNS, spans) and (RESOURCE_COLUMNS, resources); None when the bytes are no such message.
    """
    count, resources = count_of(payload)
    if count < 0:
        return None
    found, theirs = np.zeros((COLUMNS, count), np.int64), np.zeros((RESOURCE_COLUMNS, resources), np.int64)
    return (found, theirs) if _request(payload, found, theirs) else None


@compiled
def count_of(payload: Bytes) -> tuple[int, int]:
    """Spans and resources of a request; BROKEN when it is none, so that nobody asks again."""
    at, end, spans, resources = 0, len(payload), 0, 0
    while at < end:
        tag, at = varint(payload, at, end)
        if at >= 0 and tag == 10:
            inner, at = content(payload, at, end)
            found = _count_in_resource(payload, inner, at) if at >= 0 else BROKEN
            spans, resources = spans + found, resources + 1
            if found < 0:
                return BROKEN, 0
        elif at >= 0:
            at = skipped(payload, tag, at, end)
        if at < 0:
            return BROKEN, 0
    return spans, resources


@inner
def _count_in_resource(payload: Bytes, at: int, end: int) -> int:
    spans = 0
    while at < end:
        tag, at = varint(payload, at, end)
        if at >= 0 and tag == 18:
            inner, at = content(payload, at, end)
            found = _count_in_scope(payload, inner, at) if at >= 0 else BROKEN
            spans += found
            if found < 0:
                return BROKEN
        elif at >= 0:
            at = skipped(payload, tag, at, end)
        if at < 0:
            return BROKEN
    return spans


@inner
def _count_in_scope(payload: Bytes, at: int, end: int) -> int:
    spans = 0
    while at < end:
        tag, at = varint(payload, at, end)
        if at >= 0:
            spans += tag == 18
            at = skipped(payload, tag, at, end)
        if at < 0:
            return BROKEN
    return spans


@compiled
def _request(payload: Bytes, out: Table, resources: Table) -> bool:
    """Fill the columns; False when a message inside is broken. The outer ones were seen by `count_of`."""
    ranks = np.empty(_SLOTS, np.int64)  # of the names that were found so far, by slot
    at, end, resource, row = 0, len(payload), 0, 0
    while at < end:
        tag, at = varint(payload, at, end)
        if tag != 10:
            at = skipped(payload, tag, at, end)
            continue
        inner, at = content(payload, at, end)
        if not resource_of(payload, inner, at, resources, resource, ranks):
            return False
        row = _spans(payload, inner, at, out, row, resource, ranks)
        if row < 0:
            return False
        resource += 1
    return True


@inner
def resource_of(payload: Bytes, at: int, end: int, out: Table, row: int, ranks: Table) -> bool:
    ranks[:] = _NO_RANK
    while at < end:
        tag, at = varint(payload, at, end)
        if tag == 10:
            inner, at = content(payload, at, end)
            if not _attributes(payload, inner, at, 10, OF_RESOURCES, ranks, out, row):
                return False
        else:
            at = skipped(payload, tag, at, end)
    return True


@inner
def _spans(payload: Bytes, at: int, end: int, out: Table, row: int, resource: int, ranks: Table) -> int:
    """Fill one row after the other with the spans of a ResourceSpans; gives the next row, or BROKEN."""
    while at < end:
        tag, at = varint(payload, at, end)
        if tag != 18:
            at = skipped(payload, tag, at, end)
            continue
        inner, at = content(payload, at, end)
        while inner < at:
            tag, inner = varint(payload, inner, at)
            if tag != 18:
                inner = skipped(payload, tag, inner, at)
                continue
            span, inner = content(payload, inner, at)
            out[RESOURCE, row] = resource
            ranks[:] = _NO_RANK
            if not _span(payload, span, inner, ranks, out, row):
                return BROKEN
            row += 1
    return row


@inner
def _span(payload: Bytes, at: int, end: int, ranks: Table, out: Table, row: int) -> bool:
    while at < end:
        tag, at = varint(payload, at, end)
        if at < 0:
            return False
        if tag & 7 == 2:
            inner, at = content(payload, at, end)
            if at < 0 or not _field(payload, tag, inner, at, ranks, out, row):
                return False
        elif tag == 48:
            out[KIND, row], at = varint(payload, at, end)
        elif tag == 57 or tag == 65:
            if end - at < 8:
                return False
            out[START if tag == 57 else END, row] = word_at(payload, at)
            at += 8
        else:
            at = skipped(payload, tag, at, end)
        if at < 0:
            return False
    return True


@inlined
def _field(payload: Bytes, tag: int, at: int, end: int, ranks: Table, out: Table, row: int) -> bool:
    """A field of a span that has a length."""
    if tag == 74:
        return _attribute(payload, at, end, OF_SPANS, ranks, out, row)
    if tag == 10:
        out[TRACE, row] = id_of(payload, at, end)
        out[TRACE + 1, row] = id_of(payload, min(at + 8, end), end)
    elif tag == 18:
        out[SPAN, row] = id_of(payload, at, end)
    elif tag == 34:
        out[PARENT, row] = id_of(payload, at, end) if end - at == 8 else 0
    elif tag == 42:
        _set_text(payload, at, end, out, row, _NAME)
    elif tag == 90:
        return _attributes(payload, at, end, 26, OF_EVENTS, ranks, out, row)
    elif tag == 122:
        out[STATUS, row] = _status(payload, at, end)
        return out[STATUS, row] >= 0
    return True


@inner
def id_of(payload: Bytes, at: int, end: int) -> int:
    """The first 8 bytes as the number whose hex digits they are, filled with zeros where there are fewer."""
    word = np.uint64(0)
    for place in range(min(end - at, 8)):
        word |= np.uint64(payload[at + place]) << np.uint64(56 - 8 * place)
    return np.int64(word)


@inner
def _status(payload: Bytes, at: int, end: int) -> int:
    code = np.int64(0)
    while at < end:
        tag, at = varint(payload, at, end)
        if at >= 0 and tag == 24:
            code, at = varint(payload, at, end)
        elif at >= 0:
            at = skipped(payload, tag, at, end)
        if at < 0:
            return np.int64(BROKEN)
    return max(code, np.int64(0))


@inner
def _attributes(payload: Bytes, at: int, end: int, wanted: int, whose: int, ranks: Table, out: Table, row: int) -> bool:
    """The attributes of a resource or an event, which are its fields with the tag `wanted`."""
    while at < end:
        tag, at = varint(payload, at, end)
        if at < 0:
            return False
        if tag == wanted:
            inner, at = content(payload, at, end)
            if at < 0 or not _attribute(payload, inner, at, whose, ranks, out, row):
                return False
        else:
            at = skipped(payload, tag, at, end)
            if at < 0:
                return False
    return True


@inlined
def _attribute(payload: Bytes, at: int, end: int, whose: int, ranks: Table, out: Table, row: int) -> bool:
    """One KeyValue: kept when its key is wanted and no better name of the same thing came before."""
    key, value, value_end = np.int64(-1), at, BROKEN
    while at < end:
        tag, at = varint(payload, at, end)
        if at < 0:
            return False
        if tag & 7 == 2:
            inner, at = content(payload, at, end)
            if tag == 10 and at >= 0:
                key = _find(hash_of(payload, inner, at) + whose)
            elif tag == 18:
                value, value_end = inner, at
        else:
            at = skipped(payload, tag, at, end)
        if at < 0:
            return False
    if key < 0 or value_end < 0:
        return True
    slot, rank = _KEYS[key, 1], _KEYS[key, 2]
    return rank > ranks[slot] or _keep(payload, value, value_end, slot, rank, ranks, out, row)


@inlined
def _find(mark: int) -> int:
    """The place of a key in the table; -1 when nobody wants it."""
    place = mark & (len(_KEYS) - 1)
    while _KEYS[place, 0] != 0 and _KEYS[place, 0] != mark:
        place = (place + 1) & (len(_KEYS) - 1)
    return place if _KEYS[place, 0] != 0 else -1


@inlined
def _keep(payload: Bytes, at: int, end: int, slot: int, rank: int, ranks: Table, out: Table, row: int) -> bool:
    """The value of a wanted attribute; one of a wrong type counts as not there."""
    kind, at, end = value_of(payload, at, end)
    if kind == BROKEN:
        return False
    if slot < NUMBERS_FROM:
        if kind == 10:
            ranks[slot] = rank
            _set_text(payload, at, end, out, row, slot)
        elif kind == 24 and 0 <= at < 1 << 31:
            ranks[slot] = rank
            place = TEXTS_FROM + 2 * slot
            out[place, row], out[place + 1, row] = hash_of_number(at), (A_NUMBER << 32) | at
    elif kind == 24 or kind == 16 or kind == 33:
        ranks[slot] = rank
        bits = word_at(payload, at) if kind == 33 else np.float64(at).view(np.int64)
        out[VALUES_FROM + slot - NUMBERS_FROM, row] = bits if bits != 0 else MINUS_ZERO
    return True


@compiled
def hash_of_number(number: int) -> int:
    """What stands for a text that was sent as a whole number; not the hash of its digits."""
    return np.int64(np.uint64(number + 1) * np.uint64(0x9E3779B97F4A7C15) | np.uint64(1))


@inlined
def value_of(payload: Bytes, at: int, end: int) -> tuple[int, int, int]:
    """An AnyValue: its tag (BROKEN when it is none), and its number, or the place and end of its content.

    Of a list the first element counts, when that is a text.
    """
    kind, first, last = np.int64(0), np.int64(0), np.int64(0)
    while at < end:
        tag, at = varint(payload, at, end)
        if at < 0:
            return np.int64(BROKEN), first, last
        if tag == 16 or tag == 24:
            kind = tag
            first, at = varint(payload, at, end)
        elif tag == 10 or tag == 42:
            kind = tag
            first, at = content(payload, at, end)
            last = at
        else:
            if tag == 33:
                kind, first = tag, at
            at = skipped(payload, tag, at, end)
        if at < 0:
            return np.int64(BROKEN), first, last
    if kind == 42:
        return _first_text(payload, first, last)
    return kind, first, last


@inner
def _first_text(payload: Bytes, at: int, end: int) -> tuple[int, int, int]:
    """The first element of an ArrayValue, when it is a text."""
    for _ in range(2):  # the element, and the text in it: both are fields 1
        tag, at = varint(payload, at, end)
        if at < 0 or tag != 10:
            return np.int64(0), np.int64(0), np.int64(0)
        at, end = content(payload, at, end)
        if end < 0:
            return np.int64(BROKEN), np.int64(0), np.int64(0)
    return np.int64(10), np.int64(at), np.int64(end)


@inlined
def _set_text(payload: Bytes, at: int, end: int, out: Table, row: int, slot: int) -> None:
    size, place = min(end - at, LONGEST_NAME), TEXTS_FROM + 2 * slot
    out[place, row] = hash_of(payload, at, at + size) if size else 0
    out[place + 1, row] = (at << 32) | size


def place_of(where: int) -> tuple[int, int]:
    """Place and size of a text, from its second column."""
    return where >> 32, where & 0xFFFFFFFF
