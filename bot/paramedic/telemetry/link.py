"""Whether the collector can be reached: says so once when it is lost and once when it is back.

export fails --> down: batches are dropped and counted, one try a second --> export works --> up
"""

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable

from paramedic.telemetry.runtime import dropped

log = logging.getLogger("paramedic")

_inside = threading.local()


class Link:
    """The way to one collector, shared by the exporters of spans, metrics and events."""

    def __init__(self, address: str, *, retry_s: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.address = address
        self._retry_s, self._clock, self._lock = retry_s, clock, threading.Lock()
        self._retry_at: dict[str, float] = {}  # of each signal that is down
        self._lost_at = 0.0
        self._hopeless = False
        self.closing = False  # set at shutdown: once something failed, nothing more is tried
        if hasattr(os, "register_at_fork"):
            itself = weakref.ref(self)
            os.register_at_fork(after_in_child=lambda: _renew(itself()))

    def send(self, what: str, count: int, export: Callable[[], bool]) -> bool:
        """Export a batch, or drop it and count it.

        Args:
            what: "spans", "metrics" or "events", for the count of what was dropped.
            count: Items in the batch.
            export: Sends it; whether that worked.
        """
        if not self._may_try(what):
            dropped.add(what, count)
            return False
        worked = False
        _inside.export = True
        try:
            worked = export()
        except Exception as error:
            dropped.add("exporter")
            log.debug("the exporter of %s failed: %r", what, error)
        finally:
            _inside.export = False
        self._note(what, worked)
        if not worked:
            dropped.add(what, count)
        return worked

    def _may_try(self, what: str) -> bool:
        with self._lock:
            retry_at = self._retry_at.get(what)
            if retry_at is None:
                return not (self.closing and self._hopeless)
            if self.closing or self._clock() < retry_at:
                return False
            self._retry_at[what] = self._clock() + self._retry_s  # this one tries; others of its kind wait
            return True

    def _note(self, what: str, worked: bool) -> None:
        with self._lock:
            was_down = bool(self._retry_at)
            if worked:
                self._retry_at.pop(what, None)
            else:
                self._retry_at[what] = self._clock() + self._retry_s
                self._hopeless = self.closing
            if self._retry_at and not was_down:
                self._lost_at = self._clock()
                log.warning("telemetry cannot be sent to %s; it is dropped until that works again", self.address)
            elif was_down and not self._retry_at:
                log.warning("telemetry reaches %s again after %.0f s", self.address, self._clock() - self._lost_at)


def _renew(link: Link | None) -> None:
    """In a forked child, where whoever held the lock is not."""
    if link is not None:
        link._lock = threading.Lock()


class NotWhileExporting(logging.Filter):
    """Keeps the exporters' own lines about our batches out of the bot's log; `Link` says it once.

    Lines about the exports of anybody else in the process pass.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(_inside, "export", False)


def quiet_exporters() -> None:
    for name in (
        "opentelemetry.exporter.otlp.proto.http.trace_exporter",
        "opentelemetry.exporter.otlp.proto.http.metric_exporter",
        "opentelemetry.exporter.otlp.proto.http._log_exporter",
        "opentelemetry.exporter.otlp.proto.grpc.exporter",
        "opentelemetry.exporter.otlp.common.http",
    ):
        logging.getLogger(name).addFilter(_QUIET)


_QUIET = NotWhileExporting()
