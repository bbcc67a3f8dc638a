"""Log records of an OTLP request to columns, in one pass over its bytes.

payload --records_of--> (COLUMNS, n) numbers; of a text its place and size in the payload
"""

from typing import Final

import numpy as np

from paramedic_collector.columns.compiled import compiled, inner, word_at
from paramedic_collector.columns.spans import RESOURCE_COLUMNS, Table, count_of, id_of, resource_of, value_of
from paramedic_collector.columns.wire import BROKEN, Bytes, content, skipped, varint

# Columns of a record. Times are unix nanoseconds, 0 for none.
TRACE, HAS_TRACE, TIME, OBSERVED, SEVERITY, RESOURCE = 0, 2, 3, 4, 5, 6
BODY, SEVERITY_TEXT, EVENT_NAME = 7, 9, 11  # place and size; a body that is no text has size 0
SPAN: Final = 13  # 0 for none
COLUMNS: Final = 14
_SLOTS: Final = 32


def records_of(payload: Bytes) -> tuple[Table, Table] | None:
    """The records of an `ExportLogsServiceRequest`.

    Returns:
        (COLUMNS, records) and (RESOURCE_COLUMNS, resources); None when the bytes are no such message.
    """
    count, resources = count_of(payload)
    if count < 0:
        return None
    found, theirs = np.zeros((COLUMNS, count), np.int64), np.zeros((RESOURCE_COLUMNS, resources), np.int64)
    return (found, theirs) if _request(payload, found, theirs) else None


@compiled
def _request(payload: Bytes, out: Table, resources: Table) -> bool:
    """Fill the columns; False when a message inside is broken. The outer ones were seen by `count_of`."""
    ranks = np.empty(_SLOTS, np.int64)
    at, end, resource, row = 0, len(payload), 0, 0
    while at < end:
        tag, at = varint(payload, at, end)
        if tag != 10:
            at = skipped(payload, tag, at, end)
            continue
        inner, at = content(payload, at, end)
        if not resource_of(payload, inner, at, resources, resource, ranks):
            return False
        row = _records(payload, inner, at, out, row, resource)
        if row < 0:
            return False
        resource += 1
    return True


@inner
def _records(payload: Bytes, at: int, end: int, out: Table, row: int, resource: int) -> int:
    """Fill one row after the other with the records of a ResourceLogs; gives the next row, or BROKEN."""
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
            record, inner = content(payload, inner, at)
            out[RESOURCE, row] = resource
            if not _record(payload, record, inner, out, row):
                return BROKEN
            row += 1
    return row


@inner
def _record(payload: Bytes, at: int, end: int, out: Table, row: int) -> bool:
    while at < end:
        tag, at = varint(payload, at, end)
        if at < 0:
            return False
        if tag & 7 == 2:
            inner, at = content(payload, at, end)
            if at < 0 or not _field(payload, tag, inner, at, out, row):
                return False
        elif tag == 16:
            out[SEVERITY, row], at = varint(payload, at, end)
        elif tag == 9 or tag == 89:
            if end - at < 8:
                return False
            out[TIME if tag == 9 else OBSERVED, row] = word_at(payload, at)
            at += 8
        else:
            at = skipped(payload, tag, at, end)
        if at < 0:
            return False
    return True


@inner
def _field(payload: Bytes, tag: int, at: int, end: int, out: Table, row: int) -> bool:
    """A field of a record that has a length."""
    if tag == 42:
        kind, at, end = value_of(payload, at, end)
        if kind == BROKEN:
            return False
        out[BODY, row], out[BODY + 1, row] = at, end - at if kind == 10 else 0
    elif tag == 26:
        out[SEVERITY_TEXT, row], out[SEVERITY_TEXT + 1, row] = at, end - at
    elif tag == 98:
        out[EVENT_NAME, row], out[EVENT_NAME + 1, row] = at, end - at
    elif tag == 74:
        out[TRACE, row], out[TRACE + 1, row] = id_of(payload, at, end), id_of(payload, min(at + 8, end), end)
        out[HAS_TRACE, row] = end - at == 16
    elif tag == 82:
        out[SPAN, row] = id_of(payload, at, end) if end - at == 8 else 0
    return True
