"""What alerts alone say: who explains most of them is the cause, and the others are its victims.

    alerts --attributed as for incidents--> culprits: CAUSE nats; the other end of a slow way: a part; victims: nothing

Failures and whole durations climb from callee to caller, and levels that callers feel (latency, failures, traffic)
rise with them. Time inside a service and on the way do not, but spans whose children nobody recorded wait there too.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from paramedic_detector.diagnosis.causes.roles import Role, role_of
from paramedic_detector.incidents.blame import LEVELS, suspects
from paramedic_detector.incidents.grouping import OPENING, blamed, causes
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.values import Alert, Signal

CAUSE: Final = 4.5  # how far, in log-odds, a culprit lies over those that it explains
BETWEEN: Final = 0.5  # of CAUSE, for the other end of a slow way, and for levels that callers feel
SURPRISE: Final = 0.5  # for a score ten times as large, about one: it decides only between equals
FELT: Final = frozenset({Role.OUTCOME, Role.TRAFFIC, Role.HOST})  # levels that say nothing of who it is


@dataclass(frozen=True, slots=True)
class Blame:
    """How much the alerts speak against one peer."""

    weight: float  # log-odds against other peers
    onset: float  # its first alert's


def blame_of(alerts: Sequence[Alert], topology: Topology) -> dict[str, Blame]:
    """Every peer that an alert blames; alerts that only support count when there are no others."""
    telling = [alert for alert in alerts if alert.signal in OPENING] or list(alerts)
    claims = _claims(telling, topology)
    highest: dict[str, float] = defaultdict(float)
    onsets: dict[str, float] = {}
    for alert in telling:
        for peer in _peers(alert, topology):
            highest[peer] = max(highest[peer], 0.0 if _is_felt(alert) else alert.score)
            onsets[peer] = min(onsets.get(peer, alert.onset), alert.onset)
    return {
        peer: Blame(claims.get(peer, 0.0) + SURPRISE * float(np.log1p(score)), onsets[peer])
        for peer, score in highest.items()
    }


def _claims(alerts: Sequence[Alert], topology: Topology) -> dict[str, float]:
    """Nats by peer, of culprits and of those at the other end of their slow ways."""
    found: dict[str, float] = defaultdict(float)
    for peer, group in causes(alerts, topology).items():
        felt_alone = all(_is_felt(alert) for alert in group)
        found[peer] = max(found[peer], CAUSE * (BETWEEN if felt_alone else 1.0))
        for alert in group:
            for other in suspects(alert, topology) if alert.signal is Signal.GAP else ():
                found[other] = max(found[other], BETWEEN * CAUSE)
    return found


def _peers(alert: Alert, topology: Topology) -> frozenset[str]:
    own = frozenset({blamed(alert).peer})
    return own | suspects(alert, topology) if alert.signal is Signal.GAP else own


def _is_felt(alert: Alert) -> bool:
    return alert.signal in LEVELS and role_of(alert.key.part("metric")) in FELT
