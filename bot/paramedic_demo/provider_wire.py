"""The bodies of an OpenAI-compatible provider: completions, chunks of a stream, errors. Shapes only, no decisions."""

import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse

from paramedic_demo.provider_answers import ToolCall
from paramedic_demo.provider_models import tokens_of

WORDS_A_CHUNK = 6  # providers send several tokens at a time, and each chunk costs both sides a wake-up
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Said:
    """What the model answers: a text, or a tool that it wants called."""

    text: str
    tool: ToolCall | None = None
    cut: bool = False  # the text ends before its end

    @property
    def tokens(self) -> int:
        return tokens_of(self.text if self.tool is None else self.tool.name + self.tool.arguments)

    @property
    def finish_reason(self) -> str:
        return "tool_calls" if self.tool else "length" if self.cut else "stop"

    @property
    def message(self) -> dict[str, Any]:
        if self.tool is None:
            return {"role": "assistant", "content": self.text}
        return {"role": "assistant", "content": None, "tool_calls": [tool_entry(self.tool)]}

    def deltas(self) -> Iterator[tuple[dict[str, Any], int]]:
        """What a stream carries after the role, piece by piece, each with its tokens."""
        if self.tool is not None:
            yield {"tool_calls": [{"index": 0, **tool_entry(self.tool)}]}, self.tokens
            return
        words = re.findall(r"\S+\s*", self.text)
        for start in range(0, len(words), WORDS_A_CHUNK):
            piece = "".join(words[start : start + WORDS_A_CHUNK])
            yield {"content": piece}, tokens_of(piece)

    def first_half(self) -> "Said":
        """What has been said when the line breaks in the middle."""
        return Said(self.text[: len(self.text) // 2], self.tool, cut=True)

    def at_most(self, tokens: int | None) -> "Said":
        """The same, stopped at the number of tokens that the caller pays for."""
        if tokens is None or self.tool is not None or self.tokens <= tokens:
            return self
        return Said(self.text[: tokens * 4], cut=True)


def tool_entry(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def usage(input_tokens: int, output_tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": input_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": input_tokens + output_tokens,
    }


def completion(answer_id: str, model: str, said: Said, input_tokens: int) -> dict[str, Any]:
    choice = {"index": 0, "message": said.message, "logprobs": None, "finish_reason": said.finish_reason}
    return {
        "id": answer_id,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [choice],
        "usage": usage(input_tokens, said.tokens),
    }


def chunk(
    answer_id: str, model: str, delta: Mapping[str, Any] | None, finish_reason: str | None = None
) -> dict[str, Any]:
    """One piece of a stream; without a delta it is the last one, which carries the usage and no choice."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]
    return {
        "id": answer_id,
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": model,
        "choices": choices,
    }


def event(data: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


def error(
    status: int, message: str, kind: str, code: str | None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return JSONResponse(body, status, headers=dict(headers or {}))


def no_key() -> JSONResponse:
    text = "You didn't provide an API key. Send it in the Authorization header: Authorization: Bearer YOUR_KEY."
    return error(401, text, "invalid_request_error", None)


def wrong_key(status: int) -> JSONResponse:
    if status == 403:
        return error(403, "Your key may not use this model.", "insufficient_permissions", None)
    return error(status, "Incorrect API key provided: demo-***.", "invalid_request_error", "invalid_api_key")


def bad_request(message: str) -> JSONResponse:
    return error(400, message, "invalid_request_error", None)


def no_such_model(asked: object, model: str) -> JSONResponse:
    text = f"The model {asked!r} does not exist or you do not have access to it; this provider has {model!r}."
    return error(404, text, "invalid_request_error", "model_not_found")


def server_error(status: int) -> JSONResponse:
    if status == 503:
        text = "The engine is currently overloaded, please try again later."
        return error(status, text, "service_unavailable_error", "overloaded")
    text = "The server had an error while processing your request. Sorry about that!"
    return error(status, text, "server_error", None)


def too_many(model: str, limit_per_s: float, retry_after_s: float) -> JSONResponse:
    limit = f"{limit_per_s * 60:.0f}"
    text = f"Rate limit reached for {model} on requests per min (RPM): Limit {limit}. Try again in {retry_after_s:g}s."
    headers = {
        "retry-after": str(math.ceil(retry_after_s)),
        "x-ratelimit-limit-requests": limit,
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": f"{retry_after_s:g}s",
    }
    return error(429, text, "requests", "rate_limit_exceeded", headers)
