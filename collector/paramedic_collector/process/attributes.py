"""`attributes`: insert, change, remove, hash, take apart and convert the attributes of spans, points and log records.

Actions run in their order. What they are told is the Collector's `attributes` processor; so is what they do.
"""

import contextlib
import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from re import Pattern
from typing import TYPE_CHECKING, Any, Final

from paramedic_collector.config.model import Processor
from paramedic_collector.otlp import Signal
from paramedic_collector.process.match import Match
from paramedic_collector.process.requests import carriers, walk
from paramedic_collector.process.values import find, number_of, plain, put, remove, set_to, text_of

if TYPE_CHECKING:
    from google.protobuf.message import Message


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do; which fields matter depends on `kind`."""

    kind: str  # insert, update, upsert, delete, hash, extract or convert
    key: str = ""
    value: Any = None  # plain; of insert, update and upsert
    from_attribute: str = ""  # take the value from there instead
    default: Any = None  # when there is no such attribute
    pattern: Pattern[str] | None = None  # keys to delete or hash; or how to take a text apart
    converted_type: str = ""  # int, double or string


class Attributes(Processor):
    """Runs actions on what `include` means and `exclude` does not; on everything without them."""

    def __init__(
        self, name: str, actions: tuple[Action, ...], include: Match | None = None, exclude: Match | None = None
    ) -> None:
        self.name, self._actions, self._include, self._exclude = name, actions, include, exclude

    def process(self, signal: Signal, request: "Message", now: float) -> list["Message"]:
        for resource, _, item in walk(signal, request):
            if self._means(signal, resource, item):
                for carrier in carriers(signal, item):
                    self._run(carrier.attributes)
        return [request]

    def due(self, now: float) -> list["Message"]:
        return []

    def _means(self, signal: Signal, resource: Any, item: Any) -> bool:
        if self._include is not None and not self._include.matches(signal, resource, item):
            return False
        return self._exclude is None or not self._exclude.matches(signal, resource, item)

    def _run(self, attributes: Any) -> None:
        for action in self._actions:
            _RUN[action.kind](action, attributes)


def _put(action: Action, attributes: Any) -> None:
    old = find(attributes, action.key)
    if (old is None and action.kind == "update") or (old is not None and action.kind == "insert"):
        return
    source = find(attributes, action.from_attribute) if action.from_attribute else None
    value = plain(source) if source is not None else action.value
    value = action.default if value is None else value
    if value is not None:
        set_to(attributes, action.key, value)


def _delete(action: Action, attributes: Any) -> None:
    remove(attributes, lambda key: _means_key(action, key))


def _hash(action: Action, attributes: Any) -> None:
    for one in attributes:
        if _means_key(action, one.key):
            put(one.value, hashed(plain(one.value)))


def _means_key(action: Action, key: str) -> bool:
    return key == action.key or (action.pattern is not None and action.pattern.search(key) is not None)


def hashed(held: Any) -> str:
    """SHA-256 in hexadecimal digits of a text, a number or a truth value; "" of anything else."""
    match held:
        case bool():
            raw = bytes([held])
        case int():
            raw = struct.pack("<q", held)
        case float():
            raw = struct.pack("<d", held)
        case str():
            raw = held.encode()
        case _:
            return ""
    return hashlib.sha256(raw).hexdigest()


def _extract(action: Action, attributes: Any) -> None:
    value = find(attributes, action.key)
    found = action.pattern.search(value.string_value) if value is not None and action.pattern is not None else None
    if value is not None and value.WhichOneof("value") == "string_value" and found is not None:
        for name, text in found.groupdict(default="").items():
            set_to(attributes, name, text)


def _convert(action: Action, attributes: Any) -> None:
    value = find(attributes, action.key)
    if value is None:
        return
    held = plain(value)
    if action.converted_type == "string":
        put(value, text_of(held))
    elif isinstance(held, (bool, int, float, str)):
        with contextlib.suppress(ValueError):  # what cannot be converted stays
            put(value, number_of(held, action.converted_type))


_RUN: Final[dict[str, Callable[[Action, Any], None]]] = {
    **dict.fromkeys(("insert", "update", "upsert"), _put),
    "delete": _delete,
    "hash": _hash,
    "extract": _extract,
    "convert": _convert,
}
