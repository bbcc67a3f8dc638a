"""Which open incident a group of alerts belongs to, and which incidents are one.

same alert or target | a culprit in common, begun together | a symptom of what is known to be the cause
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from paramedic.contract.command import Target
from paramedic_detector.incidents.blame import (
    BESIDE,
    EARLIER_S,
    LEVELS,
    LINGERING,
    MOST,
    TELLING,
    TOGETHER_S,
    began,
    began_together,
    blamed,
    one_member_of_many,
    own_fault,
    patience_s,
    shows_itself,
    suspects,
)
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.values import Alert, Signal

SAME_BLOW_S: Final = 10.0  # members of one peer that fall within this belong together
CORE: Final = 0.5  # whoever explains this share of an incident may be its culprit
MERGE_S: Final = 180.0  # incidents opened further apart than this stay apart


@dataclass(frozen=True, slots=True)
class OpenIncident:
    """What grouping needs to know of an incident that is not resolved."""

    id: str
    target: Target | None
    opened_at: float
    fingerprints: frozenset[str]
    last_alert_at: float
    handed_back: bool = False  # its target was seen to be well again, and only its end is waited for
    alerts: tuple[Alert, ...] = ()
    touched: bool = False  # somebody did something for it: a person, or a treatment
    hurts: bool = False  # users were hurt since it began


def culprits_of(incident: OpenIncident, topology: Topology) -> frozenset[str]:
    """The peers that explain most of an incident, with the one that its diagnosis names."""
    named = {incident.target.peer} if incident.target and incident.target.peer else set()
    return frozenset(named) | explained_by(incident, topology)


def explained_by(incident: OpenIncident, topology: Topology) -> frozenset[str]:
    """The peers that explain most of an incident, as its alerts alone say."""
    weights: dict[str, float] = defaultdict(float)
    for alert in incident.alerts:
        for peer in suspects(alert, topology):
            weights[peer] += min(alert.score, MOST)
    total = sum(min(alert.score, MOST) for alert in incident.alerts)
    return frozenset(peer for peer, weight in weights.items() if weight >= CORE * total)


def same_cause(peer: str, group: Sequence[Alert], incident: OpenIncident) -> bool:
    """The same alert again, or more about the same target."""
    if incident.fingerprints & {alert.fingerprint for alert in group}:
        return True
    if incident.target is None or incident.target.peer != peer:
        return False
    zones = {blamed(alert).zone for alert in group if blamed(alert).peer == peer}
    one_blow = began(group) - incident.opened_at <= SAME_BLOW_S
    return not incident.target.zone or bool(zones & {"", incident.target.zone}) or one_blow


def another_fault(strongest: Alert, incident: OpenIncident) -> bool:
    """Whether a target that had recovered now fails in a way that it did not fail before."""
    return incident.handed_back and strongest.signal in TELLING and strongest.fingerprint not in incident.fingerprints


def shares_culprit(group: Sequence[Alert], incident: OpenIncident, topology: Topology) -> bool:
    """Whether one culprit explains both, and they began together.

    Levels point at no culprit: where nobody tells of calls, it is enough that they began together.
    """
    if not incident.alerts or not began_together(group, incident.alerts):
        return False
    known = culprits_of(incident, topology)
    if any(alert.zone for alert in map(blamed, group)) and incident.target is not None and incident.target.zone:
        return False  # members of one peer are told apart by their zones
    if known & {peer for alert in group for peer in suspects(alert, topology)}:
        return True
    return not topology.edges() and (_only_levels(group) or _only_levels(incident.alerts))


def is_symptom(peer: str, group: Sequence[Alert], incident: OpenIncident, topology: Topology) -> bool:
    """Whether the group suffers from the incident's target, or shows the cause below it."""
    if incident.target is None:
        return False
    if shows_itself(group) and not (incident.alerts and began_together(group, incident.alerts)):
        return False
    cause = incident.target.peer
    if topology.reaches(peer, cause) and not topology.reaches(cause, peer):
        if began(group) > _last_shown(incident, cause) + EARLIER_S:
            return False
        return not own_fault(group) and not one_member_of_many(peer, group, topology)
    since = began(group)
    return topology.reaches(cause, peer) and not incident.target.zone and since <= incident.opened_at + EARLIER_S


def _last_shown(incident: OpenIncident, cause: str) -> float:
    """When the cause itself was last seen to be abnormal: what began later is no work of it."""
    return max((alert.at for alert in incident.alerts if blamed(alert).peer == cause), default=incident.last_alert_at)


def one_cause(newer: OpenIncident, older: OpenIncident, topology: Topology) -> bool:
    """Whether two open incidents turn out to be one, so that the newer one goes into the older.

    Their alerts must say so: what a diagnosis names may be wrong. Never when somebody has begun to do something for the
    newer one, or when they name different zones.
    """
    if newer.touched or newer.opened_at - older.opened_at > MERGE_S or not (newer.alerts and older.alerts):
        return False
    if not began_together(newer.alerts, older.alerts) or Signal.DRIFT in {alert.signal for alert in newer.alerts}:
        return False
    if older.handed_back or began(newer.alerts) > max(alert.at for alert in older.alerts) + EARLIER_S:
        return False  # the older one was over when the newer one began
    if _fails_otherwise(newer, older):
        return False
    if newer.target is not None and older.target is not None and newer.target.zone != older.target.zone:
        return False
    return bool(explained_by(newer, topology) & explained_by(older, topology))


def _fails_otherwise(newer: OpenIncident, older: OpenIncident) -> bool:
    """Whether the same calls fail now in a way in which they did not fail in the older incident."""
    strongest = max(newer.alerts, key=lambda alert: alert.score if alert.signal in TELLING else 0.0)
    failed = {alert.key for alert in older.alerts if alert.signal in TELLING}
    return strongest.signal in TELLING and strongest.key in failed and strongest.fingerprint not in older.fingerprints


def quiet_after_s(incident: OpenIncident, least: float) -> float:
    """How long an incident must be silent before it is quiet: rare calls need more time to show that all is well."""
    sharp = [alert for alert in incident.alerts if alert.signal not in BESIDE]
    counting = sharp or [alert for alert in incident.alerts if alert.signal not in LINGERING]
    lately = [alert for alert in counting if alert.at >= incident.last_alert_at - TOGETHER_S]
    return median(patience_s(alert, least) for alert in lately or counting) if counting else least


def split_by_member(peer: str, group: list[Alert]) -> list[list[Alert]]:
    """Alerts of one peer, apart for members that fell at different times; mostly one part."""
    zones = {blamed(alert).zone for alert in group if blamed(alert).peer == peer} - {""}
    since = {zone: began(alert for alert in group if blamed(alert) == Target(peer=peer, zone=zone)) for zone in zones}
    if len(zones) < 2 or max(since.values()) - min(since.values()) <= SAME_BLOW_S:
        return [group]
    first = min(since, key=lambda zone: since[zone])
    later = [alert for alert in group if blamed(alert).peer == peer and blamed(alert).zone in zones - {first}]
    return [[alert for alert in group if alert not in later], later]


def near(alert: Alert, peers: set[str], topology: Topology) -> bool:
    """The same peer, one that shares a caller with it, or one of its callers."""
    own = blamed(alert).peer
    callers = {caller for peer in peers for caller in topology.callers(Target(peer=peer))}
    siblings = {callee for caller in callers for callee in topology.callees(caller)}
    return own in peers | callers | siblings


def stands_beside(alert: Alert, incident: OpenIncident, topology: Topology) -> bool:
    """Whether an alert that opens nothing is evidence for an incident; a level only of its culprit, begun with it."""
    if alert.signal in LEVELS:
        return blamed(alert).peer in culprits_of(incident, topology) and began_together([alert], incident.alerts)
    return incident.target is not None and near(alert, {incident.target.peer}, topology)


def keeps(alert: Alert, incident: OpenIncident) -> bool:
    """Silence of the very thing that broke keeps its incident; silence anywhere else follows from it."""
    return alert.signal is Signal.MISSING and alert.key.part("kind") == "server" and blamed(alert) == incident.target


def _only_levels(alerts: Sequence[Alert]) -> bool:
    return all(alert.signal in LEVELS for alert in alerts)
