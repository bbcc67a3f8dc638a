"""Alerts to incidents: one cause one incident, two causes two incidents.

    alerts --by whom they blame--> peers --symptoms go to the cause below them--> groups --> open incident or a new one

An alert on a caller is a symptom when something that it calls is abnormal too and began no later. A refused
connection is never a symptom: no sick dependency unplugs the process above it. Nor is one zone of several, unless
its calls do nothing but wait: which zone the last hung calls end in is chance.
Traffic that stopped or surged supports an incident and never opens one: it cannot be told from users who stay away.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from paramedic.contract.command import Target
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.series.slots import Cell, error_cell
from paramedic_detector.values import Alert, Signal

QUIET_S: Final = 8.0  # without an alert for this long, an incident is quiet
OPENS: Final = 5.0  # an alert below this keeps its incident alive and opens none
STRONG: Final = 8.0  # from this score an alert opens an incident at once; below it must be seen twice
TWICE_S: Final = 0.4  # two steps are at least this far apart
FORGET_S: Final = 4.0  # an alert seen once and not again within this is forgotten
EARLIER_S: Final = 5.0  # a symptom may look this much older than its cause: long calls end late
LEFT_OVER_S: Final = 3.0  # for this long after an incident closed, what alerts is what was seen before it closed
REOPEN_S: Final = 8.0  # after this, the same trouble again is a new incident
SAME_BLOW_S: Final = 10.0  # members of one peer that fall within this belong together
OPENING: Final = frozenset(
    {
        Signal.ERRORS, Signal.RATE_LIMITED, Signal.AUTH, Signal.SLOW, Signal.HANG, Signal.USELESS, Signal.REFUSED,
        Signal.COST, Signal.GAUGE, Signal.LOG,
    }
)  # fmt: skip

TELLING: Final = frozenset({Signal.ERRORS, Signal.RATE_LIMITED, Signal.AUTH, Signal.USELESS})  # how a thing fails


@dataclass(frozen=True, slots=True)
class OpenIncident:
    """What grouping needs to know of an incident that is not resolved."""

    id: str
    target: Target | None
    opened_at: float
    fingerprints: frozenset[str]
    last_alert_at: float
    handed_back: bool = False  # its target was seen to be well again, and only its end is waited for


@dataclass(frozen=True, slots=True)
class Opened:
    """A new incident."""

    alerts: tuple[Alert, ...]


@dataclass(frozen=True, slots=True)
class Updated:
    """More of an incident; one that was resolved less than REOPEN_S ago reopens."""

    id: str
    alerts: tuple[Alert, ...]


@dataclass(frozen=True, slots=True)
class Quiet:
    """No alert of this incident since `since`; said at every step while it lasts."""

    id: str
    since: float


Change = Opened | Updated | Quiet


def blamed(alert: Alert) -> Target:
    """Whom an alert is about: the callee of a call, or the service itself."""
    key = alert.key
    if key.family in ("edge", "callee"):
        return Target(peer=key.part("callee"), zone=key.part("zone"))
    if key.part("kind") == "client" and key.part("peer"):
        return Target(peer=key.part("peer"))
    return Target(peer=key.part("service"), zone=key.part("zone"))


def own_fault(alerts: Iterable[Alert]) -> bool:
    """Whether the calls failed to connect: the callee itself is gone, whatever is wrong below it."""
    broken = failed = 0
    for alert in alerts:
        if alert.signal is Signal.ERRORS:
            failed += sum(alert.error_types.values())
            broken += sum(n for kind, n in alert.error_types.items() if error_cell(kind) is Cell.CONNECTION)
    return failed > 0 and broken >= failed / 2


def causes(alerts: Sequence[Alert], topology: Topology) -> dict[str, list[Alert]]:
    """Opening alerts by the peer that explains them: its own, and those of its callers that it makes suffer."""
    by_peer: dict[str, list[Alert]] = defaultdict(list)
    for alert in alerts:
        if alert.signal in OPENING:
            by_peer[blamed(alert).peer].append(alert)
    roots = {peer for peer in by_peer if not _below(peer, by_peer, topology)}
    groups: dict[str, list[Alert]] = {peer: list(by_peer[peer]) for peer in by_peer if peer in roots}
    for peer, own in by_peer.items():
        if peer not in roots:
            groups[_strongest(_below(peer, by_peer, topology), by_peer, roots, topology)].extend(own)
    return groups


def _below(peer: str, by_peer: Mapping[str, list[Alert]], topology: Topology) -> list[str]:
    """Abnormal peers below this one that can explain its alerts."""
    own = by_peer[peer]
    if own_fault(own) or _one_member_of_many(peer, own, topology):
        return []
    began = min(alert.onset for alert in own)
    return [
        other
        for other, theirs in by_peer.items()
        if other != peer
        and topology.reaches(peer, other)
        and not topology.reaches(other, peer)
        and min(alert.onset for alert in theirs) <= began + EARLIER_S
    ]


def _one_member_of_many(peer: str, own: Sequence[Alert], topology: Topology) -> bool:
    zones = {blamed(alert).zone for alert in own} - {""}
    healthy = set(topology.healthy_members(peer)) - zones
    waits = all(alert.signal in (Signal.SLOW, Signal.HANG) for alert in own)
    return len(zones) == 1 and len(healthy) > 0 and not waits and all(alert.key.family != "op" for alert in own)


def _strongest(below: Sequence[str], by_peer: Mapping[str, list[Alert]], roots: set[str], topology: Topology) -> str:
    candidates = [peer for peer in below if peer in roots] or sorted(roots)
    return max(candidates, key=lambda peer: (sum(alert.score for alert in by_peer[peer]), peer))


class Grouper:
    """Says what the alerts of one step mean for the incidents; remembers only the last few seconds."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, float]] = {}  # peer -> first and last step that it was abnormal
        self._kept: dict[str, float] = {}  # incident -> last step with an alert that keeps it
        self._known: dict[str, OpenIncident] = {}
        self._closed: dict[str, tuple[OpenIncident, float]] = {}
        self._awake_since: float | None = None
        self._last_step = 0.0

    def update(
        self, open_incidents: Sequence[OpenIncident], alerts: Sequence[Alert], topology: Topology, now: float
    ) -> list[Change]:
        """What changed: alerts that open an incident, alerts for an open one, incidents that went quiet."""
        self._wake(now)
        self._notice_closed(open_incidents, now)
        changes: list[Change] = []
        joined: dict[str, list[Alert]] = defaultdict(list)
        for peer, group in sorted(causes(alerts, topology).items()):
            for part in _split_by_member(peer, group, topology):
                incident = self._incident_of(peer, part, open_incidents, topology, now)
                if incident is not None and now - self._closed_at(incident) < LEFT_OVER_S:
                    continue
                if incident is not None:
                    joined[incident.id] += part
                    self._kept[incident.id] = now
                elif self._is_enough(peer, part, now):
                    changes.append(Opened((*part, *_supporting(part, alerts, topology))))
        supporting = [alert for alert in alerts if alert.signal not in OPENING]
        for incident in open_incidents:
            support = [alert for alert in supporting if _supports(alert, incident, topology)]
            if any(_keeps(alert, incident) for alert in support):
                self._kept[incident.id] = now
            if joined[incident.id] or any(_keeps(alert, incident) for alert in support):
                joined[incident.id] += support
        changes += [Updated(id, tuple(found)) for id, found in joined.items() if found]
        return changes + [
            Quiet(incident.id, since)
            for incident in open_incidents
            if now - (since := self._quiet_since(incident)) > QUIET_S
        ]

    def _wake(self, now: float) -> None:
        """After a start or a stall nothing was seen for a while; that is not quiet."""
        if self._awake_since is None or now - self._last_step > QUIET_S / 2:
            self._awake_since = now
        self._last_step = now
        self._seen = {peer: seen for peer, seen in self._seen.items() if now - seen[1] <= FORGET_S}

    def _notice_closed(self, open_incidents: Sequence[OpenIncident], now: float) -> None:
        still = {incident.id for incident in open_incidents}
        for id, incident in self._known.items():
            if id not in still:
                self._closed[id] = (incident, now)
        self._known = {incident.id: incident for incident in open_incidents}
        self._closed = {
            id: closed for id, closed in self._closed.items() if now - closed[1] <= REOPEN_S and id not in still
        }
        self._kept = {id: at for id, at in self._kept.items() if id in still}

    def _quiet_since(self, incident: OpenIncident) -> float:
        return max(self._kept.get(incident.id, incident.last_alert_at), self._awake_since or 0.0, incident.opened_at)

    def _closed_at(self, incident: OpenIncident) -> float:
        return self._closed[incident.id][1] if incident.id in self._closed else 0.0

    def _incident_of(
        self, peer: str, group: Sequence[Alert], open_incidents: Sequence[OpenIncident], topology: Topology, now: float
    ) -> OpenIncident | None:
        strongest = max(group, key=lambda alert: alert.score)
        for incident in open_incidents:
            if _same_cause(peer, group, incident) and not _another_fault(strongest, incident):
                return incident
        for incident, _ in self._closed.values():
            if strongest.fingerprint in incident.fingerprints:
                return incident
        for incident in open_incidents:
            if _symptom_of(peer, group, incident, topology, now):
                return incident
        return None

    def _is_enough(self, peer: str, group: Sequence[Alert], now: float) -> bool:
        first, _ = self._seen.get(peer, (now, now))
        self._seen[peer] = (first, now)
        best = max(alert.score for alert in group)
        return best >= STRONG or (best >= OPENS and now - first >= TWICE_S)


def _split_by_member(peer: str, group: list[Alert], topology: Topology) -> list[list[Alert]]:
    """Alerts of one peer, apart for members that fell at different times; mostly one part."""
    zones = {blamed(alert).zone for alert in group if blamed(alert).peer == peer} - {""}
    began = {
        zone: min(alert.onset for alert in group if blamed(alert) == Target(peer=peer, zone=zone)) for zone in zones
    }
    if len(zones) < 2 or max(began.values()) - min(began.values()) <= SAME_BLOW_S:
        return [group]
    first = min(began, key=lambda zone: began[zone])
    later = [alert for alert in group if blamed(alert).peer == peer and blamed(alert).zone in zones - {first}]
    return [[alert for alert in group if alert not in later], later]


def _same_cause(peer: str, group: Sequence[Alert], incident: OpenIncident) -> bool:
    if incident.fingerprints & {alert.fingerprint for alert in group}:
        return True
    if incident.target is None or incident.target.peer != peer:
        return False
    zones = {blamed(alert).zone for alert in group if blamed(alert).peer == peer}
    one_blow = min(alert.onset for alert in group) - incident.opened_at <= SAME_BLOW_S
    return not incident.target.zone or bool(zones & {"", incident.target.zone}) or one_blow


def _another_fault(strongest: Alert, incident: OpenIncident) -> bool:
    """Whether a target that had recovered now fails in a way that it did not fail before."""
    return incident.handed_back and strongest.signal in TELLING and strongest.fingerprint not in incident.fingerprints


def _symptom_of(peer: str, group: Sequence[Alert], incident: OpenIncident, topology: Topology, now: float) -> bool:
    """Whether the group suffers from the incident's target, or shows the cause below it."""
    if incident.target is None:
        return False
    cause = incident.target.peer
    if topology.reaches(peer, cause) and not topology.reaches(cause, peer):
        return not own_fault(group) and not _one_member_of_many(peer, group, topology)
    began = min(alert.onset for alert in group)
    return topology.reaches(cause, peer) and not incident.target.zone and began <= incident.opened_at + EARLIER_S


def _supporting(group: Sequence[Alert], alerts: Sequence[Alert], topology: Topology) -> list[Alert]:
    peers = {blamed(alert).peer for alert in group}
    return [alert for alert in alerts if alert.signal not in OPENING and _near(alert, peers, topology)]


def _supports(alert: Alert, incident: OpenIncident, topology: Topology) -> bool:
    return incident.target is not None and _near(alert, {incident.target.peer}, topology)


def _near(alert: Alert, peers: set[str], topology: Topology) -> bool:
    """The same peer, one that shares a caller with it, or one of its callers."""
    own = blamed(alert).peer
    callers = {caller for peer in peers for caller in topology.callers(Target(peer=peer))}
    siblings = {callee for caller in callers for callee in topology.callees(caller)}
    return own in peers | callers | siblings


def _keeps(alert: Alert, incident: OpenIncident) -> bool:
    """Silence of the very thing that broke keeps its incident; silence anywhere else follows from it."""
    return alert.signal is Signal.MISSING and alert.key.part("kind") == "server" and blamed(alert) == incident.target
