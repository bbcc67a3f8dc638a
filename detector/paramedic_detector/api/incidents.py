"""Routes of incidents."""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query

from paramedic_detector.api.auth import Doorkeeper, Scope
from paramedic_detector.api.backend import Backend
from paramedic_detector.api.pages import Cursor, IncidentPage, Limit, cursor_of, number_at, number_in
from paramedic_detector.api.schemas import Feedback, FeedbackOut, IncidentDetail, IncidentSummary, Merge, Split, Write
from paramedic_detector.values import IncidentState

STATES = frozenset(state.value for state in IncidentState)


def router(backend: Backend, door: Doorkeeper) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/incidents", tags=["incidents"], dependencies=[Depends(door.needs(Scope.READ))])
    operate = [Depends(door.needs(Scope.OPERATE))]

    @routes.get("")
    def incidents(
        state: Annotated[str, Query(description="one or several, with commas between")] = "",
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> IncidentPage:
        """Incidents, newest first."""
        states = [one for one in state.split(",") if one]
        if unknown := sorted(set(states) - STATES):
            raise HTTPException(422, f"state: {unknown[0][:40]!r} is none of {', '.join(sorted(STATES))}")
        items = backend.incident_page(states, number_at(cursor), limit + 1)
        more = len(items) > limit
        items = items[:limit]
        return IncidentPage(items=items, next=cursor_of(number_in(items[-1].id, "INC-")) if more else None)

    @routes.get("/{incident_id}")
    def incident(incident_id: str) -> IncidentDetail:
        """Everything about one incident."""
        return backend.detail(number_in(incident_id, "INC-"))

    @routes.post("/{incident_id}/acknowledge", dependencies=operate)
    def acknowledge(incident_id: str, write: Write) -> IncidentSummary:
        """Say that you have it."""
        return backend.incident(backend.desk.acknowledge(number_in(incident_id, "INC-"), write))

    @routes.post("/{incident_id}/resolve", dependencies=operate)
    def resolve(incident_id: str, write: Write) -> IncidentSummary:
        """Close it by hand; what is in force for it is taken back."""
        return backend.incident(backend.desk.resolve(number_in(incident_id, "INC-"), write))

    @routes.post("/{incident_id}/merge", dependencies=operate)
    def merge(incident_id: str, write: Merge) -> IncidentSummary:
        """Put it into another incident, since both have one cause; gives that other one."""
        into = number_in(write.into, "INC-")
        return backend.incident(backend.desk.merge(number_in(incident_id, "INC-"), into, write))

    @routes.post("/{incident_id}/split", dependencies=operate)
    def split(incident_id: str, write: Split) -> IncidentSummary:
        """Make an incident of its own of some of its series, since they have another cause; gives the new one."""
        return backend.incident(backend.desk.split(number_in(incident_id, "INC-"), write))

    @routes.get("/{incident_id}/feedback")
    def said(incident_id: str) -> list[FeedbackOut]:
        """What people said was wrong, the newest last; the newest counts."""
        return backend.feedback(number_in(incident_id, "INC-"))

    @routes.post("/{incident_id}/feedback", dependencies=operate, status_code=201)
    def feedback(incident_id: str, feedback: Feedback) -> FeedbackOut:
        """Say what was wrong, or that the diagnosis is right: `paramedic train` learns from it."""
        number = number_in(incident_id, "INC-")
        if feedback.fault_class and feedback.fault_class not in backend.desk.classes:
            known = ", ".join(sorted(backend.desk.classes))
            raise HTTPException(422, f"class: {feedback.fault_class[:60]!r} is none of the taxonomy: {known}")
        backend.desk.feedback(number, feedback)
        return backend.feedback(number)[-1]

    return routes
