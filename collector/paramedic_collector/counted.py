"""Which payloads become windows, and what a pipeline's processors make of them before.

    otel-config.yaml: pipelines: traces: processors: [filter], exporters: [otlp/paramedic]
    frame --decode--> request --processors--> request --encode--> Parsed

Without processors a payload goes on as it was parsed on its way in. With them it is decoded once more and encoded
again: right, and several times slower.
"""

import logging
from collections.abc import Sequence
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from paramedic_collector.config.model import Pipeline
from paramedic_collector.decode import Parsed, Undecodable, parse
from paramedic_collector.intake import Taken
from paramedic_collector.otlp import Signal
from paramedic_collector.record.segments import Frame, Place

log = logging.getLogger(__name__)

_REQUESTS: dict[Signal, Any] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}


class Counted:
    """What of the recorded frames is counted in windows; used by one thread.

    Args:
        pipelines: At most one of each signal exports to paramedic.
    """

    def __init__(self, pipelines: Sequence[Pipeline]) -> None:
        windows = [one for one in pipelines if one.windows]
        self._processors = {one.signal: [step.alone() for step in one.processors] for one in windows}

    def of_taken(self, taken: Taken, now: float) -> Taken | None:
        """What is counted of an accepted payload; None for nothing."""
        processors = self._processors.get(taken.parsed.signal)
        if processors is None:
            return None
        return self._processed(taken.place, taken.frame, taken.held_bytes, now) if processors else taken

    def of_frame(self, place: Place, frame: Frame, now: float) -> Taken | None:
        """What is counted of a frame of an earlier run; None for nothing."""
        processors = self._processors.get(frame.signal)
        if processors is None:
            return None
        if processors:
            return self._processed(place, frame, 0, now)
        return _taken(place, frame, [frame.payload()], 0)

    def _processed(self, place: Place, frame: Frame, size: int, now: float) -> Taken | None:
        try:
            requests = [_REQUESTS[frame.signal].FromString(frame.payload())]
            for step in self._processors[frame.signal]:
                requests = [after for before in requests for after in step.process(frame.signal, before, now)]
            return _taken(place, frame, [one.SerializeToString() for one in requests], size)
        except Exception:  # one payload must not take the others along
            log.exception("%s at %d could not be processed; it is in no window", place.segment, place.start)
            return None


def _taken(place: Place, frame: Frame, payloads: Sequence[bytes], size: int) -> Taken | None:
    """Requests one after the other are one request: OTLP messages hold nothing but a repeated field."""
    try:
        parsed: Parsed = parse(frame.signal, b"".join(payloads))
    except Undecodable as error:
        log.error("%s at %d cannot be folded: %s", place.segment, place.start, error)
        return None
    return Taken(parsed, place, size, frame) if parsed.items else None
