"""A ledger of incidents in place of the store: what the engine does with the grouper's changes, and nothing more."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from paramedic.contract.command import Target
from paramedic_detector.incidents.blame import began
from paramedic_detector.incidents.grouping import Grouper, Merged, Opened, OpenIncident, Quiet, Updated
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.values import Alert

QUIET_S = 10.0  # as the engine has it


@dataclass
class Entry:
    """One incident."""

    id: str
    opened_at: float
    onset: float
    alerts: dict[str, Alert] = field(default_factory=dict)
    last_alert_at: float = 0.0
    resolved_at: float | None = None
    merged_into: str = ""
    waited: str = ""
    target: Target | None = None
    owner: str = ""
    hurts: bool = False

    def known(self) -> OpenIncident:
        return OpenIncident(
            self.id, self.target, self.opened_at, frozenset(self.alerts), self.last_alert_at,
            alerts=tuple(self.alerts.values()), touched=bool(self.owner), hurts=self.hurts,
        )  # fmt: skip


class Ledger:
    """Steps a grouper once a second."""

    def __init__(self, topology: Topology, grouper: Grouper | None = None) -> None:
        self.topology, self.grouper = topology, grouper or Grouper()
        self.entries: list[Entry] = []
        self.now = 0.0

    @property
    def open(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.resolved_at is None]

    @property
    def shown(self) -> list[Entry]:
        """Without those that were merged into others."""
        return [entry for entry in self.entries if not entry.merged_into]

    def run(self, start: float, end: float, alerts: Callable[[float], Sequence[Alert]], step_s: float = 1.0) -> None:
        at = start
        while at < end:
            self.step(at, alerts(at))
            at += step_s

    def step(self, now: float, alerts: Sequence[Alert]) -> None:
        self.now = now
        fresh = [replace(alert, at=now) for alert in alerts]
        for change in self.grouper.update([entry.known() for entry in self.open], fresh, self.topology, now):
            self._take(change, now)

    def _take(self, change: Opened | Updated | Merged | Quiet, now: float) -> None:
        if isinstance(change, Opened):
            entry = Entry(f"INC-{len(self.entries) + 1}", now, began(change.alerts), waited=change.waited)
            self.entries.append(entry)
            self._add(entry, change.alerts, now)
            return
        entry = next(entry for entry in self.entries if entry.id == change.id)
        if isinstance(change, Updated):
            entry.resolved_at = None
            self._add(entry, change.alerts, now)
        elif isinstance(change, Merged):
            home = next(one for one in self.entries if one.id == change.into)
            self._add(home, tuple(entry.alerts.values()), home.last_alert_at)
            entry.resolved_at, entry.merged_into = now, home.id
        elif now - change.since >= QUIET_S:
            entry.resolved_at = now

    @staticmethod
    def _add(entry: Entry, alerts: Sequence[Alert], now: float) -> None:
        for alert in alerts:
            kept = entry.alerts.get(alert.fingerprint, alert)
            entry.alerts[alert.fingerprint] = replace(
                alert, onset=min(alert.onset, kept.onset), score=max(alert.score, kept.score)
            )
        entry.onset, entry.last_alert_at = min(entry.onset, began(alerts)), now
