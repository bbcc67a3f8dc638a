"""The HTTP side of the front door: POST /chat for customers, and the memory of their conversations.

    {"conversation", "message"} --> + turn number, + last turns --> a bot in some zone --> reply, remembered here

Since the last turns travel with each message, a conversation outlives the bot that began it.
"""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from paramedic_demo.front_door.spread import Spread
from paramedic_demo.memory import Memory, Turn
from paramedic_demo.support_bot.wire import Ask, apologise, told

log = logging.getLogger("front-door")


class FrontDoor:
    """Gives each message its turn number and its history, and remembers what was answered."""

    def __init__(self, spread: Spread, memory: Memory) -> None:
        self._spread, self._memory = spread, memory

    async def chat(self, request: Request) -> Response:
        try:
            ask = Ask.model_validate_json(await request.body())
        except ValidationError as error:
            return JSONResponse({"detail": [sentence(mistake) for mistake in error.errors()]}, 422)
        ask.turn = ask.turn or self._memory.count(ask.conversation) + 1
        try:
            reply, status = await self._spread.send(self._with_history(ask)), 200
        except Exception as error:
            log.warning("turn %s of %r failed: %s", ask.turn, ask.conversation, told(error))
            reply, status = apologise(ask, "").model_dump(), 502
        self._remember(ask, reply)
        return JSONResponse(dict(reply), status)

    def _remember(self, ask: Ask, reply: Mapping[str, Any]) -> None:
        """What failed is remembered too: the customer has said it. A message that came again is not said twice."""
        if ask.turn is not None and ask.turn > self._memory.count(ask.conversation):
            self._memory.add(ask.conversation, Turn(ask.message, str(reply["reply"]), str(reply["intent"])))

    async def route(self, request: Request) -> Response:
        """Which bot a zone's messages go to from now on: how a new version takes over."""
        asked = await request.json()
        if asked.get("zone") not in self._spread.urls:
            return JSONResponse({"mistakes": [f"zone must be one of {', '.join(self._spread.urls)}"]}, 400)
        self._spread.urls[asked["zone"]] = str(asked["url"])
        return JSONResponse(self._spread.urls)

    async def healthz(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"})

    def _with_history(self, ask: Ask) -> Mapping[str, Any]:
        """The message as the bot gets it. What a customer sends as history is not believed."""
        turns = self._memory.turns(ask.conversation)
        return {
            "conversation": ask.conversation,
            "message": ask.message,
            "turn": ask.turn,
            "history": [asdict(turn) for turn in turns],
        }


def front_app(spread: Spread) -> Starlette:
    door = FrontDoor(spread, Memory())

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await spread.close()

    routes = [
        Route("/chat", door.chat, methods=["POST"]),
        Route("/_route", door.route, methods=["PUT"]),
        Route("/healthz", door.healthz),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


def sentence(mistake: Mapping[str, Any]) -> str:
    """One mistake in a request, with its place and the value that was sent."""
    place = ".".join(map(str, mistake["loc"])) or "the body"
    return f"{place}: {mistake['msg']}, got {str(mistake['input'])[:80]!r}"
