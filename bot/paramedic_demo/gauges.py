"""What a process of the demo says about itself, with OpenTelemetry alone, as any team adds its own metrics.

    process.memory.usage, process.cpu.utilization               each second, to where OTEL_EXPORTER_OTLP_ENDPOINT says
    db.client.connection.count, .max, .pending_requests         of who has a pool

Called after `paramedic.init`: the metrics then bear the name, version, zone and instance of the spans. Without an
endpoint nothing is told. Imported only by arms that have the SDK.
"""

import os
import time
from collections.abc import Callable, Iterable, Mapping

from opentelemetry import trace
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from paramedic_demo.leaking import memory_bytes
from paramedic_demo.pool import Pool

EACH_MS = 1000.0  # drills are short; a minute is usual elsewhere
STATE = "db.client.connection.state"
POOL_NAME = {"db.client.connection.pool.name": "orders-db"}


def tell(pool: Pool | None = None, env: Mapping[str, str] = os.environ) -> MeterProvider | None:
    """Begin to tell; gives what does it, and None when there is nobody to tell it to."""
    exporter = exporter_of(env)
    if exporter is None:
        return None
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=EACH_MS, export_timeout_millis=2000.0)
    resource = getattr(trace.get_tracer_provider(), "resource", Resource.create())
    provider = MeterProvider([reader], resource)
    add_gauges(provider.get_meter("paramedic_demo"), pool)
    return provider


def add_gauges(meter: Meter, pool: Pool | None = None) -> None:
    meter.create_observable_up_down_counter("process.memory.usage", [one(memory_bytes)], "By", "memory in use")
    meter.create_observable_gauge("process.cpu.utilization", [one(Processor().share)], "1", "of one processor")
    if pool is not None:
        add_pool(meter, pool)


def add_pool(meter: Meter, pool: Pool) -> None:
    def count(_: CallbackOptions) -> Iterable[Observation]:
        yield Observation(pool.used, {STATE: "used", **POOL_NAME})
        yield Observation(pool.size - pool.used, {STATE: "idle", **POOL_NAME})

    name = "db.client.connection"
    meter.create_observable_up_down_counter(f"{name}.count", [count], "{connection}", "connections by state")
    meter.create_observable_up_down_counter(
        f"{name}.max", [one(lambda: pool.size, POOL_NAME)], "{connection}", "connections that there may be"
    )
    meter.create_observable_up_down_counter(
        f"{name}.pending_requests", [one(lambda: pool.pending, POOL_NAME)], "{request}", "who waits for one"
    )


def one(
    value: Callable[[], float], attributes: Mapping[str, str] | None = None
) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(value(), attributes)]

    return observe


class Processor:
    """How much of a processor this process used since it was asked last."""

    def __init__(self) -> None:
        self._at, self._used_s = time.monotonic(), time.process_time()

    def share(self) -> float:
        at, used_s = time.monotonic(), time.process_time()
        share = (used_s - self._used_s) / max(at - self._at, 1e-3)
        self._at, self._used_s = at, used_s
        return share


def exporter_of(env: Mapping[str, str]) -> MetricExporter | None:
    """OpenTelemetry's own exporter, which reads the rest of its settings itself."""
    if not env.get("OTEL_EXPORTER_OTLP_ENDPOINT") or env.get("OTEL_METRICS_EXPORTER") == "none":
        return None
    if env.get("OTEL_EXPORTER_OTLP_PROTOCOL") == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as Grpc

        return Grpc()
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as Http

    return Http()
