"""OTLP over gRPC to a backend: bytes in, bytes out, one call at a time.

After a call that failed because of the way there, the channel is made anew: a half-dead connection would let call after
call run into its timeout, and a backend that moved is found under its name again.
"""

from typing import Any, Final

import grpc

from paramedic_collector.config.model import OtlpExporter
from paramedic_collector.forward.answers import Answer, Verdict, grpc_answer, taken
from paramedic_collector.forward.otlp_http import JOINS_BYTES
from paramedic_collector.forward.tls import pem_files
from paramedic_collector.otlp import Signal

_METHODS: Final = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
_OPTIONS: Final = (
    ("grpc.use_local_subchannel_pool", 1),  # else a new channel would get the broken connection back
    ("grpc.enable_retries", 0),  # retrying is ours
    ("grpc.primary_user_agent", "paramedic"),
)


class GrpcSender:
    """Sends to one backend.

    Raises:
        TlsError: A file of `tls` cannot be used.
    """

    def __init__(self, exporter: OtlpExporter) -> None:
        self.joins_bytes = JOINS_BYTES
        self._exporter = exporter
        self._metadata = tuple((key.lower(), value) for key, value in exporter.headers)
        tls = exporter.tls
        self._credentials = None if tls.insecure else grpc.ssl_channel_credentials(*pem_files(exporter.name, tls))
        self._channel: Any = None
        self._call: Any = None
        self._cancelled = False

    def send(self, signal: Signal, payload: bytes) -> Answer:
        """Call Export once."""
        if self._channel is None:
            self._channel = self._connect()
        export = self._channel.unary_unary(_METHODS[signal])  # no serializers
        timeout_s = self._exporter.timeout_s or None
        self._call = call = export.future(payload, timeout=timeout_s, metadata=self._metadata)
        if self._cancelled:
            call.cancel()
        try:
            return taken(signal, call.result())
        except grpc.FutureCancelledError:
            return Answer(Verdict.STOPPED)
        except grpc.RpcError as error:
            return Answer(Verdict.STOPPED) if self._cancelled else self._failed(error)

    def cancel(self) -> None:
        self._cancelled = True
        if self._call is not None:
            self._call.cancel()

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _failed(self, error: Any) -> Answer:
        code = error.code().name
        if code in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
            self.close()
        trailing = error.trailing_metadata() or ()
        status = next((value for key, value in trailing if key == "grpc-status-details-bin"), b"")
        return grpc_answer(code, error.details() or "", status)

    def _connect(self) -> Any:
        exporter = self._exporter
        settings = {
            "options": list(_OPTIONS),
            "compression": grpc.Compression.Gzip if exporter.compression == "gzip" else grpc.Compression.NoCompression,
        }
        if self._credentials is None:
            return grpc.insecure_channel(exporter.target, **settings)
        return grpc.secure_channel(exporter.target, self._credentials, **settings)
