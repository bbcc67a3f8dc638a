"""What alerts alone say: the deepest abnormal peer explains those above it, unless its alerts are about itself alone.

Failures and whole durations climb from callee to caller. Time inside a service and time on the way do not: an alert on
own time names its service, one on a gap names one of the two ends and leaves open which.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from paramedic_detector.incidents.grouping import OPENING, blamed, causes
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.values import Alert, Signal

CAUSE: Final = 4.5  # how far, in log-odds, the deepest abnormal peer lies over those that it explains
STAYS: Final = frozenset({Signal.OWN_TIME, Signal.GAUGE, Signal.DRIFT, Signal.COST, Signal.TOKENS})
BETWEEN: Final = 0.5  # of CAUSE, for either end of a slow way
SURPRISE: Final = 0.5  # for a score ten times as large, about one: it decides only between equals


@dataclass(frozen=True, slots=True)
class Blame:
    """How much the alerts speak against one peer."""

    weight: float  # log-odds against other peers
    onset: float  # its first alert's


def blame_of(alerts: Sequence[Alert], topology: Topology) -> dict[str, Blame]:
    """Every peer that an alert blames; alerts that only support count when there are no others."""
    telling = [alert for alert in alerts if alert.signal in OPENING or alert.signal in STAYS | {Signal.GAP}]
    telling = telling or list(alerts)
    climbing = [alert for alert in telling if alert.signal not in STAYS | {Signal.GAP}]
    roots = set(causes(climbing, topology))
    base: dict[str, float] = defaultdict(float)
    scores: dict[str, float] = defaultdict(float)
    onsets: dict[str, float] = {}
    for alert in telling:
        for peer, claim in _claims(alert, roots).items():
            base[peer] = max(base[peer], claim)
            scores[peer] += alert.score
            onsets[peer] = min(onsets.get(peer, alert.onset), alert.onset)
    return {peer: Blame(base[peer] + SURPRISE * float(np.log1p(scores[peer])), onsets[peer]) for peer in scores}


def _claims(alert: Alert, roots: set[str]) -> dict[str, float]:
    """Whom an alert blames, and how much."""
    peer = blamed(alert).peer
    if alert.signal is Signal.GAP:
        ends = {peer: BETWEEN * CAUSE}
        if alert.key.family == "edge":
            ends[alert.key.part("caller")] = BETWEEN * CAUSE
        return ends
    if alert.signal in STAYS:
        return {peer: CAUSE}
    return {peer: CAUSE if peer in roots else 0.0}
