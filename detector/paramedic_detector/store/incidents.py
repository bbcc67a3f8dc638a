"""Incidents in the store, with what hangs on them: alerts, diagnoses, timeline.

A `Case` is everything about one open incident at one moment; stages read it and hand it on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import or_
from sqlmodel import Session, col, select

from paramedic.contract.command import Target
from paramedic_collector.windows import SeriesKey
from paramedic_detector.store.tables import AckRow, ActionRow, AlertRow, DiagnosisRow, EventRow, IncidentRow
from paramedic_detector.values import Alert, Diagnosis, IncidentState, Signal, Suspect


@dataclass(frozen=True, slots=True)
class Case:
    """One incident as it was when it was read."""

    incident: IncidentRow
    alerts: tuple[AlertRow, ...] = ()
    diagnosis: Diagnosis | None = None
    actions: tuple[ActionRow, ...] = ()
    acks: tuple[AckRow, ...] = ()

    @property
    def number(self) -> int:
        return number_of(self.incident)

    def acks_of(self, action: ActionRow) -> list[AckRow]:
        return [ack for ack in self.acks if ack.action == action.number]


def number_of(row: IncidentRow | ActionRow) -> int:
    """The number of a row that has been written."""
    if row.number is None:
        raise ValueError("the row has no number before it is written")
    return row.number


def unfinished_cases(session: Session) -> list[Case]:
    """Incidents that are not resolved, or resolved and not yet put away with their charts; oldest first."""
    return cases_of(session, session.exec(_UNFINISHED).all())


def spans_since(session: Session, since: float) -> dict[int, tuple[float, float]]:
    """From onset to end of the incidents that ended after `since`, by number."""
    wanted = select(IncidentRow.number, IncidentRow.onset_at, IncidentRow.resolved_at)
    found = session.exec(wanted.where(col(IncidentRow.resolved_at) > since)).all()
    return {number: (onset, end) for number, onset, end in found if number is not None and end is not None}


def case_of(session: Session, number: int) -> Case | None:
    row = session.get(IncidentRow, number)
    return cases_of(session, [row])[0] if row is not None else None


def cases_of(session: Session, incidents: Sequence[IncidentRow]) -> list[Case]:
    """The incidents with what hangs on them, in four queries however many they are."""
    numbers = [number_of(row) for row in incidents]
    if not numbers:
        return []
    alerts = session.exec(select(AlertRow).where(col(AlertRow.incident).in_(numbers)).order_by(col(AlertRow.id))).all()
    told = select(DiagnosisRow).where(col(DiagnosisRow.incident).in_(numbers)).order_by(col(DiagnosisRow.id))
    newest = {row.incident: row for row in session.exec(told).all()}
    wanted = select(ActionRow).where(col(ActionRow.incident).in_(numbers)).order_by(col(ActionRow.number))
    actions = session.exec(wanted).all()
    said = select(AckRow).where(col(AckRow.action).in_([number_of(a) for a in actions]))
    acks = session.exec(said).all() if actions else []
    return [
        Case(
            incident=row,
            alerts=tuple(a for a in alerts if a.incident == row.number),
            diagnosis=diagnosis_of(newest[row.number]) if row.number in newest else None,
            actions=(mine := tuple(a for a in actions if a.incident == row.number)),
            acks=tuple(k for k in acks if k.action in {a.number for a in mine}),
        )
        for row in incidents
    ]


def newest_first(session: Session, *, states: Sequence[str], before: int | None, limit: int) -> list[IncidentRow]:
    """A page of incidents: at most `limit` with a number below `before`."""
    wanted = select(IncidentRow).order_by(_number.desc()).limit(limit)
    if states:
        wanted = wanted.where(col(IncidentRow.state).in_(states))
    if before is not None:
        wanted = wanted.where(_number < before)
    return list(session.exec(wanted).all())


def log(session: Session, number: int, *, at: float, kind: str, text: str) -> None:
    """Add a line to the incident's timeline."""
    session.add(EventRow(incident=number, at=at, kind=kind, text=text))


def timeline(session: Session, number: int) -> list[EventRow]:
    wanted = select(EventRow).where(EventRow.incident == number).order_by(col(EventRow.at), col(EventRow.id))
    return list(session.exec(wanted).all())


def note(row: IncidentRow, *, now: float, by: str, how: str) -> None:
    """Say who changed the incident last; a write that saw an older version is now refused."""
    row.version += 1
    row.changed_at, row.changed_by, row.changed_how = now, by, how


def save_alerts(session: Session, number: int, alerts: Iterable[Alert]) -> int:
    """Keep the newest word of each alert and its highest score; how many are new."""
    known = {row.fingerprint: row for row in session.exec(select(AlertRow).where(AlertRow.incident == number)).all()}
    new = 0
    for alert in alerts:
        row = known.get(alert.fingerprint)
        if row is None:
            known[alert.fingerprint] = _new_alert(number, alert)
            session.add(known[alert.fingerprint])
            new += 1
            continue
        row.last_at, row.score, row.onset_at = alert.at, max(row.score, alert.score), min(row.onset_at, alert.onset)
        row.value, row.usual, row.calls, row.hurt = alert.value, alert.usual, alert.calls, alert.hurt
        row.explanation, row.error_types = alert.explanation, dict(alert.error_types)
    return new


def alert_of(row: AlertRow) -> Alert:
    return Alert(
        key=SeriesKey(row.family, tuple(row.parts)),
        signal=Signal(row.signal),
        at=row.last_at,
        onset=row.onset_at,
        score=row.score,
        value=row.value,
        usual=row.usual,
        unit=row.unit,
        calls=row.calls,
        hurt=row.hurt,
        explanation=row.explanation,
        error_types=row.error_types,
    )


def save_diagnosis(session: Session, number: int, diagnosis: Diagnosis, now: float) -> None:
    session.add(
        DiagnosisRow(
            incident=number,
            at=now,
            fault_class=diagnosis.fault_class,
            probability=diagnosis.probability,
            classes=dict(diagnosis.classes),
            suspects=[_suspect_to_json(suspect) for suspect in diagnosis.suspects],
            summary=diagnosis.summary,
            told=[round(number, 4) for number in diagnosis.told] or None,
            model=diagnosis.model,
        )
    )


def diagnosis_of(row: DiagnosisRow) -> Diagnosis:
    suspects = tuple(
        Suspect(Target(**s["target"]), s["kind"], s["probability"], tuple(s["evidence"]), s.get("detail", ""))
        for s in row.suspects
    )
    told = tuple(row.told or ())
    return Diagnosis(row.fault_class, row.probability, row.classes, suspects, row.summary, told, row.model)


def _suspect_to_json(suspect: Suspect) -> dict[str, Any]:
    return asdict(suspect) | {"evidence": list(suspect.evidence)}


def _new_alert(number: int, alert: Alert) -> AlertRow:
    return AlertRow(
        incident=number,
        fingerprint=alert.fingerprint,
        family=alert.key.family,
        parts=list(alert.key.parts),
        signal=alert.signal.value,
        onset_at=alert.onset,
        first_at=alert.at,
        last_at=alert.at,
        score=alert.score,
        value=alert.value,
        usual=alert.usual,
        unit=alert.unit,
        calls=alert.calls,
        hurt=alert.hurt,
        explanation=alert.explanation,
        error_types=dict(alert.error_types),
    )


_number = col(IncidentRow.number)
_UNFINISHED = (
    select(IncidentRow)
    .where(or_(col(IncidentRow.state) != IncidentState.RESOLVED, col(IncidentRow.evidence).is_(None)))
    .order_by(_number)
)
