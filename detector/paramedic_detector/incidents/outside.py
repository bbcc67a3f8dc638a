"""Alerts that other systems send in: their labels name a service and what it calls, their severity becomes a score.

    labels --names of labels, the first that is there--> service, peer, kind --> Alert of family "outside"

From there on they go the way of every other alert. One that is firing is told anew each round, as our own are.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from paramedic_collector.windows import SeriesKey
from paramedic_detector.values import Alert, Signal

SILENT_S: Final = 12 * 3600.0  # Alertmanager repeats every 4 h; what was not repeated for so long is over
SCORES: Final = {  # by what the severity says; what opens an incident, and how readily, stands in grouping.py
    "critical": 12.0, "page": 12.0, "emergency": 12.0, "fatal": 12.0, "error": 10.0, "high": 10.0, "major": 10.0,
    "warning": 8.0, "warn": 8.0, "medium": 8.0, "minor": 6.0, "low": 6.0, "info": 4.0, "none": 4.0, "debug": 4.0,
}  # fmt: skip
UNSAID: Final = 8.0  # of an alert without a severity, or one that is not known


@dataclass(frozen=True, slots=True)
class LabelNames:
    """Which labels name what; of several the first that an alert has."""

    service: tuple[str, ...] = ("service", "service_name", "app", "job")
    peer: tuple[str, ...] = ("peer", "upstream", "provider", "dependency")
    kind: tuple[str, ...] = ("kind", "fault_class")
    severity: tuple[str, ...] = ("severity", "priority")


@dataclass(frozen=True, slots=True)
class OutsideAlert:
    """One alert as it was last told."""

    fingerprint: str  # the sender's; the same alert keeps it
    name: str
    service: str
    peer: str
    severity: str
    summary: str
    labels: Mapping[str, str] = field(default_factory=dict)
    kind: str = ""
    starts_at: float = 0.0  # unix seconds
    ends_at: float | None = None  # None while it fires


def outside_alert(
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    *,
    starts_at: float,
    ends_at: float | None,
    fingerprint: str = "",
    names: LabelNames = LabelNames(),
) -> OutsideAlert:
    """What labels and annotations say; without a fingerprint, the labels make one."""
    name = labels.get("alertname", "")
    summary = next((annotations[one] for one in ("summary", "description", "message") if annotations.get(one)), "")
    return OutsideAlert(
        fingerprint=fingerprint or _fingerprint(labels),
        name=name,
        service=_first(labels, names.service),
        peer=_first(labels, names.peer),
        severity=_first(labels, names.severity).lower(),
        summary=summary,
        labels=dict(labels),
        kind=_first(labels, names.kind),
        starts_at=starts_at,
        ends_at=ends_at,
    )


def alerts_of(firing: Iterable[OutsideAlert], now: float) -> list[Alert]:
    """The alerts of one round; those that only differ in labels that nobody asked for are one."""
    found: dict[SeriesKey, list[OutsideAlert]] = {}
    for one in firing:
        key = SeriesKey("outside", (one.service, one.peer, one.name or "alert", one.kind))
        found.setdefault(key, []).append(one)
    return [_alert(key, same, now) for key, same in found.items()]


def _alert(key: SeriesKey, same: Sequence[OutsideAlert], now: float) -> Alert:
    loudest = max(same, key=lambda one: SCORES.get(one.severity, UNSAID))
    more = f" ({len(same)} of them)" if len(same) > 1 else ""
    said = f": {loudest.summary}" if loudest.summary else ""
    return Alert(
        key=key,
        signal=Signal.OUTSIDE,
        at=now,
        onset=min(now, min(one.starts_at for one in same)),
        score=SCORES.get(loudest.severity, UNSAID),
        value=float(len(same)),
        usual=0.0,
        unit="alerts",
        calls=0,
        hurt=0.0,
        explanation=f"{loudest.name or 'an alert'} fires{more}{said}",
    )


def _first(labels: Mapping[str, str], names: Sequence[str]) -> str:
    return next((labels[name] for name in names if labels.get(name)), "")


def _fingerprint(labels: Mapping[str, str]) -> str:
    text = "\0".join(f"{name}\1{labels[name]}" for name in sorted(labels))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
