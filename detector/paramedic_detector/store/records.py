"""What belongs to no incident: the counters and the global stop, checkpoints, audit, and what grows too old."""

from sqlalchemy import delete, update
from sqlmodel import Session, col, select

from paramedic_detector.store.tables import (
    AckRow,
    ActionRow,
    AlertRow,
    AuditRow,
    CheckpointRow,
    DeskRow,
    DiagnosisRow,
    EventRow,
    IncidentRow,
    LabelRow,
    NotificationRow,
)
from paramedic_detector.values import IncidentState


def desk(session: Session) -> DeskRow:
    return session.exec(select(DeskRow).where(DeskRow.id == 1)).one()


def count(session: Session, *, raw_alerts: int = 0, raw_alerts_at_once: int = 0, alerts: int = 0) -> None:
    """Add to the counters of the noise figures."""
    added = {
        "raw_alerts": DeskRow.raw_alerts + raw_alerts,
        "raw_alerts_at_once": DeskRow.raw_alerts_at_once + raw_alerts_at_once,
        "alerts": DeskRow.alerts + alerts,
    }
    session.execute(update(DeskRow).values(**added))


def save_checkpoint(session: Session, name: str, data: bytes, at: float) -> None:
    row = session.get(CheckpointRow, name)
    if row is None:
        session.add(CheckpointRow(name=name, at=at, data=data))
    else:
        row.data, row.at = data, at


def checkpoints(session: Session) -> dict[str, tuple[float, bytes]]:
    """When and what, by name."""
    return {row.name: (row.at, row.data) for row in session.exec(select(CheckpointRow)).all()}


def audit(session: Session, *, at: float, by: str, what: str, subject: str, note: str = "") -> None:
    session.add(AuditRow(at=at, by=by, what=what, subject=subject, note=note))


def forget(session: Session, *, before: float) -> int:
    """Delete incidents that were resolved before then, with all that hangs on them; how many they were.

    Those of which a person said what was wrong are kept: models learn from them.
    """
    old = select(IncidentRow.number).where(
        col(IncidentRow.state) == IncidentState.RESOLVED,
        col(IncidentRow.resolved_at) < before,
        col(IncidentRow.number).not_in(select(LabelRow.incident)),
    )
    numbers = [number for number in session.exec(old).all() if number is not None]
    actions = select(col(ActionRow.number)).where(col(ActionRow.incident).in_(numbers))
    session.execute(delete(AckRow).where(col(AckRow.action).in_(actions)))
    for table in (ActionRow, AlertRow, DiagnosisRow, EventRow, NotificationRow):
        session.execute(delete(table).where(col(table.incident).in_(numbers)))
    session.execute(delete(IncidentRow).where(col(IncidentRow.number).in_(numbers)))
    return len(numbers)
