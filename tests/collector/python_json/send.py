"""Sends one span, one gauge and one log record with the JSON exporters of OpenTelemetry's SDK for Python.

python send.py URL SERVICE TOKEN
"""

import sys

from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.common.http import Compression
from opentelemetry.exporter.otlp.json.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.json.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

url, service, token = sys.argv[1:]
resource = Resource.create({"service.name": service})
options = {"headers": {"authorization": f"Bearer {token}"}, "compression": Compression.GZIP}

tracers = TracerProvider(resource=resource)
tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces", **options)))
tracers.get_tracer("tests").start_span("from-python-json", attributes={"whole": 7, "part": 0.5}).end()
tracers.shutdown()

reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{url}/v1/metrics", **options), 60_000)
meters = MeterProvider([reader], resource=resource)
meters.get_meter("tests").create_gauge("queue.depth").set(7)
meters.shutdown()

loggers = LoggerProvider(resource=resource)
loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(f"{url}/v1/logs", **options)))
loggers.get_logger("tests").emit(severity_number=SeverityNumber.ERROR, body="order 4711 failed")
loggers.shutdown()
