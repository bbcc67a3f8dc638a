"""OTLP over gRPC. Requests stay bytes: decoding them is the intake's work, and it is done in columns.

    opentelemetry.proto.collector.{trace,metrics,logs}.v1.*Service/Export

Errors: INVALID_ARGUMENT for what cannot be decoded, UNAVAILABLE with RetryInfo when there is no room
(OTLP: come again later); gRPC itself answers RESOURCE_EXHAUSTED above the largest message.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NoReturn

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from paramedic_collector.intake import RETRY_S, Answer, Intake, Reply
from paramedic_collector.otlp import Signal
from paramedic_collector.receive.addresses import AddressInUse, Endpoint, close_all, listen

_SERVICES: Final = {Signal.TRACES: "trace.v1.TraceService", Signal.METRICS: "metrics.v1.MetricsService",
                    Signal.LOGS: "logs.v1.LogsService"}  # fmt: skip
_WORKERS: Final = 4


class GrpcReceiver:
    """Listens from `start` to `stop`.

    Args:
        limit_bytes: Largest message, before and after decompression.
    """

    def __init__(self, endpoint: Endpoint, intake: Intake, *, limit_bytes: int) -> None:
        self._endpoint, self._intake = endpoint, intake
        options = [
            ("grpc.so_reuseport", 0),  # two processes on one port would share the calls in silence
            ("grpc.max_receive_message_length", limit_bytes),
            ("grpc.max_connection_idle_ms", 600_000),
        ]
        self._server = grpc.server(ThreadPoolExecutor(_WORKERS, thread_name_prefix="otlp-grpc"), options=options)
        for signal, service in _SERVICES.items():
            self._server.add_generic_rpc_handlers((self._handler(signal, service),))

    def start(self) -> Endpoint:
        """Begin to listen; gives the address with the port that it really has.

        Raises:
            AddressInUse: Somebody else listens on the port.
        """
        close_all(listen(self._endpoint))  # gRPC would take the half of localhost that is free and say nothing
        try:
            port = self._server.add_insecure_port(str(self._endpoint))
        except RuntimeError as error:
            setting = self._endpoint.setting
            raise AddressInUse(f"cannot listen on {self._endpoint} ({error}): change {setting}") from None
        self._server.start()
        return self._endpoint.at_port(port)

    def stop(self) -> None:
        self._server.stop(1.0).wait(3.0)

    def _handler(self, signal: Signal, service: str) -> grpc.GenericRpcHandler:
        method = grpc.unary_unary_rpc_method_handler(self._export(signal))  # no deserializer: bytes in, bytes out
        return grpc.method_handlers_generic_handler(f"opentelemetry.proto.collector.{service}", {"Export": method})

    def _export(self, signal: Signal) -> Callable[[bytes, grpc.ServicerContext], bytes]:
        def export(payload: bytes, context: grpc.ServicerContext) -> bytes:
            answer = self._intake.accept(signal, payload, "grpc")
            if answer.reply is not Reply.ACCEPTED:
                _abort(context, answer)
            return b""  # an Export*ServiceResponse whose partial_success is unset

        return export


def _abort(context: grpc.ServicerContext, answer: Answer) -> NoReturn:
    if answer.reply is Reply.UNDECODABLE:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, answer.why)
    detail = Any()
    detail.Pack(RetryInfo(retry_delay=Duration(seconds=RETRY_S)))
    status = Status(code=code_pb2.UNAVAILABLE, message=answer.why, details=[detail])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNAVAILABLE, answer.why)
    raise AssertionError("abort raises")
