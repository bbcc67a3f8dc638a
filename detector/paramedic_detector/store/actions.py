"""Actions in the store, and what the bots said of them."""

from collections.abc import Iterable, Sequence

from sqlalchemy import or_
from sqlmodel import Session, col, select

from paramedic.contract.command import Ack
from paramedic_detector.store.tables import AckRow, ActionRow
from paramedic_detector.values import ActionState

UNDECIDED = [s.value for s in (ActionState.PROPOSED, ActionState.APPROVED, ActionState.SENT)]
UNDECIDED += [s.value for s in (ActionState.APPLIED, ActionState.VERIFYING)]
OVER = [s.value for s in (ActionState.REJECTED, ActionState.EXPIRED, ActionState.FAILED)]


def under_way(session: Session) -> list[ActionRow]:
    """Actions of any incident that are in force or may come to be."""
    return list(session.exec(_UNDER_WAY).all())


def newest_first(
    session: Session, *, in_force: bool | None, before: int | None, limit: int, incident: int | None = None
) -> list[ActionRow]:
    """A page of actions: at most `limit` with a number below `before`."""
    wanted = select(ActionRow).order_by(_number.desc()).limit(limit)
    if in_force is not None:
        wanted = wanted.where(_HELD if in_force else ~_HELD)
    if before is not None:
        wanted = wanted.where(_number < before)
    if incident is not None:
        wanted = wanted.where(ActionRow.incident == incident)
    return list(session.exec(wanted).all())


def acks_of(session: Session, actions: Sequence[ActionRow]) -> dict[int, list[AckRow]]:
    """By number of the action."""
    numbers = [action.number for action in actions]
    found: dict[int, list[AckRow]] = {}
    if numbers:
        for row in session.exec(select(AckRow).where(col(AckRow.action).in_(numbers)).order_by(col(AckRow.id))).all():
            found.setdefault(row.action, []).append(row)
    return found


def save_acks(session: Session, acks: Iterable[Ack], now: float) -> list[tuple[ActionRow, AckRow]]:
    """Keep what the bots said; gives what was said for the first time.

    An acknowledgement of a command that is not known, or that was sent to another service, is nobody's.
    """
    fresh = []
    for ack in acks:
        action = session.exec(select(ActionRow).where(ActionRow.command_id == ack.command_id)).first()
        if action is None or action.service != ack.service or action.number is None:
            continue
        at = min(max(ack.at, action.sent_at or now), now)  # the bot's clock may be off
        same = select(AckRow).where(AckRow.action == action.number, AckRow.instance == ack.instance)
        row = session.exec(same.where(AckRow.state == ack.state.value)).first()
        if row is not None:
            row.last_at, row.command_version = max(row.last_at, at), max(row.command_version, ack.version)
            continue
        row = AckRow(
            action=action.number,
            instance=ack.instance,
            state=ack.state.value,
            reason=ack.reason,
            guards=list(ack.guards),
            command_version=ack.version,
            at=at,
            last_at=at,
        )
        session.add(row)
        session.flush()
        fresh.append((action, row))
    return fresh


_number = col(ActionRow.number)
_state = col(ActionRow.state)
_HELD = col(ActionRow.sent_at).is_not(None) & col(ActionRow.rolled_back_at).is_(None) & ~_state.in_(OVER)
_UNDER_WAY = select(ActionRow).where(or_(_HELD, _state.in_(UNDECIDED))).order_by(_number)
