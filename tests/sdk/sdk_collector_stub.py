"""An OTLP collector over HTTP on a real port: keeps what it is sent, or hangs, or answers with an error."""

import gzip
import http.server
import threading
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def attributes_of(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


class CollectorStub:
    """Attributes:
    spans: Spans so far as (name, attributes, resource attributes).
    points: Points of gauges and counters so far as (name, value, attributes, resource attributes).
    histograms: Points of histograms so far as (name, the point, attributes, resource attributes).
    events: Log records so far as (name, attributes, resource attributes, the record).
    bodies: What was sent so far as (path, bytes).
    status: What requests are answered with.
    hanging: While cleared, requests are not answered.
    """

    def __init__(self) -> None:
        self.spans: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
        self.points: list[tuple[str, float, dict[str, Any], dict[str, Any]]] = []
        self.histograms: list[tuple[str, Any, dict[str, Any], dict[str, Any]]] = []
        self.events: list[tuple[str, dict[str, Any], dict[str, Any], Any]] = []
        self.bodies: list[tuple[str, bytes]] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.answers = threading.Event()
        self.answers.set()
        self.changed = threading.Condition()
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                return

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers["Content-Encoding"] == "gzip":
                    body = gzip.decompress(body)
                stub.answers.wait(30)
                with stub.changed:
                    if stub.status == 200:
                        stub._keep(self.path, body)
                    stub.headers.append(dict(self.headers))
                    stub.changed.notify_all()
                self.send_response(stub.status)
                self.end_headers()

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                return

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def _keep(self, path: str, body: bytes) -> None:
        self.bodies.append((path, body))
        if path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                about = attributes_of(resource.resource.attributes)
                for scope in resource.scope_spans:
                    self.spans += [(span.name, attributes_of(span.attributes), about) for span in scope.spans]
        if path == "/v1/metrics":
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                about = attributes_of(resource.resource.attributes)
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        self._keep_points(metric, about)

        if path == "/v1/logs":
            for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
                about = attributes_of(resource.resource.attributes)
                for scope in resource.scope_logs:
                    self.events += [(r.event_name, attributes_of(r.attributes), about, r) for r in scope.log_records]

    def _keep_points(self, metric: Any, about: dict[str, Any]) -> None:
        kind = metric.WhichOneof("data")
        for point in getattr(metric, kind).data_points:
            if "histogram" in kind:
                self.histograms.append((metric.name, point, attributes_of(point.attributes), about))
                continue
            value = getattr(point, point.WhichOneof("value"))
            self.points.append((metric.name, value, attributes_of(point.attributes), about))

    def wait_for(self, seen: Any, within_s: float = 40) -> None:
        """Wait until `seen(self)` is true.

        Raises:
            AssertionError: It never was.
        """
        with self.changed:
            assert self.changed.wait_for(lambda: seen(self), within_s), "the collector never got it"

    def close(self) -> None:
        self.answers.set()
        self._server.shutdown()
        self._server.server_close()
