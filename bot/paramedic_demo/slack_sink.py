"""Stands in for Slack: an incoming webhook that takes, refuses and limits messages as Slack does.

    POST /services/... --> fault? --> more than 1/s? --> valid? --> "ok", and a line in the file
    GET /_messages     what Slack would show        GET /_stats   how many it took, and what it refused

``python -m paramedic_demo.slack_sink --port 9301 --out slack.jsonl``.
"""

import argparse
import json
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from paramedic_demo.faults import SLACK_KINDS
from paramedic_demo.faults_server import FaultSwitch, Silence, control_routes, serve
from paramedic_demo.slack_sink_blocks import refusal_of

BURST = 5  # messages at once; after that one a second


class Sink:
    """Receives messages and keeps them, in memory and as one JSON line each."""

    def __init__(
        self, out: Path, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        self.switch, self.messages = FaultSwitch(SLACK_KINDS, random.Random(1)), list[dict[str, Any]]()
        self.refused: Counter[str] = Counter()
        self._out, self._clock, self._wall = out, clock, wall
        self._left, self._at = float(BURST), clock()

    async def receive(self, request: Request) -> Response:
        body, fault = await request.body(), self.switch.strikes()
        if fault is not None:
            self.refused[fault.kind] += 1
            if fault.kind == "hang":
                return Silence(request)
            return PlainTextResponse("rollup_error", self.switch.pick_status(fault))
        if (wait_s := self._wait_s()) > 0:
            self.refused["rate_limited"] += 1
            return PlainTextResponse("rate_limited", 429, headers={"retry-after": str(math.ceil(wait_s))})
        payload = parsed(body)
        if code := refusal_of(payload):
            self.refused[code] += 1
            return PlainTextResponse(code, 400)
        self._keep({"at": self._wall(), "path": request.url.path, "payload": payload})
        return PlainTextResponse("ok")

    def stats(self) -> dict[str, Any]:
        return {"accepted": len(self.messages), "refused": dict(self.refused)}

    def _wait_s(self) -> float:
        """Seconds until the next message may come; 0 when this one may, which it then takes."""
        now = self._clock()
        self._left, self._at = min(float(BURST), self._left + now - self._at), now
        if self._left < 1.0:
            return 1.0 - self._left
        self._left -= 1.0
        return 0.0

    def _keep(self, message: dict[str, Any]) -> None:
        self.messages.append(message)
        with self._out.open("a") as file:
            file.write(json.dumps(message) + "\n")


def parsed(body: bytes) -> object:
    """The JSON of a request; None when it is none."""
    try:
        return json.loads(body)
    except ValueError:
        return None


def sink_app(sink: Sink) -> Starlette:
    async def messages(_: Request) -> Response:
        return JSONResponse(sink.messages)

    return Starlette(
        routes=[
            Route("/services/{rest:path}", sink.receive, methods=["POST"]),
            Route("/_messages", messages),
            *control_routes(sink.switch, sink.stats),
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m paramedic_demo.slack_sink", description="A stand-in for Slack.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True, help="file to which each message is added as a JSON line")
    options = parser.parse_args(arguments)
    serve(sink_app(Sink(options.out)), options.port)


if __name__ == "__main__":
    main()
