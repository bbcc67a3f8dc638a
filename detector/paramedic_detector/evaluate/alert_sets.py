"""Sets of alerts without a stream: root causes ranked from the alerts of each incident, in the order of time.

Causal: how rare an alert is, and whose past it resembles, is learned from earlier incidents alone, and a root cause is
told to the ranking only once its own incident has been ranked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paramedic_detector.evaluate.ranking import Ranking, ranking
from paramedic_detector.evaluate.truth import Fault

AlertRow = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AskedAlerts:
    """One ranking from alerts."""

    fault: Fault
    rank: float | None
    candidates: int
    first: str


@dataclass(frozen=True, slots=True)
class AlertSet:
    """Rankings of one set by variant, as "alone" and "with earlier confirmed incidents"."""

    alerts: int
    silent_roots: int  # incidents whose root has no alert of its own
    without_alerts: int  # incidents without any
    asked: Mapping[str, tuple[AskedAlerts, ...]]

    def ranking(self, variant: str, fault_type: str | None = None) -> Ranking:
        mine = [one for one in self.asked[variant] if fault_type in (None, one.fault.fault_type)]
        known = [one for one in mine if one.rank is not None]
        return ranking([one.rank for one in known if one.rank is not None], [one.candidates for one in known])
