"""Sends the planned messages at their moments and writes one line for each answer.

    plan --sleep until due--> POST /chat, a task each --> verdict --> one JSON line, flushed

An open loop: a slow bot does not slow the customers down. When as many messages are in flight as allowed, the next one
is not sent and counts as a failure, so that a limit of the generator can never flatter a bot.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

import httpx

from paramedic_demo.load.plan import USER_S, Message
from paramedic_demo.load.verdict import Verdict, judge

NOT_SENT = Verdict(False, "not sent: too many in flight")
LAST_WORD_S = USER_S + 1.0  # for the answers that are awaited when the generator is told to stop


@dataclass(slots=True)
class Outcome:
    """What is written about one message."""

    at: float  # unix seconds
    seconds: float
    verdict: Verdict
    message: Message
    reply: dict[str, Any]

    def line(self) -> str:
        told = {key: self.reply.get(key, "") for key in ("served_by", "zone", "status", "intent", "confidence")}
        about = {
            "at": round(self.at, 3),
            "seconds": round(self.seconds, 4),
            "useful": self.verdict.useful,
            "why": self.verdict.why,
            "conversation": self.message.conversation,
            "turn": self.message.turn,
            "need": self.message.need.value,
        }
        return json.dumps(about | told)


class Driver:
    """Drives one run.

    Args:
        url: Where messages go.
        out: Gets a line a message.
        most_in_flight: Messages that may wait for an answer at once.
        clock: Unix seconds.
    """

    def __init__(self, url: str, out: IO[str], *, most_in_flight: int, clock: Callable[[], float] = time.time) -> None:
        self._url, self._out, self._most, self._clock = url, out, most_in_flight, clock
        limits = httpx.Limits(max_connections=most_in_flight, max_keepalive_connections=50, keepalive_expiry=30.0)
        self._http = httpx.AsyncClient(timeout=USER_S, limits=limits, trust_env=False)
        self._in_flight: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Send nothing more; what is in flight is still awaited."""
        self._stop.set()

    async def run(self, plan: Iterator[Message], duration_s: float | None) -> None:
        """Send until the duration is over or `stop` is called; returns when all answers are written."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for message in plan:
            if duration_s is not None and message.at_s >= duration_s:
                await self._stops_within(began + duration_s - loop.time())
                break
            if await self._stops_within(began + message.at_s - loop.time()):
                break
            self._begin(message)
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=LAST_WORD_S)
        await self._http.aclose()

    async def _stops_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), max(0.0, seconds))
        return self._stop.is_set()

    def _begin(self, message: Message) -> None:
        if len(self._in_flight) >= self._most:
            self._write(Outcome(self._clock(), 0.0, NOT_SENT, message, {}))
            return
        task = asyncio.create_task(self._ask(message))
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    async def _ask(self, message: Message) -> None:
        at, began = self._clock(), time.perf_counter()
        body: Any = None
        try:
            async with asyncio.timeout(USER_S):
                response = await self._http.post(self._url, json=asked(message))
            body = json_or_none(response)
            verdict = judge(message, response.status_code, body, time.perf_counter() - began)
        except (TimeoutError, httpx.TimeoutException):
            verdict = Verdict(False, "late")
        except httpx.HTTPError as error:
            verdict = Verdict(False, f"no connection: {type(error).__name__}")
        reply = body if isinstance(body, dict) else {}
        self._write(Outcome(at, time.perf_counter() - began, verdict, message, reply))

    def _write(self, outcome: Outcome) -> None:
        self._out.write(outcome.line() + "\n")
        self._out.flush()


def asked(message: Message) -> dict[str, Any]:
    return {"conversation": message.conversation, "turn": message.turn, "message": message.text}


def json_or_none(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None
