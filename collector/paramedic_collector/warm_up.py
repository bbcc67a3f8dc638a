"""Compile what is compiled at its first use, before a sender waits for it: once on a machine, from a cache later.

    python -m paramedic_collector.warm_up    # what `make install` does

Half a minute the first time, a second or two later; again after an update of the compiled modules.
"""

import contextlib
import time
from functools import cache

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from paramedic_collector.columns.kept import stamp
from paramedic_collector.counters import Counters
from paramedic_collector.decode import parse
from paramedic_collector.intake import Taken
from paramedic_collector.join import Join
from paramedic_collector.otlp import Signal
from paramedic_collector.record.segments import Frame, Place
from paramedic_collector.redact import Redactor
from paramedic_collector.tables import Tables
from paramedic_collector.windower import Windower


@cache
def warm_up() -> None:
    """Send a trace and a log record through everything once."""
    tables = Tables(limit=9, keep_s=9.0, clock=time.monotonic)
    windower = Windower("warm-up", tables, Join(tables, wait_s=0.0), Counters(), wait_s=0.0)
    windower.take([_taken(signal, payload) for signal, payload in _payloads().items()], 1.0)
    windower.give(2.0)
    with contextlib.suppress(OSError):  # nothing can be kept there: the next process compiles again, and says so
        stamp().parent.mkdir(parents=True, exist_ok=True)
        stamp().touch()


def _payloads() -> dict[Signal, bytes]:
    spans, logs = ExportTraceServiceRequest(), ExportLogsServiceRequest()
    resource, records = spans.resource_spans.add(), logs.resource_logs.add()
    for one in (resource, records):
        one.resource.attributes.add(key="service.name").value.string_value = "warm-up"
    scope = resource.scope_spans.add()
    for number, parent in ((1, b""), (2, bytes([1] * 8))):
        scope.spans.add(
            trace_id=bytes([1] * 16),
            span_id=bytes([number] * 8),
            parent_span_id=parent,
            name="a@b.example",
            kind=2 if parent else 3,
            end_time_unix_nano=number,
        )
    records.scope_logs.add().log_records.add().body.string_value = "a@b.example"
    return {Signal.TRACES: spans.SerializeToString(), Signal.LOGS: logs.SerializeToString()}


def _taken(signal: Signal, payload: bytes) -> Taken:
    parsed = parse(signal, Redactor().redact(signal, payload).payload)
    return Taken(parsed, Place("", 0, 1), 0, Frame(0.0, signal, parsed.trace_keys, b""))


if __name__ == "__main__":
    warm_up()
