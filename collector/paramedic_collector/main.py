"""The embedded collector: receivers, intake, one fold thread, flight recorder.

gRPC 4317 --+
            +--> Intake --queue--> fold thread: Windower --every 0.5 s--> Bus
HTTP 4318 --+       |
                    +--> Recorder <-- traces(ids)
"""

import logging
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from paramedic_collector import counters as count
from paramedic_collector.bus import Bus
from paramedic_collector.config.model import CollectorConfig
from paramedic_collector.counters import Counters
from paramedic_collector.facts import Tables
from paramedic_collector.intake import Intake, Taken
from paramedic_collector.join import Join
from paramedic_collector.receive.addresses import Endpoint
from paramedic_collector.receive.grpc import GrpcReceiver
from paramedic_collector.receive.http import App, HttpReceiver, Page
from paramedic_collector.record.recorder import Limits, Recorder
from paramedic_collector.redact import Redactor
from paramedic_collector.windower import Windower

log = logging.getLogger(__name__)

PUBLISH_S: Final = 0.5  # between two batches
_SWEEP_S: Final = 5.0  # between two looks for old segments
_LARGEST_DRAIN_S: Final = 0.1  # the fold looks at what has come this often, to work on many payloads at once
_STALLED_S: Final = 10.0  # without a sign of life of the fold thread, the collector is not ready
_BODY_TIMEOUT_S: Final = 10.0
_SERIES_LIMIT: Final = 100_000
_KEEP_NAMES_S: Final = 600.0


class _Receiver(Protocol):
    def start(self) -> Endpoint: ...
    def stop(self) -> None: ...


class Collector:
    """Takes OTLP in and gives windows out, between `start` and `stop`.

    Args:
        config: What to listen on and what to do with each signal.
        bus: Where window batches go.
        data_dir: The flight recorder's folder is made in it.
        clock: Unix seconds.
        name: What its batches call it.
        series_limit: Most series a family; more share one overflow series.
        limits: How much the flight recorder keeps.

    Raises:
        RecorderBusy: Another collector records to the same `data_dir`.
    """

    def __init__(
        self,
        config: CollectorConfig,
        bus: Bus,
        data_dir: Path,
        clock: Callable[[], float] = time.time,
        *,
        name: str = "",
        series_limit: int = _SERIES_LIMIT,
        limits: Limits | None = None,
        header_timeout_s: float = 10.0,
    ) -> None:
        self.addresses: dict[
            str, Endpoint
        ] = {}  # "grpc" and "http" (of a second receiver "NAME grpc"), as they really are once started
        self._config, self._bus, self._clock = config, bus, clock
        self._counters = Counters()
        self.recorder = Recorder(Path(data_dir) / "recorder", limits, clock=clock)
        redactor = Redactor(keep_content=config.keep_content)
        half = config.memory_bytes // 2
        self.intake = Intake(self.recorder, redactor, self._counters, limit_bytes=half)
        tables = Tables(limit=series_limit, keep_s=_KEEP_NAMES_S, clock=time.monotonic)
        self._join = Join(tables, limit_bytes=half)
        self._windower = Windower(name or socket.gethostname(), tables, self._join, self._counters)
        self._receivers = self._build_receivers(header_timeout_s)
        self._stopping = threading.Event()
        self._alive_at = 0.0  # monotonic seconds of the fold thread's last round
        self._thread = threading.Thread(target=self._run, name="fold", daemon=True)
        self._add_gauges(tables)

    @property
    def counters(self) -> dict[str, float]:
        """Every counter and gauge by name."""
        return self._counters.as_dict()

    @property
    def ready(self) -> bool:
        """Whether it takes telemetry in and turns it into windows."""
        return bool(self.addresses) and time.monotonic() - self._alive_at < _STALLED_S

    def start(self) -> None:
        """Begin to listen.

        Raises:
            AddressInUse: A port is taken; the message names it. Nothing is left running.
        """
        self._alive_at = time.monotonic()
        self._thread.start()
        try:
            for name, receiver in self._receivers.items():
                self.addresses[name] = receiver.start()
        except Exception:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop listening, fold what was accepted, give it out, close the recorder. May be called twice."""
        self.intake.close()
        for name in list(self.addresses):
            self._receivers[name].stop()
        self.addresses = {}
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(10.0)
        self.recorder.close()

    def _build_receivers(self, header_timeout_s: float) -> dict[str, _Receiver]:
        found = dict[str, _Receiver]()
        for one in self._config.receivers:
            if one.grpc is not None:
                name = "grpc" if "grpc" not in found else f"{one.name} grpc"
                found[name] = GrpcReceiver(one.grpc.endpoint, self.intake, limit_bytes=one.grpc.limit_bytes)
            if one.http is not None:
                name, limit = "http" if "http" not in found else f"{one.name} http", one.http.limit_bytes
                app = App(self.intake, self._pages(), limit_bytes=limit, body_timeout_s=_BODY_TIMEOUT_S)
                found[name] = HttpReceiver(one.http.endpoint, app, header_timeout_s=header_timeout_s)
        return found

    def _pages(self) -> dict[str, Page]:
        plain = "text/plain; charset=utf-8"
        return {
            "/healthz": Page(plain, lambda: (200, "ok\n")),
            "/readyz": Page(plain, lambda: (200, "ready\n") if self.ready else (503, "not ready\n")),
            "/metrics": Page("text/plain; version=0.0.4; charset=utf-8", lambda: (200, self._counters.text())),
        }

    def _add_gauges(self, tables: Tables) -> None:
        recorder, join, gauge = self.recorder, self._join, self._counters.gauge
        gauge("otelcol_exporter_queue_size", "Bytes that wait for the fold.", lambda: self.intake.queued_bytes)
        gauge("otelcol_exporter_queue_capacity", "Most bytes that may wait.", lambda: self._config.memory_bytes // 2)
        gauge("paramedic_join_bytes", "Spans and children that wait for each other.", lambda: join.kept_bytes)
        gauge("paramedic_join_evicted", "Children whose parent did not come in time.", lambda: join.evicted)
        gauge("paramedic_self_time_unknown", "Spans without a self-time, for that reason.", lambda: join.unknown)
        gauge("paramedic_series_overflow", "Names and series turned away by the limit.", lambda: tables.overflows)
        gauge("paramedic_recorder_degraded", "1 while traces are in memory only.", lambda: recorder.degraded)
        gauge("paramedic_recorder_memory_frames", "Frames the disk refused.", lambda: recorder.degraded_frames)
        gauge("paramedic_recorder_torn_bytes", "Bytes cut off by a crash.", lambda: recorder.torn_bytes)

    def _run(self) -> None:
        publish_at = sweep_at = time.monotonic()
        while True:
            last_round = self._stopping.is_set()
            self._alive_at = time.monotonic()
            self._round(lambda: self._take(self.intake.drain(_LARGEST_DRAIN_S)))
            if self._alive_at >= publish_at or last_round:
                publish_at = self._alive_at + PUBLISH_S
                self._round(self._give)
            if self._alive_at >= sweep_at:
                sweep_at = self._alive_at + _SWEEP_S
                self._round(self.recorder.sweep)
            if last_round:
                return
            self._stopping.wait(_LARGEST_DRAIN_S)

    def _round(self, step: Callable[[], None]) -> None:
        """The fold thread must not end: what is acknowledged would never become a window."""
        try:
            step()
        except Exception:
            log.exception("the collector goes on without what it was folding")
            self._counters.add(count.FOLD_FAILURES, signal="any")

    def _take(self, taken: list[Taken]) -> None:
        for one in taken:
            if one.parsed.signal in self._config.debug:
                log.info("%s: %d items, %d bytes", one.parsed.signal, one.parsed.items, one.payload_bytes)
        wanted = [one for one in taken if one.parsed.signal in self._config.windows]
        for batch in self._windower.take(wanted, self._clock()):
            self._bus.publish(batch)

    def _give(self) -> None:
        for batch in self._windower.give(self._clock()):
            self._bus.publish(batch)
