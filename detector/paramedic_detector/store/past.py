"""Earlier incidents as diagnosis compares them: what was abnormal, what it was, and whether anybody is sure of that."""

from collections import defaultdict
from typing import Final

from sqlmodel import Session, col, select

from paramedic.contract.command import Target
from paramedic_detector.diagnosis.similar import PastIncident
from paramedic_detector.store.tables import AlertRow, IncidentRow, LabelRow
from paramedic_detector.values import IncidentState

MOST: Final = 300  # the newest; what is older hardly runs on the same services


def past_incidents(
    session: Session, before: IncidentRow, most: int = MOST
) -> dict[str, tuple[IncidentRow, PastIncident]]:
    """By id, incidents that were opened before this one and are over, the newest first.

    What a person said last of an incident counts for more than its diagnosis.
    """
    wanted = (
        select(IncidentRow)
        .where(col(IncidentRow.opened_at) < before.opened_at, col(IncidentRow.number) != before.number)
        .where(col(IncidentRow.state) == IncidentState.RESOLVED, col(IncidentRow.merged_into).is_(None))
        .order_by(col(IncidentRow.number).desc())
        .limit(most)
    )
    rows = session.exec(wanted).all()
    numbers = [row.number for row in rows]
    fingerprints: dict[int, set[str]] = defaultdict(set)
    named = select(AlertRow.incident, AlertRow.fingerprint).where(col(AlertRow.incident).in_(numbers))
    for number, fingerprint in session.exec(named).all() if rows else ():
        fingerprints[number].add(fingerprint)
    told = select(LabelRow).where(col(LabelRow.incident).in_(numbers)).order_by(col(LabelRow.id))
    labels = {label.incident: label for label in session.exec(told).all()} if rows else {}
    return {
        row.id: (row, _past(row, frozenset(fingerprints[row.number or 0]), labels.get(row.number or 0))) for row in rows
    }


def _past(row: IncidentRow, fingerprints: frozenset[str], label: LabelRow | None) -> PastIncident:
    said = Target(label.peer, label.zone) if label is not None and label.peer else Target(row.peer, row.zone)
    return PastIncident(
        id=row.id,
        fingerprints=fingerprints,
        target=str(said) if said.peer else "",
        fault_class=label.fault_class if label is not None and label.fault_class else row.fault_class,
        confirmed=label is not None or row.verified_at is not None,
        opened_at=row.opened_at,
    )
