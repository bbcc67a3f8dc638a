"""Alerts become incidents: opened, grown, reopened and merged in the store, with what was changed before them.

Rounds in which nothing is abnormal, nothing is open and nobody wrote anything touch no store: most rounds are such.
"""

from dataclasses import replace
from typing import Final

from sqlmodel import Session

from paramedic_detector import words
from paramedic_detector.actions import in_force, undecided
from paramedic_detector.engine.parts import Parts, Tick, target_of
from paramedic_detector.engine.watch import refresh_topology, still_open
from paramedic_detector.incidents.blame import began, blamed
from paramedic_detector.incidents.changes import Change, Deploys, concerning
from paramedic_detector.incidents.grouping import Merged, Opened, OpenIncident, Quiet, Updated
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.store import context, incidents, records
from paramedic_detector.store.incidents import Case, alert_of, number_of
from paramedic_detector.store.store import Moved
from paramedic_detector.store.tables import AlertRow, IncidentRow
from paramedic_detector.values import Alert, IncidentState

HURT: Final = 2  # severity from which users were hurt
NOWHERE: Final = Topology((), ())


class Group:
    """One incident for one cause; the store says which are open."""

    name = "group"

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._deploys = Deploys()
        self._unsaved: list[Change] = []  # changes that the store does not have yet
        self._idle_at: int | None = None  # mark of the store at which nothing was unfinished
        self._has_pauses = False

    def __call__(self, tick: Tick) -> Tick:
        mark = self._parts.store.mark
        self._notice_deploys(tick.now)
        if not tick.alerts and mark is not None and mark == self._idle_at:
            self._parts.judges.grouper.update([], [], NOWHERE, tick.now)
            self._keep_pauses()
            return replace(tick, cases=(), quiet_since={})
        if tick.alerts:
            refresh_topology(self._parts, tick.now)
        self._load_pauses()
        with self._parts.store.reading() as session:
            cases = incidents.unfinished_cases(session)
        known = [_open_incident(case) for case in still_open(cases)]
        topology = self._parts.topology if tick.alerts or known else NOWHERE
        changes = self._parts.judges.grouper.update(known, list(tick.alerts), topology, tick.now)
        quiet = {_number(change.id): change.since for change in changes if isinstance(change, Quiet)}
        for change in changes:
            self._take(change, tick.now)
        self._keep_pauses()
        if len(quiet) < len(changes):
            with self._parts.store.reading() as session:
                cases = incidents.unfinished_cases(session)
        self._idle_at = None if cases or tick.alerts else self._parts.store.mark
        return replace(tick, cases=tuple(cases), quiet_since=quiet)

    def _take(self, change: Opened | Updated | Merged | Quiet, now: float) -> None:
        if isinstance(change, Opened):
            self._open(change, now)
        elif isinstance(change, Updated):
            self._update(_number(change.id), tuple(change.alerts), now)
        elif isinstance(change, Merged):
            try:
                with self._parts.store.writing() as session:
                    merge(session, _number(change.id), _number(change.into), now=now, by="paramedic")
            except Moved:
                return  # a person was faster; the next round looks again

    def _open(self, opened: Opened, now: float) -> None:
        alerts = opened.alerts
        with self._parts.store.writing() as session:
            row = _new_incident(alerts, now)
            changes = context.changes(session, since=row.onset_at - context.BEFORE_S)
            mine = concerning(changes, self._services(alerts), row.onset_at, now)
            row.changes = [context.change_to_json(one) for one in mine]
            session.add(row)
            session.flush()
            strongest = max(alerts, key=lambda alert: alert.score)
            _say(session, row, now, "detect", strongest.explanation)
            waited = f", {opened.waited}" if opened.waited else ""
            _say(session, row, now, "group", f"{row.id} opened by {_alerts(len(alerts))}{waited}.")
            for one in mine:
                _say(session, row, one.at, "detect", f"Changed before it: {one.text}.")
            records.count(session, alerts=incidents.save_alerts(session, number_of(row), alerts))

    def _services(self, alerts: tuple[Alert, ...]) -> set[str]:
        """Whom an incident concerns: those that its alerts blame, and those who call them."""
        peers = {blamed(alert).peer for alert in alerts}
        callers = {edge.caller for edge in self._parts.topology.edges() if edge.callee in peers}
        return peers | callers

    def _update(self, number: int, alerts: tuple[Alert, ...], now: float) -> None:
        with self._parts.store.writing() as session:
            row = session.get(IncidentRow, number)
            if row is None or not alerts:
                return
            if row.state == IncidentState.RESOLVED:
                reopen(row, now=now, by="paramedic")
                _say(session, row, now, "detect", f"{row.id} is open again: {alerts[0].explanation}")
            new = incidents.save_alerts(session, number, alerts)
            row.last_alert_at = max(row.last_alert_at, max(alert.at for alert in alerts))
            row.onset_at = min(row.onset_at, began(alerts))
            if new:
                records.count(session, alerts=new)
                _say(session, row, now, "group", f"{_alerts(new)} more of the same cause.")

    def _notice_deploys(self, now: float) -> None:
        with self._parts.vitals.hands_on() as table:
            self._unsaved += self._deploys.follow(table, now)
        if self._unsaved:
            with self._parts.store.writing(shown=False) as session:
                context.save_changes(session, self._unsaved)
            self._unsaved = []

    def _load_pauses(self) -> None:
        """What earlier runs learned of alerts that heal by themselves."""
        if not self._has_pauses:
            with self._parts.store.reading() as session:
                self._parts.judges.grouper.pauses.recall(context.pauses(session))
            self._has_pauses = True

    def _keep_pauses(self) -> None:
        changed = self._parts.judges.grouper.pauses.take_changed()
        if changed:
            with self._parts.store.writing(shown=False) as session:
                context.save_pauses(session, changed)


def reopen(row: IncidentRow, *, now: float, by: str) -> None:
    """Make a resolved incident an open one again."""
    row.state = (IncidentState.ACKNOWLEDGED if row.acknowledged_at else IncidentState.OPEN).value
    row.resolved_at = row.mitigated_at = row.evidence = row.merged_into = None
    incidents.note(row, now=now, by=by, how="reopened it")


def merge(session: Session, number: int, into: int, *, now: float, by: str) -> None:
    """Put one incident into another: its alerts go there, and it is over."""
    row, home = session.get_one(IncidentRow, number), session.get_one(IncidentRow, into)
    case = incidents.case_of(session, number)
    alerts = [alert_of(alert) for alert in case.alerts] if case is not None else []
    incidents.save_alerts(session, into, alerts)
    home.onset_at = min(home.onset_at, row.onset_at)
    home.last_alert_at = max(home.last_alert_at, row.last_alert_at)
    home.changes = list({str(one): one for one in (*home.changes, *row.changes)}.values())
    row.state, row.resolved_at, row.merged_into = IncidentState.RESOLVED.value, now, into
    row.severity = row.worst_severity
    incidents.note(row, now=now, by=by, how=f"merged it into {home.id}")
    kind = "group" if by == "paramedic" else "person"
    who = "" if by == "paramedic" else f" by {by}"
    _say(session, row, now, kind, f"Merged{who} into {home.id}: one cause.")
    _say(session, home, now, kind, f"{row.id} was merged{who} into this one: one cause.")


def split(session: Session, number: int, series: frozenset[str], *, now: float, by: str) -> IncidentRow | None:
    """Give the alerts of these series an incident of their own; None when that would leave one of the two empty.

    Whoever split it has it: what a person took apart is not merged again.
    """
    old = session.get_one(IncidentRow, number)
    case = incidents.case_of(session, number)
    alerts = case.alerts if case is not None else ()
    mine = [row for row in alerts if str(alert_of(row).key) in series]
    if not mine or len(mine) == len(alerts):
        return None
    row = _new_incident(tuple(alert_of(alert) for alert in mine), now)
    row.last_alert_at, row.owner = max(alert.last_at for alert in mine), by
    row.changed_by, row.changed_how = by, f"split it off {old.id}"
    session.add(row)
    session.flush()
    for alert in mine:
        session.get_one(AlertRow, alert.id).incident = number_of(row)
    incidents.note(old, now=now, by=by, how=f"split {row.id} off it")
    _say(session, row, now, "person", f"{by} split it off {old.id}: another cause.")
    _say(session, old, now, "person", f"{by} split {_alerts(len(mine))} off as {row.id}: another cause.")
    return row


def _new_incident(alerts: tuple[Alert, ...], now: float) -> IncidentRow:
    strongest = max(alerts, key=lambda alert: alert.score)
    return IncidentRow(
        state=IncidentState.OPEN.value,
        title=words.title("", blamed(strongest).peer or str(strongest.key), strongest.signal),
        cause=strongest.explanation,
        onset_at=began(alerts),
        opened_at=now,
        last_alert_at=now,
        changed_at=now,
    )


def _open_incident(case: Case) -> OpenIncident:
    row = case.incident
    return OpenIncident(
        id=row.id,
        target=target_of(case),
        opened_at=row.opened_at,
        fingerprints=frozenset(alert.fingerprint for alert in case.alerts),
        last_alert_at=row.last_alert_at,
        handed_back=any(a.recovered_at for a in case.actions) and not any(in_force(a) for a in case.actions),
        alerts=tuple(alert_of(alert) for alert in case.alerts),
        touched=bool(row.owner) or any(a.sent_at is not None or undecided(a) for a in case.actions),
        hurts=row.worst_severity <= HURT,
    )


def _alerts(number: int) -> str:
    return "1 alert" if number == 1 else f"{number} alerts"


def _number(incident_id: str) -> int:
    return int(incident_id.removeprefix("INC-"))


def _say(session: Session, row: IncidentRow, now: float, kind: str, text: str) -> None:
    incidents.log(session, number_of(row), at=now, kind=kind, text=text)
