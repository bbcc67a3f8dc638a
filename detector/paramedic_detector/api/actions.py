"""Routes of actions."""

from fastapi import APIRouter, Depends

from paramedic_detector.api.auth import Doorkeeper, Scope
from paramedic_detector.api.backend import Backend
from paramedic_detector.api.pages import ActionPage, Cursor, Limit, cursor_of, number_at, number_in
from paramedic_detector.api.schemas import ActionOut, Write


def router(backend: Backend, door: Doorkeeper) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/actions", tags=["actions"], dependencies=[Depends(door.needs(Scope.READ))])
    operate = [Depends(door.needs(Scope.OPERATE))]

    @routes.get("")
    def actions(
        in_force: bool | None = None, incident: str | None = None, limit: Limit = 50, cursor: Cursor = None
    ) -> ActionPage:
        """Actions, newest first."""
        of = number_in(incident, "INC-") if incident else None
        items = backend.action_page(in_force, number_at(cursor), limit + 1, of)
        more = len(items) > limit
        items = items[:limit]
        return ActionPage(items=items, next=cursor_of(number_in(items[-1].id, "ACT-")) if more else None)

    @routes.get("/{action_id}")
    def action(action_id: str) -> ActionOut:
        return backend.action(number_in(action_id, "ACT-"))

    @routes.post("/{action_id}/approve", dependencies=operate)
    def approve(action_id: str, write: Write) -> ActionOut:
        """Let a proposed action be sent."""
        return backend.action(backend.desk.approve(number_in(action_id, "ACT-"), write))

    @routes.post("/{action_id}/reject", dependencies=operate)
    def reject(action_id: str, write: Write) -> ActionOut:
        """Turn a proposed action down."""
        return backend.action(backend.desk.reject(number_in(action_id, "ACT-"), write))

    @routes.post("/{action_id}/revert", dependencies=operate)
    def revert(action_id: str, write: Write) -> ActionOut:
        """Take an action back that is in force."""
        return backend.action(backend.desk.revert(number_in(action_id, "ACT-"), write))

    return routes
