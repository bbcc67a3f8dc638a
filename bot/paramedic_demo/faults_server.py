"""How a simulator is broken and healed while it runs: ``POST /_fault``, ``DELETE /_fault``.

    call --> FaultSwitch.strikes() --> the kind of fault that this call meets, or None
                    ^
    POST /_fault ---+   one fault at a time; the next one replaces it, DELETE takes it away at once

A call that was struck stays struck: who hangs goes on hanging after the fault has healed, as with a real provider.
"""

import asyncio
import json
import random
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from paramedic_demo.faults import FaultError, FaultSpec, Kinds, parse

T = TypeVar("T")
UNTRACED = frozenset({"/healthz", "/_fault", "/_stats", "/_route"})  # paths that no user calls
KEEP_ALIVE_S = 75  # longer than any client keeps an idle connection, so that a reused one is never just being closed


class FaultSwitch:
    """The fault that a simulator has now, and which of its calls meet it.

    Args:
        kinds: What it can do.
        rng: Draws who is struck.
        changed: Called with each new fault, and with that of kind "none" when it heals.
    """

    def __init__(self, kinds: Kinds, rng: random.Random, changed: Callable[[FaultSpec], None] = lambda _: None) -> None:
        self.kinds, self.now = kinds, FaultSpec("none", 0.0)
        self._rng, self._changed = rng, changed

    def strikes(self) -> FaultSpec | None:
        """The fault that the call which just came in meets; None when it is spared."""
        fault = self.now
        return fault if fault.share > 0 and self._rng.random() < fault.share else None

    def set(self, raw: object) -> FaultSpec:
        """Replace the fault.

        Raises:
            FaultError: This simulator cannot do that.
        """
        self.now = parse(raw, self.kinds)
        self._changed(self.now)
        return self.now

    def heal(self) -> None:
        self.now = FaultSpec("none", 0.0)
        self._changed(self.now)

    def pick_status(self, fault: FaultSpec) -> int:
        status = fault.parameters.get("status")
        return int(status) if status is not None else self._rng.choice((500, 503))


def control_routes(switch: FaultSwitch, stats: Callable[[], Mapping[str, Any]]) -> list[Route]:
    """The routes that every simulator has beside its own."""

    async def fault(request: Request) -> Response:
        if request.method == "DELETE":
            switch.heal()
        elif request.method == "POST":
            try:
                switch.set(json.loads(await request.body()))
            except FaultError as error:
                return JSONResponse({"mistakes": error.mistakes}, 400)
            except ValueError as error:
                return JSONResponse({"mistakes": [f"the body must be a JSON object, and is not: {error}"]}, 400)
        return JSONResponse({"kind": switch.now.kind, "share": switch.now.share, **switch.now.parameters})

    async def show_stats(_: Request) -> Response:
        return JSONResponse(dict(stats()))

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok")

    return [
        Route("/_fault", fault, methods=["GET", "POST", "DELETE"]),
        Route("/_stats", show_stats),
        Route("/healthz", healthz),
    ]


async def until_gone(request: Request) -> None:
    """Returns when the client has closed the connection. The body must have been read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def stays(request: Request, seconds: float) -> bool:
    """Let time pass; False as soon as the client leaves, so that nobody works for someone who is gone."""
    try:
        async with asyncio.timeout(seconds):
            await until_gone(request)
    except TimeoutError:
        return True
    return False


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T | None:
    """What `work` gives; None as soon as the client leaves, and the work is then given up."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(until_gone(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


class Silence(Response):
    """An answer that never begins: the call ends when the client leaves."""

    def __init__(self, request: Request) -> None:
        super().__init__()
        self._request = request

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await until_gone(self._request)


def serve(app: Any, port: int) -> None:
    """Answer on 127.0.0.1 until SIGTERM; calls that hang are given up after a second."""
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        log_level="warning",
        access_log=False,
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,
    )
