"""The OTLP exporters of OpenTelemetry, behind a `Link`: bounded, quiet, and never in anybody's way.

Imported by `init` only: they cost more to import than all the rest.
"""

from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter, SpanExportResult

import paramedic.preload  # noqa: F401  before there are threads
from paramedic.settings import GRPC, Settings
from paramedic.telemetry.link import Link
from paramedic.telemetry.private import Private
from paramedic.telemetry.redaction import masked_spans


class LinkedSpans(SpanExporter):
    """Exports spans over a link, without what is private in them."""

    def __init__(self, inner: SpanExporter, link: Link, private: Private | None = None) -> None:
        self._inner, self._link, self._private = inner, link, private

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        def export() -> bool:
            shown = spans if self._private is None else masked_spans(spans, self._private)
            return self._inner.export(shown) is SpanExportResult.SUCCESS

        return SpanExportResult.SUCCESS if self._link.send("spans", len(spans), export) else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True


class LinkedMetrics(MetricExporter):
    """Exports metrics over a link."""

    def __init__(self, inner: MetricExporter, link: Link) -> None:
        super().__init__(inner._preferred_temporality, inner._preferred_aggregation)
        self._inner, self._link = inner, link

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        def export() -> bool:
            return self._inner.export(metrics_data, timeout_millis=timeout_millis) is MetricExportResult.SUCCESS

        return MetricExportResult.SUCCESS if self._link.send("metrics", 1, export) else MetricExportResult.FAILURE

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True


def span_exporter(settings: Settings, link: Link, private: Private | None = None) -> SpanExporter:
    """Where spans go.

    Args:
        settings: What `init` was told.
        link: The way there.
        private: Takes what is private out of them; None leaves it in.

    Raises:
        ValueError: An OTEL_* variable is wrong.
    """
    if settings.spans_to == "console":
        return LinkedSpans(ConsoleSpanExporter(), link, private)
    if settings.protocol == GRPC:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc

        return LinkedSpans(Grpc(endpoint=settings.endpoint, timeout=settings.timeout_s), link, private)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http

    return LinkedSpans(Http(endpoint=_path(settings, "traces"), timeout=settings.timeout_s), link, private)


def metric_exporter(settings: Settings, link: Link) -> MetricExporter:
    """Where metrics go.

    Raises:
        ValueError: An OTEL_* variable is wrong.
    """
    if settings.metrics_to == "console":
        return ConsoleMetricExporter()
    if settings.protocol == GRPC:
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as Grpc

        return LinkedMetrics(Grpc(endpoint=settings.endpoint, timeout=settings.timeout_s), link)
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as Http

    return LinkedMetrics(Http(endpoint=_path(settings, "metrics"), timeout=settings.timeout_s), link)


def _path(settings: Settings, signal: str) -> str | None:
    return None if settings.endpoint is None else f"{settings.endpoint}/v1/{signal}"
