"""A provider of language models on a real port that answers what a test tells it to: OpenAI's shapes and Anthropic's.

with LlmStub(chat()) as stub: ...           one answer, again and again
stub.answers(Reply(status=529), message())  these, one after the other; the last stays
"""

import http.server
import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Reply:
    """One answer: JSON, or events when there are some.

    Attributes:
        events: Lines of a stream, each with its event's name where it has one.
        broken: The line breaks after the events: the last chunk of the body never comes.
        gate: Waited for before the last event.
        wait: Waited for before anything is answered.
    """

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    events: tuple[tuple[str, Any], ...] | None = None
    broken: bool = False
    gate: threading.Event | None = None
    wait: threading.Event | None = None


@dataclass(frozen=True)
class Seen:
    path: str
    headers: dict[str, str]
    body: Any


class LlmStub:
    """Attributes:
    seen: Requests so far.
    """

    def __init__(self, *replies: Reply) -> None:
        self.seen: list[Seen] = []
        self.answers(*replies or (Reply({}),))
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_: object) -> None:
                return

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                seen = {name.lower(): value for name, value in self.headers.items()}
                stub.seen.append(Seen(self.path, seen, json.loads(raw) if raw else None))
                reply = stub._next()
                if reply.wait is not None:
                    reply.wait.wait(20)
                _send(self, reply)

            do_GET = do_POST

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                return

        self._server = Server(("127.0.0.1", 0), Handler)
        self.peer = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.peer}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def answers(self, *replies: Reply) -> None:
        self._replies = list(replies)

    def _next(self) -> Reply:
        return self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> "LlmStub":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _send(handler: http.server.BaseHTTPRequestHandler, reply: Reply) -> None:
    handler.send_response(reply.status)
    for name, value in reply.headers.items():
        handler.send_header(name, value)
    if reply.events is None:
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
        return
    handler.send_header("Content-Type", "text/event-stream")
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for number, line in enumerate(reply.events, 1):
        if reply.gate is not None and number == len(reply.events):
            reply.gate.wait(20)
        chunk = _event(*line)
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
    if reply.broken:
        handler.close_connection = True
    else:
        handler.wfile.write(b"0\r\n\r\n")


def _event(name: str, data: Any) -> bytes:
    said = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "").encode() + f"data: {said}\n\n".encode()


# OpenAI's shapes

DONE = ("", "[DONE]")
_CHAT = {"id": "chatcmpl-7", "created": 1, "model": "gpt-4o-2024"}


def chat(content: str | None = "Hello there", reason: str | None = "stop", **message: Any) -> Reply:
    choice = {"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": content, **message}}
    usage = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
    return Reply({**_CHAT, "object": "chat.completion", "choices": [choice], "usage": usage})


def chunk(reason: str | None = None, **delta: Any) -> tuple[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return "", {**_CHAT, "object": "chat.completion.chunk", "choices": [choice]}


def chat_usage() -> tuple[str, Any]:
    usage = {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13}
    return "", {**_CHAT, "object": "chat.completion.chunk", "choices": [], "usage": usage}


def events(*lines: tuple[str, Any], **more: Any) -> Reply:
    return Reply(events=lines, **more)


def chat_stream(**more: Any) -> Reply:
    lines = [chunk(role="assistant", content=""), chunk(content="Hello"), chunk(content=" there"), chunk("stop")]
    return events(*lines, chat_usage(), DONE, **more)


def response_body(text: str = "Hello", status: str = "completed", **more: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    put_out = {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": content}
    usage = {
        "input_tokens": 7,
        "output_tokens": 9,
        "total_tokens": 16,
        "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 6},
    }
    about = {"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-5", "parallel_tool_calls": True}
    rest = {"tools": [], "tool_choice": "auto", "output": [put_out] if text else [], "usage": usage}
    return {**about, **rest, "status": status, **more}


def response_stream(last: str = "response.completed", **more: Any) -> Reply:
    begun = response_body("", status="in_progress")
    lines = [
        ("response.created", {"response": begun}),
        ("response.output_text.delta", {"delta": "Hello", "item_id": "m", "output_index": 0, "content_index": 0}),
        (last, {"response": response_body(status=last.removeprefix("response."), **more)}),
    ]
    return events(*((name, {"type": name, "sequence_number": n, **data}) for n, (name, data) in enumerate(lines)))


# Anthropic's shapes

_MESSAGE = {"id": "msg_7", "type": "message", "role": "assistant", "model": "claude-x", "stop_sequence": None}


def message(*texts: str, reason: str = "end_turn", **more: Any) -> Reply:
    usage = {"input_tokens": 10, "output_tokens": 4, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20}
    content = [{"type": "text", "text": text} for text in texts]
    return Reply({**_MESSAGE, "content": content, "stop_reason": reason, "usage": usage, **more})


def message_lines(texts: Iterable[str] = ("Hel", "lo"), reason: str = "end_turn") -> list[tuple[str, Any]]:
    """All events of a message, with a ping where servers send one."""
    begun = {**_MESSAGE, "content": [], "stop_reason": None, "usage": {"input_tokens": 10, "output_tokens": 1}}
    block = {"type": "text", "text": ""}
    lines: list[tuple[str, Any]] = [
        ("message_start", {"message": begun}),
        ("ping", {}),
        ("content_block_start", {"index": 0, "content_block": block}),
        *(("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": text}}) for text in texts),
        ("content_block_stop", {"index": 0}),
        (
            "message_delta",
            {"delta": {"stop_reason": reason, "stop_sequence": None}, "usage": {"output_tokens": 6}},
        ),
        ("message_stop", {}),
    ]
    return [(name, {"type": name, **data}) for name, data in lines]


def message_stream(texts: Iterable[str] = ("Hel", "lo"), reason: str = "end_turn", **more: Any) -> Reply:
    return events(*message_lines(texts, reason), **more)


def overloaded(status: int = 529, **headers: str) -> Reply:
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    return Reply(body, status, {name.replace("_", "-"): value for name, value in headers.items()})


ERROR_EVENT = ("error", {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
