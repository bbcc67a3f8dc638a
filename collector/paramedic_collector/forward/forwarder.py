"""Forwarding to the team's own backends, from the flight recorder, never in the way in.

    pipeline traces: [attributes] -> [otlp_grpc/backend, file]     = two lanes, each with a thread and an offset
    pipeline logs:                -> [otlp_grpc/backend]           = one lane

A lane knows on disk how far it has come, so that a crash, a restart or a backend that is down costs no telemetry as
long as the exporter's part of the disk (`sending_queue`) holds it. A backend that is slow or hangs makes a file grow,
nothing else.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from paramedic_collector.config.model import (
    DebugExporter,
    Exporter,
    FileExporter,
    OtlpExporter,
    Pipeline,
    Processor,
    Retry,
)
from paramedic_collector.counters import Counters
from paramedic_collector.forward.debug import DebugSender
from paramedic_collector.forward.delivery import Delivery, Sender
from paramedic_collector.forward.file import RETRY as FILE_RETRY
from paramedic_collector.forward.file import FileSender
from paramedic_collector.forward.lane import Lane
from paramedic_collector.forward.otlp_grpc import GrpcSender
from paramedic_collector.forward.otlp_http import HttpSender
from paramedic_collector.process.tail_sampling import TailSampling
from paramedic_collector.record.reader import Log, Reader

log = logging.getLogger(__name__)

_QUEUE_BYTES: Final = 256 << 20  # of exporters that have no queue of their own
_GRACE_S: Final = 2.0  # what is under way may take so long when we stop


class Forwarder:
    """Forwards between `start` and `stop`.

    Args:
        pipelines: Those without exporters have no part in it.
        recorder: Whose frames are forwarded.
        clock: Unix seconds.

    Raises:
        TlsError: A file of an exporter's `tls` cannot be used.
    """

    def __init__(
        self,
        pipelines: Iterable[Pipeline],
        recorder: Log,
        counters: Counters,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._recorder, self._counters, self._clock = recorder, counters, clock
        self._stopping = threading.Event()
        self._files: dict[str, FileSender] = {}  # one for each exporter: two pipelines may write to one file
        self._threads = [
            _Thread(pipeline, exporter, self._sender(exporter))
            for pipeline in pipelines
            for exporter in pipeline.exporters
        ]

    def start(self) -> None:
        """Begin where each lane stopped; a new one begins with what is recorded from now on."""
        for one in self._threads:
            one.start(self._recorder, self._counters, self._stopping, self._clock)

    def stop(self) -> None:
        """End within a few seconds; what is not delivered is sent after the next start. May be called twice."""
        self._stopping.set()
        ends = time.monotonic() + _GRACE_S
        for one in self._threads:
            one.join(ends - time.monotonic())
        for one in self._threads:
            one.cancel()
        for one in self._threads:
            one.join(ends + _GRACE_S - time.monotonic())

    def _sender(self, exporter: Exporter) -> Sender:
        if isinstance(exporter, DebugExporter):
            return DebugSender(exporter)
        if isinstance(exporter, FileExporter):
            return self._files.setdefault(exporter.name, FileSender(exporter, clock=self._clock))
        return HttpSender(exporter, clock=self._clock) if exporter.transport == "http" else GrpcSender(exporter)


class _Thread:
    """A lane, its reader and its thread."""

    def __init__(self, pipeline: Pipeline, exporter: Exporter, sender: Sender) -> None:
        self._pipeline, self._exporter, self._sender = pipeline, exporter, sender
        self._processors: list[Processor] = [one.alone() for one in pipeline.processors]
        self._thread: threading.Thread | None = None

    def start(self, recorder: Log, counters: Counters, stopping: threading.Event, clock: Callable[[], float]) -> None:
        pipeline, exporter = self._pipeline, self._exporter
        limit_bytes = exporter.queue_bytes if isinstance(exporter, OtlpExporter) else _QUEUE_BYTES
        name = f"{pipeline.name} to {exporter.name}"
        reader = Reader(recorder, name, limit_bytes=limit_bytes, signals={pipeline.signal})
        _add_gauges(counters, reader, limit_bytes, exporter=exporter.name, pipeline=pipeline.name)
        for one in self._processors:
            if isinstance(one, TailSampling):
                _add_sampling(counters, one, exporter=exporter.name, pipeline=pipeline.name, processor=one.name)
        delivery = Delivery(exporter.name, self._sender, _retry(exporter), counters, pause=stopping.wait)
        lane = Lane(pipeline.signal, reader, self._processors, delivery, pause=stopping.wait, clock=clock)
        self._thread = threading.Thread(target=self._run, args=(lane, reader), name=f"forward {name}", daemon=True)
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        if self._thread is not None:
            self._thread.join(max(timeout_s, 0.0))

    def cancel(self) -> None:
        if self._thread is None:
            self._sender.close()  # never started
        elif self._thread.is_alive():
            self._sender.cancel()

    def _run(self, lane: Lane, reader: Reader) -> None:
        try:
            lane.run()
        finally:
            reader.close()
            self._sender.close()


def _retry(exporter: Exporter) -> Retry:
    return exporter.retry if isinstance(exporter, OtlpExporter) else FILE_RETRY


def _add_gauges(counters: Counters, reader: Reader, limit_bytes: int, **labels: str) -> None:
    gauge = counters.gauge
    size, room, lost = (
        "otelcol_exporter_queue_size",
        "otelcol_exporter_queue_capacity",
        "otelcol_exporter_enqueue_failed_requests",
    )
    gauge(size, "Bytes that wait for the fold, or on disk for an exporter.", lambda: reader.backlog_bytes, **labels)
    gauge(room, "Most bytes that may wait.", lambda: limit_bytes, **labels)
    gauge(lost, "Requests dropped because an exporter fell behind by more.", lambda: reader.dropped_frames, **labels)


def _add_sampling(counters: Counters, one: TailSampling, **labels: str) -> None:
    early, large = "paramedic_tail_sampling_decided_early", "paramedic_tail_sampling_too_large"
    counters.gauge(early, "Traces decided since more than num_traces waited.", lambda: one.decided_early, **labels)
    counters.gauge(large, "Traces dropped for their size.", lambda: one.too_large, **labels)
