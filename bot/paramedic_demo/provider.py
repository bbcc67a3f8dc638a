"""A provider of language models, simulated: the OpenAI-compatible API with answers, prices, delays and faults.

    POST /v1/chat/completions --> key? --> request? --> fault? --> first token ... tokens ... done
    POST /_fault, DELETE /_fault   break it and heal it        GET /_stats   what it was asked and what that cost

It is a process of its own and is reached over TCP, so to a bot it is the real thing:
``python -m paramedic_demo.provider --name aurora --port 9101 --model aurora-large --seed 7``.
"""

import argparse
import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeGuard

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from paramedic_demo import provider_wire as wire
from paramedic_demo.faults import PROVIDER_KINDS, FaultSpec
from paramedic_demo.faults_server import FaultSwitch, Silence, control_routes, serve, stays
from paramedic_demo.provider_answers import answer, text_of, tool_call
from paramedic_demo.provider_models import MODELS, Model, cost_usd, tokens_of

BROKEN_ANSWERS = ("cut", "garbage", "empty")  # kinds of fault in which tokens flow, to no use
FLOWING = ("slow", "verbose", *BROKEN_ANSWERS)  # in which tokens flow at all
NOT_JSON = "<html><head><title>502 Bad Gateway</title></head><body>upstream sent no valid answer</body></html>"
BROKEN_EVENT = b'data: {"id":"chatcmpl-0","object":"chat.completion.chunk","choices":[{"index":0,"del\n\n'


@dataclass(slots=True)
class Stats:
    """What the provider was asked since it started."""

    calls: int = 0
    failed: int = 0  # answered with an error, with nothing of use, or not at all
    tokens: int = 0
    cost_usd: float = 0.0
    in_flight: int = 0

    @contextmanager
    def call(self) -> Iterator[None]:
        self.calls, self.in_flight = self.calls + 1, self.in_flight + 1
        try:
            yield
        finally:
            self.in_flight -= 1

    def bill(self, model: str, input_tokens: int, output_tokens: int) -> None:
        self.tokens += input_tokens + output_tokens
        self.cost_usd += cost_usd(model, input_tokens, output_tokens)


class RateMeter:
    """A token bucket: how many requests a second still pass while the provider limits them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._level, self._at = clock, 0.0, clock()

    def passes(self, limit_per_s: float) -> bool:
        """Whether one more request is within the limit; 0 lets none pass."""
        now = self._clock()
        self._level = min(max(limit_per_s, 1.0), self._level + (now - self._at) * limit_per_s)
        self._at = now
        if self._level < 1.0:
            return False
        self._level -= 1.0
        return True


@dataclass(frozen=True, slots=True)
class Asked:
    """A chat request that can be answered."""

    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]]
    max_tokens: int | None
    stream: bool
    with_usage: bool  # a last chunk of the stream tells the usage
    swollen: float = 1.0  # the prompt is billed as so many times its length

    @property
    def input_tokens(self) -> int:
        return round(self.swollen * sum(tokens_of(text_of(message)) + 4 for message in self.messages))


class BadRequest(ValueError):
    """The request cannot be answered; the message is what the API says about it."""


def read_chat(body: bytes) -> tuple[object, Asked]:
    """The model that is asked for, and the request.

    Raises:
        BadRequest: It is not JSON, or a part is missing or of the wrong kind.
    """
    try:
        raw = json.loads(body)
    except ValueError as error:
        raise BadRequest(f"We could not parse the JSON body of your request: {error}.") from None
    messages = raw.get("messages") if isinstance(raw, dict) else None
    if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
        raise BadRequest("Missing required parameter: 'messages' must be a list of at least one message.")
    most = raw.get("max_completion_tokens") or raw.get("max_tokens")
    options = raw.get("stream_options") or {}
    return raw.get("model"), Asked(
        messages, raw.get("tools") or [], most, bool(raw.get("stream")), bool(options.get("include_usage"))
    )


class Provider:
    """Answers chat requests as one model; the ASGI app of POST /v1/chat/completions."""

    def __init__(self, model: Model, rng: random.Random, speed: float = 1.0) -> None:
        self.model, self.stats, self._speed = model, Stats(), speed
        self.switch = FaultSwitch(PROVIDER_KINDS, rng)
        self._rng, self._meter = rng, RateMeter()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive, send)
        await request.body()  # a call is in flight from the moment that it is struck, or not
        with self.stats.call():
            response = await self._response(request)
            await response(scope, receive, send)

    async def _response(self, request: Request) -> Response:
        body, fault = await request.body(), self.switch.strikes()
        refused = refusal(request, body, self.model.name) or await self._struck_at_once(request, fault)
        if refused is not None:
            self.stats.failed += 1
            return refused
        _, asked = read_chat(body)
        if fault is not None and fault.kind == "verbose":
            asked = replace(asked, swollen=fault.number("factor"))
        said = self._say(asked, fault)
        if asked.stream:
            return StreamingResponse(self._stream(asked, said, fault), media_type="text/event-stream")
        return await self._whole(request, asked, said, fault)

    async def _struck_at_once(self, request: Request, fault: FaultSpec | None) -> Response | None:
        """The answer of a fault that lets no token through; None when tokens will flow."""
        kind = fault.kind if fault else ""
        if fault is None or kind in FLOWING:
            return None
        if kind == "outage":
            kind = self._rng.choice(("errors", "hang"))
        if kind == "hang":
            return Silence(request)
        if kind == "auth":
            return wire.wrong_key(int(fault.number("status")))
        if kind == "rate_limit":
            limit_per_s = fault.number("limit_per_s")
            if self._meter.passes(limit_per_s):
                return None
            return wire.too_many(self.model.name, limit_per_s, fault.number("retry_after_s"))
        await stays(request, self._rng.uniform(0.02, 0.2))  # a provider that fails seldom does so at once
        return wire.server_error(self.switch.pick_status(fault))

    def _say(self, asked: Asked, fault: FaultSpec | None) -> wire.Said:
        kind = fault.kind if fault else ""
        if kind in BROKEN_ANSWERS:
            self.stats.failed += 1
        if kind == "empty":
            return wire.Said("")
        call = tool_call(asked.messages, asked.tools)
        text = "" if call else answer(asked.messages, weak=self.model.weak)
        said = wire.Said(" ".join([text] * self._times(fault)), call).at_most(asked.max_tokens)
        return said.first_half() if kind == "cut" else said

    def _times(self, fault: FaultSpec | None) -> int:
        """How often an answer says the same: once, unless it is verbose."""
        if fault is None or fault.kind != "verbose":
            return 1
        times = 1 + (fault.number("factor") - 1) * fault.number("answer")
        return int(times) + (self._rng.random() < times % 1)

    def _pace(self, fault: FaultSpec | None) -> tuple[float, float]:
        """Seconds to the first token and seconds a token, for one answer."""
        late_s, slower = (fault.number("delay_s"), fault.number("factor")) if is_slow(fault) else (0.0, 1.0)
        if late_s:
            slower = 1.0
        first = self._rng.lognormvariate(0.0, self.model.first_token_spread) * self.model.first_token_s
        jitter, slower = self._rng.uniform(0.85, 1.15), slower / self._speed
        return late_s + min(first, 4 * self.model.first_token_s) * slower, jitter * slower / self.model.tokens_per_s

    async def _whole(self, request: Request, asked: Asked, said: wire.Said, fault: FaultSpec | None) -> Response:
        first_s, token_s = self._pace(fault)
        if not await stays(request, first_s + said.tokens * token_s):
            self.stats.failed += 1
            return Silence(request)
        self.stats.bill(self.model.name, asked.input_tokens, said.tokens)
        if fault and fault.kind == "garbage":
            return Response(NOT_JSON, media_type="application/json")
        return JSONResponse(wire.completion(self._answer_id(), self.model.name, said, asked.input_tokens))

    async def _stream(self, asked: Asked, said: wire.Said, fault: FaultSpec | None) -> AsyncIterator[bytes]:
        """The events of one answer. Who leaves early pays for what was said until then."""
        answer_id, name, sent, whole = self._answer_id(), self.model.name, 0, False
        loop, (first_s, token_s) = asyncio.get_running_loop(), self._pace(fault)
        began = loop.time() + first_s
        try:
            await asyncio.sleep(first_s)
            yield wire.event(wire.chunk(answer_id, name, {"role": "assistant", "content": ""}))
            if fault and fault.kind == "garbage":
                yield BROKEN_EVENT
                return
            for delta, tokens in said.deltas():
                yield wire.event(wire.chunk(answer_id, name, delta))
                sent += tokens
                await asyncio.sleep(began + sent * token_s - loop.time())
            if fault and fault.kind == "cut":
                return
            yield wire.event(wire.chunk(answer_id, name, {}, said.finish_reason))
            if asked.with_usage:
                yield wire.event(wire.chunk(answer_id, name, None) | {"usage": wire.usage(asked.input_tokens, sent)})
            whole = True
            yield wire.DONE
        finally:
            self.stats.bill(name, asked.input_tokens, sent)
            if not whole and not (fault and fault.kind in BROKEN_ANSWERS):
                self.stats.failed += 1  # the caller did not wait for the end

    def _answer_id(self) -> str:
        return f"chatcmpl-{self._rng.getrandbits(96):024x}"


def is_slow(fault: FaultSpec | None) -> TypeGuard[FaultSpec]:
    return fault is not None and fault.kind == "slow"


def refusal(request: Request, body: bytes, model: str) -> Response | None:
    """The error that any provider gives to such a request; None when it is all right."""
    if not request.headers.get("authorization", "").startswith("Bearer "):
        return wire.no_key()
    try:
        asked_for, _ = read_chat(body)
    except BadRequest as error:
        return wire.bad_request(str(error))
    return None if asked_for == model else wire.no_such_model(asked_for, model)


def provider_app(model: Model, seed: int, speed: float = 1.0) -> Starlette:
    """The whole provider: the API, its health, its statistics, its faults."""
    provider = Provider(model, random.Random(seed), speed)

    async def models(_: Request) -> Response:
        entry = {"id": model.name, "object": "model", "created": 1735689600, "owned_by": model.name.split("-")[0]}
        return JSONResponse({"object": "list", "data": [entry]})

    return Starlette(
        routes=[
            Route("/v1/chat/completions", provider, methods=["POST"]),
            Route("/v1/models", models),
            *control_routes(provider.switch, lambda: asdict(provider.stats)),
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m paramedic_demo.provider", description="A simulated LLM provider.")
    parser.add_argument("--name", required=True, help="how logs and process lists call it")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", choices=sorted(MODELS), required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speed", type=float, default=1.0, help="this many times faster than the model is; for tests")
    options = parser.parse_args(arguments)
    if not options.speed > 0:
        parser.error(f"--speed must be above 0, got {options.speed}")
    serve(provider_app(MODELS[options.model], options.seed, options.speed), options.port)


if __name__ == "__main__":
    main()
