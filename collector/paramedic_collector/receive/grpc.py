"""OTLP over gRPC. Requests stay bytes: decoding them is the intake's work, and it is done in columns.

    opentelemetry.proto.collector.{trace,metrics,logs}.v1.*Service/Export

Errors: UNAUTHENTICATED without a good token, INVALID_ARGUMENT for what cannot be decoded, UNAVAILABLE with
RetryInfo when there is no room (OTLP: come again later); gRPC itself answers RESOURCE_EXHAUSTED above the
largest message. A call is served as a stream of one message, which is the same on the wire: so a token is looked at
before the message is read, and a sender that never ends its message does not keep a worker for ever.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, NoReturn

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2
from google.rpc.error_details_pb2 import RetryInfo

from paramedic_collector import counters as count
from paramedic_collector.config.model import Server
from paramedic_collector.counters import Counters
from paramedic_collector.intake import RETRY_S, Answer, Intake, Reply
from paramedic_collector.otlp import Signal
from paramedic_collector.receive.addresses import AddressInUse, Endpoint, close_all, listen
from paramedic_collector.receive.answers import status_of
from paramedic_collector.receive.room import Room, Share
from paramedic_collector.receive.tls import grpc_credentials
from paramedic_collector.receive.tokens import Tokens

_SERVICES: Final = {Signal.TRACES: "trace.v1.TraceService", Signal.METRICS: "metrics.v1.MetricsService",
                    Signal.LOGS: "logs.v1.LogsService"}  # fmt: skip
_WORKERS: Final = 32  # each holds one message at most
_WINDOW_BYTES: Final = 1 << 19  # that a sender may have under way unread; a fixed one costs less than a guessed one
_MESSAGE_S: Final = 10.0  # for one message to arrive
_STATUS: Final = {
    code_pb2.INVALID_ARGUMENT: grpc.StatusCode.INVALID_ARGUMENT,
    code_pb2.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    code_pb2.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
}


class GrpcReceiver:
    """Listens from `start` to `stop`.

    Args:
        server: Limits and tokens; its `limit_bytes` hold before and after decompression.
        room: What may be in memory at once.
        message_s: Seconds that a sender has for one message.
    """

    def __init__(
        self, server: Server, intake: Intake, room: Room, counters: Counters, *, message_s: float = _MESSAGE_S
    ) -> None:
        self._config, self._intake, self._room, self._counters = server, intake, room, counters
        self._tokens, self._slow = Tokens(server.tokens), _SlowSenders(message_s)
        options = [
            ("grpc.so_reuseport", 0),  # two processes on one port would share the calls in silence
            ("grpc.max_receive_message_length", server.limit_bytes),
            ("grpc.max_connection_idle_ms", 600_000),
            ("grpc.server_handshake_timeout_ms", 10_000),
            ("grpc.http2.bdp_probe", 0),
            ("grpc.http2.lookahead_bytes", _WINDOW_BYTES),
            ("grpc.max_concurrent_streams", _WORKERS),
        ]
        self._server = grpc.server(ThreadPoolExecutor(_WORKERS, thread_name_prefix="otlp-grpc"), options=options)
        for signal, service in _SERVICES.items():
            self._server.add_generic_rpc_handlers((self._handler(signal, service),))

    def start(self) -> Endpoint:
        """Begin to listen; gives the address with the port that it really has.

        Raises:
            AddressInUse: Somebody else listens on the port.
            CannotServe: TLS files cannot be used.
        """
        endpoint = self._config.endpoint
        close_all(listen(endpoint))  # gRPC would take the half of localhost that is free and say nothing
        try:
            port = self._add_port(endpoint)
        except RuntimeError as error:
            raise AddressInUse(f"cannot listen on {endpoint} ({error}): change {endpoint.setting}") from None
        self._slow.start()
        self._server.start()
        return endpoint.at_port(port)

    def stop(self) -> None:
        self._server.stop(1.0).wait(3.0)
        self._slow.stop()

    def _add_port(self, endpoint: Endpoint) -> int:
        if self._config.tls is None:
            return int(self._server.add_insecure_port(str(endpoint)))
        return int(self._server.add_secure_port(str(endpoint), grpc_credentials(self._config.tls, endpoint)))

    def _handler(self, signal: Signal, service: str) -> grpc.GenericRpcHandler:
        method = grpc.stream_unary_rpc_method_handler(self._export(signal))  # no deserializer: bytes in, bytes out
        return grpc.method_handlers_generic_handler(f"opentelemetry.proto.collector.{service}", {"Export": method})

    def _export(self, signal: Signal) -> Callable[[Iterator[bytes], grpc.ServicerContext], bytes]:
        def export(messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
            self._authorise(context)
            if why := self._intake.why_full():
                self._refuse(context, code_pb2.UNAVAILABLE, "no_room", why)
            with self._slow.watch(context):
                payload = next(messages, b"")
            share = Share(self._room)
            try:
                if not share.grow(len(payload)):
                    self._refuse(context, code_pb2.UNAVAILABLE, "no_room", self._room.why_full())
                answer = self._intake.accept(signal, payload, "grpc")
            finally:
                share.end()
            if answer.reply is not Reply.ACCEPTED:
                _abort(context, answer)
            return b""  # an Export*ServiceResponse whose partial_success is unset

        return export

    def _authorise(self, context: grpc.ServicerContext) -> None:
        shown = dict(context.invocation_metadata()).get("authorization", "")
        if no := self._tokens.why_not(shown):
            self._refuse(context, code_pb2.UNAUTHENTICATED, "unauthenticated", no)

    def _refuse(self, context: grpc.ServicerContext, code: int, reason: str, why: str) -> NoReturn:
        self._counters.add(count.REFUSED_REQUESTS, transport="grpc", reason=reason)
        _end(context, code, why)


def _abort(context: grpc.ServicerContext, answer: Answer) -> NoReturn:
    undecodable = answer.reply is Reply.UNDECODABLE
    _end(context, code_pb2.INVALID_ARGUMENT if undecodable else code_pb2.UNAVAILABLE, answer.why)


def _end(context: grpc.ServicerContext, code: int, why: str) -> NoReturn:
    """With the details that OTLP asks for: BadRequest, or RetryInfo for who may come again."""
    status = status_of(code, why)
    if code == code_pb2.UNAVAILABLE:
        detail = Any()
        detail.Pack(RetryInfo(retry_delay=Duration(seconds=RETRY_S)))
        status.details.append(detail)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(_STATUS[code], why)
    raise AssertionError("abort raises")


class _SlowSenders:
    """Ends calls whose message does not arrive in time; one thread looks after all of them."""

    def __init__(self, message_s: float) -> None:
        self._message_s = message_s
        self._waiting: dict[grpc.ServicerContext, float] = {}  # since when, in monotonic seconds; oldest first
        self._lock, self._stopping = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="otlp-grpc-slow", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    @contextmanager
    def watch(self, context: grpc.ServicerContext) -> Iterator[None]:
        with self._lock:
            self._waiting[context] = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                del self._waiting[context]

    def _run(self) -> None:
        while not self._stopping.wait(self._message_s / 10):
            too_old = time.monotonic() - self._message_s
            with self._lock:
                slow = [context for context, since in self._waiting.items() if since < too_old]
            for context in slow:
                context.cancel()
