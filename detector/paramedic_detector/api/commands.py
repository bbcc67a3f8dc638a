"""The command stream to the bots, and their acknowledgements.

GET /api/v1/commands/stream  event: snapshot, then event: command; a comment every two seconds
GET /api/v1/commands         the same snapshot, for bots behind something that holds streams back
POST /api/v1/commands/acks   204; kept in memory, the engine writes them down with its next round
"""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from paramedic.contract.command import Ack, AckState
from paramedic_detector.api.auth import Caller, Doorkeeper, Scope
from paramedic_detector.commands import CommandHub, Connection

MOST_ACKS = 1000  # in one post
FRESH = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
Name = Annotated[str, Query(min_length=1, max_length=200)]


class AckIn(BaseModel):
    """What one bot instance says about one version of one command."""

    command_id: str = Field(max_length=200)
    version: int = Field(ge=0, le=2**53)
    service: str = Field(max_length=200)
    instance: str = Field(max_length=200)
    state: AckState
    at: float = Field(allow_inf_nan=False)
    reason: str = Field(default="", max_length=500)
    guards: list[Annotated[str, Field(max_length=200)]] = Field(default=[], max_length=100)


def router(hub: CommandHub, door: Doorkeeper) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/commands", tags=["commands"])
    bot = Depends(door.needs(Scope.COMMAND))

    @routes.get("", response_class=Response)
    async def snapshot(service: Name, instance: Name, caller: Caller = bot) -> Response:
        """All signed commands in force, as a JSON list. The bot counts as listening for ten seconds."""
        _own(caller, service)
        return Response(hub.poll(service, instance), media_type="application/json", headers=FRESH)

    @routes.get("/stream", response_class=StreamingResponse)
    async def stream(service: Name, instance: Name, caller: Caller = bot) -> StreamingResponse:
        """Server-sent events: `snapshot` with all signed commands in force, then each `command`."""
        _own(caller, service)
        return StreamingResponse(_events(hub, service, instance), media_type="text/event-stream", headers=FRESH)

    @routes.post("/acks", status_code=204)
    async def acks(body: Annotated[list[AckIn], Field(max_length=MOST_ACKS)], caller: Caller = bot) -> Response:
        """What became of commands in one instance."""
        for ack in body:
            _own(caller, ack.service)
        hub.take_acks(Ack(**(ack.model_dump() | {"guards": tuple(ack.guards)})) for ack in body)
        return Response(status_code=204)

    return routes


async def _events(hub: CommandHub, service: str, instance: str) -> AsyncIterator[str]:
    connection: Connection = hub.join(service, instance)
    try:
        while True:
            try:
                event = await connection.next()
            except TimeoutError:
                yield ": alive\n\n"
                continue
            if event is None:
                return
            yield f"event: {event.name}\ndata: {event.data}\n\n"
    finally:
        hub.leave(connection)


def _own(caller: Caller, service: str) -> None:
    if caller.service != service:
        raise HTTPException(403, f"this token is for the bots of {caller.service!r}, not of {service[:80]!r}")
