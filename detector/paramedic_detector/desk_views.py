"""Rows of the store as the JSON of the API."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from paramedic_detector import actions as life
from paramedic_detector import words
from paramedic_detector.api.schemas import (
    AckOut,
    ActionOut,
    AlertOut,
    ChangeNote,
    Evidence,
    Impact,
    IncidentDetail,
    IncidentSummary,
    Mark,
    Panel,
    SimilarOut,
    SuspectOut,
    TimelineEvent,
    TraceOut,
)
from paramedic_detector.diagnosis.similar import PastIncident, similar
from paramedic_detector.store.incidents import Case
from paramedic_detector.store.tables import AckRow, ActionRow, EventRow, IncidentRow


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def moment_or_none(seconds: float | None) -> datetime | None:
    return None if seconds is None else moment(seconds)


def summary(row: IncidentRow, alerts: int) -> IncidentSummary:
    return IncidentSummary.model_validate(_summary(row, alerts))


def _summary(row: IncidentRow, alerts: int) -> dict[str, Any]:
    return {
        "id": row.id,
        "version": row.version,
        "state": row.state,
        "severity": row.severity,
        "title": row.title,
        "fault_class": row.fault_class,
        "probability": row.probability,
        "target": str(words.target_of(row)),
        "cause": row.cause,
        "done": row.done,
        "verification": row.verification,
        "you": row.you,
        "needs_you": row.needs_you,
        "onset_at": moment(row.onset_at),
        "opened_at": moment(row.opened_at),
        "acknowledged_at": moment_or_none(row.acknowledged_at),
        "acted_at": moment_or_none(row.acted_at),
        "verified_at": moment_or_none(row.verified_at),
        "mitigated_at": moment_or_none(row.mitigated_at),
        "resolved_at": moment_or_none(row.resolved_at),
        "owner": row.owner,
        "alerts": alerts,
        "impact": Impact(calls=row.calls, bad_calls=row.bad_calls, callers_hurt=row.callers_hurt),
    }


def action_out(row: ActionRow, acks: Sequence[AckRow]) -> ActionOut:
    spec = life.spec_of(row)
    return ActionOut(
        id=row.id,
        incident=f"INC-{row.incident}",
        version=row.version,
        kind=row.kind,
        service=row.service,
        target=str(spec.target),
        state=row.state,
        rule=row.rule,
        automatic=row.automatic,
        by=row.by,
        reason=row.reason,
        result=row.result,
        before=row.before,
        after=row.after,
        probing=row.probing,
        created_at=moment(row.created_at),
        sent_at=moment_or_none(row.sent_at),
        applied_at=moment_or_none(row.applied_at),
        ended_at=moment_or_none(row.ended_at),
        rolled_back_at=moment_or_none(row.rolled_back_at),
        lease_ends_at=moment_or_none(row.lease_ends_at),
        in_force=life.in_force(row),
        probe_share=spec.probe_share,
        acks=[AckOut(instance=a.instance, state=a.state, reason=a.reason, at=moment(a.at)) for a in acks],
    )


def detail(
    case: Case,
    events: Sequence[EventRow],
    panels: Sequence[Panel],
    past: Mapping[str, tuple[IncidentRow, PastIncident]],
) -> IncidentDetail:
    """Everything about one incident.

    Args:
        panels: Live ones while it is open, the kept ones afterwards.
        past: Earlier incidents by id, to name those that looked alike.
    """
    row = case.incident
    return IncidentDetail(
        **_summary(row, len(case.alerts)),
        suspects=[
            SuspectOut(name=words.named(s.target), kind=s.kind, probability=s.probability, evidence=list(s.evidence))
            for s in (case.diagnosis.suspects if case.diagnosis else ())
        ],
        alert_list=[
            AlertOut(
                series=f"{a.family}:" + "/".join(a.parts),
                signal=a.signal,
                onset_at=moment(a.onset_at),
                last_at=moment(a.last_at),
                score=a.score,
                explanation=a.explanation,
            )
            for a in sorted(case.alerts, key=lambda a: -a.score)
        ],
        actions=[action_out(action, case.acks_of(action)) for action in case.actions],
        timeline=[TimelineEvent.model_validate({"at": moment(e.at), "kind": e.kind, "text": e.text}) for e in events],
        evidence=evidence(case, panels),
        traces=[TraceOut.model_validate(trace) for trace in row.traces],
        similar=_similar(case, past),
        changes=[ChangeNote.model_validate(one | {"at": moment(one["at"])}) for one in row.changes],
        merged_into=f"INC-{row.merged_into}" if row.merged_into is not None else "",
    )


def _similar(case: Case, past: Mapping[str, tuple[IncidentRow, PastIncident]]) -> list[SimilarOut]:
    fingerprints = {alert.fingerprint for alert in case.alerts}
    return [
        SimilarOut(
            id=one.incident.id,
            title=past[one.incident.id][0].title,
            opened_at=moment(one.incident.opened_at),
            match=round(one.likeness, 3),
            ended_by=_ended_by(past[one.incident.id][0]),
        )
        for one in similar(fingerprints, [incident for _, incident in past.values()])
    ]


def _ended_by(row: IncidentRow) -> str:
    """What was done then; "itself" when nothing was."""
    if row.done or row.resolved_at is None:
        return row.done
    return f"itself, after {max(1, round((row.resolved_at - row.onset_at) / 60))} min"


def evidence(case: Case, panels: Sequence[Panel]) -> Evidence:
    """Charts with the fault's window and what was done when."""
    row = case.incident
    return Evidence(
        panels=list(panels),
        fault_from=moment(row.onset_at),
        fault_to=moment_or_none(_fault_end(case)),
        marks=[Mark(at=moment(at), text=text) for at, text in sorted(_marks(case), key=lambda mark: mark[0])],
    )


def _fault_end(case: Case) -> float | None:
    """When the path was seen healthy, else when the incident was over."""
    recovered = [action.recovered_at for action in case.actions if action.recovered_at is not None]
    return max(recovered) if recovered else case.incident.resolved_at


def _marks(case: Case) -> list[tuple[float, str]]:
    row = case.incident
    marks = [(row.opened_at, "incident opened")]
    for action in case.actions:
        name = words.what(life.spec_of(action))
        marks += [(action.applied_at, f"applied: {name}")] if action.applied_at else []
        marks += [(action.rolled_back_at, f"taken back: {name}")] if action.rolled_back_at else []
    marks += [(row.verified_at, "verified")] if row.verified_at else []
    marks += [(row.resolved_at, "over")] if row.resolved_at else []
    return marks
