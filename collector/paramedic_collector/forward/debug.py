"""The `debug` exporter: what passes, in the log.

basic     one line a request: traces: 1 resource, 512 spans, 20480 bytes
normal    and a line for each of the first items
detailed  and all that these hold

What is told of one request is bounded: somebody may have left it on in production.
"""

import logging
from collections.abc import Iterator
from typing import Any, Final

from paramedic_collector.config.model import DebugExporter
from paramedic_collector.counters import ITEMS
from paramedic_collector.forward.answers import Answer, Verdict
from paramedic_collector.forward.messages import REQUESTS
from paramedic_collector.forward.shapes import count
from paramedic_collector.otlp import Signal

log = logging.getLogger(__name__)

_MOST_ITEMS: Final = 20  # of one request
_LONGEST: Final = 2000  # characters of one item
_INNER: Final = {
    Signal.TRACES: ("resource_spans", "scope_spans", "spans"),
    Signal.METRICS: ("resource_metrics", "scope_metrics", "metrics"),
    Signal.LOGS: ("resource_logs", "scope_logs", "log_records"),
}


class DebugSender:
    """Logs each request."""

    joins_bytes = 0

    def __init__(self, exporter: DebugExporter) -> None:
        self._exporter = exporter

    def send(self, signal: Signal, payload: bytes) -> Answer:
        """Log it."""
        items, name = count(signal, payload), ITEMS[signal].replace("_", " ")
        log.info("%s: %s: %d %s, %d bytes", self._exporter.name, signal, items, name, len(payload))
        if self._exporter.verbosity != "basic":
            self._tell_items(signal, payload)
        return Answer(Verdict.TAKEN)

    def cancel(self) -> None:
        """Nothing waits here."""

    def close(self) -> None: ...

    def _tell_items(self, signal: Signal, payload: bytes) -> None:
        for told, item in enumerate(_items(signal, payload)):
            if told == _MOST_ITEMS:
                log.info("%s: ... and more", self._exporter.name)
                return
            text = _line(item) if self._exporter.verbosity == "normal" else str(item).strip()
            log.info("%s: %s", self._exporter.name, text if len(text) <= _LONGEST else text[:_LONGEST] + " ...")


def _items(signal: Signal, payload: bytes) -> Iterator[Any]:
    resources, scopes, items = _INNER[signal]
    for resource in getattr(REQUESTS[signal].FromString(payload), resources):
        for scope in getattr(resource, scopes):
            yield from getattr(scope, items)


def _line(item: Any) -> str:
    """What it is called and says, its ids, its attributes."""
    parts = [item.name] if hasattr(item, "name") else [item.severity_text, _value(item.body)]
    parts += [getattr(item, field).hex() for field in ("trace_id", "span_id") if getattr(item, field, b"")]
    parts += [f"{one.key}={_value(one.value)}" for one in getattr(item, "attributes", ())]
    return " ".join(part for part in parts if part)


def _value(value: Any) -> str:
    kind = value.WhichOneof("value")
    return "" if kind is None else " ".join(str(getattr(value, kind)).split())
