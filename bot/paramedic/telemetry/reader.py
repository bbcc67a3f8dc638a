"""Sends the recorder's metrics along with those that OpenTelemetry keeps, as of the same process."""

import logging
import threading
from dataclasses import replace
from typing import Any

from opentelemetry.sdk.metrics.export import (
    Metric,
    MetricExporter,
    MetricsData,
    PeriodicExportingMetricReader,
)

from paramedic.telemetry.recorder import Recorder
from paramedic.telemetry.runtime import dropped

log = logging.getLogger("paramedic")

TIMEOUT_MS = 5000.0


class Reader(PeriodicExportingMetricReader):
    """A periodic reader that asks a recorder, too.

    Args:
        exporter: Where metrics go.
        each_ms: How often.
        recorder: Whose metrics go with them; None for none.
    """

    def __init__(self, exporter: MetricExporter, each_ms: float, recorder: Recorder | None = None) -> None:
        self._recorder = recorder
        super().__init__(exporter, each_ms, TIMEOUT_MS)

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        if self._recorder is not None:
            try:
                metrics_data = joined(metrics_data, self._recorder.take())
            except Exception as error:
                dropped.add("metrics")
                log.debug("the metrics of calls were lost: %r", error)
        super()._receive_metrics(metrics_data, timeout_millis=timeout_millis, **kwargs)

    def _at_fork_reinit(self) -> None:
        self._export_lock = threading.Lock()  # the parent's thread may have held it
        super()._at_fork_reinit()  # type: ignore[no-untyped-call]


def joined(data: MetricsData, metrics: list[Metric]) -> MetricsData:
    """The same, with `metrics` as of the same process; in the same scope, as an encoder takes each scope once."""
    if not metrics:
        return data
    process, *processes = data.resource_metrics
    scope, *scopes = process.scope_metrics
    ours = replace(scope, metrics=[*scope.metrics, *metrics])
    return MetricsData([replace(process, scope_metrics=[ours, *scopes]), *processes])
