"""What people said was wrong, and what the diagnoses of those incidents were told by."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from paramedic_detector.store.tables import DiagnosisRow, LabelRow


@dataclass(frozen=True, slots=True)
class Labelled:
    """One incident with what a person said of it last."""

    label: LabelRow
    diagnoses: tuple[DiagnosisRow, ...]  # oldest first


def add(session: Session, row: LabelRow) -> None:
    session.add(row)


def of_incident(session: Session, number: int) -> list[LabelRow]:
    """Everything that was said of an incident, the newest last."""
    return list(session.exec(select(LabelRow).where(LabelRow.incident == number).order_by(col(LabelRow.id))).all())


def labelled(session: Session) -> list[Labelled]:
    """All incidents of which somebody said what was wrong, oldest first."""
    newest = {row.incident: row for row in session.exec(select(LabelRow).order_by(col(LabelRow.id))).all()}
    wanted = select(DiagnosisRow).where(col(DiagnosisRow.incident).in_(list(newest))).order_by(col(DiagnosisRow.id))
    told: Sequence[DiagnosisRow] = session.exec(wanted).all() if newest else ()
    return [
        Labelled(label, tuple(row for row in told if row.incident == number))
        for number, label in sorted(newest.items())
    ]
