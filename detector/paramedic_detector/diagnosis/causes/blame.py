"""What alerts alone say: who explains most of them is the cause, and the others are its victims.

    alerts --attributed as for incidents--> culprits: CAUSE nats; the other end of a slow way: a part; victims: nothing

Failures and whole durations climb from callee to caller, and levels that callers feel (latency, failures, traffic)
rise with them. Time inside a service and on the way do not, but spans whose children nobody recorded wait there too.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from paramedic_detector.diagnosis.causes.roles import Role, role_of
from paramedic_detector.incidents.blame import LEVELS, MOST, TOGETHER_S, began, link, suspects
from paramedic_detector.incidents.grouping import OPENING, OPENS, blamed, causes
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.values import Alert, Signal

CAUSE: Final = 4.5  # how far, in log-odds, a culprit lies over those that it explains
BETWEEN: Final = 0.5  # of CAUSE, for the other end of a slow way, and for levels that callers feel
SURPRISE: Final = 0.5  # for a score ten times as large, about one: it decides only between equals
CROWDED: Final = frozenset(
    {Signal.SURGE, Signal.REFUSED, Signal.RATE_LIMITED, Signal.SLOW, Signal.GAP, Signal.OWN_TIME, Signal.HANG,
     Signal.FIRST_TOKEN, Signal.GAUGE}
)  # fmt: skip
FELT: Final = frozenset({Role.OUTCOME, Role.TRAFFIC, Role.HOST})  # levels that say nothing of who it is


@dataclass(frozen=True, slots=True)
class Blame:
    """How much the alerts speak against one peer."""

    weight: float  # log-odds against other peers
    onset: float  # its first alert's


def blame_of(alerts: Sequence[Alert], topology: Topology) -> dict[str, Blame]:
    """Every peer that an alert blames; alerts that only support count when there are no others."""
    telling = [alert for alert in alerts if alert.signal in OPENING] or list(alerts)
    crowd = _crowd(alerts, telling, topology)
    groups = causes(telling, topology)
    about: dict[str, list[Alert]] = defaultdict(list)
    for alert in [*telling, *crowd]:
        for peer in _peers(alert, topology):
            about[peer].append(alert)
    for peer, group in groups.items():
        about[peer] = about[peer] or group  # a culprit that no alert names
    claims = _claims(groups, crowd, topology)
    return {peer: Blame(claims.get(peer, 0.0) + _surprise(own), began(own)) for peer, own in about.items()}


def _surprise(alerts: Sequence[Alert]) -> float:
    return SURPRISE * float(np.log1p(max((alert.score for alert in alerts if not _is_felt(alert)), default=0.0)))


def _claims(groups: Mapping[str, list[Alert]], crowd: Sequence[Alert], topology: Topology) -> dict[str, float]:
    """Nats by peer, of culprits and of those at the other end of their slow ways."""
    found: dict[str, float] = defaultdict(float)
    for alert in crowd:
        peer = blamed(alert).peer
        found[peer] = max(found[peer], CAUSE * min(1.0, alert.score / OPENS))
    for peer, group in groups.items():
        loud = [alert for alert in group if not _is_felt(alert)]
        share = max(map(_sure, loud)) if loud else BETWEEN * max(map(_sure, group))
        if crowd and all(alert.signal in CROWDED for alert in loud):
            share *= BETWEEN
        found[peer] = max(found[peer], CAUSE * share)
        for alert in group:
            for other in suspects(alert, topology) if alert.signal is Signal.GAP else ():
                found[other] = max(found[other], BETWEEN * CAUSE * _sure(alert))
    return found


def _crowd(alerts: Sequence[Alert], telling: Sequence[Alert], topology: Topology) -> list[Alert]:
    """Far more users than usual, since about when all else began: what only waits or refuses is their doing."""
    entries = topology.entry_services()
    users = [
        alert
        for alert in alerts
        if alert.signal is Signal.SURGE
        and alert.key.family == "op"
        and alert.key.part("kind") in ("server", "consumer")
        and alert.key.part("service") in entries
    ]
    if not users:
        return []
    return users if abs(began(telling) - began(users)) <= TOGETHER_S else []


def _sure(alert: Alert) -> float:
    """How far an alert counts: one that is just loud enough may be chance, one far beyond is not surer than another."""
    return min(1.0, alert.score / MOST)


def _peers(alert: Alert, topology: Topology) -> frozenset[str]:
    """Whom an alert names; calls that nobody asked for name who makes them."""
    own = frozenset({blamed(alert).peer})
    if alert.signal is Signal.FANOUT:
        return frozenset({link(alert)[0]} - {""}) or own
    return own | suspects(alert, topology) if alert.signal is Signal.GAP else own


def _is_felt(alert: Alert) -> bool:
    return alert.signal in LEVELS and role_of(alert.key.part("metric")) in FELT
