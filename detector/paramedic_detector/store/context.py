"""What stands around incidents in the store: changes, alerts from outside, and what is known to heal itself."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import delete
from sqlmodel import Session, col, select

from paramedic_detector.incidents.changes import BEFORE_S as BEFORE_S
from paramedic_detector.incidents.changes import Change
from paramedic_detector.incidents.outside import OutsideAlert
from paramedic_detector.store.tables import ChangeRow, OutsideAlertRow, PauseRow

CHANGES_KEPT_S: Final = 90 * 86_400.0
OUTSIDE_KEPT_S: Final = 7 * 86_400.0


def changes(session: Session, *, since: float, limit: int = 200) -> list[Change]:
    """The newest changes from then on, the newest first."""
    wanted = select(ChangeRow).where(col(ChangeRow.at) >= since).order_by(col(ChangeRow.at).desc()).limit(limit)
    return [
        Change(row.at, row.kind, row.service, row.text, version=row.version, by=row.by)
        for row in session.exec(wanted).all()
    ]


def save_changes(session: Session, found: Iterable[Change]) -> None:
    for one in found:
        session.add(ChangeRow(**asdict(one)))
        session.execute(delete(ChangeRow).where(col(ChangeRow.at) < one.at - CHANGES_KEPT_S))


def change_to_json(change: Change) -> dict[str, Any]:
    return asdict(change)


def pauses(session: Session) -> dict[str, list[list[float]]]:
    """How alerts ended so far, by class."""
    return {row.name: row.ends for row in session.exec(select(PauseRow)).all()}


def save_pauses(session: Session, changed: Mapping[str, Sequence[Sequence[float]]]) -> None:
    for name, ends in changed.items():
        row = session.get(PauseRow, name) or PauseRow(name=name)
        row.ends = [list(end) for end in ends]
        session.add(row)


def firing(session: Session, *, since: float) -> list[OutsideAlertRow]:
    """Alerts of other systems that fire, and were said to after `since`."""
    wanted = select(OutsideAlertRow).where(col(OutsideAlertRow.ends_at).is_(None), col(OutsideAlertRow.seen_at) > since)
    return list(session.exec(wanted.order_by(col(OutsideAlertRow.starts_at), col(OutsideAlertRow.fingerprint))).all())


def save_outside(session: Session, told: Iterable[OutsideAlert], now: float) -> None:
    """Keep the newest word of each alert; what was over and fires again begins anew."""
    for one in told:
        row = session.get(OutsideAlertRow, one.fingerprint)
        if row is None:
            if one.ends_at is not None:
                continue  # it is over, and nobody here knew of it
            row = OutsideAlertRow(fingerprint=one.fingerprint, name=one.name, starts_at=one.starts_at, seen_at=now)
            session.add(row)
        if one.ends_at is not None:
            row.ends_at = row.ends_at if row.ends_at is not None else one.ends_at
            continue
        row.name, row.service, row.peer, row.kind = one.name, one.service, one.peer, one.kind
        row.severity, row.summary, row.labels = one.severity, one.summary, dict(one.labels)
        row.starts_at, row.seen_at, row.ends_at = one.starts_at, now, None
    session.execute(delete(OutsideAlertRow).where(col(OutsideAlertRow.seen_at) < now - OUTSIDE_KEPT_S))


def outside_of(row: OutsideAlertRow) -> OutsideAlert:
    return OutsideAlert(
        fingerprint=row.fingerprint,
        name=row.name,
        service=row.service,
        peer=row.peer,
        severity=row.severity,
        summary=row.summary,
        labels=row.labels,
        kind=row.kind,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
    )
