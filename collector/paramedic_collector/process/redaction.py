"""`redaction`: removes attributes that are not allowed, and masks keys and values that are blocked.

    a key that is: ignored -> stays | not allowed -> removed | blocked -> its value is masked
    a value that is: allowed -> stays | blocked -> what matches is masked

This is for what is forwarded. What must never reach the disk is redacted before it is recorded, whatever the
configuration says.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from re import Pattern
from typing import TYPE_CHECKING, Any, Final

from paramedic_collector.config.model import Processor
from paramedic_collector.otlp import Signal
from paramedic_collector.process.patterns import compiled, replaced
from paramedic_collector.process.requests import carriers, items_of, resource_groups, scope_groups
from paramedic_collector.process.values import find, plain, put, set_to, text_of

if TYPE_CHECKING:
    from google.protobuf.message import Message

SUMMARIES: Final = ("debug", "info", "silent")
_WHOLE: Final = compiled(".*")
_SUMMARY_KEYS: Final = frozenset(
    f"redaction.{body}{what}.{form}"
    for body in ("", "body.")
    for what in ("redacted", "masked", "allowed", "ignored")
    for form in ("keys", "count")
    if (what, form) != ("ignored", "keys")
)


@dataclass(frozen=True, slots=True)
class Rules:
    """What is allowed and what is blocked, as the Collector's `redaction` names it."""

    allow_all_keys: bool = False
    allowed_keys: frozenset[str] = frozenset()
    ignored_keys: frozenset[str] = frozenset()
    ignored_key_patterns: tuple[Pattern[str], ...] = ()
    blocked_key_patterns: tuple[Pattern[str], ...] = ()
    blocked_values: tuple[Pattern[str], ...] = ()
    allowed_values: tuple[Pattern[str], ...] = ()
    redact_all_types: bool = False  # also numbers, by how they are written
    mask: Callable[[str], str] = lambda _: "****"
    summary: str = "silent"


@dataclass(slots=True)
class _Changes:
    """The keys to which something was done."""

    redacted: list[str] = field(default_factory=list)
    masked: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


class Redaction(Processor):
    """Redacts resources, scopes, spans, span events, data points, log records and their bodies."""

    def __init__(self, name: str, rules: Rules) -> None:
        self.name, self._rules = name, rules

    def process(self, signal: Signal, request: "Message", now: float) -> list["Message"]:
        for group in resource_groups(signal, request):
            self._attributes(group.resource.attributes)
            for inner in scope_groups(signal, group):
                self._attributes(inner.scope.attributes)
                for item in items_of(signal, inner):
                    self._item(signal, item)
        return [request]

    def due(self, now: float) -> list["Message"]:
        return []

    def _item(self, signal: Signal, item: Any) -> None:
        for carrier in carriers(signal, item):
            self._attributes(carrier.attributes)
        if signal is Signal.TRACES:
            for event in item.events:
                self._attributes(event.attributes)
        if signal is Signal.LOGS:
            changes = _Changes()
            self._body("", item.body, changes)
            self._summarise(item.attributes, changes, "redaction.body.")

    def _attributes(self, attributes: Any) -> None:
        changes = _Changes()
        for one in self._kept(attributes, "", changes):
            self._attribute(one, changes)
        self._summarise(attributes, changes, "redaction.")

    def _kept(self, pairs: Any, path: str, changes: _Changes) -> Iterator[Any]:
        """Takes out the keys that are not allowed; gives those that are to be looked at."""
        rules, gone = self._rules, []
        for place, one in enumerate(pairs):
            if one.key in rules.ignored_keys or _any(rules.ignored_key_patterns, one.key):
                changes.ignored.append(path + one.key)
            elif not (rules.allow_all_keys or one.key in rules.allowed_keys or one.key in _SUMMARY_KEYS):
                changes.redacted.append(path + one.key)
                gone.append(place)
            else:
                yield one
        for place in reversed(gone):
            del pairs[place]

    def _attribute(self, one: Any, changes: _Changes) -> None:
        held = plain(one.value)
        text = text_of(held) if self._rules.redact_all_types or isinstance(held, str) else ""
        if _any(self._rules.allowed_values, text):
            changes.allowed.append(one.key)
        elif _any(self._rules.blocked_key_patterns, one.key):
            changes.masked.append(one.key)
            put(one.value, replaced(_WHOLE, self._rules.mask, text))
        elif (masked := self._masked(text)) != text:
            changes.masked.append(one.key)
            put(one.value, masked)

    def _masked(self, text: str) -> str:
        for pattern in self._rules.blocked_values:
            text = replaced(pattern, self._rules.mask, text)
        return text

    def _body(self, path: str, value: Any, changes: _Changes) -> None:
        """A body; a path to an element of a list in it is written key.[0]."""
        kind = value.WhichOneof("value")
        inside = f"{path}." if path else ""
        if kind == "kvlist_value":
            for one in self._kept(value.kvlist_value.values, inside, changes):
                if _any(self._rules.blocked_key_patterns, one.key):
                    changes.masked.append(inside + one.key)
                    put(one.value, replaced(_WHOLE, self._rules.mask, one.value.string_value))
                else:
                    self._body(inside + one.key, one.value, changes)
        elif kind == "array_value":
            for place, one in enumerate(value.array_value.values):
                self._body(f"{inside}[{place}]", one, changes)
        elif kind is not None:
            self._body_text(path, value, changes)

    def _body_text(self, path: str, value: Any, changes: _Changes) -> None:
        text = text_of(plain(value))
        if _any(self._rules.allowed_values, text):
            changes.allowed += [path] if path else []
        elif (masked := self._masked(text)) != text:
            changes.masked.append(path or "body")
            put(value, masked)

    def _summarise(self, attributes: Any, changes: _Changes, prefix: str) -> None:
        """Adds to what an earlier redaction has noted."""
        if self._rules.summary not in ("debug", "info"):
            return
        for what in ("redacted", "masked", "allowed", "ignored"):
            keys = getattr(changes, what)
            if not keys:
                continue
            count_key, keys_key = f"{prefix}{what}.count", f"{prefix}{what}.keys"
            if self._rules.summary == "debug" and what != "ignored":
                old = find(attributes, keys_key)
                earlier = old.string_value.split(",") if old is not None and old.string_value else []
                set_to(attributes, keys_key, ",".join(sorted((*keys, *earlier))))
            old_count = find(attributes, count_key)
            set_to(attributes, count_key, len(keys) + (old_count.int_value if old_count is not None else 0))


HASHES: Final[dict[str, str]] = {"md5": "md5", "sha1": "sha1", "sha3": "sha3_256"}
KEYED_HASHES: Final = {"hmac-sha256": "sha256", "hmac-sha512": "sha512"}


def mask_with(function: str, key: str = "") -> Callable[[str], str]:
    """What stands instead of a blocked text: its hash, or **** for ""."""
    if function in KEYED_HASHES:
        return lambda text: hmac.new(key.encode(), text.encode(), KEYED_HASHES[function]).hexdigest()
    if function in HASHES:
        return lambda text: hashlib.new(HASHES[function], text.encode(), usedforsecurity=False).hexdigest()
    return lambda _: "****"


def _any(patterns: Iterable[Pattern[str]], text: str) -> bool:
    return any(pattern.search(text) for pattern in patterns)
