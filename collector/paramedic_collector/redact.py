"""Personal data and secrets out of a payload before anything touches the disk.

    payload --one linear search--> nothing suspicious (nearly always): as it is
                               --> places --walk only the messages around them--> values starred out

A value keeps its length, so no length prefix changes and nothing is encoded anew: what the walk does
not touch stays byte for byte, unknown fields included. Attribute keys and ids are never changed.

Removed: e-mail addresses, phone and card numbers, bearer tokens and keys in any text; the whole value of
attributes that are named like a secret; and, unless allowed, of those that hold messages of a conversation.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from paramedic_collector.otlp import Signal

# Attributes whose value is what people and models said, by any instrumentation's name for it.
_CONTENT_KEY: Final = (
    r"gen_ai\.(?:input\.m|output\.m|system_instr|tool\.def|prompt|completion|content|tool\.call\.(?:arg|res))"
    r"|llm\.(?:prompts|completions|input_m|output_m)|traceloop\.entity\.(?:in|out)put|(?:in|out)put\.value"
)
# Attributes whose value is a secret whatever it looks like.
_SECRET_KEY: Final = r"[Aa]uthorization|[Cc]ookie|[Aa]pi[_-]?[Kk]ey|[Pp]assword|client[_-]secret"

_CARD: Final = re.compile(rb"(?<![\w.])\d(?:[ \-]?\d){12,18}(?![\w.])")
_OTHER: Final = re.compile(
    rb"[\w.%+\-]{1,64}@[\w\-]{1,63}(?:\.[\w\-]{1,63}){1,8}"  # e-mail
    rb"|(?<![\w.])\+\d(?:[ \-/.()]{0,2}\d){7,14}(?![\w.])"  # phone, international
    rb"|(?<![\w.])\(?\d{3}\)?[ \-.]\d{3}[ \-.]\d{4}(?![\w.])"  # phone, North America
    rb"|(?:[Bb]earer|BEARER|[Bb]asic|BASIC) [\w.\-~+/=]{8,}"
    rb"|\b[spr]k-[\w\-]{16,}|\b[spr]k_(?:live|test)_\w{8,}|\bgh[pousr]_\w{20,}|\bxox[a-z]-[\w\-]{10,}"
    rb"|\b(?:AKIA|ASIA)[A-Z0-9]{16}|\bAIza[\w\-]{30,}|\beyJ[\w\-]{8,}\.[\w\-]{8,}\.[\w\-]*|\bpm[bo]\.[\w.\-]{16,}"
    rb"|(?:[Kk]ey|KEY|[Tt]oken|TOKEN|[Ss]ecret|SECRET|[Pp]asswo?r?d|PASSWORD)[\"'\\]{0,3} ?[=:]"
    rb"\s?[\"'\\]{0,2}[^\s\"'\\&;,]{6,}"
)
# What every match of the above contains; true of a few harmless payloads too. Short, since RE2 compiles
# them for each payload, and in the common subset of RE2 and `re`.
_HINTS: Final = (
    r"@[\w\-]+\.\w",
    r"\+[0-9](?:[ \-/.()]{0,2}[0-9]){7}",
    r"[0-9]{3}\)?[ \-.][0-9]{3}[ \-.][0-9]{4}",
    r"[0-9](?:[ \-]?[0-9]){12}",
    r"[Bb]earer \w|BEARER \w|[Bb]asic \w|BASIC \w",
    r"[spr]k-[\w\-]{5}|[spr]k_(?:live|test)_|gh[pousr]_\w{5}|xox[a-z]-",
    r"AKIA[A-Z0-9]|ASIA[A-Z0-9]|AIza[\w\-]|eyJ[\w\-]|pm[bo]\.\w",
    r"(?:[Kk]ey|KEY|[Tt]oken|TOKEN|[Ss]ecret|SECRET|[Pp]asswo?r?d|PASSWORD)[\"'\\]{0,3} ?[=:]",
    _SECRET_KEY,
)

# Messages that may hold text: field -> message, or "text"; KeyValue is met as a field of these.
_SCHEMA: Final[dict[str, dict[int, str]]] = {
    "traces": {1: "ResourceSpans"},
    "metrics": {1: "ResourceMetrics"},
    "logs": {1: "ResourceLogs"},
    "ResourceSpans": {1: "Resource", 2: "ScopeSpans"},
    "ResourceMetrics": {1: "Resource", 2: "ScopeMetrics"},
    "ResourceLogs": {1: "Resource", 2: "ScopeLogs"},
    "Resource": {1: "KeyValue"},
    "Scope": {3: "KeyValue"},
    "ScopeSpans": {1: "Scope", 2: "Span"},
    "ScopeMetrics": {1: "Scope", 2: "Metric"},
    "ScopeLogs": {1: "Scope", 2: "LogRecord"},
    "Span": {5: "text", 9: "KeyValue", 11: "Event", 13: "Link", 15: "Status"},
    "Event": {2: "text", 3: "KeyValue"},
    "Link": {4: "KeyValue"},
    "Status": {2: "text"},
    "LogRecord": {5: "AnyValue", 6: "KeyValue"},
    "Metric": {5: "NumberData", 7: "NumberData", 9: "HistogramData", 10: "ExponentialData", 11: "NumberData"},
    "NumberData": {1: "NumberPoint"},
    "HistogramData": {1: "HistogramPoint"},
    "ExponentialData": {1: "ExponentialPoint"},
    "NumberPoint": {5: "Exemplar", 7: "KeyValue"},
    "HistogramPoint": {8: "Exemplar", 9: "KeyValue"},
    "ExponentialPoint": {1: "KeyValue", 11: "Exemplar"},
    "Exemplar": {7: "KeyValue"},
    "KeyValue": {2: "AnyValue"},
    "AnyValue": {1: "text", 5: "ArrayValue", 6: "KeyValueList", 7: "text"},
    "ArrayValue": {1: "AnyValue"},
    "KeyValueList": {1: "KeyValue"},
}
_DEEPEST: Final = 64  # messages inside messages; what lies deeper is starred out unseen


@dataclass(frozen=True, slots=True)
class Redacted:
    """A payload that may be kept, and how many values of it were changed."""

    payload: bytes
    values: int


class Redactor:
    """Knows what must not be kept.

    Args:
        keep_content: Leave the messages of conversations in, but for what is personal in them.
    """

    def __init__(self, *, keep_content: bool = False) -> None:
        whole = _SECRET_KEY if keep_content else f"{_SECRET_KEY}|{_CONTENT_KEY}"
        self._whole = re.compile(whole.encode())  # keys whose value goes as a whole
        self._hints = _HINTS if keep_content else (*_HINTS, _CONTENT_KEY)

    def redact(self, signal: Signal, payload: bytes) -> Redacted:
        """Star out what must not be kept of an OTLP request that can be decoded."""
        if not _contains(payload, "|".join(self._hints)):
            return Redacted(payload, 0)
        walk = _Walk(payload, self._places(payload), self._whole)
        walk.message(signal.value, 0, len(payload), depth=0)
        return Redacted(bytes(walk.data), walk.values) if walk.values else Redacted(payload, 0)

    def _places(self, payload: bytes) -> list[int]:
        """The last byte of each hint: the first may be a length byte that looks like a digit."""
        hints = [re.compile(hint.encode()) for hint in self._hints if _contains(payload, hint)]
        return sorted(match.end() - 1 for hint in hints for match in hint.finditer(payload))


def _contains(payload: bytes, pattern: str) -> bool:
    """One linear pass with RE2, fifty times as fast as `re`."""
    return bool(pc.match_substring_regex(pa.array([payload], pa.binary()), pattern)[0].as_py())


def redact_text(text: bytes) -> bytes:
    """`text` with every personal or secret part starred out, at the same length."""
    text = _OTHER.sub(_stars, text)
    return _CARD.sub(lambda match: _stars(match) if _is_card(match[0]) else match[0], text)


def _stars(match: re.Match[bytes]) -> bytes:
    return b"*" * len(match[0])


def _is_card(text: bytes) -> bool:
    """Luhn's check, which nine in ten numbers that are no cards fail."""
    digits = [byte - 48 for byte in text if 48 <= byte <= 57]
    doubled = [2 * digit - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(digits[-1::-2])) % 10 == 0


class _Walk:
    """Goes down the wire format along `places`, changing `data` in place."""

    def __init__(self, payload: bytes, places: list[int], whole: re.Pattern[bytes]) -> None:
        self.data, self.values = bytearray(payload), 0
        self._places, self._whole = places, whole

    def message(self, name: str, start: int, end: int, depth: int) -> None:
        for number, a, b in _fields(self.data, start, end):
            inner = _SCHEMA[name].get(number)
            if inner is None or not self._holds_place(a, b):
                continue
            if inner == "text" or depth > _DEEPEST:
                self._text(a, b)
            elif inner == "KeyValue" and self._whole.search(self._key(a, b)):
                self._star_leaves("KeyValue", a, b, depth + 1)
            else:
                self.message(inner, a, b, depth + 1)

    def _holds_place(self, start: int, end: int) -> bool:
        at = bisect_left(self._places, start)
        return at < len(self._places) and self._places[at] < end

    def _key(self, start: int, end: int) -> bytes:
        return next((bytes(self.data[a:b]) for number, a, b in _fields(self.data, start, end) if number == 1), b"")

    def _text(self, start: int, end: int) -> None:
        before = bytes(self.data[start:end])
        after = redact_text(before)
        if after != before:
            self.data[start:end] = after
            self.values += 1

    def _star_leaves(self, name: str, start: int, end: int, depth: int) -> None:
        for number, a, b in _fields(self.data, start, end):
            inner = _SCHEMA[name].get(number)
            if inner == "text" or (inner and depth > _DEEPEST):
                self.data[a:b] = b"*" * (b - a)
                self.values += 1
            elif inner:
                self._star_leaves(inner, a, b, depth + 1)


def _fields(data: bytearray, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, start and end of each length-delimited field; others are skipped."""
    while at < end:
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 2:
            size, at = _varint(data, at)
            yield tag >> 3, at, min(at + size, end)
            at += size
        elif kind == 0:
            _, at = _varint(data, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            return  # groups: OTLP has none


def _varint(data: bytearray, at: int) -> tuple[int, int]:
    byte = data[at] if at < len(data) else 0
    if byte < 128:
        return byte, at + 1
    value, shift = byte & 127, 7
    while byte >= 128 and shift < 70:
        at += 1
        byte = data[at] if at < len(data) else 0
        value |= (byte & 127) << shift
        shift += 7
    return value, at + 1
