"""Alerts to incidents: one cause one incident, two causes two incidents.

    alerts --by whom they blame--> groups --known? enough? does it heal itself?--> an open incident, a new one, or none

An incident takes in what shares its cause and began with it, and never its neighbour in time: how long it waits for
more follows from how often its own series tell anything, and there is no quiet time that all share.
Traffic that stopped or surged supports an incident and never opens one: it cannot be told from users who stay away.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from paramedic_detector.incidents import joining
from paramedic_detector.incidents.blame import BESIDE, LEVELS, LINGERING, began
from paramedic_detector.incidents.blame import OPENING as OPENING
from paramedic_detector.incidents.blame import blamed as blamed
from paramedic_detector.incidents.blame import causes as causes
from paramedic_detector.incidents.joining import OpenIncident as OpenIncident
from paramedic_detector.incidents.pause import Pauses, class_of, may_wait
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.values import Alert

QUIET_S: Final = 8.0  # without an alert for this long, an incident is quiet; longer where calls are rare
OPENS: Final = 5.0  # an alert below this keeps its incident alive and opens none
BLIP_S: Final = 1.5  # what is younger may be over before anybody has read about it
STRONG: Final = 8.0  # from this score an alert opens an incident at once; below it must be seen twice
TWICE_S: Final = 0.4  # two steps are at least this far apart
FORGET_S: Final = 4.0  # an alert seen once and not again within this is forgotten
LEFT_OVER_S: Final = 3.0  # for this long after an incident closed, what alerts is what was seen before it closed
REOPEN_S: Final = 8.0  # after this, or a quarter of its quiet time, the same trouble again is a new incident


@dataclass(frozen=True, slots=True)
class Opened:
    """A new incident."""

    alerts: tuple[Alert, ...]
    waited: str = ""  # why it was opened only now; "" when it was not waited for


@dataclass(frozen=True, slots=True)
class Updated:
    """More of an incident; one that was resolved a moment ago reopens."""

    id: str
    alerts: tuple[Alert, ...]


@dataclass(frozen=True, slots=True)
class Merged:
    """An incident turned out to be the same as an older one."""

    id: str
    into: str


@dataclass(frozen=True, slots=True)
class Quiet:
    """No alert of this incident since `since`; said at every step while it lasts."""

    id: str
    since: float


Change = Opened | Updated | Merged | Quiet


@dataclass(slots=True)
class _Pending:
    """Alerts that have opened nothing yet."""

    first: float
    last: float
    name: str  # of their class
    pause_s: float = 0.0  # how long they are waited for


class Grouper:
    """Says what the alerts of one step mean for the incidents; remembers the last few seconds, and what heals itself.

    Args:
        pauses: What was learned so far of alerts that heal by themselves.
    """

    def __init__(self, pauses: Pauses | None = None) -> None:
        self.pauses = pauses or Pauses()
        self._pending: dict[str, _Pending] = {}  # by peer
        self._kept: dict[str, float] = {}  # incident -> last step with an alert that keeps it
        self._known: dict[str, OpenIncident] = {}
        self._closed: dict[str, tuple[OpenIncident, float]] = {}
        self._spent: dict[str, float] = {}  # lingering alerts of incidents that are over -> when last seen
        self._merged: set[str] = set()
        self._awake_since: float | None = None
        self._last_step = 0.0

    def update(
        self, open_incidents: Sequence[OpenIncident], alerts: Sequence[Alert], topology: Topology, now: float
    ) -> list[Change]:
        """What changed: alerts that open an incident, alerts for an open one, incidents that are one or went quiet."""
        self._wake(now)
        self._notice_closed(open_incidents, now)
        if not alerts and not open_incidents:
            return []
        alerts = [alert for alert in alerts if not self._is_spent(alert, now)]
        opened, joined = self._sort_out(open_incidents, alerts, topology, now)
        self._add_support(joined, open_incidents, alerts, topology, now)
        merged = self._merges(open_incidents, topology)
        gone = {change.id for change in merged}
        updated = [Updated(id, tuple(found)) for id, found in joined.items() if found]
        quiet = [
            Quiet(one.id, since)
            for one in open_incidents
            if one.id not in gone and now - (since := self._quiet_since(one)) > joining.quiet_after_s(one, QUIET_S)
        ]
        return [*opened, *updated, *merged, *quiet]

    def _sort_out(
        self, open_incidents: Sequence[OpenIncident], alerts: Sequence[Alert], topology: Topology, now: float
    ) -> tuple[list[Opened], dict[str, list[Alert]]]:
        """New incidents, and what goes to known ones."""
        opened: list[Opened] = []
        joined: dict[str, list[Alert]] = defaultdict(list)
        taken = {name for incident in open_incidents for name in incident.fingerprints}
        for peer, group in sorted(causes(alerts, topology).items()):
            for part in joining.split_by_member(peer, group):
                incident = self._incident_of(peer, part, open_incidents, topology, now)
                if incident is not None and now - self._closed_at(incident) < LEFT_OVER_S:
                    continue
                if incident is not None:
                    joined[incident.id] += part
                    self._keep(incident, part, now)
                elif self._is_enough(peer, part, topology, now):
                    support = [alert for alert in alerts if _supports(alert, part, topology)]
                    fresh = [alert for alert in part if alert.fingerprint not in taken] or part
                    opened.append(Opened((*fresh, *support), self._waited(peer, now)))
        return opened, joined

    def _add_support(
        self,
        joined: dict[str, list[Alert]],
        open_incidents: Sequence[OpenIncident],
        alerts: Sequence[Alert],
        topology: Topology,
        now: float,
    ) -> None:
        supporting = [alert for alert in alerts if alert.signal not in OPENING or alert.signal in LEVELS]
        for incident in open_incidents if supporting else ():
            support = [alert for alert in supporting if joining.stands_beside(alert, incident, topology)]
            kept = any(joining.keeps(alert, incident) for alert in support)
            if kept:
                self._kept[incident.id] = now
            if kept or joined[incident.id]:
                joined[incident.id] += support

    def _wake(self, now: float) -> None:
        """After a start or a stall nothing was seen for a while; that is not quiet."""
        if self._awake_since is None or now - self._last_step > max(QUIET_S / 2, FORGET_S):
            self._awake_since = now
        self._last_step = now
        for peer in [peer for peer, one in self._pending.items() if now - one.last > FORGET_S]:
            one = self._pending.pop(peer)
            if one.pause_s:
                self.pauses.learn(one.name, now, one.last - one.first, by_itself=True)
        self._spent = {name: at for name, at in self._spent.items() if now - at <= FORGET_S}

    def _notice_closed(self, open_incidents: Sequence[OpenIncident], now: float) -> None:
        still = {incident.id for incident in open_incidents}
        for id, incident in self._known.items():
            if id not in still and id not in self._merged:
                self._closed[id] = (incident, now)
                self._learn(incident, now)
                self._spent |= {one.fingerprint: now for one in incident.alerts if one.signal in LINGERING}
        self._known = {incident.id: incident for incident in open_incidents}
        self._merged &= still
        self._closed = {
            id: (one, at) for id, (one, at) in self._closed.items() if now - at <= _reopens_s(one) and id not in still
        }
        self._kept = {id: at for id, at in self._kept.items() if id in still}

    def _learn(self, incident: OpenIncident, now: float) -> None:
        if incident.alerts:
            lasted_s = max(0.0, self._kept.get(incident.id, incident.last_alert_at) - incident.opened_at)
            alone = not (incident.touched or incident.hurts)
            self.pauses.learn(class_of(incident.alerts), now, lasted_s, by_itself=alone)

    def _is_spent(self, alert: Alert, now: float) -> bool:
        """Whether it still tells of an incident that is over."""
        if alert.fingerprint not in self._spent:
            return False
        self._spent[alert.fingerprint] = now
        return True

    def _keep(self, incident: OpenIncident, group: Sequence[Alert], now: float) -> None:
        """An alert that fires on long after its fault keeps only what consists of such alerts."""
        if any(alert.signal not in BESIDE for alert in group) or all(
            alert.signal in BESIDE for alert in incident.alerts
        ):
            self._kept[incident.id] = now

    def _quiet_since(self, incident: OpenIncident) -> float:
        return max(self._kept.get(incident.id, incident.last_alert_at), self._awake_since or 0.0, incident.opened_at)

    def _closed_at(self, incident: OpenIncident) -> float:
        return self._closed[incident.id][1] if incident.id in self._closed else 0.0

    def _incident_of(
        self, peer: str, group: Sequence[Alert], open_incidents: Sequence[OpenIncident], topology: Topology, now: float
    ) -> OpenIncident | None:
        strongest = max(group, key=lambda alert: alert.score)
        for incident in open_incidents:
            if joining.same_cause(peer, group, incident) and not joining.another_fault(strongest, incident):
                return incident
        for incident, _ in self._closed.values():
            if strongest.fingerprint in incident.fingerprints:
                return incident
        for incident in open_incidents:
            if joining.shares_culprit(group, incident, topology) and not joining.another_fault(strongest, incident):
                return incident
        for incident in open_incidents:
            if joining.is_symptom(peer, group, incident, topology):
                return incident
        return None

    def _is_enough(self, peer: str, group: Sequence[Alert], topology: Topology, now: float) -> bool:
        """Whether a group opens an incident now: strong at once, weak when it stays, and what heals itself later."""
        pending = self._pending.setdefault(peer, _Pending(now, now, class_of(group)))
        pending.last = now
        best = max(alert.score for alert in group)
        twice = best >= OPENS and now - pending.first >= TWICE_S
        if not (best >= STRONG or twice) or now - began(group) < BLIP_S:
            return False
        entries = topology.entry_services()
        pending.pause_s = self.pauses.pause_s(pending.name, now) if may_wait(group, entries) else 0.0
        return now - pending.first >= pending.pause_s

    def _waited(self, peer: str, now: float) -> str:
        pending = self._pending.pop(peer)
        if not pending.pause_s:
            return ""
        return f"waited {now - pending.first:.0f} s, since {self.pauses.sentence(pending.name)}"

    def _merges(self, open_incidents: Sequence[OpenIncident], topology: Topology) -> list[Merged]:
        found: list[Merged] = []
        for at, newer in enumerate(open_incidents):
            for older in open_incidents[:at]:
                if older.id not in self._merged and joining.one_cause(newer, older, topology):
                    self._merged.add(newer.id)
                    found.append(Merged(newer.id, older.id))
                    break
        return found


def _supports(alert: Alert, group: Sequence[Alert], topology: Topology) -> bool:
    return alert.signal not in OPENING and joining.near(alert, {blamed(one).peer for one in group}, topology)


def _reopens_s(incident: OpenIncident) -> float:
    return max(REOPEN_S, joining.quiet_after_s(incident, QUIET_S) / 4)
