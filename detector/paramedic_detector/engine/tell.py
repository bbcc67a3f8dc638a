"""Last stages: put the incident in words, put what is worth it into the outbox, and put away what is over."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from paramedic.contract.command import Target
from paramedic_detector import actions as life
from paramedic_detector import words
from paramedic_detector.engine.parts import Parts, Tick
from paramedic_detector.evidence import HURT_S
from paramedic_detector.notify import slack
from paramedic_detector.notify.moments import MESSAGES, Moment, Standing, moment
from paramedic_detector.store import incidents, outbox
from paramedic_detector.store.incidents import Case
from paramedic_detector.store.store import Moved
from paramedic_detector.store.tables import ActionRow, IncidentRow
from paramedic_detector.values import ActionState, IncidentState, Signal

FEW = 3  # bad requests that may be chance
SHARE = 0.005  # of requests, likewise
MANY = 0.9  # entry success below which many users are hurt
LEAD_S = 60.0  # of healthy time before the onset, on charts
BENIGN = frozenset({Signal.SURGE, Signal.LOG, Signal.GAUGE})


class Describe:
    """Impact, severity, sentences."""

    name = "describe"

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def __call__(self, tick: Tick) -> Tick:
        return replace(tick, cases=tuple(self._case(case, tick.now) for case in tick.cases))

    def _case(self, case: Case, now: float) -> Case:
        values = self._impact(case, now) | worded(case, now, self._parts.timing.settle_s)
        if all(getattr(case.incident, name) == value for name, value in values.items()):
            return case
        try:
            with self._parts.store.writing() as session:
                row = session.get_one(IncidentRow, case.number)
                if row.version != case.incident.version:
                    return case  # a person was faster; the next round words it anew
                for name, value in values.items():
                    setattr(row, name, value)
                session.flush()
                return replace(case, incident=row)
        except Moved:
            return case

    def _impact(self, case: Case, now: float) -> dict[str, Any]:
        row = case.incident
        calls, bad = self._parts.vitals.entry(row.onset_at, row.resolved_at or now)
        calls, bad = max(calls, row.calls), max(bad, row.bad_calls)
        severity = severity_of(case, self._parts.vitals.success(HURT_S, now), calls, bad)
        return {
            "calls": calls,
            "bad_calls": bad,
            "callers_hurt": self._callers(case),
            "severity": row.severity if row.resolved_at is not None else severity,
            "worst_severity": min(row.worst_severity, severity),
        }

    def _callers(self, case: Case) -> list[str]:
        target = words.target_of(case.incident)
        known = set(case.incident.callers_hurt)
        return sorted(known | set(self._parts.topology.callers(target))) if str(target) else sorted(known)


class Tell:
    """Decides for each incident whether a message is due, and writes it into the outbox in the same breath."""

    name = "tell"

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def __call__(self, tick: Tick) -> Tick:
        if not (self._parts.endpoints and tick.cases):
            return tick
        with self._parts.store.reading() as session:
            told = outbox.told(session, [case.number for case in tick.cases])
        for case in tick.cases:
            due = moment(standing(case, tick.now), {Moment(reason) for reason in told[case.number]})
            if due in MESSAGES:
                self._write(case.incident, due, tick.now)
        return tick

    def _write(self, incident: IncidentRow, due: Moment, now: float) -> None:
        body = slack.message(incident, due, self._parts.public_url)
        with self._parts.store.writing() as session:
            for endpoint in self._parts.endpoints:
                number = incidents.number_of(incident)
                outbox.enqueue(session, incident=number, reason=due.value, endpoint=endpoint, body=body, now=now)


class PutAway:
    """Keeps the charts with an incident that is over: the last that is done for it, and the sign that it is."""

    name = "put away"

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def __call__(self, tick: Tick) -> Tick:
        for case in tick.cases:
            if case.incident.resolved_at is not None and case.incident.evidence is None:
                self._keep(case, tick.now)
        return tick

    def _keep(self, case: Case, now: float) -> None:
        panels = panels_of(self._parts, case, now)
        try:
            with self._parts.store.writing() as session:
                session.get_one(IncidentRow, case.number).evidence = {"panels": panels}
        except Moved:
            return  # it was reopened at this moment


def worded(case: Case, now: float, settle_s: float) -> dict[str, Any]:
    """The sentences of an incident, as columns of its row."""
    row, actions = case.incident, case.actions
    strongest = max(case.alerts, key=lambda alert: alert.score, default=None)
    target = words.target_of(row)
    you = words.you(row, actions, age_s=now - row.opened_at, settle_s=settle_s)
    known = row.fault_class != "unknown" and str(target)
    title = words.title(row.fault_class, words.named(target)) if known else row.title
    return {
        "title": title,
        "cause": words.cause(case.diagnosis, strongest.explanation if strongest else row.cause),
        "done": words.done(actions) if any(action.sent_at for action in actions) else "",
        "you": you.sentence,
        "needs_you": you.needed,
        "verification": verification_of(actions),
    }


def verification_of(actions: Sequence[ActionRow]) -> str:
    """Of the newest treatment that was sent: "", "verifying", "verified", "no_effect" or "harmful"."""
    sent = [action for action in actions if action.sent_at is not None]
    states = {ActionState(action.state) for action in sent if action.treatment == sent[-1].treatment}
    for state in (ActionState.HARMFUL, ActionState.NO_EFFECT):
        if state in states and ActionState.VERIFIED not in states:
            return state.value
    if ActionState.VERIFIED in states:
        return "verified"
    return "verifying" if states & {ActionState.SENT, ActionState.APPLIED, ActionState.VERIFYING} else ""


def severity_of(case: Case, success: float | None, calls: int, bad: int) -> int:
    """1 many users hurt now; 2 some are, or would be without the treatment; 3 none; 4 for information."""
    if success is not None and success < MANY:
        return 1
    if any(life.in_force(action) for action in case.actions) or (bad > FEW and bad > SHARE * calls):
        return 2
    return 4 if case.alerts and all(alert.signal in BENIGN for alert in case.alerts) else 3


def standing(case: Case, now: float) -> Standing:
    """What the rule for messages looks at."""
    row, actions = case.incident, case.actions
    return Standing(
        age_s=now - row.opened_at,
        resolved=row.state == IncidentState.RESOLVED,
        needs_you=row.needs_you,
        working=any(a.state == ActionState.VERIFIED and life.in_force(a) for a in actions),
        trying=any(life.undecided(a) and not life.waits_for_person(a) for a in actions),
        ever_acted=any(action.sent_at is not None for action in actions),
    )


def panels_of(parts: Parts, case: Case, now: float) -> list[dict[str, Any]]:
    """The charts of an incident, to be kept with it."""
    row = case.incident
    end = min(row.resolved_at or now, now)
    target: Target = words.target_of(row)
    with parts.vitals.lock:
        found = parts.vitals.panels(target, row.callers_hurt, row.onset_at - LEAD_S, end)
    return [panel.model_dump(mode="json") for panel in found]
