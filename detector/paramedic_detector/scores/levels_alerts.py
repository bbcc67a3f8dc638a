"""One abnormal level as an alert, with a sentence that a person reads at night."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from paramedic_collector.windows import SeriesKey
from paramedic_detector.scores.levels_names import Kind
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
