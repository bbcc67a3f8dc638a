"""Things that happened, as log records with a name: a command applied, a sampled exception, a user's thumb.

The logs API of OpenTelemetry is not settled: all use of it stands here. When its names or signatures are not
those that this was written for, there are no events, which is counted and said once.
"""

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import Span, set_span_in_context

from paramedic.settings import GRPC, Settings
from paramedic.telemetry.link import Link
from paramedic.telemetry.private import Private
from paramedic.telemetry.runtime import dropped

log = logging.getLogger("paramedic")

BURST = 100  # events of one name at once
A_SECOND = 10.0  # and later
_MOST_NAMES = 100


class EventLog:
    """Sends events; safe to share between threads.

    Args:
        logger: Of OpenTelemetry; takes them.
        severity: Makes OpenTelemetry's severity of a number.
        clock: Seconds that never run backwards.
        close: Sends what is left.
    """

    def __init__(
        self,
        logger: Any,
        severity: Callable[[int], Any] = int,
        clock: Callable[[], float] = time.monotonic,
        close: Callable[[], object] = lambda: None,
    ) -> None:
        self._logger, self._severity, self._clock = logger, severity, clock
        self._allowed: dict[str, tuple[float, float]] = {}  # by name: how many, as of when
        self._lock = threading.Lock()
        self._told = False
        self.close = close
        if hasattr(os, "register_at_fork"):
            itself = weakref.ref(self)
            os.register_at_fork(after_in_child=lambda: _renew(itself()))

    def emit(
        self,
        name: str,
        attributes: Mapping[str, Any],
        *,
        severity: int = 9,
        body: str = "",
        span: Span | None = None,
    ) -> None:
        """Send one, in the trace of `span` or else of the current one; never raises.

        Of one name a hundred go at once, and ten a second; more are dropped and counted.
        """
        if not self._may(name):
            dropped.add("events")
            return
        try:
            about: dict[str, Any] = {} if span is None else {"context": set_span_in_context(span)}
            self._logger.emit(
                timestamp=time.time_ns(),
                severity_number=self._severity(severity),
                body=body or None,
                attributes=dict(attributes),
                event_name=name,
                **about,
            )
        except Exception as error:
            dropped.add("events")
            if not self._told:
                self._told = True
                log.warning("events cannot be sent: %r", error)

    def _may(self, name: str) -> bool:
        with self._lock:
            now = self._clock()
            if name not in self._allowed and len(self._allowed) >= _MOST_NAMES:
                return False
            left, since = self._allowed.get(name, (float(BURST), now))
            left = min(float(BURST), left + (now - since) * A_SECOND)
            self._allowed[name] = (max(left - 1, 0.0) if left >= 1 else left, now)
            return left >= 1


def _renew(events: EventLog | None) -> None:
    """In a forked child, where whoever held the lock is not."""
    if events is not None:
        events._lock = threading.Lock()


def start_events(settings: Settings, resource: Resource, link: Link, private: Private | None) -> EventLog | None:
    """Events over OTLP; None when this version of OpenTelemetry has no such logs."""
    try:
        return _start(settings, resource, link, private)
    except Exception as error:  # another version: an ImportError, a TypeError, an AttributeError
        dropped.add("events")
        log.warning("events are off: %r; everything else is sent", error)
        return None


def _start(settings: Settings, resource: Resource, link: Link, private: Private | None) -> EventLog:
    from opentelemetry._logs import SeverityNumber
    from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult

    inner = _exporter(settings)

    class LinkedEvents(LogRecordExporter):
        """Exports events over a link, without what is private in them."""

        def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
            sent = link.send("events", len(batch), lambda: self._export(batch))
            return LogRecordExportResult.SUCCESS if sent else LogRecordExportResult.FAILURE

        def _export(self, batch: Sequence[ReadableLogRecord]) -> bool:
            if private is not None:
                for event in batch:  # ours alone: nobody else has a processor on this provider
                    event.log_record.attributes = private.attributes(event.log_record.attributes or {})
                    event.log_record.body = private.value(event.log_record.body)
            return inner.export(batch) is LogRecordExportResult.SUCCESS

        def shutdown(self) -> None:
            inner.shutdown()

        def force_flush(self, timeout_millis: int = 30000) -> bool:
            return True

    provider = LoggerProvider(resource, shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(LinkedEvents(), settings.events_each_ms))
    return EventLog(provider.get_logger("paramedic"), SeverityNumber, close=provider.shutdown)


def _exporter(settings: Settings) -> Any:
    if settings.events_to == "console":
        from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter

        return ConsoleLogRecordExporter()
    if settings.protocol == GRPC:
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as Grpc

        return Grpc(endpoint=settings.endpoint, timeout=settings.timeout_s)
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as Http

    endpoint = None if settings.endpoint is None else f"{settings.endpoint}/v1/logs"
    return Http(endpoint=endpoint, timeout=settings.timeout_s)
