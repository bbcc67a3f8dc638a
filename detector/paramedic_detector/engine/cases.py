"""Middle stages: incidents get a diagnosis and example traces."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlmodel import Session

from paramedic_detector import words
from paramedic_detector.actions import in_force, undecided
from paramedic_detector.engine.parts import Parts, Tick
from paramedic_detector.engine.watch import still_open
from paramedic_detector.evidence_traces import trace_out
from paramedic_detector.store import incidents
from paramedic_detector.store.incidents import Case, alert_of, number_of
from paramedic_detector.store.store import Moved
from paramedic_detector.store.tables import IncidentRow
from paramedic_detector.values import Alert, Diagnosis

log = logging.getLogger("paramedic.engine")
TRACES = 3  # examples kept with an incident
GROWS_S = 30.0  # a trace's callers end after what they call: for so long a part of a trace is asked for again
PAST_S = 3600.0  # earlier incidents that are left out of what is usual
YOUNG_S = 15.0  # an incident of this age is looked at in each round
PATIENCE = 0.1  # later, and with nothing new alerting, again after this part of its age
RECENT_S = 20.0  # without an alert for so long there is nothing new to learn from


class Diagnose:
    """What is wrong and where, anew while the evidence grows and nothing was done yet."""

    name = "diagnose"

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._looked: dict[int, tuple[float, frozenset[str]]] = {}  # by number: when last, and at which fingerprints
        self._spans: dict[int, tuple[float, float]] | None = None  # of the last hour's incidents, by their number

    def __call__(self, tick: Tick) -> Tick:
        if not tick.cases:
            return tick
        self._remember(tick)
        self._looked = {case.number: self._looked[case.number] for case in tick.cases if case.number in self._looked}
        fresh = {alert.fingerprint: alert for alert in tick.alerts}
        return replace(tick, cases=tuple(self._case(case, fresh, tick.now) for case in tick.cases))

    def _remember(self, tick: Tick) -> None:
        """When there was an incident: none of that is usual."""
        if self._spans is None:
            with self._parts.store.reading() as session:
                self._spans = incidents.spans_since(session, tick.now - PAST_S)
        for case in tick.cases:
            self._spans[case.number] = (case.incident.onset_at, case.incident.resolved_at or tick.now)
        self._spans = {number: span for number, span in self._spans.items() if span[1] > tick.now - PAST_S}

    def _past(self, case: Case) -> list[tuple[float, float]]:
        """The incidents that began before this one."""
        spans = self._spans or {}
        return sorted(
            span for number, span in spans.items() if number != case.number and span[0] < case.incident.onset_at
        )

    def _case(self, case: Case, fresh: dict[str, Alert], now: float) -> Case:
        if any(in_force(a) or (undecided(a) and a.approved_at is not None) for a in case.actions):
            return case
        if case.incident.mitigated_at is not None or case.incident.resolved_at is not None:
            return case  # a treatment that worked has proved the diagnosis; what is seen since is its effect
        newest = case.incident.last_alert_at
        alerts = [fresh.get(row.fingerprint) or alert_of(row) for row in case.alerts]
        if not alerts or (case.diagnosis is not None and newest < now - RECENT_S):
            return case
        if not self._is_due(case, now):
            return case
        with self._parts.vitals.hands_on() as table:
            found = self._parts.judges.diagnoser.diagnose(
                alerts, table, self._parts.topology, now, case.incident.onset_at, self._past(case)
            )
        try:
            return self._keep(case, found, now) if _says_more(case, found) else case
        except Moved:
            return case  # a person was faster; the next round looks again

    def _is_due(self, case: Case, now: float) -> bool:
        """In each round while it is young, or when something new alerts; later more and more rarely."""
        age_s = now - case.incident.opened_at
        at, known = self._looked.get(case.number, (0.0, frozenset()))
        prints = frozenset(row.fingerprint for row in case.alerts)
        if case.diagnosis is not None and age_s > YOUNG_S and prints == known and now - at < PATIENCE * age_s:
            return False
        self._looked[case.number] = (now, prints)
        return True

    def _keep(self, case: Case, found: Diagnosis, now: float) -> Case:
        with self._parts.store.writing() as session:
            row = session.get_one(IncidentRow, case.number)
            incidents.save_diagnosis(session, case.number, found, now)
            if _subject(case.diagnosis) != _subject(found):
                sure = f", {words.percent(found.probability)} sure" if found.suspects else ""
                _say(session, row, now, "diagnose", f"{found.fault_class.replace('_', ' ')}{sure}: {found.summary}")
            row.fault_class, row.probability = found.fault_class, found.probability
            if found.suspects:
                target = found.suspects[0].target
                row.peer, row.zone, row.guard = target.peer, target.zone, target.guard
            session.flush()
            return replace(case, incident=row, diagnosis=found)


class Exemplars:
    """A few example traces from the flight recorder, redacted, while they are still there."""

    name = "exemplars"

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._asked_at: dict[int, float] = {}

    def __call__(self, tick: Tick) -> Tick:
        cases = tuple(self._case(case, tick) for case in tick.cases)
        self._parts.keep_traces([one for case in still_open(cases) for one in self._ids(case, tick)])
        return replace(tick, cases=cases)

    def _ids(self, case: Case, tick: Tick) -> list[str]:
        """Those it has, and those that it wants."""
        return [*(trace["trace_id"] for trace in case.incident.traces), *self._new_ids(case, tick)]

    def _case(self, case: Case, tick: Tick) -> Case:
        asked_at = self._asked_at.get(case.number, 0.0)
        if tick.now - asked_at < self._parts.timing.traces_s:
            return case
        parts = [trace["trace_id"] for trace in case.incident.traces if not _has_root(trace)]
        growing = parts if tick.now - case.incident.opened_at < GROWS_S else []
        ids = [*growing, *self._new_ids(case, tick)]
        if not ids:
            return case
        self._asked_at[case.number] = tick.now
        notes = {trace["trace_id"]: trace["note"] for trace in case.incident.traces} | self._wanted(case, tick)
        found = self._parts.recorder.traces(ids)
        traces = [
            trace_out(trace_id, notes[trace_id], spans).model_dump() for trace_id, spans in found.items() if spans
        ]
        return self._keep(case, traces) if traces else case

    def _new_ids(self, case: Case, tick: Tick) -> list[str]:
        known = {trace["trace_id"] for trace in case.incident.traces}
        return [one for one in self._wanted(case, tick) if one not in known][: TRACES - len(known)]

    def _wanted(self, case: Case, tick: Tick) -> dict[str, str]:
        """Traces that show the incident, the most telling first, each with what it shows."""
        mine = {row.fingerprint for row in case.alerts}
        return {
            exemplar.trace_id: exemplar.note
            for alert in sorted(tick.alerts, key=lambda alert: -alert.score)
            if alert.fingerprint in mine
            for exemplar in alert.exemplars
        }

    def _keep(self, case: Case, traces: list[dict[str, Any]]) -> Case:
        try:
            with self._parts.store.writing() as session:
                row = session.get_one(IncidentRow, case.number)
                row.traces = list({trace["trace_id"]: trace for trace in (*row.traces, *traces)}.values())[:TRACES]
                return replace(case, incident=row)
        except Moved:
            return case


def _has_root(trace: Mapping[str, Any]) -> bool:
    return any(not span["parent_id"] for span in trace["spans"])


def _subject(diagnosis: Diagnosis | None) -> tuple[str, str]:
    if diagnosis is None:
        return "", ""
    return diagnosis.fault_class, str(diagnosis.suspects[0].target) if diagnosis.suspects else ""


def _says_more(case: Case, found: Diagnosis) -> bool:
    """Whether it differs from the one that is kept, by more than a wobble."""
    kept = case.diagnosis
    if kept is None or _subject(kept) != _subject(found):
        return True
    return abs(kept.probability - found.probability) >= 0.02


def _say(session: Session, row: IncidentRow, now: float, kind: str, text: str) -> None:
    incidents.log(session, number_of(row), at=now, kind=kind, text=text)
