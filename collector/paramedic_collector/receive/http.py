"""OTLP over HTTP: protobuf and JSON on one port, gzip or not, and what the collector says of itself.

    POST /v1/{traces,metrics,logs}    GET /healthz, /readyz, /metrics

An ASGI app without a framework, served by uvicorn in a thread of its own. Whoever does not send a whole
request in time is cut off, so that idle or hostile connections cost next to nothing. Errors are
`google.rpc.Status` in the encoding of the request, as OTLP asks.
"""

import asyncio
import logging
import socket
import threading
import zlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import uvicorn
from google.rpc import code_pb2
from google.rpc.status_pb2 import Status
from uvicorn.protocols.http.h11_impl import H11Protocol

from paramedic_collector.decode import Undecodable
from paramedic_collector.intake import RETRY_S, Answer, Intake, Reply
from paramedic_collector.otlp import Signal
from paramedic_collector.receive.addresses import Endpoint, listen
from paramedic_collector.receive.otlp_json import status_json, to_protobuf

log = logging.getLogger(__name__)

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
_PATHS: Final = {f"/v1/{signal}": signal for signal in Signal}
_CHUNK: Final = 1 << 16  # bytes inflated at a time
_CODES: Final = {400: code_pb2.INVALID_ARGUMENT, 404: code_pb2.NOT_FOUND, 405: code_pb2.UNIMPLEMENTED,
                 408: code_pb2.DEADLINE_EXCEEDED, 413: code_pb2.RESOURCE_EXHAUSTED, 415: code_pb2.INVALID_ARGUMENT,
                 500: code_pb2.INTERNAL, 503: code_pb2.UNAVAILABLE}  # fmt: skip

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes = b""
    content_type: str = PROTOBUF
    headers: tuple[tuple[str, str], ...] = ()


class Rejected(Exception):
    """A request that gets an error; the message tells the sender what to do about it."""

    def __init__(self, status: int, message: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers


@dataclass(frozen=True, slots=True)
class Page:
    """What a GET shows."""

    content_type: str
    text: Callable[[], tuple[int, str]]  # status and body


class App:
    """The ASGI app.

    Args:
        intake: Where payloads go.
        pages: What GET shows, by path.
        limit_bytes: Largest body, before and after decompression.
        body_timeout_s: Time a sender has for one body.
    """

    def __init__(self, intake: Intake, pages: dict[str, Page], *, limit_bytes: int, body_timeout_s: float) -> None:
        self._intake, self._pages = intake, pages
        self._limit_bytes, self._body_timeout_s = limit_bytes, body_timeout_s
        self._workers = ThreadPoolExecutor(2, thread_name_prefix="otlp-http")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            response = await self._respond(scope, receive)
        except Rejected as error:
            response = _error(error, _content_type(scope))
        headers = [("content-type", response.content_type), ("content-length", str(len(response.body)))]
        encoded = [(name.encode(), value.encode()) for name, value in (*headers, *response.headers)]
        await send({"type": "http.response.start", "status": response.status, "headers": encoded})
        await send({"type": "http.response.body", "body": response.body})

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        path, method = scope["path"], scope["method"]
        if path in self._pages:
            return self._show(self._pages[path], method)
        if path not in _PATHS:
            raise Rejected(404, f"there is no {path[:100]}: OTLP goes to {', '.join(_PATHS)}")
        if method != "POST":
            raise Rejected(405, f"{path} takes POST, not {method[:20]}", (("allow", "POST"),))
        content_type = _content_type(scope)
        if content_type not in (PROTOBUF, JSON):
            raise Rejected(415, f"content type {content_type[:100]!r} is not taken: send {PROTOBUF} or {JSON}")
        encoding = _header(scope, b"content-encoding").strip().lower()
        if encoding not in ("", "identity", "gzip"):
            raise Rejected(415, f"content encoding {encoding[:100]!r} is not taken: send gzip or none")
        body = await self._body(scope, receive)
        work = asyncio.get_running_loop().run_in_executor
        return await work(self._workers, self._accept, _PATHS[path], body, content_type, encoding == "gzip")

    def _show(self, page: Page, method: str) -> Response:
        if method not in ("GET", "HEAD"):
            raise Rejected(405, f"this page takes GET, not {method[:20]}", (("allow", "GET, HEAD"),))
        status, text = page.text()
        return Response(status, text.encode(), page.content_type)

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        declared = _header(scope, b"content-length")
        if declared.isdigit() and int(declared) > self._limit_bytes:
            raise self._too_large()
        parts, size = [], 0
        try:
            async with asyncio.timeout(self._body_timeout_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Rejected(400, "the connection was closed in the middle of the body")
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > self._limit_bytes:
                        raise self._too_large()
                    if not message.get("more_body"):
                        return b"".join(parts)
        except TimeoutError:
            slow = f"the body did not arrive within {self._body_timeout_s:g} s"
            raise Rejected(408, slow, (("connection", "close"),)) from None

    def _accept(self, signal: Signal, body: bytes, content_type: str, gzipped: bool) -> Response:
        """Runs in a worker thread."""
        payload = self._inflate(body) if gzipped and body else body
        try:
            payload = to_protobuf(signal, payload) if content_type == JSON else payload
            answer = self._intake.accept(signal, payload, "http")
        except Undecodable as error:
            answer = Answer(Reply.UNDECODABLE, str(error))
        if answer.reply is Reply.UNDECODABLE:
            raise Rejected(400, answer.why)
        if answer.reply is not Reply.ACCEPTED:
            raise Rejected(503, f"try again in {RETRY_S} s: {answer.why}", (("retry-after", str(RETRY_S)),))
        return Response(200, b"{}" if content_type == JSON else b"", content_type)

    def _inflate(self, body: bytes) -> bytes:
        """Undo gzip; stops at the limit, so that a bomb costs no more memory than the limit."""
        parts, size, left = [], 0, body
        try:
            while left:
                stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)  # gzip alone, no bare zlib
                while not stream.eof:
                    part = stream.decompress(left, _CHUNK)
                    left = stream.unconsumed_tail
                    if not part and not left and not stream.eof:
                        raise Rejected(400, "the gzip body is cut short")
                    parts.append(part)
                    size += len(part)
                    if size > self._limit_bytes:
                        raise self._too_large()
                left = stream.unused_data.lstrip(b"\0")
        except zlib.error as error:
            raise Rejected(400, f"the body is not gzip as its content-encoding says: {error}") from None
        return b"".join(parts)

    def _too_large(self) -> Rejected:
        return Rejected(
            413,
            f"the body is larger than {self._limit_bytes} bytes: send smaller batches, or raise "
            "receivers.otlp.protocols.http.max_request_body_size in otel-config.yaml",
            (("connection", "close"),),
        )


class _Impatient(H11Protocol):
    """Closes a connection on which no request has been begun for a while, or one has been begun and not ended."""

    header_timeout_s = 10.0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._request_is_running():
            self._unwatch()
        elif self._deadline is None:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def _request_is_running(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _watch(self) -> None:
        self._deadline = self.loop.call_later(self.header_timeout_s, self._give_up)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if not self._request_is_running() and not self.transport.is_closing():
            self.transport.close()


class HttpReceiver:
    """Listens from `start` to `stop`.

    Raises (start):
        AddressInUse: Somebody else listens on the port.
    """

    def __init__(self, endpoint: Endpoint, app: App, *, header_timeout_s: float = 10.0) -> None:
        protocol = type("Impatient", (_Impatient,), {"header_timeout_s": header_timeout_s})
        config = uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            log_level=logging.CRITICAL,
            access_log=False,
            server_header=False,
            backlog=1024,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=2,
            h11_max_incomplete_event_size=1 << 16,
        )
        self._endpoint, self._server = endpoint, uvicorn.Server(config)
        self._sockets: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, name="otlp-http", daemon=True)

    def start(self) -> Endpoint:
        """Begin to listen; gives the address with the port that it really has."""
        self._sockets = listen(self._endpoint)
        self._thread.start()
        return self._endpoint.at_port(self._sockets[0].getsockname()[1])

    def stop(self) -> None:
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join(5.0)
        for one in self._sockets:
            one.close()

    def _serve(self) -> None:
        asyncio.run(self._server.serve(sockets=self._sockets))


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def _content_type(scope: Scope) -> str:
    return _header(scope, b"content-type").partition(";")[0].strip().lower()


def _error(error: Rejected, content_type: str) -> Response:
    status = Status(code=_CODES[error.status], message=str(error))
    if content_type == PROTOBUF:
        return Response(error.status, status.SerializeToString(), PROTOBUF, error.headers)
    return Response(error.status, status_json(status), JSON, error.headers)
