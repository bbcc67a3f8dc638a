"""What the routers stand on: the desk for writes, and reads that join the store with the live table."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import func
from sqlmodel import Session, col, select

from paramedic.contract.command import Target
from paramedic_detector import desk_views as views
from paramedic_detector import words
from paramedic_detector.api.schemas import (
    ActionOut,
    FeedbackOut,
    IncidentDetail,
    IncidentSummary,
    Noise,
    Overview,
    Panel,
    Version,
)
from paramedic_detector.commands import CommandHub
from paramedic_detector.desk import Desk, Unknown
from paramedic_detector.engine.engine import Health
from paramedic_detector.evidence import Vitals
from paramedic_detector.slo.judge import Objectives
from paramedic_detector.store import actions as stored
from paramedic_detector.store import incidents, labels, outbox, past, records
from paramedic_detector.store.store import Store
from paramedic_detector.store.tables import AlertRow, IncidentRow
from paramedic_detector.values import IncidentState

OPEN_STATES: Final = tuple(state.value for state in IncidentState if state != IncidentState.RESOLVED)
LEAD_S: Final = 60.0
PANELS_KEPT_S: Final = 1.0  # many pages that look at one incident share its charts


@dataclass
class Backend:
    """Reads for the API; every method may be called from any thread."""

    store: Store
    vitals: Vitals
    hub: CommandHub
    desk: Desk
    clock: Callable[[], float]
    health: Callable[[], Health]
    objectives: Objectives = field(default_factory=Objectives)
    tick_s: float = 0.5
    _panels: dict[int, tuple[float, list[Panel]]] = field(default_factory=dict)

    def version(self) -> Version:
        with self.store.reading() as session:
            number = records.desk(session).version
        return Version(version=number, data_at=views.moment_or_none(self.vitals.data_at()))

    def overview(self) -> Overview:
        now = self.clock()
        with self.store.reading() as session:
            desk = records.desk(session)
            unresolved = incidents.newest_first(session, states=OPEN_STATES, before=None, limit=200)
            resolved = incidents.newest_first(session, states=["resolved"], before=None, limit=20)
            held = self._actions(session, in_force=True)
            noise = Noise(
                raw_alerts=desk.raw_alerts,
                raw_alerts_at_once=desk.raw_alerts_at_once,
                alerts=desk.alerts,
                incidents=session.exec(select(func.count()).select_from(IncidentRow)).one(),
                notifications=outbox.sent_count(session),
            )
            shown = self._summaries(session, [*unresolved, *resolved])
        return Overview(
            version=desk.version,
            data_at=views.moment_or_none(self.vitals.data_at()),
            now=views.moment(now),
            stopped=desk.stopped or self.hub.stopped,
            users=self.vitals.users(now, left_alone=[action.target for action in held]),
            needs_you=[one for one in shown if one.state != "resolved" and one.needs_you],
            in_hand=[one for one in shown if one.state != "resolved" and not one.needs_you],
            resolved=[one for one in shown if one.state == "resolved"],
            in_force=held,
            noise=noise,
            success_line=self.vitals.success_line(now),
        )

    def incident_page(self, states: list[str], before: int | None, limit: int) -> list[IncidentSummary]:
        with self.store.reading() as session:
            return self._summaries(session, incidents.newest_first(session, states=states, before=before, limit=limit))

    def incident(self, number: int) -> IncidentSummary:
        with self.store.reading() as session:
            row = session.get(IncidentRow, number)
            if row is None:
                raise Unknown(f"there is no incident INC-{number}")
            return self._summaries(session, [row])[0]

    def detail(self, number: int) -> IncidentDetail:
        with self.store.reading() as session:
            case = incidents.case_of(session, number)
            if case is None:
                raise Unknown(f"there is no incident INC-{number}")
            events = incidents.timeline(session, number)
            before = past.past_incidents(session, case.incident)
        kept = case.incident.evidence
        panels = [Panel.model_validate(one) for one in kept["panels"]] if kept else self._live_panels(case)
        return views.detail(case, events, panels, before)

    def feedback(self, number: int) -> list[FeedbackOut]:
        """What people said of an incident.

        Raises:
            Unknown: There is no such incident.
        """
        with self.store.reading() as session:
            if session.get(IncidentRow, number) is None:
                raise Unknown(f"there is no incident INC-{number}")
            return [
                FeedbackOut(
                    at=views.moment(row.at), by=row.by, fault_class=row.fault_class,
                    target=str(Target(row.peer, row.zone)), right=row.right, note=row.note,
                )
                for row in labels.of_incident(session, number)
            ]  # fmt: skip

    def action_page(
        self, in_force: bool | None, before: int | None, limit: int, incident: int | None
    ) -> list[ActionOut]:
        with self.store.reading() as session:
            return self._actions(session, in_force=in_force, before=before, limit=limit, incident=incident)

    def action(self, number: int) -> ActionOut:
        found = self.action_page(None, number + 1, 1, None)
        if not found or found[0].id != f"ACT-{number}":
            raise Unknown(f"there is no action ACT-{number}")
        return found[0]

    def not_ready(self) -> str:
        """Why the platform is not ready; "" when it is."""
        health = self.health()
        if health.ticked_at is None:
            return "the engine has not made its first round yet"
        if self.clock() - health.ticked_at > max(10.0, 20 * self.tick_s):
            return f"the engine made its last round {words.span(self.clock() - health.ticked_at)} ago"
        if health.store_trouble:
            return f"the store fails ({health.store_trouble}); scoring goes on, actions wait"
        return ""

    def _summaries(self, session: Session, rows: list[IncidentRow]) -> list[IncidentSummary]:
        numbers = [row.number for row in rows]
        counted = select(AlertRow.incident, func.count()).where(col(AlertRow.incident).in_(numbers))
        alerts = dict(session.exec(counted.group_by(col(AlertRow.incident))).all())
        return [views.summary(row, alerts.get(row.number or 0, 0)) for row in rows]

    def _actions(
        self,
        session: Session,
        *,
        in_force: bool | None,
        before: int | None = None,
        limit: int = 200,
        incident: int | None = None,
    ) -> list[ActionOut]:
        rows = stored.newest_first(session, in_force=in_force, before=before, limit=limit, incident=incident)
        acks = stored.acks_of(session, rows)
        return [views.action_out(row, acks.get(row.number or 0, [])) for row in rows]

    def _live_panels(self, case: incidents.Case) -> list[Panel]:
        kept_at, panels = self._panels.get(case.number, (0.0, []))
        if time.monotonic() - kept_at > PANELS_KEPT_S:
            row, now = case.incident, self.clock()
            panels = self.vitals.panels(
                words.target_of(row), row.callers_hurt, row.onset_at - LEAD_S, row.resolved_at or now
            )
            self._panels = {case.number: (time.monotonic(), panels), **dict(list(self._panels.items())[:20])}
        return panels
