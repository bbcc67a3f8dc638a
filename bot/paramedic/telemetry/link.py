"""Whether the collector can be reached: says so once when it is lost and once when it is back.

export fails --> down: batches are dropped and counted, one try a second --> export works --> up
"""

import logging
import threading
import time
from collections.abc import Callable

from paramedic.policy.breaker import Breaker, Verdict
from paramedic.telemetry.runtime import dropped

log = logging.getLogger("paramedic")

_inside = threading.local()


class Link:
    """The way to one collector, shared by the exporters of spans and metrics."""

    def __init__(self, address: str, *, retry_s: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.address = address
        self._retry_s, self._clock, self._lock = retry_s, clock, threading.Lock()
        self._breakers: dict[str, Breaker] = {}
        self._down: set[str] = set()
        self._lost_at = 0.0
        self.closing = False  # set at shutdown: what failed once is not tried again

    def send(self, what: str, count: int, export: Callable[[], bool]) -> bool:
        """Export a batch, or drop it and count it.

        Args:
            what: "spans" or "metrics", for the count of what was dropped.
            count: Items in the batch.
            export: Sends it; whether that worked.
        """
        breaker = self._breakers.setdefault(what, Breaker(failures=1, rest_s=self._retry_s))
        if breaker.wait_s(self._clock()) > 0 or (self.closing and self._down):
            dropped.add(what, count)
            return False
        era, worked = breaker.enter(self._clock()), False
        _inside.export = True
        try:
            worked = export()
        except Exception as error:
            dropped.add("exporter")
            log.debug("the exporter of %s failed: %r", what, error)
        finally:
            _inside.export = False
        breaker.leave(era, Verdict.WORKED if worked else Verdict.FAILED, self._clock())
        self._note(what, worked)
        if not worked:
            dropped.add(what, count)
        return worked

    def _note(self, what: str, worked: bool) -> None:
        with self._lock:
            was_down = bool(self._down)
            (self._down.discard if worked else self._down.add)(what)
            if self._down and not was_down:
                self._lost_at = self._clock()
                log.warning("telemetry cannot be sent to %s; it is dropped until that works again", self.address)
            elif was_down and not self._down:
                log.warning("telemetry reaches %s again after %.0f s", self.address, self._clock() - self._lost_at)


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
        "opentelemetry.exporter.otlp.proto.grpc.exporter",
        "opentelemetry.exporter.otlp.common.http",
    ):
        logging.getLogger(name).addFilter(_QUIET)


_QUIET = NotWhileExporting()
