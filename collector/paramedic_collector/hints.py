"""What a bot should mend so that its faults are seen in time: told in one sentence, not too often.

    see_points, see_spans: evidence --> current: what holds now (a metric) --> due: what to log, each once an hour

A hint needs evidence more than once, save where once is proof, and goes away ten minutes after the last of it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic.contract import attributes as contract
from paramedic_collector.metrics_points import NANO, Kind, Point
from paramedic_collector.metrics_spans import is_of_spans

SLOW_METRICS_S: Final = 30  # from which an interval between two exports is too long
LATE_SPANS_S: Final = 4.0  # the SDKs' own delay of 5 s leaves the oldest span of a batch that old
HELD_UP_S: Final = 60.0  # older ones wait for something else: a backend that was away, a sampling Collector
AHEAD_S: Final = 1.0
HOLD_S: Final = 600.0  # how long a hint holds after its last evidence
SAY_S: Final = 3600.0  # between two log lines of one hint
_ENOUGH: Final = 3  # pieces of evidence that make a hint, none of them HOLD_S after the one before
_APART_S: Final = 1.0  # what comes sooner after another is the same piece
_REGULAR: Final = 0.1  # export intervals differ by at most this part of them; those of an idle bot differ more
_MOST: Final = 500  # hints
_MOST_SOURCES: Final = 10_000
_PROCESSED: Final = ("otel.sdk.processor.span.processed", "otel.sdk.processor.log.processed")
_EXPORTED: Final = (
    "otel.sdk.exporter.span.exported",
    "otel.sdk.exporter.log.exported",
    "otel.sdk.exporter.metric_data_point.exported",
)


class Advice(StrEnum):
    """What is wrong; the value is the label `hint` of `paramedic_hint`."""

    SLOW_METRICS = "slow_metrics"
    LATE_SPANS = "late_spans"
    QUEUE_FULL = "queue_full"
    EXPORT_FAILING = "export_failing"
    GUARD_DROPS = "guard_drops"
    CLOCK_AHEAD = "clock_ahead"
    NO_SERVICE_NAME = "no_service_name"


_TEXTS: Final = {
    Advice.SLOW_METRICS: "{service} exports its metrics each {value:.0f} s: "
    "set OTEL_METRIC_EXPORT_INTERVAL=5000 there, or what they show is that late",
    Advice.LATE_SPANS: "spans of {service} arrive {value:.1f} s after they ended: "
    "set OTEL_BSP_SCHEDULE_DELAY=1000 there, or faults are found that late",
    Advice.QUEUE_FULL: "the SDK in {service} drops telemetry since its queue is full: "
    "set OTEL_BSP_MAX_QUEUE_SIZE=8192 and OTEL_BSP_SCHEDULE_DELAY=1000 there",
    Advice.EXPORT_FAILING: "the SDK in {service} cannot export some of its telemetry ({note}): "
    "see its own log, and OTEL_EXPORTER_OTLP_ENDPOINT",
    Advice.GUARD_DROPS: "the guards in {service} drop telemetry or commands ({note}): see the bot's own log",
    Advice.CLOCK_AHEAD: "the clock of {service} is {value:.1f} s ahead of the collector's: "
    "let both follow NTP, or its seconds do not match those of others",
    Advice.NO_SERVICE_NAME: "telemetry comes from {service}: "
    "set OTEL_SERVICE_NAME there, or all such bots are taken for one",
}


@dataclass(slots=True)
class Hint:
    """One thing that one service should mend."""

    service: str
    advice: Advice
    value: float = 0.0
    note: str = ""
    seen: int = 0  # pieces of evidence
    last_at: float = 0.0
    said_at: float | None = None

    def __str__(self) -> str:
        service = self.service or "a bot without service.name"
        return _TEXTS[self.advice].format(service=service, value=self.value, note=self.note)


class Hints:
    """Collects evidence; used by one thread. Times are unix seconds."""

    def __init__(self) -> None:
        self._hints: dict[tuple[str, Advice], Hint] = {}
        self._exports: dict[int, tuple[int, float, int]] = {}  # by source: last at (ns), interval, how often in a row
        self._dropped: dict[int, float] = {}  # by stream: what its total said last
        self._asked_at = 0.0

    def see_points(self, points: Iterable[Point], now: float) -> None:
        """Metric points that have just come, also those that are too old or ahead to be counted."""
        newest: dict[int, Point] = {}
        for point in points:
            if is_of_spans(point):
                continue  # a Collector made it
            if point.ns > newest.setdefault(point.source.mark, point).ns:
                newest[point.source.mark] = point
            self._see_drops(point, now)
        for mark, point in newest.items():
            service = point.source.service
            self._see_interval(mark, point, now)
            self._see_name(service, now)
            if point.ns / NANO - now > AHEAD_S:
                self._add(service, Advice.CLOCK_AHEAD, now, point.ns / NANO - now)

    def see_spans(
        self, services: NDArray[np.int64], lag_s: NDArray[np.float64], name_of: Callable[[int], str], now: float
    ) -> None:
        """Spans that have just come.

        Args:
            services: (n,) the number of each span's service.
            lag_s: (n,) seconds from its end to now, by our clock; below 0 when it ends in the future.
            name_of: Gives the service a number stands for.
        """
        for number in np.unique(services).tolist():
            lags, service = lag_s[services == number], name_of(number)
            self._see_name(service, now)
            late = lags[(lags > LATE_SPANS_S) & (lags <= HELD_UP_S)]
            if len(late):
                self._add(service, Advice.LATE_SPANS, now, float(late.max()))
            if lags.min() < -AHEAD_S:
                self._add(service, Advice.CLOCK_AHEAD, now, float(-lags.min()))

    def current(self, now: float) -> list[Hint]:
        """The hints that hold."""
        return [one for one in self._hints.values() if _holds(one, now)]

    def holds(self, service: str, advice: Advice) -> bool:
        """Whether a hint held when `due` was asked last; any thread may ask."""
        hint = self._hints.get((service, advice))
        return hint is not None and _holds(hint, self._asked_at)

    def due(self, now: float) -> list[Hint]:
        """The hints that should be logged now; asking counts as having logged them."""
        self._asked_at = now
        due = [one for one in self.current(now) if one.said_at is None or now - one.said_at >= SAY_S]
        for hint in due:
            hint.said_at = now
        return due

    def _add(
        self, service: str, advice: Advice, now: float, value: float = 0.0, note: str = "", weight: int = 1
    ) -> None:
        hint = self._hints.get((service, advice))
        if hint is None:
            if len(self._hints) >= _MOST:
                return
            hint = self._hints[service, advice] = Hint(service, advice)
        if now - hint.last_at > HOLD_S:
            hint.seen = 0
        hint.value, hint.note = value, note
        if not hint.seen or now - hint.last_at >= _APART_S:
            hint.seen, hint.last_at = hint.seen + weight, now

    def _see_name(self, service: str, now: float) -> None:
        if not service or service.startswith("unknown_service"):
            self._add(service, Advice.NO_SERVICE_NAME, now, weight=_ENOUGH)

    def _see_interval(self, mark: int, point: Point, now: float) -> None:
        """Three long intervals of one length make a slow exporter; an idle one is irregular."""
        before, interval, times = self._exports.pop(mark, (point.ns, 0.0, 0))
        gap_s = (point.ns - before) / NANO
        if gap_s < SLOW_METRICS_S:
            times = times if gap_s <= 1.0 else 0  # another part of the same export
        else:
            times = times + 1 if abs(gap_s - interval) <= _REGULAR * gap_s else 1
            interval = gap_s
        self._exports[mark] = (max(point.ns, before), interval, times)
        if len(self._exports) > _MOST_SOURCES:
            del self._exports[next(iter(self._exports))]
        if times >= _ENOUGH:
            self._add(point.source.service, Advice.SLOW_METRICS, now, interval, weight=_ENOUGH)

    def _see_drops(self, point: Point, now: float) -> None:
        found = _drop(point)
        if found is None or point.value is None:
            return
        before = self._dropped.get(point.stream, 0.0) if point.kind is Kind.TOTAL else 0.0
        if point.kind is Kind.TOTAL:
            self._dropped[point.stream] = point.value
            if len(self._dropped) > _MOST_SOURCES:
                del self._dropped[next(iter(self._dropped))]
        if point.value > before:
            advice, note = found
            self._add(point.source.service, advice, now, note=note, weight=_ENOUGH)


def _holds(hint: Hint, now: float) -> bool:
    return hint.seen >= _ENOUGH and now - hint.last_at <= HOLD_S


def _drop(point: Point) -> tuple[Advice, str] | None:
    """What a metric of an SDK about itself complains of."""
    if point.metric == contract.DROPPED:
        return Advice.GUARD_DROPS, str(point.attributes.get("paramedic.dropped.what") or "")
    error = str(point.attributes.get(contract.ERROR_TYPE) or "")
    metric = point.metric.removesuffix(".count")  # as it was called at first
    if metric in _PROCESSED and error == "queue_full":
        return Advice.QUEUE_FULL, error
    return (Advice.EXPORT_FAILING, error) if metric in _EXPORTED and error else None
