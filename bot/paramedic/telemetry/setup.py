"""Builds the exporters of this process, or joins those that a team already has.

TracerProvider of the team --> one more processor on it        our own MeterProviders, beside anybody's
none yet -------------------> ours, for everybody              1 s: gauges      5 s: counters, histograms
                                                               our own LoggerProvider: events
"""

import logging
import threading
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from paramedic.contract.attributes import ZONE
from paramedic.settings import Settings
from paramedic.telemetry.content import capturing
from paramedic.telemetry.events import EventLog, start_events
from paramedic.telemetry.exceptions import Exceptions, ExceptionsOnly
from paramedic.telemetry.exporters import metric_exporter, span_exporter
from paramedic.telemetry.genai import names_of
from paramedic.telemetry.link import Link, quiet_exporters
from paramedic.telemetry.meters import add_counters, add_gauges
from paramedic.telemetry.private import Private
from paramedic.telemetry.reader import Reader
from paramedic.telemetry.recorder import Recorder
from paramedic.telemetry.runtime import dropped, runtime

log = logging.getLogger("paramedic")

GAUGES_EACH_MS = 1000.0


class Telemetry:
    """The exporters of this process, from `init` to `shutdown`.

    Args:
        settings: What `init` was told.
        redact: Patterns of the team's own, of what must not be sent.

    Raises:
        ValueError: An OTEL_* variable or a pattern is wrong.
    """

    def __init__(self, settings: Settings, redact: Sequence[str] = ()) -> None:
        self._link = Link(settings.address)
        self._private = Private(redact, capturing=capturing) if settings.redacts else None
        self._closers: list[Callable[[], Any]] = []
        self._events: EventLog | None = None
        self.resource = _resource(settings)
        quiet_exporters()
        self._start_spans(settings)
        self._start_events(settings)
        self._start_metrics(settings)

    def _start_spans(self, settings: Settings) -> None:
        joined = trace.get_tracer_provider()
        if hasattr(joined, "add_span_processor"):
            self._provider: Any = joined
            self.resource = _with_instance(getattr(joined, "resource", self.resource))
            if settings.spans_to != "none":
                joined.add_span_processor(self._spans(settings))
        elif settings.spans_to == "none":
            return
        else:
            self._provider = TracerProvider(resource=self.resource, shutdown_on_exit=False)
            self._provider.add_span_processor(self._spans(settings))
            if isinstance(joined, trace.ProxyTracerProvider):
                trace.set_tracer_provider(self._provider)
        runtime.tracer = self._provider.get_tracer("paramedic")

    def _spans(self, settings: Settings) -> SpanProcessor:
        processor = BatchSpanProcessor(
            span_exporter(settings, self._link, self._private), schedule_delay_millis=settings.spans_each_ms
        )
        self._closers.append(processor.shutdown)
        return processor

    def _start_events(self, settings: Settings) -> None:
        if settings.events_to == "none":
            return
        self._events = start_events(settings, self.resource, self._link, self._private)
        if self._events is not None:
            self._closers.append(self._events.close)
            runtime.events = self._events

    def _start_metrics(self, settings: Settings) -> None:
        mask: Callable[[str], str] = str if self._private is None else self._private.mask
        exceptions = None
        if self._events is not None:
            exceptions = Exceptions(self._events, messages=settings.exception_messages, mask=mask)
            runtime.recorder = ExceptionsOnly(exceptions)
        if settings.metrics_to == "none":
            return
        recorder = Recorder(names_of(settings.opt_in), mask, exceptions)
        for each_ms, add, ours in (
            (GAUGES_EACH_MS, add_gauges, None),
            (settings.counters_each_ms, add_counters, recorder),
        ):
            reader = Reader(metric_exporter(settings, self._link), each_ms, ours)
            provider = MeterProvider([reader], self.resource, shutdown_on_exit=False)
            add(provider.get_meter("paramedic"))
            self._closers.append(provider.shutdown)
        runtime.recorder = recorder

    @property
    def instance(self) -> str:
        """The ``service.instance.id``, which changes in a forked child."""
        resource = getattr(getattr(self, "_provider", None), "resource", self.resource)
        return str(resource.attributes.get(SERVICE_INSTANCE_ID, ""))

    def close(self, within_s: float) -> None:
        """Send what is left, for at most `within_s`; then let go."""
        runtime.tracer = runtime.recorder = runtime.events = None
        self._link.closing = True
        closing = threading.Thread(target=self._close, name="paramedic-close", daemon=True)
        try:
            closing.start()
            closing.join(within_s)
        except RuntimeError:  # Python starts no threads at exit; then the exporters' own timeouts bound it
            self._close()

    def _close(self) -> None:
        for close in self._closers:
            try:
                close()
            except Exception as error:
                dropped.add("shutdown")
                log.debug("%s failed: %r", close, error)


def _resource(settings: Settings) -> Resource:
    told = {SERVICE_NAME: settings.service, SERVICE_VERSION: settings.version, ZONE: settings.zone}
    return _with_instance(Resource.create({name: value for name, value in told.items() if value}))


def _with_instance(resource: Resource) -> Resource:
    if SERVICE_INSTANCE_ID in resource.attributes:
        return resource
    return resource.merge(Resource({SERVICE_INSTANCE_ID: str(uuid.uuid4())}))
