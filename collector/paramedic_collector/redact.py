"""Personal data and secrets out of a payload before anything touches the disk.

    payload --scan--> nothing suspicious (most often): as it is
                  --> some texts --regular expressions--> what is personal in them starred out

A value keeps its length, so no length prefix changes and nothing is encoded anew: what the walk does
not touch stays byte for byte, unknown fields included. Attribute keys and ids are never changed.

Removed: e-mail addresses, phone and card numbers, bearer tokens and keys in any text; the whole value of
attributes that are named like a secret; and, unless allowed, of those that hold messages of a conversation.
"""

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from paramedic_collector.columns.scan import (
    DEEPEST,
    FINE,
    MOST_FOUND,
    NEW_KEY,
    ODD_BYTES,
    SECRET,
    STARRED,
    Keys,
    Table,
    key_place,
    scan,
)
from paramedic_collector.columns.wire import Bytes, hash_of
from paramedic_collector.otlp import Signal, Undecodable

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


@dataclass(frozen=True, slots=True)
class Redacted:
    """A payload that may be kept, and how many values of it were changed."""

    payload: bytes
    values: int


class Redactor:
    """Knows what must not be kept; safe to share between threads.

    Args:
        keep_content: Leave the messages of conversations in, but for what is personal in them.
    """

    def __init__(self, *, keep_content: bool = False) -> None:
        whole = _SECRET_KEY if keep_content else f"{_SECRET_KEY}|{_CONTENT_KEY}"
        self._whole = re.compile(whole.encode())  # keys whose value goes as a whole
        self._keys, self._lock = Keys(), threading.Lock()

    def redact(self, signal: Signal, payload: bytes) -> Redacted:
        """Star out what must not be kept of an OTLP request.

        Raises:
            Undecodable: It is no message of this signal, or one that is nested too deep.
        """
        raw = np.frombuffer(payload, np.uint8)
        found = self._found(signal, raw)
        if not len(found):
            return Redacted(payload, 0)
        data, values = bytearray(payload), 0
        for what, at, end in _rows(found):
            before = payload[at:end]
            after = b"*" * len(before) if what == SECRET else redact_text(before)
            data[at:end] = valid(after) if what & ODD_BYTES else after
            values += after != before
        return Redacted(bytes(data), values) if values else Redacted(payload, 0)

    def _found(self, signal: Signal, raw: Bytes) -> Table:
        """What must be looked at closely, once every key of the payload is known."""
        found = self._scan(signal, raw, self._keys)
        if (found[:, 0] == NEW_KEY).any():
            with self._lock:
                self._learn(raw, found, self._keys)
            found = self._scan(signal, raw, self._keys)
        if (found[:, 0] == NEW_KEY).any():  # more keys than can be remembered: for this payload alone
            own = Keys(1 << len(raw).bit_length())
            self._learn(raw, self._scan(signal, raw, own), own)
            found = self._scan(signal, raw, own)
        return found

    def _scan(self, signal: Signal, raw: Bytes, keys: Keys) -> Table:
        found = scan(signal, raw, keys)
        if found is None:
            raise Undecodable(
                f"the body is no OTLP {signal} message: it ends too early, is no protobuf, is nested more than "
                f"{DEEPEST} messages deep, or has more than {MOST_FOUND} texts that may be personal"
            )
        return found

    def _learn(self, raw: Bytes, found: Table, keys: Keys) -> None:
        for _, at, end in _rows(found[found[:, 0] == NEW_KEY]):
            start, stop = key_place(raw, at, end)
            known = self._whole.search(raw[start:stop].tobytes())
            keys.learn(hash_of(raw, start, stop), STARRED if known else FINE)


def _rows(found: Table) -> Iterator[list[int]]:
    """The rows, of which few are Python objects at a time."""
    for begin in range(0, len(found), 4096):
        yield from found[begin : begin + 4096].tolist()


def valid(text: bytes) -> bytes:
    """UTF-8 of the same length: what is none becomes question marks, as protobuf allows no other text."""
    return re.sub("[\udc80-\udcff]", "?", text.decode(errors="surrogateescape")).encode()


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
