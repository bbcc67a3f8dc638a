"""What guards record, kept in memory.

with MemorySink() as sink:
    ...
assert sink.spans[0].attributes["paramedic.decision"] == "refused"
"""

from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from paramedic.telemetry.meters import add_counters, add_gauges
from paramedic.telemetry.runtime import runtime


class MemorySink:
    """While entered, keeps what guards record, instead of sending it."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._tracers = TracerProvider(shutdown_on_exit=False)
        self._tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._reader = InMemoryMetricReader()
        meter = MeterProvider([self._reader], shutdown_on_exit=False).get_meter("paramedic")
        add_gauges(meter)
        add_counters(meter)

    @property
    def spans(self) -> list[ReadableSpan]:
        """Spans that have ended, in the order in which they did."""
        return list(self._exporter.get_finished_spans())

    @property
    def metrics(self) -> dict[str, list[tuple[dict[str, Any], float]]]:
        """What the gauges and counters show now: by name, the attributes and value of each point."""
        data = self._reader.get_metrics_data()
        found: dict[str, list[tuple[dict[str, Any], float]]] = {}
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    points = [(dict(p.attributes or {}), getattr(p, "value", 0.0)) for p in metric.data.data_points]
                    found.setdefault(metric.name, []).extend(points)
        return found

    def clear(self) -> None:
        """Forget the spans so far."""
        self._exporter.clear()

    def __enter__(self) -> "MemorySink":
        self._before = runtime.tracer
        runtime.tracer = self._tracers.get_tracer("paramedic")
        return self

    def __exit__(self, *_: object) -> None:
        runtime.tracer = self._before
