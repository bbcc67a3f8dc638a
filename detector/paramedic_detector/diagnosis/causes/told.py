"""Root causes from alerts alone: what other systems sent, without the series behind it.

    how rare an alert is   -ln(share of earlier incidents that had it)
    relative               its rarity, shared among all components that raise the same
    pressed                rare alerts of a resource that fills up: seen where the trouble is
    calls                  rare alerts of slow calls, for the callee and for the caller
    twins                  other instances of the same service get a part of each other's score
    history                votes of earlier confirmed incidents that looked alike

What the alerts say and how the votes fall are two opinions of equal worth, each with one whole to share out: who is
alone in looking odd gets nearly all of it, and nobody much where many do.

Causal: rarity and votes come from earlier incidents only.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from paramedic_detector.diagnosis.causes.roles import presses
from paramedic_detector.diagnosis.similar import likeness

CALLS_COUNT: Final = 0.3
TWINS_COUNT: Final = 0.6
VOTE_POWER: Final = 2.0  # of the likeness: those that are hardly alike hardly vote
TWIN_VOTES: Final = 0.8
_DIGITS: Final = re.compile(r"\d+")
_SLOW: Final = frozenset({"pd", "slow", "latency", "delay", "timeout"})
_UP: Final = frozenset({"up", "high", "increase", "increased", "above"})


@dataclass(frozen=True, slots=True)
class Told:
    """One alert as another system tells it."""

    component: str
    modality: str = "metric"  # "metric", "trace" or "log"
    peer: str = ""  # who called, of an alert on a call
    signal: str = ""  # metric, operation or template
    kind: str = ""  # "up", "down", a status, "PD" for a slow call

    @property
    def family(self) -> tuple[str, str, str]:
        """What it is, whoever raised it: cores, ports and addresses apart, the same signal."""
        if self.modality == "log":
            return self.modality, self.signal, ""
        return self.modality, _DIGITS.sub("", self.signal), self.kind

    @property
    def key(self) -> tuple[str, ...]:
        """What it is and who raised it."""
        return self.component, self.peer if self.modality == "trace" else "", *self.family


@dataclass(frozen=True)
class Confirmed:
    """An earlier incident; `root` is "" for one whose cause nobody confirmed."""

    alerts: tuple[Told, ...]
    root: str = ""

    @cached_property
    def families(self) -> frozenset[tuple[str, str, str]]:
        return frozenset(alert.family for alert in self.alerts)

    @cached_property
    def keys(self) -> frozenset[tuple[str, ...]]:
        return frozenset(alert.key for alert in self.alerts)


def told_of(rows: Iterable[Mapping[str, Any]]) -> tuple[Told, ...]:
    """Alerts of the rows of a recorded set: component, modality, peer, signal, kind; what is missing is ""."""
    names = ("component", "modality", "peer", "signal", "kind")
    return tuple(Told(**{name: str(row.get(name) or "") for name in names}) for row in rows)


def rank_told(
    alerts: Sequence[Told],
    earlier: Sequence[Confirmed] = (),
    candidates: Collection[str] = (),
    services: Mapping[str, str] | None = None,
    *,
    history: bool = True,
) -> dict[str, float]:
    """Score by component, the most suspect first; only the order means something.

    Args:
        alerts: Of one incident.
        earlier: Incidents before it, in any order.
        candidates: Components that may be the cause; empty for all that raised an alert or were one's root.
        services: The service of each instance; without it, names that differ in digits at their end are twins.
        history: Whether earlier incidents vote.
    """
    names = set(candidates) or {alert.component for alert in alerts} | {one.root for one in earlier} - {""}
    twins = _twins(names, services)
    scores = _spilled(_scores(alerts, earlier, names), twins, TWINS_COUNT)
    found = _shared(scores)
    if history:
        votes = _shared(_votes(alerts, earlier, names, twins))
        found = {name: found.get(name, 0.0) + votes.get(name, 0.0) for name in {*found, *votes}}
    return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


def _scores(alerts: Sequence[Told], earlier: Sequence[Confirmed], names: Collection[str]) -> dict[str, float]:
    rarity = _rarity(alerts, earlier)
    raised: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for alert in alerts:
        raised[alert.family].add(alert.component)
    relative: dict[str, float] = defaultdict(float)
    pressed: dict[str, float] = defaultdict(float)
    called: dict[str, float] = defaultdict(float)
    calling: dict[str, float] = defaultdict(float)
    for alert in {alert.key: alert for alert in alerts}.values():
        rare = rarity[alert.key]
        relative[alert.component] += rare / len(raised[alert.family])
        if alert.modality == "metric" and alert.kind.lower() in _UP and presses(alert.signal):
            pressed[alert.component] += rare
        if alert.modality == "trace" and alert.kind.lower() in _SLOW:
            called[alert.component] += rare
            calling[alert.peer] += rare
    parts = ((1.0, relative), (1.0, pressed), (CALLS_COUNT, called), (CALLS_COUNT, calling))
    total: dict[str, float] = defaultdict(float)
    for weight, part in parts:
        for name, score in _scaled({name: part[name] for name in names if name in part}).items():
            total[name] += weight * score
    return dict(total)


def _rarity(alerts: Sequence[Told], earlier: Sequence[Confirmed]) -> dict[tuple[str, ...], float]:
    seen = Counter(key for one in earlier for key in one.keys)
    return {alert.key: max(0.0, -float(np.log((seen[alert.key] + 0.5) / (len(earlier) + 1)))) for alert in alerts}


def _votes(
    alerts: Sequence[Told], earlier: Sequence[Confirmed], names: Collection[str], twins: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    mine = Confirmed(tuple(alerts))
    votes: dict[str, float] = defaultdict(float)
    for one in earlier:
        if one.root in names:
            alike = (likeness(mine.families, one.families) + likeness(mine.keys, one.keys)) / 2
            vote = alike**VOTE_POWER
            votes[one.root] += vote
            for twin in twins.get(one.root, ()):
                votes[twin] += TWIN_VOTES * vote
    return dict(votes)


def _spilled(scores: Mapping[str, float], twins: Mapping[str, Sequence[str]], share: float) -> dict[str, float]:
    return {
        name: max(scores.get(name, 0.0), share * max((scores.get(twin, 0.0) for twin in twins[name]), default=0.0))
        for name in twins
    }


def _twins(names: Collection[str], services: Mapping[str, str] | None) -> dict[str, list[str]]:
    """For each name the other instances of its service."""
    of = {name: (services or {}).get(name) or name.rstrip("0123456789").rstrip("-_.") for name in names}
    return {name: sorted(other for other in names if other != name and of[other] == of[name]) for name in names}


def _scaled(scores: Mapping[str, float]) -> dict[str, float]:
    most = max(scores.values(), default=0.0)
    return {name: score / most for name, score in scores.items()} if most > 0 else dict(scores)


def _shared(scores: Mapping[str, float]) -> dict[str, float]:
    whole = sum(scores.values())
    return {name: score / whole for name, score in scores.items()} if whole > 0 else dict(scores)
