"""Metrics of calls: a call leaves one tuple behind, and what it means is worked out many calls at a time.

    call ends --append--> heard --each 512 calls, or at the export--> tables --each 5 s--> OTLP, delta

`list.append` needs no lock, and only who holds the lock takes from the front: no call is lost or counted twice,
whatever the number of threads. A forked child begins with nothing heard.
"""

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
)
from opentelemetry.sdk.metrics.export import Buckets as SdkBuckets

from paramedic.contract.attributes import (
    CALL_DURATION,
    DECISION,
    ERROR_TYPE,
    FEEDBACK,
    FEEDBACK_KIND,
    GENAI_OPERATION,
    GUARD,
    PEER,
    PEER_ZONE,
    USELESS,
)
from paramedic.guards.registry import Key
from paramedic.telemetry.genai import DEPLOYED, GenAICall, Names, measured
from paramedic.telemetry.histogram import Histogram
from paramedic.telemetry.runtime import dropped
from paramedic.telemetry.tables import Attributes, Instrument, Tables

if TYPE_CHECKING:
    from paramedic.guards.attempts import Attempts
    from paramedic.guards.calls import Call
    from paramedic.telemetry.exceptions import Exceptions

log = logging.getLogger("paramedic")

FOLD_EACH = 512  # calls; bounds the memory between two exports

DURATION = Instrument(CALL_DURATION, "s", "how long guarded calls took, by what became of them")
FEEDBACK_COUNT = Instrument(FEEDBACK, "{feedback}", "what users said or did about answers", counts=True)

_Facts = tuple[Key, str, str | None, str | None]  # guard, outcome, error type, useless as
_Values = dict[tuple[Instrument, Attributes], list[float]]
_Heard = tuple[Key, str, str | None, str | None, float, dict[str, Any] | None, float | None]


class Recorder:
    """Makes metrics of calls; safe to share between threads.

    Args:
        names: Of the GenAI metrics.
        mask: Takes what is private out of the values of attributes.
        exceptions: Hears of calls that failed.
        clock: Seconds that never run backwards.
        now_ns: The time of day.
    """

    def __init__(
        self,
        names: Names = DEPLOYED,
        mask: Callable[[str], str] = lambda text: text,
        exceptions: "Exceptions | None" = None,
        clock: Callable[[], float] = time.monotonic,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._names, self._exceptions, self._now_ns = names, exceptions, now_ns
        self._tables = Tables(clock, mask)
        self._heard: list[_Heard] = []
        self._lock = threading.Lock()
        self._since_ns = now_ns()
        if hasattr(os, "register_at_fork"):
            after_fork = weakref.WeakMethod(self._after_fork)
            os.register_at_fork(after_in_child=lambda: (after_fork() or _nothing)())

    def ended(self, guard: "Attempts", call: "Call", outcome: str, error_type: str | None, seconds: float) -> None:
        """Hear of a call that was made."""
        heard = self._heard
        heard.append((guard.key, outcome, error_type, call.useless_as, seconds, call.said, call.first_token_s))
        if error_type is not None and self._exceptions is not None:
            self._exceptions.hear(guard.name, guard.peer, call, error_type)
        if len(heard) >= FOLD_EACH and self._lock.acquire(False):
            try:
                self._fold()
            finally:
                self._lock.release()

    def feedback(self, kind: str) -> None:
        """Count what a user said or did about an answer."""
        with self._lock:
            self._tables.add(FEEDBACK_COUNT, ((FEEDBACK_KIND, kind),), [1])

    def take(self) -> list[Metric]:
        """What came since the last time, as deltas."""
        with self._lock:
            self._fold()
            taken = self._tables.take()
            since_ns, self._since_ns = self._since_ns, self._now_ns()
        return [_metric(instrument, points, since_ns, self._since_ns) for instrument, points in taken]

    def seen(self) -> list[tuple[Instrument, dict[Attributes, Histogram | float]]]:
        """What came so far, without beginning anew."""
        with self._lock:
            self._fold()
            return self._tables.seen()

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._heard.clear()
            self._tables.clear()

    def _after_fork(self) -> None:
        self._lock = threading.Lock()  # whoever held it stayed behind
        self._since_ns = self._now_ns()
        self.clear()

    def _fold(self) -> None:
        batch = self._heard[:]
        del self._heard[: len(batch)]
        try:
            by_series = self._grouped(batch)
        except Exception:
            by_series = self._grouped([one for one in batch if self._makes_sense(one)])
        for (instrument, attributes), values in by_series.items():
            self._tables.add(instrument, attributes, values)

    def _makes_sense(self, heard: _Heard) -> bool:
        try:
            self._grouped([heard])
        except Exception as error:
            dropped.add("metrics")
            log.debug("the metrics of a call were lost: %r", error)
            return False
        return True

    def _grouped(self, batch: Sequence[_Heard]) -> _Values:
        by_facts: dict[_Facts, list[float]] = {}
        by_series: _Values = {}
        for key, outcome, error_type, useless_as, seconds, said, first_chunk_s in batch:
            facts = (key, outcome, error_type, useless_as)
            values = by_facts.get(facts)
            if values is None:
                by_facts[facts] = [seconds]
            else:
                values.append(seconds)
            if said is not None and GENAI_OPERATION in said:
                call = GenAICall(said, outcome, error_type, seconds, first_chunk_s)
                for instrument, attributes, value in measured(call, self._names):
                    by_series.setdefault((instrument, attributes), []).append(value)
        for facts, values in by_facts.items():
            by_series[DURATION, _about(facts)] = values
        return by_series


def _nothing() -> None:
    return


def _about(facts: _Facts) -> Attributes:
    (guard, peer, zone), outcome, error_type, useless_as = facts
    told = ((PEER_ZONE, zone), (ERROR_TYPE, error_type), (USELESS, useless_as))
    return ((GUARD, guard), (PEER, peer), (DECISION, outcome), *((name, value) for name, value in told if value))


def _metric(instrument: Instrument, points: dict[Attributes, Histogram | float], since_ns: int, now_ns: int) -> Metric:
    data: ExponentialHistogram | Sum
    if instrument.counts:
        numbers = [
            NumberDataPoint(dict(attributes), since_ns, now_ns, total)
            for attributes, total in points.items()
            if not isinstance(total, Histogram)
        ]
        data = Sum(numbers, AggregationTemporality.DELTA, is_monotonic=True)
    else:
        shapes = [_point(a, shape, since_ns, now_ns) for a, shape in points.items() if isinstance(shape, Histogram)]
        data = ExponentialHistogram(shapes, AggregationTemporality.DELTA)
    return Metric(instrument.name, instrument.description, instrument.unit, data)


def _point(attributes: Attributes, shape: Histogram, since_ns: int, now_ns: int) -> ExponentialHistogramDataPoint:
    offset, counts = shape.dense()
    return ExponentialHistogramDataPoint(
        attributes=dict(attributes),
        start_time_unix_nano=since_ns,
        time_unix_nano=now_ns,
        count=shape.count,
        sum=shape.sum,
        scale=shape.scale,
        zero_count=shape.zero,
        positive=SdkBuckets(offset, counts),
        negative=SdkBuckets(0, []),
        flags=0,
        min=shape.least,
        max=shape.most,
    )
