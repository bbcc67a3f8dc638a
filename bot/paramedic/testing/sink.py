"""What guards record, kept in memory.

with MemorySink() as sink:
    ...
assert sink.spans[0].attributes["paramedic.decision"] == "refused"
assert sink.histograms["paramedic.call.duration"][0].count == 1
assert sink.events[0].name == "gen_ai.evaluation.result"
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Metric, Sum
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Span

from paramedic.telemetry.exceptions import Exceptions
from paramedic.telemetry.histogram import Histogram
from paramedic.telemetry.meters import add_counters, add_gauges
from paramedic.telemetry.recorder import Recorder
from paramedic.telemetry.runtime import runtime


@dataclass(frozen=True, slots=True)
class Point:
    """What a histogram holds for one set of attributes."""

    attributes: Mapping[str, Any]
    count: int
    sum: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened."""

    name: str
    attributes: Mapping[str, Any]
    severity: int = 9
    body: str = ""


class MemorySink:
    """While entered, keeps what guards record, instead of sending it.

    >>> with paramedic.testing.MemorySink() as sink:
    ...     paramedic.Guard("llm").run_sync(str.upper, "hello")
    'HELLO'
    >>> sink.spans[0].attributes["paramedic.decision"]
    'allowed'

    Attributes:
        events: What happened, in that order.
    """

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._tracers = TracerProvider(shutdown_on_exit=False)
        self._tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._reader = InMemoryMetricReader()
        self.events: list[Event] = []
        self._counted: dict[object, float] = {}  # by others, before this sink
        self._recorder = Recorder(exceptions=Exceptions(self))
        meter = MeterProvider([self._reader], shutdown_on_exit=False).get_meter("paramedic")
        add_gauges(meter)
        add_counters(meter)

    @property
    def spans(self) -> list[ReadableSpan]:
        """Spans that have ended, in the order in which they did."""
        return list(self._exporter.get_finished_spans())

    @property
    def metrics(self) -> dict[str, list[tuple[dict[str, Any], float]]]:
        """What the gauges show now, and what the counters counted since the sink was entered or cleared.

        By name, the attributes and value of each point.
        """
        found: dict[str, list[tuple[dict[str, Any], float]]] = {}
        for metric in self._observed():
            for point in metric.data.data_points:
                value = getattr(point, "value", 0.0) - self._counted.get(_key(metric, point), 0.0)
                if value or not isinstance(metric.data, Sum):
                    found.setdefault(metric.name, []).append((dict(point.attributes or {}), value))
        for instrument, series in self._recorder.seen():
            if instrument.counts:
                totals = [(about, total) for about, total in series.items() if not isinstance(total, Histogram)]
                found[instrument.name] = [(dict(about), total) for about, total in totals]
        return found

    def _observed(self) -> Iterator[Metric]:
        data = self._reader.get_metrics_data()
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                yield from scope.metrics

    def _count_from_here(self) -> None:
        self._counted = {
            _key(metric, point): point.value
            for metric in self._observed()
            if isinstance(metric.data, Sum)
            for point in metric.data.data_points
        }

    @property
    def histograms(self) -> dict[str, list[Point]]:
        """What the histograms hold: by name, a point for each set of attributes."""
        return {
            instrument.name: [
                Point(dict(about), shape.count, shape.sum, shape.least, shape.most)
                for about, shape in series.items()
                if isinstance(shape, Histogram)
            ]
            for instrument, series in self._recorder.seen()
            if not instrument.counts
        }

    def emit(
        self, name: str, attributes: Mapping[str, Any], *, severity: int = 9, body: str = "", span: Span | None = None
    ) -> None:
        """Keep an event."""
        self.events.append(Event(name, dict(attributes), severity, body))

    def clear(self) -> None:
        """Forget the spans, counts, histograms and events so far."""
        self._count_from_here()
        self._exporter.clear()
        self._recorder.clear()
        self.events.clear()

    def __enter__(self) -> "MemorySink":
        self._count_from_here()
        self._before = (runtime.tracer, runtime.recorder, runtime.events)
        runtime.tracer, runtime.recorder, runtime.events = (
            self._tracers.get_tracer("paramedic"),
            self._recorder,
            self,
        )
        return self

    def __exit__(self, *_: object) -> None:
        runtime.tracer, runtime.recorder, runtime.events = self._before


def _key(metric: Metric, point: Any) -> object:
    return metric.name, frozenset((point.attributes or {}).items())
