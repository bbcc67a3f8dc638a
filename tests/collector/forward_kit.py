"""A backend for tests: a real server for OTLP over HTTP or gRPC that answers as it is told, and may come and go.

backend = HttpBackend(); backend.start(); backend.decide = lambda request: Say(503, {"retry-after": "1"})
"""

import socket
import ssl
import struct
import threading
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import zstandard
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from paramedic_collector.decode import parse
from paramedic_collector.forward.messages import REQUESTS
from paramedic_collector.otlp import Signal
from paramedic_collector.record.recorder import Recorder

DEADLINE_S = 20.0


@dataclass
class Say:
    """What a backend answers."""

    status: int = 200  # of HTTP
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    code: str = "OK"  # of gRPC
    retry_s: float | None = None  # RetryInfo of gRPC
    hang: bool = False
    reset: bool = False  # of HTTP: the connection breaks instead of an answer


@dataclass
class Got:
    """A request as a backend received it."""

    signal: Signal
    message: Any
    headers: dict[str, str]
    at: float  # monotonic seconds
    size: int  # before decompression


class Backend:
    """What both have in common. `decide` may be replaced at any time."""

    def __init__(self) -> None:
        self.requests: list[Got] = []  # all, also those that were not taken
        self.taken: list[Got] = []
        self.decide: Callable[[Got], Say] = lambda got: Say()
        self.let_go = threading.Event()  # ends every hanging answer
        self.port = 0

    @property
    def spans(self) -> list[str]:
        """The names of what was taken, in order."""
        return [span.name for got in self.taken for span in spans_of(got.message)]

    def answer(self, got: Got) -> Say:
        self.requests.append(got)
        say = self.decide(got)
        if say.hang:
            self.let_go.wait(DEADLINE_S)
        if say.status == 200 and say.code == "OK" and not say.hang and not say.reset:
            self.taken.append(got)
        return say


def in_turn(*answers: Say) -> Callable[[Got], Say]:
    """One after the other, then success."""
    left = list(answers)
    return lambda got: left.pop(0) if left else Say()


class HttpBackend(Backend):
    """Speaks HTTP, or HTTPS when it is given a context."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self._context, self._server = context, None

    @property
    def url(self) -> str:
        return f"{'https' if self._context else 'http'}://localhost:{self.port}"

    def start(self) -> None:
        """At the same port as before."""
        self.let_go.clear()
        handler = type("Handler", (_Handler,), {"backend": self})
        self._server = _Server(("127.0.0.1", self.port), handler)
        if self._context:
            self._server.socket = self._context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self.let_go.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.close_all()
            self._server.server_close()
            self._server = None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *args: Any) -> None:
        self.open: set[socket.socket] = set()
        super().__init__(*args)

    def process_request(self, request: Any, address: Any) -> None:
        self.open.add(request)
        super().process_request(request, address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def close_all(self) -> None:
        for one in list(self.open):
            _break(one)

    def handle_error(self, request: Any, address: Any) -> None:
        """Broken connections are what this is for."""


class _Handler(BaseHTTPRequestHandler):
    backend: HttpBackend
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["content-length"]))
        signal = Signal(self.path.rpartition("/")[2])
        headers = {key.lower(): value for key, value in self.headers.items()} | {"path": self.path}
        message = REQUESTS[signal].FromString(_unpacked(raw, headers.get("content-encoding", "")))
        say = self.backend.answer(Got(signal, message, headers, time.monotonic(), len(raw)))
        if say.hang or say.reset:
            self.close_connection = True
            _break(self.connection)
            return
        self.send_response(say.status)
        for key, value in {"content-type": "application/x-protobuf", **say.headers}.items():
            self.send_header(key, value)
        self.send_header("content-length", str(len(say.body)))
        self.end_headers()
        self.wfile.write(say.body)

    def log_message(self, *args: Any) -> None:
        """Tests have their own."""


def _unpacked(raw: bytes, coding: str) -> bytes:
    if coding == "gzip":
        return zlib.decompress(raw, 31)
    return zstandard.ZstdDecompressor().decompress(raw, max_output_size=1 << 28) if coding == "zstd" else raw


def _break(connection: socket.socket) -> None:
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close() if isinstance(connection, ssl.SSLSocket) else connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


class GrpcBackend(Backend):
    """Speaks gRPC, in plain text unless it is given credentials."""

    def __init__(self, credentials: Any = None, *, most_bytes: int = 64 << 20) -> None:
        super().__init__()
        self._credentials, self._most_bytes, self._server = credentials, most_bytes, None

    @property
    def target(self) -> str:
        return f"localhost:{self.port}"

    def start(self) -> None:
        """At the same port as before."""
        self.let_go.clear()
        options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", self._most_bytes)]
        self._server = grpc.server(ThreadPoolExecutor(4), options=options)
        for signal, request_type in REQUESTS.items():
            service = request_type.DESCRIPTOR.file.services_by_name
            (name,) = [one.full_name for one in service.values()]
            method = grpc.unary_unary_rpc_method_handler(self._export(signal), request_type.FromString)
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {"Export": method}),))
        address = f"127.0.0.1:{self.port}"
        if self._credentials:
            self.port = self._server.add_secure_port(address, self._credentials)
        else:
            self.port = self._server.add_insecure_port(address)
        self._server.start()

    def stop(self) -> None:
        self.let_go.set()
        if self._server is not None:
            self._server.stop(0).wait()
            self._server = None

    def _export(self, signal: Signal) -> Callable[[Any, grpc.ServicerContext], bytes]:
        def export(message: Any, context: grpc.ServicerContext) -> bytes:
            headers = dict(context.invocation_metadata())
            say = self.answer(Got(signal, message, headers, time.monotonic(), message.ByteSize()))
            if say.hang or say.code != "OK":
                code = "UNAVAILABLE" if say.hang else say.code
                _set_status(context, code, say.retry_s)
                context.abort(grpc.StatusCode[code], "as the test wants it")
            return say.body

        return export


def _set_status(context: grpc.ServicerContext, code: str, retry_s: float | None) -> None:
    if retry_s is None:
        return
    detail = AnyMessage()
    detail.Pack(RetryInfo(retry_delay=Duration(seconds=int(retry_s), nanos=int(retry_s % 1 * 1e9))))
    status = Status(code=code_pb2.Code.Value(code), message="as the test wants it", details=[detail])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))


def spans_of(message: Any) -> list[Any]:
    return [span for resource in message.resource_spans for scope in resource.scope_spans for span in scope.spans]


def one_span(name: str, trace: bytes = b"", **attributes: str) -> bytes:
    """A request with one span, told from all others by its name; a trace of its own unless one is given."""
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "support-bot"
    span = resource.scope_spans.add().spans.add(name=name, trace_id=trace or name.encode().rjust(16, b"\0")[-16:])
    span.span_id, span.kind = b"\x02" * 8, 3
    span.start_time_unix_nano = span.end_time_unix_nano = time.time_ns()
    for key, value in attributes.items():
        span.attributes.add(key=key).value.string_value = value
    return message.SerializeToString()


def one_log(text: str) -> bytes:
    message = ExportLogsServiceRequest()
    message.resource_logs.add().scope_logs.add().log_records.add().body.string_value = text
    return message.SerializeToString()


def record(recorder: Recorder, *payloads: bytes, signal: Signal = Signal.TRACES) -> None:
    """As the intake does."""
    for payload in payloads:
        recorder.append(recorder.compress(parse(signal, payload), payload))


def until(true: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> Any:
    """Poll until something is so."""
    ends = time.monotonic() + deadline_s
    while not (found := true()):
        assert time.monotonic() < ends, f"not within {deadline_s:g} s: {what}"
        time.sleep(0.01)
    return found
