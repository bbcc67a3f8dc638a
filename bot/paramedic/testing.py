"""For a team's own tests: a clock moved by hand, a sink that keeps what guards send, and faults on demand.

with MemorySink() as sink:
    ...
assert sink.spans[0].attributes["paramedic.decision"] == "refused"
"""

import asyncio
import functools
import inspect
import random
import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from paramedic.telemetry.meters import add_counters, add_gauges
from paramedic.telemetry.runtime import runtime

P = ParamSpec("P")
R = TypeVar("R")


class Clock:
    """Seconds that pass only when told: ``clock.now += 30``."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


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


class FaultInjector:
    """Makes wrapped functions fail, hang or answer nonsense, until `heal`.

    Args:
        seed: Of the choice which calls are hit, when a share of them is.
    """

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self.calls = 0  # that reached a wrapped function, hit or not
        self.heal()

    def heal(self) -> None:
        """Let all calls through again."""
        self._share, self._error, self._wait_s = 0.0, cast(Exception | None, None), 0.0
        self._answer: tuple[Any, ...] = ()

    def fail(self, error: Exception, share: float = 1.0) -> None:
        """Raise `error` in a share of the calls."""
        self.heal()
        self._error, self._share = error, share

    def hang(self, seconds: float = 3600.0, share: float = 1.0) -> None:
        """Wait before a share of the calls: a hang, or slowness."""
        self.heal()
        self._wait_s, self._share = seconds, share

    def answer(self, value: Any, share: float = 1.0) -> None:
        """Answer `value` in a share of the calls, instead of calling."""
        self.heal()
        self._answer, self._share = (value,), share

    def wrap(self, fn: Callable[P, R]) -> Callable[P, R]:
        """The same function, with this injector's faults."""
        if inspect.iscoroutinefunction(fn):

            @functools.wraps(fn)
            async def faulty(*args: P.args, **kwargs: P.kwargs) -> Any:
                hit = self._hit()
                if hit and self._wait_s:
                    await asyncio.sleep(self._wait_s)
                return self._answer[0] if hit and self._answer else await fn(*args, **kwargs)

        else:

            @functools.wraps(fn)
            def faulty(*args: P.args, **kwargs: P.kwargs) -> Any:
                hit = self._hit()
                if hit and self._wait_s:
                    time.sleep(self._wait_s)
                return self._answer[0] if hit and self._answer else fn(*args, **kwargs)

        return cast(Callable[P, R], faulty)

    def _hit(self) -> bool:
        self.calls += 1
        hit = self._share > 0 and self._random.random() < self._share
        if hit and self._error is not None:
            raise self._error
        return hit
