"""One abnormal level as an alert, with a sentence that a person reads at night."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from paramedic_collector.windows import SeriesKey
from paramedic_detector.scores.levels_names import Kind
from paramedic_detector.scores.shape import Odd
from paramedic_detector.values import Alert, Signal

_UNITS: Final = {Kind.LATENCY: "s", Kind.COST: "USD/s", Kind.LOG: "1/s"}
_SIGNALS: Final = {Kind.COST: Signal.COST, Kind.LOG: Signal.LOG}


@dataclass(frozen=True, slots=True)
class Level:
    """A level out of its range."""

    key: SeriesKey
    kind: Kind
    percent: bool
    growth: bool  # a running total: the numbers are what it grew by a second
    score: float
    value: float
    middle: float
    low: float
    high: float
    since: float
    history_s: float
    points: int


@dataclass(frozen=True, slots=True)
class Trend:
    """A level that grows towards a limit; times are seconds from now, None where no limit is known."""

    key: SeriesKey
    kind: Kind
    percent: bool
    score: float
    value: float
    began: float
    a_second: float
    since: float
    limit: float | None
    left_s: float | None
    soonest_s: float | None
    latest_s: float | None


def trend_alert(trend: Trend, now: float) -> Alert:
    """The alert of one drift: when what is left will be used up."""
    return Alert(
        key=trend.key,
        signal=Signal.DRIFT,
        at=now,
        onset=trend.since,
        score=trend.score,
        value=trend.value,
        usual=trend.began,
        unit="ratio" if trend.percent and trend.value <= 1.5 else "%" if trend.percent else "",
        calls=0,
        hurt=0.0,
        explanation=_prospect(trend, now),
    )


def _prospect(trend: Trend, now: float) -> str:
    """ "heap grows by 1.2e+07 an hour for 2.0 h, from 1e+08 to 1.3e+08; reaches 5e+08 in 3.1 h (2.2 h to 4.0 h)" """
    told = (
        f"{trend.key.parts[-1]} grows by {trend.a_second * 3600:.3g} an hour for {_span(now - trend.since)}, "
        f"from {trend.began:.3g} to {trend.value:.3g}"
    )
    if trend.limit is None or trend.left_s is None or trend.soonest_s is None or trend.latest_s is None:
        return f"{told}; no limit is known"
    return (
        f"{told}; reaches {trend.limit:.3g} in {_span(trend.left_s)} "
        f"({_span(trend.soonest_s)} to {_span(trend.latest_s)})"
    )


def shape_alert(service: str, odd: Odd, keys: Sequence[SeriesKey], now: float) -> Alert:
    """The alert of a service whose levels do not fit together; it stands on the one that contributes most."""
    names = ", ".join(key.parts[-1] for key in keys)
    times = odd.distance / max(odd.usual, 1e-9)
    return Alert(
        key=keys[0],
        signal=Signal.SHAPE,
        at=now,
        onset=odd.since,
        score=min(4.9, 4.0 + math.log10(max(times, 1.0))),
        value=odd.distance,
        usual=odd.usual,
        unit="",
        calls=0,
        hurt=0.0,
        explanation=f"the levels of {service} do not fit together as usual, mostly {names}: "
        f"{times:.1f} times as far apart as at most in the last hour",
    )


def alert_of(level: Level, now: float) -> Alert:
    """The alert of one level."""
    return Alert(
        key=level.key,
        signal=_SIGNALS.get(level.kind, Signal.GAUGE),
        at=now,
        onset=level.since,
        score=level.score,
        value=level.value,
        usual=level.middle,
        unit=unit_of(level),
        calls=level.points,
        hurt=0.0,
        explanation=sentence(level),
    )


def unit_of(level: Level) -> str:
    if level.percent:
        return "%" if level.high > 1.5 or level.value > 1.5 else "ratio"
    return "1/s" if level.growth else _UNITS.get(level.kind, "")


def sentence(level: Level) -> str:
    """ "CpuUsage is 431 (usual 3.1, from 1.2 to 6 in 1.5 h), since 12:05:31"."""
    name = {Kind.COST: "money", Kind.LOG: f"lines like {level.key.parts[-1]!r}"}.get(level.kind, level.key.parts[-1])
    unit = unit_of(level)
    unit = f" {unit}" if unit and unit != "ratio" else ""
    grows = "grows by" if level.growth else "is"
    since = f"since {datetime.fromtimestamp(level.since, UTC):%H:%M:%S}"
    return (
        f"{name} {grows} {level.value:.3g}{unit} "
        f"(usual {level.middle:.3g}, from {level.low:.3g} to {level.high:.3g} in {_span(level.history_s)}), {since}"
    )


def _span(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"
