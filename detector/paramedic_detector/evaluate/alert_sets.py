"""Sets of alerts without a stream: root causes ranked from the alerts of each incident, in the order of time.

Causal: how rare an alert is, and whose past it resembles, is learned from incidents that had ended before this one
began. Which components the system has is known beforehand, from its graph or from all that ever raised an alert.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from paramedic_detector.diagnosis.causes.told import Confirmed, Told, rank_told, told_of
from paramedic_detector.evaluate.ranking import Ranking, rank_of, ranking
from paramedic_detector.evaluate.truth import Fault

AlertRow = Mapping[str, Any]
VARIANTS: Final = {"alerts alone": False, "alerts, and earlier confirmed incidents": True}  # name: whether they vote
_GROUPS: Final = frozenset({"instance_of", "hosted_on", "runs_on", "part_of"})  # edges to what is no component itself


@dataclass(frozen=True, slots=True)
class AskedAlerts:
    """One ranking from alerts."""

    fault: Fault
    rank: float | None  # None where the true root is no component that is known
    candidates: int
    first: str  # "" when nothing was named


@dataclass(frozen=True, slots=True)
class AlertSet:
    """Rankings of one set, by variant."""

    alerts: int
    silent_roots: int  # incidents whose root has no alert of its own
    without_alerts: int  # incidents without any
    asked: Mapping[str, tuple[AskedAlerts, ...]]

    def ranking(self, variant: str, fault_type: str | None = None) -> Ranking:
        """Of the faults of one type, or of all, whose root is known."""
        mine = [one for one in self.asked[variant] if fault_type in (None, one.fault.fault_type)]
        known = [one for one in mine if one.rank is not None]
        return ranking([one.rank for one in known if one.rank is not None], [one.candidates for one in known])


def alert_set(faults: Sequence[Fault], rows: Iterable[AlertRow], graph: Mapping[str, Any] | None) -> AlertSet:
    """Rank the root cause of every fault from its alerts.

    Args:
        faults: In the order of their start.
        rows: Of alerts.parquet; `case` says of which fault.
        graph: Nodes and edges of the system, where the set has it.
    """
    cases = {fault.case for fault in faults}
    by_case: dict[str, list[AlertRow]] = defaultdict(list)
    for row in rows:
        if str(row["case"]) in cases:
            by_case[str(row["case"])].append(row)
    told = {fault.case: told_of(by_case[fault.case]) for fault in faults}
    candidates = components(told.values(), graph)
    return AlertSet(
        alerts=sum(len(of) for of in by_case.values()),
        silent_roots=sum(not any(one.component in fault.roots for one in told[fault.case]) for fault in faults),
        without_alerts=sum(not told[fault.case] for fault in faults),
        asked={
            name: tuple(_asked(fault, faults, told, candidates, history=history) for fault in faults)
            for name, history in VARIANTS.items()
        },
    )


def _asked(
    fault: Fault,
    faults: Sequence[Fault],
    told: Mapping[str, tuple[Told, ...]],
    candidates: Collection[str],
    *,
    history: bool,
) -> AskedAlerts:
    earlier = [Confirmed(told[one.case], one.root) for one in faults if one.end <= fault.start and one is not fault]
    scores = rank_told(told[fault.case], earlier, candidates, history=history)
    first = max(scores, key=lambda name: scores[name]) if any(scores.values()) else ""
    return AskedAlerts(fault, rank_of(fault.roots, scores, candidates), len(candidates), first)


def components(told: Iterable[Sequence[Told]], graph: Mapping[str, Any] | None) -> frozenset[str]:
    """Everything that could be a root cause: nodes that stand for nothing but themselves, else whoever was told of."""
    if graph and graph.get("nodes"):
        groups = {str(edge["target"]) for edge in graph.get("edges", ()) if edge.get("label") in _GROUPS}
        return frozenset(str(node["id"]) for node in graph["nodes"]) - groups
    alerts = [alert for one in told for alert in one]
    callers = {alert.peer for alert in alerts if alert.modality == "trace"}
    return frozenset({alert.component for alert in alerts} | callers) - {""}
