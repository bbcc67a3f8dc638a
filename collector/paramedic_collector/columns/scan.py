"""One pass over every field of an OTLP request: is it whole, and which texts need a second look?

    payload --scan--> (what, place, end) of suspicious texts, secret values and keys not met before

What a text is, the schema says; what looks personal or secret in it, a rough test of each byte that lets a few
harmless texts pass as suspicious and no other. Used by `redact`, which then looks closely with regular expressions.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_collector.columns.compiled import compiled, inner
from paramedic_collector.columns.wire import BROKEN, Bytes, content, hash_of, skipped, varint
from paramedic_collector.otlp import Signal

Table = NDArray[np.int64]

DEEPEST: Final = 64  # messages inside messages
MOST_FOUND: Final = 1 << 20  # texts that need a second look: more are no telemetry, and would fill the memory
SUSPECT, ODD_BYTES, SECRET, NEW_KEY = 1, 2, 4, 8  # what was found; the first two may come together
FINE, STARRED = 1, 2  # what is known of a key

_TEXT, _BYTES = 1, 2
_FIELDS: Final = 16  # field numbers below this one may hold text
_SCHEMA: Final[dict[str, dict[int, str]]] = {
    "traces": {1: "ResourceSpans"},
    "metrics": {1: "ResourceMetrics"},
    "logs": {1: "ResourceLogs"},
    "ResourceSpans": {1: "Resource", 2: "ScopeSpans", 3: "text"},
    "ResourceMetrics": {1: "Resource", 2: "ScopeMetrics", 3: "text"},
    "ResourceLogs": {1: "Resource", 2: "ScopeLogs", 3: "text"},
    "Resource": {1: "KeyValue", 3: "EntityRef"},
    "EntityRef": {1: "text", 2: "text", 3: "text", 4: "text"},
    "Scope": {1: "text", 2: "text", 3: "KeyValue"},
    "ScopeSpans": {1: "Scope", 2: "Span", 3: "text"},
    "ScopeMetrics": {1: "Scope", 2: "Metric", 3: "text"},
    "ScopeLogs": {1: "Scope", 2: "LogRecord", 3: "text"},
    "Span": {3: "text", 5: "text", 9: "KeyValue", 11: "Event", 13: "Link", 15: "Status"},
    "Event": {2: "text", 3: "KeyValue"},
    "Link": {3: "text", 4: "KeyValue"},
    "Status": {2: "text"},
    "LogRecord": {3: "text", 5: "AnyValue", 6: "KeyValue", 12: "text"},
    "Metric": {1: "text", 2: "text", 3: "text", 5: "NumberData", 7: "NumberData", 9: "HistogramData",
               10: "ExponentialData", 11: "NumberData", 12: "KeyValue"},
    "NumberData": {1: "NumberPoint"},  # and summaries, whose attributes have the same number
    "HistogramData": {1: "HistogramPoint"},
    "ExponentialData": {1: "ExponentialPoint"},
    "NumberPoint": {5: "Exemplar", 7: "KeyValue"},
    "HistogramPoint": {8: "Exemplar", 9: "KeyValue"},
    "ExponentialPoint": {1: "KeyValue", 11: "Exemplar"},
    "Exemplar": {7: "KeyValue"},
    "KeyValue": {1: "text", 2: "AnyValue"},
    "AnyValue": {1: "text", 5: "ArrayValue", 6: "KeyValueList", 7: "bytes"},
    "ArrayValue": {1: "AnyValue"},
    "KeyValueList": {1: "KeyValue"},
}  # fmt: skip
_NUMBER: Final = {"text": _TEXT, "bytes": _BYTES} | {name: at for at, name in enumerate(_SCHEMA, start=3)}
_KEY_VALUE: Final = _NUMBER["KeyValue"]
_ROOTS: Final = {signal: _NUMBER[signal.value] for signal in Signal}


def _schema_table() -> NDArray[np.int64]:
    table = np.zeros((len(_NUMBER) + 1, _FIELDS), np.int64)
    for name, fields in _SCHEMA.items():
        for field, inside in fields.items():
            table[_NUMBER[name], field] = _NUMBER[inside]
    return table


# What each byte may be a part of. A run is digits with separators; 0 ends it and means nothing else.
_DIGIT, _SEPARATOR, _PLUS, _AT, _HIGH, _TRIGGER, _ASSIGNS = 1, 2, 3, 4, 5, 6, 7


def _class_table() -> NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    table[128:] = _HIGH
    for kind, members in (
        (_DIGIT, b"0123456789"),
        (_SEPARATOR, b" -/.()"),
        (_PLUS, b"+"),
        (_AT, b"@"),
        (_TRIGGER, b"_JAz"),
        (_ASSIGNS, b"=:"),
    ):
        table[list(members)] = kind
    return table


_TABLE, _CLASSES = _schema_table(), _class_table()
# Of a text shorter than the shortest secret with a prefix ("Bearer" and eight more, less one): eight digits or one
# byte of another kind make it worth a look.
_SHORT: Final = 14
_WEIGHTS: Final = np.array([1, 8])[(_CLASSES != _DIGIT).astype(int)] * np.isin(
    _CLASSES, (_DIGIT, _PLUS, _AT, _HIGH, _ASSIGNS)
)


class Keys:
    """What is known of attribute keys, by their hash; forgets all when it is full.

    Args:
        most: Keys remembered; a power of two.
    """

    def __init__(self, most: int = 1 << 14) -> None:
        self._most, self._known = most, 0
        self.table = np.zeros((2 * most, 2), np.int64)  # hash, FINE or STARRED

    def learn(self, mark: int, verdict: int) -> None:
        """To be called by one thread at a time; readers see a key whole or not at all."""
        if self._known >= self._most:
            self._known, self.table = 0, np.zeros_like(self.table)
        place = mark & (len(self.table) - 1)
        while self.table[place, 0] not in (0, mark):
            place = (place + 1) & (len(self.table) - 1)
        self._known += self.table[place, 0] == 0
        self.table[place, 1] = verdict
        self.table[place, 0] = mark


def scan(signal: Signal, payload: Bytes, keys: Keys) -> Table | None:
    """What needs a second look.

    Returns:
        (n, 3): what it is, and its place and end; SUSPECT, ODD_BYTES: a text; SECRET: a text below a key that is
        STARRED; NEW_KEY: a whole KeyValue. None when the payload is broken, too deep, or suspicious all over.
    """
    room = 256
    while True:
        found = np.empty((room, 3), np.int64)
        count = _scan(payload, _ROOTS[signal], keys.table, found)
        if count < 0 or count > MOST_FOUND:
            return None
        if count <= room:
            return found[:count]
        room = int(count)


@compiled
def _scan(payload: Bytes, root: int, keys: Table, found: Table) -> int:
    """Fill `found` as far as it goes; gives the number of findings, or BROKEN."""
    kinds, ends, secret = np.empty(DEEPEST, np.int64), np.empty(DEEPEST, np.int64), np.zeros(DEEPEST, np.bool_)
    at, depth, count = 0, 0, 0
    kinds[0], ends[0] = root, len(payload)
    while True:
        while at >= ends[depth]:
            if depth == 0:
                return count
            depth -= 1
        tag, at = varint(payload, at, ends[depth])
        if at < 0:
            return BROKEN
        inner = _TABLE[kinds[depth], tag >> 3] if tag & 7 == 2 and 0 < tag >> 3 < _FIELDS else 0
        if inner == 0:
            at = skipped(payload, tag, at, ends[depth])
            if at < 0:
                return BROKEN
            continue
        start, at = content(payload, at, ends[depth])
        if at < 0 or (inner > _BYTES and depth + 1 == DEEPEST):
            return BROKEN
        what, value = 0, start
        if inner <= _BYTES:
            is_key = kinds[depth] == _KEY_VALUE  # the key itself stays, whatever is done to its value
            what = SECRET if secret[depth] and not is_key else _look(payload, start, at)
            what &= ODD_BYTES if is_key else ~0
            what &= SECRET | SUSPECT if inner == _BYTES else ~0
        else:
            depth += 1
            kinds[depth], ends[depth], secret[depth] = inner, at, secret[depth - 1]
            if inner == _KEY_VALUE and not secret[depth]:
                known, value = _known(payload, start, at, keys)
                if known < 0:
                    return BROKEN
                secret[depth] = known == STARRED
                what = 0 if known else NEW_KEY
        if what and at > start:
            if count < len(found):
                found[count, 0], found[count, 1], found[count, 2] = what, start, at
            count += 1
        if inner > _BYTES:
            at = value if inner == _KEY_VALUE and value > start else start


@compiled
def key_place(payload: Bytes, at: int, end: int) -> tuple[int, int]:
    """Place and end of the key of a KeyValue, usually its first field; the end is BROKEN with the message."""
    start, stop = at, at
    while at < end:
        tag, at = varint(payload, at, end)
        if at >= 0 and tag == 10:
            start, stop = content(payload, at, end)
            at = stop
        elif at >= 0:
            at = skipped(payload, tag, at, end)
        if at < 0:
            return start, BROKEN
        if tag == 10:
            break
    return start, stop


@inner
def _known(payload: Bytes, at: int, end: int, keys: Table) -> tuple[int, int]:
    """FINE, STARRED or 0 for the key of a KeyValue, BROKEN with the message; and where to go on behind a known key."""
    start, stop = key_place(payload, at, end)
    if stop < 0:
        return BROKEN, at
    mark = hash_of(payload, start, stop)
    place = mark & (len(keys) - 1)
    while keys[place, 0] != 0:
        if keys[place, 0] == mark:
            return keys[place, 1], stop if payload[at] == 10 else at
        place = (place + 1) & (len(keys) - 1)
    return 0, at


@inner
def _look(payload: Bytes, at: int, end: int) -> int:
    """SUSPECT when there may be something personal or secret, ODD_BYTES when there is more than ASCII."""
    if end - at < _SHORT and not _may_hold(payload, at, end):
        return 0
    what, digits, separators, plus = 0, 0, 0, False
    for place in range(at, end):
        kind = _CLASSES[payload[place]]
        if kind == 0:
            digits, separators, plus = 0, 0, False
        elif kind == _DIGIT:
            digits += 1
            if digits >= 8 and (plus or digits >= 13 or (digits >= 10 and separators > 0)):
                what |= SUSPECT
        elif kind == _SEPARATOR:
            separators += digits > 0
            if place - at >= 2 and _ends_prefix(payload, place):
                what |= SUSPECT
        else:
            digits, separators, plus = 0, 0, kind == _PLUS
            if kind == _AT:
                what |= SUSPECT
            elif kind == _HIGH:
                what |= ODD_BYTES
            elif kind == _TRIGGER:
                what |= SUSPECT * (place - at >= 2 and _ends_prefix(payload, place))
            elif kind == _ASSIGNS:
                what |= SUSPECT * _is_assigned(payload, at, place)
    return what


@inner
def _may_hold(payload: Bytes, at: int, end: int) -> bool:
    """False for a short text that can hold no address, number or secret, in one addition a byte."""
    weight = 0
    for place in range(at, end):
        weight += _WEIGHTS[payload[place]]
    return weight >= 8


@inner
def _ends_prefix(payload: Bytes, place: int) -> bool:
    """Whether the byte at `place`, the third of its text or a later one, ends what a secret may begin with."""
    byte, one, two = payload[place], payload[place - 1], payload[place - 2]
    if byte == 45:  # sk-, pk-, rk-, xox?-
        return one == 107 or two == 120
    if byte == 95:  # sk_live_, ghp_
        return one == 107 or two == 104
    if byte == 46:  # pmo., pmb.
        return two == 109
    if byte == 32:  # Bearer, Basic; the names of schemes are written in any case
        return (one | 32 == 114 and two | 32 == 101) or (one | 32 == 99 and two | 32 == 105)
    if byte == 74:  # eyJ
        return one == 121 and two == 101
    if byte == 65:  # AKIA, ASIA
        return one == 73 and (two == 75 or two == 83)
    return byte == 122 and one == 73 and two == 65  # AIza


@inner
def _is_assigned(payload: Bytes, start: int, place: int) -> bool:
    """Whether a key, token, secret or password stands before the "=" or ":" at `place`, perhaps in quotes."""
    before = place - 1
    while before > start and place - before < 6 and _is_quote(payload[before]):
        before -= 1
    if before <= start:
        return False
    last, other = payload[before] | 32, payload[before - 1] | 32
    return (other == 101 and (last == 121 or last == 110 or last == 116)) or (
        last == 100 and (other == 119 or other == 114 or other == 111)
    )


@inner
def _is_quote(byte: int) -> bool:
    return byte == 34 or byte == 39 or byte == 92 or byte == 32
