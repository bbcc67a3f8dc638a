"""What people do with incidents and actions: acknowledge, resolve, merge, split, approve, reject, revert, stop.

Each write names the version that its author saw and is refused with `Conflict` when somebody was faster; each
stands in the timeline and in the audit. The engine carries out what was decided here in its next round.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from sqlmodel import Session

from paramedic.contract.command import Target
from paramedic_detector import actions as life
from paramedic_detector import words
from paramedic_detector.api.schemas import Feedback, Merge, Split, Write
from paramedic_detector.commands import CommandHub
from paramedic_detector.diagnosis.taxonomy import Taxonomy
from paramedic_detector.engine.group import merge, split
from paramedic_detector.engine.tell import worded
from paramedic_detector.engine.treat import drop
from paramedic_detector.engine.verify import resolve
from paramedic_detector.store import incidents, labels, records
from paramedic_detector.store.incidents import Case
from paramedic_detector.store.store import Store
from paramedic_detector.store.tables import ActionRow, IncidentRow, LabelRow
from paramedic_detector.values import ActionState, IncidentState


class Unknown(LookupError):
    """There is no such incident or action; the message names it."""


class Conflict(Exception):
    """Somebody was faster, or the state does not allow it; the message says who or why."""


@dataclass(frozen=True, slots=True)
class Desk:
    """The writes of people. Every method gives the number of what was changed.

    Raises, each of them:
        Unknown, Conflict: See there.
        StoreDown: Nothing was changed.
    """

    store: Store
    hub: CommandHub
    clock: Callable[[], float]
    settle_s: float = 5.0
    classes: frozenset[str] = field(default_factory=lambda: frozenset(Taxonomy.load().names))  # that people may name

    def acknowledge(self, number: int, write: Write) -> int:
        with self.store.writing() as session:
            row = self._incident(session, number, write)
            if row.state != IncidentState.OPEN:
                raise Conflict(f"{row.id} is {row.state}; only an open incident can be acknowledged")
            row.state, row.acknowledged_at, row.owner = IncidentState.ACKNOWLEDGED.value, self.clock(), write.by
            incidents.note(row, now=self.clock(), by=write.by, how="acknowledged it")
            self._record(session, number, write, "acknowledged", row.id)
            self._reword(session, number)
        return number

    def resolve(self, number: int, write: Write) -> int:
        """Close an incident by hand; what is in force for it is taken back."""
        with self.store.writing() as session:
            row = self._incident(session, number, write)
            if row.state == IncidentState.RESOLVED:
                raise Conflict(f"{row.id} is resolved already: {self._who(row)}")
            case = self._case(session, number)
            resolve(session, row, case, now=self.clock(), by=write.by)
            records.audit(session, at=self.clock(), by=write.by, what="resolved", subject=row.id, note=write.note)
            self._reword(session, number)
        for action in case.actions:
            self.hub.clear(action.command_id, f"{write.by} resolved the incident")
        return number

    def merge(self, number: int, into: int, write: Merge) -> int:
        """Put an incident into another one; what is in force for it is taken back."""
        with self.store.writing() as session:
            row, home = self._incident(session, number, write), session.get(IncidentRow, into)
            if home is None:
                raise Unknown(f"there is no incident INC-{into}")
            if number == into:
                raise Conflict(f"{row.id} cannot be merged into itself")
            for one in (row, home):
                if one.state == IncidentState.RESOLVED:
                    raise Conflict(f"{one.id} is resolved already: {self._who(one)}")
            case = self._case(session, number)
            for action in case.actions:
                if life.in_force(action) or life.undecided(action):
                    drop(action, now=self.clock(), by=write.by, why=f"{row.id} was merged into {home.id}")
            merge(session, number, into, now=self.clock(), by=write.by)
            records.audit(session, at=self.clock(), by=write.by, what=f"merged into {home.id}", subject=row.id)
            self._reword(session, number)
            self._reword(session, into)
        for action in case.actions:
            self.hub.clear(action.command_id, f"{write.by} merged the incident")
        return into

    def split(self, number: int, write: Split) -> int:
        """Give some series of an incident one of their own; gives its number."""
        with self.store.writing() as session:
            row = self._incident(session, number, write)
            if row.state == IncidentState.RESOLVED:
                raise Conflict(f"{row.id} is resolved already: {self._who(row)}")
            fresh = split(session, number, frozenset(write.series), now=self.clock(), by=write.by)
            if fresh is None:
                raise Conflict(f"name some, and not all, of the series of {row.id}; its page lists them")
            records.audit(session, at=self.clock(), by=write.by, what=f"split {fresh.id} off", subject=row.id)
            self._reword(session, number)
            return incidents.number_of(fresh)

    def approve(self, number: int, write: Write) -> int:
        """Let a proposed action be sent."""
        with self.store.writing() as session:
            row = self._action(session, number, write)
            if row.state != ActionState.PROPOSED:
                raise Conflict(f"{row.id} is {row.state.replace('_', ' ')}; only a proposed action can be approved")
            if records.desk(session).stopped:
                raise Conflict("the global stop is on; switch it off before you approve an action")
            row.by = write.by
            life.move(row, ActionState.APPROVED, now=self.clock(), by=write.by, how="approved it")
            self._record(session, row.incident, write, "approved", row.id)
            self._reword(session, row.incident)
        return number

    def reject(self, number: int, write: Write) -> int:
        """Turn a proposed or approved action down, before it was sent."""
        with self.store.writing() as session:
            row = self._action(session, number, write)
            if row.state not in (ActionState.PROPOSED, ActionState.APPROVED):
                raise Conflict(f"{row.id} is {row.state.replace('_', ' ')}; it can be reverted, no longer rejected")
            row.by, row.result = write.by, f"rejected by {write.by}"
            life.move(row, ActionState.REJECTED, now=self.clock(), by=write.by, how="rejected it")
            self._record(session, row.incident, write, "rejected", row.id)
            self._reword(session, row.incident)
        return number

    def revert(self, number: int, write: Write) -> int:
        """Take an action back that is in force."""
        with self.store.writing() as session:
            row = self._action(session, number, write)
            if not life.in_force(row):
                raise Conflict(f"{row.id} is not in force ({row.state.replace('_', ' ')}): {self._who(row)}")
            row.by = write.by
            drop(row, now=self.clock(), by=write.by, why=f"reverted by {write.by}")
            incident = session.get_one(IncidentRow, row.incident)
            if incident.state == IncidentState.MITIGATED:
                incident.state, incident.mitigated_at = IncidentState.OPEN.value, None
                incidents.note(incident, now=self.clock(), by=write.by, how=f"reverted {row.id}")
            self._record(session, row.incident, write, "reverted", row.id)
            self._reword(session, row.incident)
            command_id = row.command_id
        self.hub.clear(command_id, f"reverted by {write.by}")
        return number

    def feedback(self, number: int, said: Feedback) -> int:
        """Keep what a person says was wrong; it changes nothing of the incident but its timeline."""
        with self.store.writing() as session:
            row = session.get(IncidentRow, number)
            if row is None:
                raise Unknown(f"there is no incident INC-{number}")
            diagnosed = words.target_of(row)
            fault_class = said.fault_class or row.fault_class
            target = _target(said.target) if said.target else diagnosed
            right = said.right or (fault_class == row.fault_class and target == diagnosed)
            if said.right:
                fault_class, target = row.fault_class, diagnosed
            labels.add(
                session,
                LabelRow(
                    incident=number, at=self.clock(), by=said.by, fault_class=fault_class, peer=target.peer,
                    zone=target.zone, right=right, note=said.note,
                ),
            )  # fmt: skip
            what = "the diagnosis is right" if right else f"it was {fault_class.replace('_', ' ')} of {target}"
            incidents.log(session, number, at=self.clock(), kind="person", text=f"{said.by} says: {what}.")
            records.audit(
                session, at=self.clock(), by=said.by, what="said what was wrong", subject=row.id, note=said.note
            )
        return number

    def stop(self, on: bool, by: str) -> None:
        """The global stop. It holds in this process at once, even when the store cannot take it."""
        if on:
            self.hub.stop(True)
        with self.store.writing() as session:
            desk = records.desk(session)
            if desk.stopped != on:
                desk.stopped, desk.stopped_by = on, by if on else ""
                desk.stopped_at = self.clock() if on else None
                what = "switched the global stop on" if on else "switched the global stop off"
                records.audit(session, at=self.clock(), by=by, what=what, subject="paramedic")
        if not on:
            self.hub.stop(False)

    def _incident(self, session: Session, number: int, write: Write | Merge | Split) -> IncidentRow:
        row = session.get(IncidentRow, number)
        if row is None:
            raise Unknown(f"there is no incident INC-{number}")
        if row.version != write.version:
            raise Conflict(f"{row.id} has changed since you read it: {self._who(row)}")
        return row

    def _action(self, session: Session, number: int, write: Write) -> ActionRow:
        row = session.get(ActionRow, number)
        if row is None:
            raise Unknown(f"there is no action ACT-{number}")
        if row.version != write.version:
            raise Conflict(f"{row.id} has changed since you read it: {self._who(row)}")
        return row

    def _who(self, row: IncidentRow | ActionRow) -> str:
        """Who was faster, as in `maya acknowledged it 4 s ago`."""
        return f"{row.changed_by} {row.changed_how} {words.span(self.clock() - row.changed_at)} ago"

    def _case(self, session: Session, number: int) -> Case:
        session.flush()
        case = incidents.case_of(session, number)
        if case is None:
            raise Unknown(f"there is no incident INC-{number}")
        return case

    def _record(self, session: Session, incident: int, write: Write, what: str, subject: str) -> None:
        note = f" {write.note}" if write.note else ""
        text = f"{write.by} {what} {subject}.{note}"
        incidents.log(session, incident, at=self.clock(), kind="person", text=text)
        records.audit(session, at=self.clock(), by=write.by, what=what, subject=subject, note=write.note)

    def _reword(self, session: Session, number: int) -> None:
        """The sentences follow the state at once, not with the next round."""
        case = self._case(session, number)
        for name, value in worded(case, self.clock(), self.settle_s).items():
            setattr(case.incident, name, value)


def _target(name: str) -> Target:
    """The target of its name, "aurora" or "support-bot in eu-1b"."""
    peer, _, zone = name.partition(" in ")
    return Target(peer=peer.strip(), zone=zone.strip())
