"""Messages on their way to people, in the store.

    pending --claim--> sending --> sent | pending again (later) | dead

A claim is written before the try: a process that dies in between leaves `sending`, which is tried again when the
claim runs out, marked as a possible repeat.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from paramedic_detector.store.tables import NotificationRow

CLAIM_S = 60.0
WAITING = ("pending", "sending")


def enqueue(
    session: Session, *, incident: int, reason: str, endpoint: str, body: dict[str, Any], now: float
) -> NotificationRow | None:
    """Write a message, once: None when the same one was written before."""
    key = f"INC-{incident}/{reason}/{endpoint}"
    if session.exec(select(NotificationRow).where(NotificationRow.key == key)).first():
        return None
    row = NotificationRow(
        incident=incident, key=key, reason=reason, endpoint=endpoint, body=body, created_at=now, next_try_at=now
    )
    session.add(row)
    return row


def told(session: Session, incidents: Sequence[int]) -> dict[int, set[str]]:
    """The reasons of the messages that were written, by incident."""
    found: dict[int, set[str]] = {number: set() for number in incidents}
    wanted = select(NotificationRow.incident, NotificationRow.reason)
    for number, reason in session.exec(wanted.where(col(NotificationRow.incident).in_(incidents))).all():
        found[number].add(reason)
    return found


def due(session: Session, endpoint: str, now: float) -> NotificationRow | None:
    """The message that has waited longest for its next try."""
    waiting = select(NotificationRow).where(
        NotificationRow.endpoint == endpoint,
        col(NotificationRow.state).in_(WAITING),
        col(NotificationRow.next_try_at) <= now,
    )
    return session.exec(waiting.order_by(col(NotificationRow.next_try_at), col(NotificationRow.id)).limit(1)).first()


def claim(row: NotificationRow, now: float) -> None:
    if row.state == "sending":
        row.uncertain = True  # whoever claimed it never said how it went
    row.state, row.tries, row.next_try_at = "sending", row.tries + 1, now + CLAIM_S


def sent_count(session: Session) -> int:
    return session.exec(select(func.count()).where(col(NotificationRow.state) == "sent")).one()


def waiting_count(session: Session) -> int:
    return session.exec(select(func.count()).where(col(NotificationRow.state).in_(WAITING))).one()
