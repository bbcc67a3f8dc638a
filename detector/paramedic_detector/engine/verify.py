"""Verify: what the bots answered, whether the treatment works, and when the path is handed back.

    sent --first ack--> applied -> verifying --verdict--> verified | no_effect | harmful (taken back at once)
                                             \\--probes are good again, twice--> handed back

Taken back is written down first; the hub follows in the same round.
"""

from dataclasses import dataclass, replace

from sqlmodel import Session

from paramedic_detector import actions as life
from paramedic_detector import words
from paramedic_detector.actions import Step
from paramedic_detector.engine.parts import Parts, Tick
from paramedic_detector.engine.treat import drop, reread
from paramedic_detector.store import actions as stored
from paramedic_detector.store import incidents
from paramedic_detector.store.incidents import Case, number_of
from paramedic_detector.store.store import Moved, StoreDown
from paramedic_detector.store.tables import ActionRow, IncidentRow
from paramedic_detector.values import ActionState, IncidentState, Outcome, Verdict

MOST_PATIENT = 4  # doublings of the patience before a path is handed back again


@dataclass(frozen=True, slots=True)
class _Streak:
    """Verdicts in a row that say the same."""

    second: int = -1  # of the data that the last one rested on
    recovered: int = 0
    harmful: int = 0


class Verify:
    """Walks each action in force one step on."""

    name = "verify"

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._streaks: dict[int, _Streak] = {}

    def __call__(self, tick: Tick) -> Tick:
        answered = self._take_acks(tick.now)
        tick = reread(self._parts, tick, answered)
        changed = {case.number for case in tick.cases if self._case(case, tick)}
        for case in tick.cases:
            if case.number in changed:
                self._hand_back(case)
        return reread(self._parts, tick, changed)

    def _take_acks(self, now: float) -> set[int]:
        acks = self._parts.hub.acks()
        if not acks:
            return set()
        try:
            with self._parts.store.writing() as session:
                fresh = stored.save_acks(session, acks, now)
                for action, ack in fresh:
                    why = f" ({ack.reason})" if ack.reason else ""
                    text = f"{action.service} ({ack.instance[:8]}) {ack.state} {action.id}{why}."
                    incidents.log(session, action.incident, at=now, kind="act", text=text)
                return {action.incident for action, _ in fresh}
        except StoreDown:
            self._parts.hub.take_acks(acks)  # kept for the next round
            raise

    def _case(self, case: Case, tick: Tick) -> bool:
        """Whether anything of the incident's actions changed."""
        changed = False
        for action in case.actions:
            if not life.in_force(action):
                continue
            try:
                changed |= self._answered(case, action, tick.now)
                changed |= self._judged(case, action, tick)
            except Moved:
                changed = True  # a person was faster
        return changed

    def _answered(self, case: Case, action: ActionRow, now: float) -> bool:
        step = life.after_acks(action, case.acks_of(action), now, self._parts.timing.patience)
        if step == Step.WAIT and action.state != ActionState.APPLIED:
            return False
        applied = [ack.at for ack in case.acks_of(action) if ack.state == "applied"]
        with self._parts.store.writing() as session:
            row = session.get_one(ActionRow, action.number)
            if not life.in_force(row):
                return True
            if step == Step.APPLIED:
                life.move(row, ActionState.APPLIED, now=min(applied), how="saw it applied")
                row.judged_from = row.applied_at
            if row.state == ActionState.APPLIED:
                life.move(row, ActionState.VERIFYING, now=now, how="began to verify it")
            elif step == Step.REFUSED:
                reasons = sorted({ack.reason for ack in case.acks_of(action) if ack.reason})
                self._end(session, row, ActionState.REJECTED, "the bots refused it: " + "; ".join(reasons), now)
            elif step == Step.UNHEARD:
                self._end(session, row, ActionState.EXPIRED, "no bot answered before its lease ended", now)
            elif step == Step.LOST:
                self._end(session, row, ActionState.EXPIRED, "no bot holds it any more", now)
        return True

    def _judged(self, case: Case, action: ActionRow, tick: Tick) -> bool:
        if action.state not in (ActionState.VERIFYING, ActionState.VERIFIED) or action.judged_from is None:
            return False
        if self._is_stale(case, tick):
            return self._write(case, action, Step.RECOVERED, None, tick.now)
        second = int(self._parts.vitals.data_at() or 0)
        streak = self._streaks.get(number_of(action), _Streak())
        if second == streak.second:
            return False  # nothing new to judge by
        verdict = self._verdict(case, action, tick.now)
        streak = _Streak(
            second,
            recovered=streak.recovered + 1 if verdict.recovered else 0,
            harmful=streak.harmful + 1 if verdict.outcome == Outcome.HARMFUL else 0,
        )
        self._streaks[number_of(action)] = streak
        step = life.after_verdict(
            action, verdict, recovered=streak.recovered, harmful=streak.harmful, patience=self._patience(case)
        )
        return self._write(case, action, step, verdict, tick.now)

    def _verdict(self, case: Case, action: ActionRow, now: float) -> Verdict:
        with self._parts.vitals.hands_on() as table:
            return self._parts.judges.verdict(
                life.spec_of(action),
                action.judged_from or now,
                case.incident.onset_at,
                table,
                self._parts.topology,
                now,
            )

    def _patience(self, case: Case) -> life.Patience:
        """A path that was handed back too early before is watched for longer: a flapping fault, a calm treatment."""
        patience = self._parts.timing.patience
        too_early = sum(action.recovered_at is not None for action in case.actions)
        factor = 2 ** min(too_early, MOST_PATIENT)
        return replace(patience, recovered_verdicts=patience.recovered_verdicts * factor)

    def _is_stale(self, case: Case, tick: Tick) -> bool:
        """Nothing abnormal for so long that the probes may simply have no traffic."""
        since = tick.quiet_since.get(case.number)
        return since is not None and tick.now - since > self._parts.timing.stale_s

    def _write(self, case: Case, action: ActionRow, step: Step, verdict: Verdict | None, now: float) -> bool:
        if step == Step.WAIT and not _shows_more(action, verdict):
            return False
        with self._parts.store.writing() as session:
            row = session.get_one(ActionRow, action.number)
            if not life.in_force(row):
                return True
            if verdict is not None:
                _show(row, verdict)
            incident = session.get_one(IncidentRow, case.number)
            if step == Step.VERIFIED:
                self._verified(session, row, incident, now)
            elif step in (Step.NO_EFFECT, Step.HARMFUL):
                self._end(session, row, ActionState(step.value), row.result or step.value, now)
                _worse_again(incident, now)
            elif step == Step.RECOVERED:
                self._recovered(session, row, incident, now)
        return True

    def _verified(self, session: Session, row: ActionRow, incident: IncidentRow, now: float) -> None:
        life.move(row, ActionState.VERIFIED, now=now, how="verified it")
        incident.verified_at = incident.verified_at or now
        if incident.state in (IncidentState.OPEN, IncidentState.ACKNOWLEDGED):
            incident.state, incident.mitigated_at = IncidentState.MITIGATED.value, now
            incidents.note(incident, now=now, by="paramedic", how="marked it mitigated")
        text = f"{row.id} works: {row.result or words.worked(row.before, row.after)}"
        incidents.log(session, row.incident, at=now, kind="verify", text=text)

    def _recovered(self, session: Session, row: ActionRow, incident: IncidentRow, now: float) -> None:
        target = words.named(words.target_of(incident))
        if row.state == ActionState.VERIFYING:
            row.result = "the fault was over before the treatment could be judged"
            life.move(row, ActionState.EXPIRED, now=now, how="saw the fault end")
        row.recovered_at = row.rolled_back_at = now
        life.note(row, now=now, by="paramedic", how=f"took it back, since {target} has recovered")
        incidents.log(
            session, row.incident, at=now, kind="recover", text=f"{target} has recovered; {row.id} taken back."
        )

    def _end(self, session: Session, row: ActionRow, end: ActionState, why: str, now: float) -> None:
        """A bad end: the action is taken back, whatever state it was in."""
        if end in life.MOVES[ActionState(row.state)]:
            row.result = why
            life.move(row, end, now=now, how=why)
        if row.rolled_back_at is None:
            life.roll_back(row, now=now, how=why)
        kind = "verify" if end in (ActionState.NO_EFFECT, ActionState.HARMFUL) else "act"
        text = f"{row.id} taken back, {end.value.replace('_', ' ')}: {why}"
        incidents.log(session, row.incident, at=now, kind=kind, text=text)

    def _hand_back(self, case: Case) -> None:
        """Clear the commands of what is no longer in force now; a crash before this is mended by `Act`."""
        with self._parts.store.reading() as session:
            rows = [session.get_one(ActionRow, action.number) for action in case.actions]
        for row in rows:
            if not life.in_force(row):
                self._parts.hub.clear(row.command_id, row.changed_how)
                self._streaks.pop(number_of(row), None)


class Close:
    """Calls an incident over: no alert for a while, nothing in force, and windows that say so."""

    name = "close"

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def __call__(self, tick: Tick) -> Tick:
        seen_until = self._parts.vitals.data_at()
        if seen_until is None:
            return tick
        over = [case for case in tick.cases if self._is_over(case, tick, min(tick.now, seen_until))]
        for case in over:
            self._close(case, tick.now)
        return reread(self._parts, tick, {case.number for case in over})

    def _is_over(self, case: Case, tick: Tick, seen_until: float) -> bool:
        """Quiet counts only as far as there are windows: seeing nothing is not quiet."""
        since = tick.quiet_since.get(case.number)
        held = (life.in_force(a) or (life.undecided(a) and not life.waits_for_person(a)) for a in case.actions)
        if case.incident.resolved_at is not None or since is None or any(held):
            return False
        taken_back_at = max((a.rolled_back_at or 0.0 for a in case.actions), default=0.0)
        return seen_until - max(since, taken_back_at) >= self._parts.timing.quiet_s

    def _close(self, case: Case, now: float) -> None:
        try:
            with self._parts.store.writing() as session:
                row = session.get_one(IncidentRow, case.number)
                resolve(session, row, case, now=now, by="paramedic")
        except Moved:
            return  # a person was faster; the next round looks again


def resolve(session: Session, row: IncidentRow, case: Case, *, now: float, by: str) -> None:
    """Close an incident, with all that still waits or holds."""
    for action in case.actions:
        fresh = session.get_one(ActionRow, action.number)
        if life.in_force(fresh) or life.undecided(fresh):
            drop(fresh, now=now, by=by, why="the incident is over")
    row.state, row.resolved_at = IncidentState.RESOLVED.value, now
    row.severity = row.worst_severity
    incidents.note(row, now=now, by=by, how="resolved it")
    said = f"{row.id} is over, {words.span(now - row.opened_at)} after it opened."
    text = said if by == "paramedic" else f"{by} resolved {row.id}."
    incidents.log(session, number_of(row), at=now, kind="recover" if by == "paramedic" else "person", text=text)


def _worse_again(incident: IncidentRow, now: float) -> None:
    if incident.state == IncidentState.MITIGATED:
        incident.state = (IncidentState.ACKNOWLEDGED if incident.acknowledged_at else IncidentState.OPEN).value
        incident.mitigated_at = None
        incidents.note(incident, now=now, by="paramedic", how="opened it again")


def _show(row: ActionRow, verdict: Verdict) -> None:
    row.before, row.after, row.probing = verdict.before.value, verdict.treated.value, verdict.probing.value
    row.result = verdict.sentence


def _shows_more(action: ActionRow, verdict: Verdict | None) -> bool:
    if verdict is None:
        return False
    return (action.before, action.after, action.probing, action.result) != (
        verdict.before.value,
        verdict.treated.value,
        verdict.probing.value,
        verdict.sentence,
    )
