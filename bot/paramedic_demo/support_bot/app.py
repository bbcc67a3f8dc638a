"""The HTTP side of the bot: POST /chat, GET /queue, GET /healthz, and the door by which drills break it.

A turn that fails is a 502 with an apology in it, so that a person who reads it is not left with nothing.
"""

import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.requests import Request
from starlette.responses import Response

from paramedic_demo.faults_server import control_routes
from paramedic_demo.handover import HumanQueue
from paramedic_demo.intents import IntentModel
from paramedic_demo.memory import Memory
from paramedic_demo.support_bot.calls import Calls
from paramedic_demo.support_bot.troubles import Troubles
from paramedic_demo.support_bot.turns import SupportBot
from paramedic_demo.support_bot.wire import Ask, Reply, apologise, told

log = logging.getLogger("support-bot")


class ClosableCalls(Calls, Protocol):
    async def close(self) -> None: ...


def bot_app(calls: ClosableCalls, zone: str, queue_file: str, troubles: Troubles | None = None) -> FastAPI:
    """The whole bot; opens its queue when it starts and closes everything when it ends."""
    humans, troubles = HumanQueue(queue_file), troubles or Troubles(random.Random())
    bot = SupportBot(calls, IntentModel.load(), humans, zone, Memory(), troubles)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        humans.start()
        yield
        await humans.stop()
        await calls.close()

    doors = control_routes(troubles.switch, lambda: {"turns": troubles.turns, "failed": troubles.failed})
    app = FastAPI(title="Northtrail support bot", lifespan=lifespan, routes=[*doors[:2]])

    @app.post("/chat", response_model=Reply)
    async def chat(ask: Ask, request: Request) -> Reply | Response:
        if (broken := await troubles.meet(request)) is not None:
            return broken
        try:
            return await bot.reply(ask)
        except Exception as error:
            log.warning("turn %s of %r failed: %s", ask.turn, ask.conversation, told(error))
            return JSONResponse(apologise(ask, zone).model_dump(), 502)

    @app.get("/queue")
    async def queue() -> dict[str, Any]:
        return await humans.latest()

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok", "zone": zone}

    return app
