"""Bots -> the real OpenTelemetry Collector -> paramedic -> an incident, with one file for both engines."""

import os
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context
from otelcol_kit import BINARY, CONFIG, needs_otelcol

from paramedic_cli.api import Api
from paramedic_cli.credentials import find_api
from paramedic_cli.experiment import plain_environment
from paramedic_cli.platform import PlatformProcess
from paramedic_cli.ports import free_port, is_free

pytestmark = [needs_otelcol, pytest.mark.early, pytest.mark.timeout(300)]

WARM_S = 25.0  # of healthy traffic: without a history nothing is unusual
PATIENCE_S = 120.0  # for anything that must come, on a busy machine
EVERY_S = 0.05  # a request of a user, to each bot


def until(what, seen, within_s=PATIENCE_S):
    ends = time.monotonic() + within_s
    while not (found := seen()):
        assert time.monotonic() < ends, f"not within {within_s:.0f} s: {what}"
        time.sleep(0.2)
    return found


class Bot(threading.Thread):
    """Serves requests with two providers, and tells about it with nothing but the OpenTelemetry SDK."""

    def __init__(self, name, exporter):
        super().__init__(daemon=True)
        self.provider = TracerProvider(resource=Resource({"service.name": name}))
        self.provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=500))
        self.tracer, self.hurt, self.stopping, self.served = (
            self.provider.get_tracer("bot"),
            set(),
            threading.Event(),
            0,
        )

    def run(self):
        while not self.stopping.wait(EVERY_S):
            request = self.tracer.start_span("POST /chat", kind=SpanKind.SERVER)
            for peer in ("aurora", "borealis"):
                self._call(peer, set_span_in_context(request))
            request.end()
            self.served += 1

    def _call(self, peer, context):
        attributes = {"gen_ai.provider.name": peer, "gen_ai.operation.name": "chat"}
        span = self.tracer.start_span(f"chat {peer}", context, SpanKind.CLIENT, attributes)
        if peer in self.hurt:
            span.set_attribute("error.type", "503")
            span.set_status(StatusCode.ERROR)
        span.end()

    def stop(self):
        self.stopping.set()
        self.join()
        self.provider.shutdown()


@contextmanager
def the_collector(env, folder):
    with (folder / "otelcol.log").open("ab") as log:
        process = subprocess.Popen([BINARY, "--config", CONFIG], env=env, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def stage(tmp_path):
    """A platform, the Collector in front of it, and two bots that only know the Collector: (api, bots)."""
    free = [f"localhost:{free_port()}" for _ in range(5)]
    grpc, http, api, bots_grpc, bots_http = free
    places = {"PARAMEDIC_API": api, "PARAMEDIC_OTLP_GRPC": grpc, "PARAMEDIC_OTLP_HTTP": http}
    folders = {"PARAMEDIC_DATA_DIR": str(tmp_path / "data")}
    front = {"PARAMEDIC_OTLP_GRPC": bots_grpc, "PARAMEDIC_OTLP_HTTP": bots_http, "PARAMEDIC_OTLP": grpc}
    flags = ["--no-dashboard", "--otel-config", str(CONFIG)]
    platform = PlatformProcess(plain_environment() | places | folders, tmp_path, flags)
    with ExitStack() as stack:
        stack.callback(platform.stop)
        platform.start()
        addresses = platform.wait_ready(PATIENCE_S)
        stack.enter_context(the_collector(plain_environment(os.environ) | front, tmp_path))
        until("the Collector to listen", lambda: not is_free(bots_grpc) and not is_free(bots_http))
        bots = [
            Bot("grpc-bot", GrpcExporter(f"http://{bots_grpc}", insecure=True)),
            Bot("http-bot", HttpExporter(f"http://{bots_http}/v1/traces")),
        ]
        for bot in bots:
            bot.start()
            stack.callback(bot.stop)
        client = Api(*find_api({"PARAMEDIC_DATA_DIR": addresses.data_dir}))
        stack.callback(client.close)
        yield client, bots


def test_a_fault_seen_through_the_real_collector_becomes_an_incident(stage):
    api, bots = stage
    began = time.monotonic()
    until("users to be served for a while", lambda: time.monotonic() - began > WARM_S and bots[0].served > 200)
    assert api.incidents() == []
    for bot in bots:
        bot.hurt.add("aurora")
    until("an incident that names what fails", lambda: [one for one in api.incidents() if one.target == "aurora"])
    assert len(api.incidents()) == 1
