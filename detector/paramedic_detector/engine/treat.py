"""Decide and act: what policy allows becomes actions, and actions become commands.

    diagnosis --policy--> proposed -> approved (by policy or a person) --written down--> sent --> hub

What is to be in force stands in the store; the hub is brought in line with it each round. So a restart, a crash
between writing and sending, and a person who takes an action back all go the same way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlmodel import Session

from paramedic.contract.command import LONGEST_NAME, PLATFORM, ActionKind, Command, Lease
from paramedic_detector import actions as life
from paramedic_detector import words
from paramedic_detector.commands import Live
from paramedic_detector.engine.parts import Parts, Tick
from paramedic_detector.store import actions as stored
from paramedic_detector.store import incidents, records
from paramedic_detector.store.incidents import Case
from paramedic_detector.store.store import Moved
from paramedic_detector.store.tables import ActionRow, IncidentRow
from paramedic_detector.values import ActionSpec, ActionState, Decision, Mode

RESTART_GAP = 1000  # versions skipped by a restart: more than the renewals that a dead process may not have written


class Decide:
    """Asks policy about every incident that has a diagnosis and no treatment."""

    name = "decide"

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def __call__(self, tick: Tick) -> Tick:
        return replace(tick, cases=tuple(self._case(case, tick.now) for case in tick.cases))

    def _case(self, case: Case, now: float) -> Case:
        if case.diagnosis is None or not self._is_free(case, now):
            return case
        with self._parts.store.reading() as session:
            running = stored.under_way(session)
            stopped = records.desk(session).stopped
        decision = self._parts.judges.policy.decide(
            case.diagnosis,
            self._parts.topology,
            [life.spec_of(action) for action in case.actions if life.tried(action)],
            [life.spec_of(action) for action in running if not life.waits_for_person(action)],
            self._parts.hub.commandable(),
            stopped or self._parts.hub.stopped,
            now,
        )
        try:
            return self._carry_out(case, decision, now)
        except Moved:
            return case  # a person was faster; the next round looks again

    def _is_free(self, case: Case, now: float) -> bool:
        """Still hurt, no treatment under way or in force, and none just taken back because the fault was over."""
        if case.incident.resolved_at is not None:
            return False
        if case.incident.last_alert_at < now - self._parts.timing.fresh_s:
            return False
        if any(life.in_force(a) or (life.undecided(a) and not life.waits_for_person(a)) for a in case.actions):
            return False
        recovered_at = max((a.recovered_at or 0.0 for a in case.actions), default=0.0)
        cooled = case.incident.last_alert_at > recovered_at + self._parts.timing.cooldown_s
        return not recovered_at or cooled

    def _carry_out(self, case: Case, decision: Decision, now: float) -> Case:
        waiting = [action for action in case.actions if life.waits_for_person(action)]
        same = _specs(waiting) == [life.spec_to_json(spec) for spec in decision.actions]
        proposes = decision.mode in (Mode.ACT, Mode.ASK) and bool(decision.actions)
        if not (_is_news(case.incident, decision) or (proposes and not (same and decision.mode == Mode.ASK))):
            return case
        with self._parts.store.writing() as session:
            incident = session.get_one(IncidentRow, case.number)
            incident.decision_mode, incident.decision_reason = decision.mode.value, decision.reason.value
            incident.decision_rule, incident.decision_sentence = decision.rule, decision.sentence
            if proposes:
                self._propose(session, case, decision, same, now)
            session.flush()
            return incidents.case_of(session, case.number) or case

    def _propose(self, session: Session, case: Case, decision: Decision, same: bool, now: float) -> None:
        waiting = [session.get_one(ActionRow, a.number) for a in case.actions if life.waits_for_person(a)]
        if same and waiting:  # surer now than when a person was asked
            for action in waiting:
                _approve(action, decision, now)
            return
        for action in waiting:
            action.result = "another treatment fits better by now"
            life.move(action, ActionState.REJECTED, now=now, how="replaced it")
        treatment = self._parts.new_id()
        for spec in decision.actions:
            row = self._new_action(case, spec, decision, treatment, now)
            session.add(row)
            session.flush()
            if decision.mode == Mode.ACT:
                _approve(row, decision, now)
            else:
                text = f"{row.id} waits for a person: {words.what(spec)}."
                incidents.log(session, case.number, at=now, kind="act", text=text)

    def _new_action(self, case: Case, spec: ActionSpec, decision: Decision, treatment: str, now: float) -> ActionRow:
        return ActionRow(
            incident=case.number,
            state=ActionState.PROPOSED.value,
            kind=spec.kind.value,
            service=spec.service,
            spec=life.spec_to_json(spec),
            treatment=treatment,
            rule=decision.rule,
            automatic=decision.mode == Mode.ACT,
            reason=decision.sentence,
            created_at=now,
            command_id=self._parts.new_id(),
            changed_at=now,
        )


class Act:
    """Sends what is approved, renews what is in force, takes back what is not."""

    name = "act"

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._idle_at: int | None = None  # mark of the store at which nothing was under way

    def __call__(self, tick: Tick) -> Tick:
        mark = self._parts.store.mark
        if mark is not None and mark == self._idle_at and not self._parts.hub.live():
            return tick
        under_way, stopped_by = self._read()
        changed = self._settle(under_way, stopped_by, tick.now)
        if changed:
            under_way, _ = self._read()
        held = {action.command_id: action for action in under_way if life.in_force(action)}
        self._align(held, tick.now)
        self._renew(held, tick.now)
        self._idle_at = None if under_way else mark
        return reread(self._parts, tick, changed)

    def _read(self) -> tuple[list[ActionRow], str]:
        """What is under way, and who switched the global stop on; "" while it is off."""
        with self._parts.store.reading() as session:
            desk = records.desk(session)
            return stored.under_way(session), (desk.stopped_by or "somebody") if desk.stopped else ""

    def _settle(self, under_way: Sequence[ActionRow], stopped_by: str, now: float) -> set[int]:
        """Write down what is about to be sent, or is no longer to be; the incidents concerned."""
        concerned: set[int] = set()
        for seen in under_way:
            if stopped_by or self._is_due(seen, now):
                try:
                    with self._parts.store.writing() as session:
                        self._settle_one(session, session.get_one(ActionRow, seen.number), stopped_by, now)
                        concerned.add(seen.incident)
                except Moved:
                    continue  # a person was faster; the next round looks again
        return concerned

    def _is_due(self, action: ActionRow, now: float) -> bool:
        return action.state == ActionState.APPROVED or self._has_lapsed(action, now)

    def _has_lapsed(self, action: ActionRow, now: float) -> bool:
        """A proposal that nobody answered, or a lease that ended long ago while this process was dead."""
        if life.waits_for_person(action):
            return now - action.created_at > self._parts.timing.approval_s
        ended = action.lease_ends_at is not None and now - action.lease_ends_at > self._parts.timing.resume_s
        return life.in_force(action) and ended and action.command_id not in self._parts.hub.live()

    def _settle_one(self, session: Session, action: ActionRow, stopped_by: str, now: float) -> None:
        if stopped_by:
            drop(action, now=now, by=stopped_by, why=f"the global stop was switched on by {stopped_by}")
        elif action.state == ActionState.APPROVED:
            self._send(session, action, now)
        elif life.waits_for_person(action):
            action.result = "nobody answered"
            life.move(action, ActionState.EXPIRED, now=now, how="let it expire")
        elif life.in_force(action):
            drop(
                action, now=now, by="paramedic", why="its lease ended while paramedic was away", to=ActionState.EXPIRED
            )

    def _send(self, session: Session, action: ActionRow, now: float) -> None:
        life.move(action, ActionState.SENT, now=now, by=action.by, how="sent it")
        action.command_version, action.lease_ends_at = 1, now + float(action.spec["ttl_s"])
        incident = session.get_one(IncidentRow, action.incident)
        incident.acted_at = incident.acted_at or now
        by = "" if action.by == "policy" else f", approved by {action.by}"
        text = f"{action.id} sent{by}: {action.reason or words.what(life.spec_of(action))}."
        incidents.log(session, action.incident, at=now, kind="act", text=text)

    def _align(self, held: Mapping[str, ActionRow], now: float) -> None:
        """Make the hub hold exactly what the store says is in force."""
        live = self._parts.hub.live()
        for command_id in live.keys() - held.keys():
            self._parts.hub.clear(command_id)
        for command_id in held.keys() - live.keys():
            self._issue(held[command_id], now)

    def _issue(self, seen: ActionRow, now: float) -> None:
        """Send a command; one that an earlier process may have sent goes out under a higher version."""
        action = seen
        if now - (seen.sent_at or now) > 1e-9:
            with self._parts.store.writing() as session:
                action = session.get_one(ActionRow, seen.number)
                action.command_version += RESTART_GAP
                if action.applied_at is not None and (action.lease_ends_at or 0.0) < now:
                    action.judged_from = now  # for a while nothing was treated
                action.lease_ends_at = now + float(action.spec["ttl_s"])
        self._parts.hub.put(command_of(action, now))

    def _renew(self, held: Mapping[str, ActionRow], now: float) -> None:
        """Give fresh leases and write them down; a bot whose answer was lost answers again."""
        due = [live for id, live in self._parts.hub.live().items() if id in held and renewal_is_due(live, now)]
        renewed = [live for live in (self._parts.hub.renew(live.command.id) for live in due) if live is not None]
        if renewed:
            with self._parts.store.writing(shown=False) as session:
                for live in renewed:
                    row = session.get_one(ActionRow, held[live.command.id].number)
                    row.command_version, row.lease_ends_at = live.command.version, live.lease_ends_at


def renewal_is_due(live: Live, now: float) -> bool:
    return now - live.issued_at >= live.command.lease.ttl_s / 3


def command_of(action: ActionRow, now: float) -> Command:
    spec = life.spec_of(action)
    return Command(
        id=action.command_id,
        version=action.command_version,
        service=spec.service,
        kind=ActionKind(spec.kind),
        target=spec.target,
        lease=Lease(id=f"{action.id}-{action.command_id[:8]}", ttl_s=spec.ttl_s, probe_share=spec.probe_share),
        issued_at=now,
        parameters=dict(spec.parameters),
        incident=f"INC-{action.incident}",
        reason=action.reason,
        owner=PLATFORM if action.by in ("", "policy") else f"operator:{action.by}"[:LONGEST_NAME],
    )


def drop(action: ActionRow, *, now: float, by: str, why: str, to: ActionState = ActionState.REJECTED) -> None:
    """End an action wherever it stands: taken back when it is in force, never sent when it is not."""
    was_in_force = life.in_force(action)
    if life.undecided(action):
        action.result = why
        life.move(action, to, now=now, by=by, how=why)
    if was_in_force:
        life.roll_back(action, now=now, by=by, how=why)


def reread(parts: Parts, tick: Tick, changed: set[int]) -> Tick:
    """The tick with fresh cases for the incidents that were changed."""
    if not changed:
        return tick
    with parts.store.reading() as session:
        fresh = {number: incidents.case_of(session, number) for number in changed}
    return replace(tick, cases=tuple(fresh.get(case.number) or case for case in tick.cases))


def _approve(action: ActionRow, decision: Decision, now: float) -> None:
    action.automatic, action.by, action.rule, action.reason = True, "policy", decision.rule, decision.sentence
    life.move(action, ActionState.APPROVED, now=now, how="approved it")


def _specs(actions: Sequence[ActionRow]) -> list[dict[str, object]]:
    return [life.spec_to_json(life.spec_of(action)) for action in actions]


def _is_news(incident: IncidentRow, decision: Decision) -> bool:
    kept = (incident.decision_mode, incident.decision_reason, incident.decision_rule)
    return kept != (decision.mode.value, decision.reason.value, decision.rule)
