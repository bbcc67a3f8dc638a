"""`init` in processes of its own: with a collector that is real, dead or hanging, and other people's providers."""

import ast
import os
import socket
import subprocess
import sys
import textwrap
import time

import pytest
from sdk_collector_stub import CollectorStub
from sdk_platform_stub import SECRET, PlatformStub, snapshot

pytestmark = pytest.mark.early  # real processes, mostly waited for
PREFIX = """
import logging, sys, threading
logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(name)s %(levelname)s %(message)s")
import paramedic
def hold():
    sys.stdin.readline()
"""


@pytest.fixture
def collector():
    stub = CollectorStub()
    yield stub
    stub.close()


@pytest.fixture
def start(tmp_path):
    """Runs a script as a process; what stands in `env` is all that it knows of OpenTelemetry and paramedic."""
    started = []

    def run(script, **env):
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "PARAMEDIC_"))}
        process = subprocess.Popen(
            [sys.executable, "-c", PREFIX + textwrap.dedent(script)],
            env={**clean, "PARAMEDIC_DATA_DIR": str(tmp_path / "data"), **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def finish(process):
    """Let it end; its exit code, output and log."""
    out, log = process.communicate("\n", timeout=60)
    return process.returncode, out, log


def dead_url():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{closed.getsockname()[1]}"


def test_spans_and_gauges_arrive_with_their_attributes(start, collector):
    process = start(
        """
        paramedic.init(service="support-bot", version="1.0", zone="eu-1a")
        guard = paramedic.Guard("llm", peer="aurora", zone="eu-1b")
        hanging = paramedic.Guard("orders")
        guard.run_sync(lambda: 1)
        hanging.run_sync(hold)
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_EXPORTER_OTLP_HEADERS="x-team=blue",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test",
    )
    collector.wait_for(lambda c: c.spans and any(p[0] == "paramedic.calls.in_flight" and p[1] == 1 for p in c.points))
    (name, span, resource) = collector.spans[0]
    assert name == "llm"
    assert (span["service.peer.name"], span["paramedic.peer.zone"], span["paramedic.decision"]) == (
        "aurora",
        "eu-1b",
        "allowed",
    )
    assert (resource["service.name"], resource["service.version"]) == ("support-bot", "1.0")
    assert resource["cloud.availability_zone"] == "eu-1a"
    assert resource["deployment.environment.name"] == "test"
    assert resource["service.instance.id"]
    in_flight = {p[2]["paramedic.guard"]: p[1] for p in collector.points if p[0] == "paramedic.calls.in_flight"}
    assert in_flight == {"llm": 0, "orders": 1}
    assert {p[3]["service.instance.id"] for p in collector.points} == {resource["service.instance.id"]}
    assert {p[0] for p in collector.points} >= {
        "paramedic.calls.oldest",
        "paramedic.breaker.state",
        "paramedic.retry_budget",
    }
    budgets = {p[2]["service.peer.name"]: p[1] for p in collector.points if p[0] == "paramedic.retry_budget"}
    assert budgets == {"aurora": 10.0, "orders": 10.0}
    assert collector.headers[0]["x-team"] == "blue"
    code, _, log = finish(process)
    assert (code, log) == (0, "paramedic INFO no platform is configured; the guards of support-bot work alone\n")
    assert {s[0] for s in collector.spans} == {"llm", "orders"}, "the last span was flushed at exit"
    calls = {p[2]["paramedic.guard"]: p[1] for p in collector.points if p[0] == "paramedic.calls"}
    assert calls == {"llm": 1, "orders": 1}


def test_durations_failures_and_feedback_arrive_without_what_is_private(start, collector):
    """What a guard, its code and a user told, over the real exporters; nothing of it holds an address."""
    process = start(
        """
        from paramedic.feedback import feedback
        paramedic.init(service="support-bot", redact=[r"C-[0-9]{4}"])
        guard = paramedic.Guard("llm", peer="aurora")
        def ask():
            call = paramedic.Guard.current()
            call.set("gen_ai.operation.name", "chat")
            call.set("gen_ai.request.model", "gpt-4o")
            call.set("gen_ai.input.messages", "where is my parcel?")
            call.set("note", "for anna@example.com, C-1234")
            call.tokens(input=812, output=64)
            raise LookupError("anna@example.com")
        for _ in range(3):
            try:
                guard.run_sync(ask)
            except (LookupError, paramedic.Refused):
                pass
        feedback("thumbs_down", conversation="anna@example.com", comment="rude")
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        PARAMEDIC_EXCEPTION_MESSAGES="1",
    )
    code, _, log = finish(process)
    assert (code, log.count("WARNING")) == (0, 0), log
    (duration,) = [h for h in collector.histograms if h[0] == "paramedic.call.duration"]
    assert (duration[1].count, duration[2]["paramedic.decision"], duration[2]["error.type"]) == (
        3,
        "failed",
        "LookupError",
    )
    tokens = [h for h in collector.histograms if h[0] == "gen_ai.client.token.usage"]
    assert {h[2]["gen_ai.token.type"]: h[1].sum for h in tokens} == {"input": 812 * 3, "output": 64 * 3}
    assert [p[1] for p in collector.points if p[0] == "paramedic.feedback"] == [1]
    by_name = {event[0]: event for event in collector.events}
    assert len(collector.events) == 2
    failure, thumb = by_name["gen_ai.client.operation.exception"], by_name["gen_ai.evaluation.result"]
    assert (failure[1]["exception.type"], failure[1]["exception.message"]) == ("LookupError", "[email]")
    assert failure[3].trace_id
    assert (thumb[1]["gen_ai.evaluation.name"], thumb[1]["gen_ai.conversation.id"]) == ("thumbs_down", "[email]")
    about = collector.spans[0][1]
    assert (about["note"], about["gen_ai.input.messages"]) == ("for [email], [redacted]", "[content]")
    sent = b"".join(body for _, body in collector.bodies)
    assert b"anna@" not in sent
    assert b"parcel" not in sent
    assert b"rude" not in sent
    assert (
        len({event[2]["service.instance.id"] for event in collector.events} | {duration[3]["service.instance.id"]}) == 1
    )


def test_failures_are_told_when_metrics_are_switched_off(start, collector):
    process = start(
        """
        from paramedic.feedback import feedback
        paramedic.init(service="support-bot")
        try:
            paramedic.Guard("llm").run_sync(lambda: {}["key"])
        except KeyError:
            feedback("thumbs_down")
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_METRICS_EXPORTER="none",
    )
    code, _, log = finish(process)
    assert (code, log.count("WARNING")) == (0, 0), log
    assert {event[0] for event in collector.events} == {"paramedic.call.exception", "gen_ai.evaluation.result"}
    assert not collector.histograms


def test_redaction_can_be_switched_off(start, collector):
    process = start(
        """
        paramedic.init(service="support-bot")
        paramedic.Guard("llm").run_sync(lambda: paramedic.Guard.current().set("note", "anna@example.com"))
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        PARAMEDIC_REDACT="off",
    )
    assert finish(process)[0] == 0
    assert collector.spans[0][1]["note"] == "anna@example.com"


def test_a_pattern_that_is_none_is_a_mistake_of_the_program(start):
    process = start("paramedic.init(service='support-bot', redact=['('])")
    code, _, log = finish(process)
    assert code == 1
    assert "ValueError: redact must be regular expressions, got '('" in log


def test_with_another_logs_api_everything_else_is_sent(start, collector):
    process = start(
        """
        sys.modules["opentelemetry.sdk._logs.export"] = None
        paramedic.init(service="support-bot")
        paramedic.Guard("llm").run_sync(lambda: 1)
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
    )
    code, _, log = finish(process)
    assert code == 0
    assert log.count("events are off") == 1
    assert collector.spans
    assert collector.histograms
    assert ("paramedic.dropped", 1) in {
        p[:2] for p in collector.points if p[2].get("paramedic.dropped.what") == "events"
    }


def test_a_provider_that_is_there_is_joined_and_not_replaced(start, collector):
    process = start(
        """
        from opentelemetry import metrics, trace
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        theirs, meters = TracerProvider(resource=Resource.create({"service.name": "team"})), MeterProvider()
        kept = InMemorySpanExporter()
        theirs.add_span_processor(SimpleSpanProcessor(kept))
        trace.set_tracer_provider(theirs)
        metrics.set_meter_provider(meters)
        paramedic.init(service="support-bot")
        assert trace.get_tracer_provider() is theirs
        assert metrics.get_meter_provider() is meters
        with theirs.get_tracer("team").start_as_current_span("theirs"):
            paramedic.Guard("llm").run_sync(lambda: 1)
        paramedic.shutdown()
        with theirs.get_tracer("team").start_as_current_span("after"):
            pass
        print([span.name for span in kept.get_finished_spans()])
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
    )
    code, out, log = finish(process)
    assert (code, out) == (0, "['llm', 'theirs', 'after']\n"), log
    assert [(s[0], s[2]["service.name"]) for s in collector.spans] == [("llm", "team"), ("theirs", "team")]


def test_without_a_platform_or_an_endpoint_nothing_is_sent_and_nothing_is_wrong(start):
    process = start(
        """
        paramedic.init(service="support-bot")
        print(paramedic.Guard("llm").run_sync(lambda: "works"))
        from paramedic.telemetry.runtime import runtime
        assert runtime.tracer is None
        """
    )
    code, out, log = finish(process)
    assert (code, out) == (0, "works\n")
    assert "WARNING" not in log


def test_with_nothing_listening_the_bot_works_and_the_log_says_it_once(start):
    url = dead_url()
    process = start(
        """
        from paramedic.telemetry.runtime import dropped
        paramedic.init(service="support-bot")
        guard = paramedic.Guard("llm")
        seen = 0
        while dropped.counts.get("spans", 0) < 30 or dropped.counts.get("metrics", 0) < 2:
            assert guard.run_sync(lambda: 1) == 1
            seen += 1
            threading.Event().wait(0.02)
        print("works")
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT=url,
    )
    code, out, log = finish(process)
    assert (code, out) == (0, "works\n"), log
    assert [line for line in log.splitlines() if "WARNING" in line or "ERROR" in line] == [
        f"paramedic WARNING telemetry cannot be sent to {url}; it is dropped until that works again"
    ]


def test_a_collector_that_comes_back_is_used_again(start, collector):
    collector.status = 400
    process = start(
        """
        paramedic.init(service="support-bot")
        guard = paramedic.Guard("llm")
        while not sys.stdin in __import__("select").select([sys.stdin], [], [], 0.05)[0]:
            guard.run_sync(lambda: 1)
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
    )
    collector.wait_for(lambda c: len(c.headers) >= 2)
    assert not collector.spans
    collector.status = 200
    collector.wait_for(lambda c: c.spans and c.points)
    code, _, log = finish(process)
    assert code == 0
    assert log.count("cannot be sent") == 1
    assert log.count("telemetry reaches") == 1
    assert "ERROR" not in log


def test_a_collector_that_hangs_holds_up_neither_calls_nor_the_exit(start, collector):
    """The process must end although no answer ever comes; the stub holds each request for 30 s."""
    collector.answers.clear()
    process = start(
        """
        import asyncio, time
        paramedic.init(service="support-bot")
        @paramedic.guard("llm")
        async def ask():
            return "works"
        async def main():
            for _ in range(5000):
                await ask()
        asyncio.run(main())
        began = time.monotonic()
        paramedic.shutdown()
        assert time.monotonic() - began < 15, "shutdown waits for the collector"
        print("ended")
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
    )
    code, out, log = finish(process)
    assert (code, out) == (0, "ended\n"), log


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"PARAMEDIC_URL": "http://localhost:1", "PARAMEDIC_TOKEN": "hello"}, "PARAMEDIC_TOKEN is not a bot token"),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, "telemetry is off"),
    ],
)
def test_a_mistake_in_the_configuration_is_one_line_and_the_bot_runs(start, collector, env, said):
    process = start(
        """
        paramedic.init(service="support-bot")
        print(paramedic.Guard("llm").run_sync(lambda: "works"))
        """,
        **{"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **env},
    )
    code, out, log = finish(process)
    assert (code, out) == (0, "works\n"), log
    warnings = [line for line in log.splitlines() if "WARNING" in line]
    assert len(warnings) == 1, log
    assert said in warnings[0]


@pytest.mark.parametrize(
    ("env", "sent"),
    [
        ({"OTEL_SDK_DISABLED": "true"}, (False, False)),
        ({"OTEL_TRACES_EXPORTER": "none"}, (False, True)),
        ({"OTEL_METRICS_EXPORTER": "none"}, (True, False)),
        ({"OTEL_LOGS_EXPORTER": "none"}, (True, True)),
    ],
)
def test_what_is_switched_off_is_not_sent(start, collector, env, sent):
    process = start(
        """
        paramedic.init()
        paramedic.Guard("llm").run_sync(lambda: 1)
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_SERVICE_NAME="named-by-env",
        **env,
    )
    code, _, log = finish(process)
    assert code == 0, log
    assert (bool(collector.spans), bool(collector.points)) == sent
    assert {about["service.name"] for *_, about in [*collector.spans, *collector.points]} <= {"named-by-env"}


def test_the_platform_in_the_credentials_is_found_for_telemetry_and_commands(start, collector, command):
    """PARAMEDIC_OTLP_HTTP says where its collector listens, when that is not port 4318."""
    stub = PlatformStub()
    stub.opening.append(snapshot(command("trip_breaker", peer="aurora", issued_at=time.time())))
    process = start(
        """
        paramedic.init(service="support-bot")
        guard = paramedic.Guard("llm", peer="aurora")
        hold()
        try:
            guard.run_sync(lambda: 1)
        except paramedic.CommandRefused as refused:
            print(refused.reason)
        """,
        PARAMEDIC_URL=stub.url,
        PARAMEDIC_TOKEN=f"pmb.support-bot.{SECRET}",
        PARAMEDIC_OTLP_HTTP=collector.url.removeprefix("http://"),
    )
    try:
        ack = stub.next_ack(state="applied")
        code, out, log = finish(process)
        assert (code, out) == (0, "command\n"), log
        assert [s[1]["paramedic.refused.by"] for s in collector.spans] == ["command"]
        assert ack["instance"] == collector.spans[0][2]["service.instance.id"]
    finally:
        stub.close()


def test_a_second_init_is_told_and_changes_nothing(start, collector):
    process = start(
        """
        paramedic.init(service="one")
        paramedic.init(service="two")
        paramedic.Guard("llm").run_sync(lambda: 1)
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
    )
    _, _, log = finish(process)
    assert log.count("called again") == 1
    assert {s[2]["service.name"] for s in collector.spans} == {"one"}


def test_grpc_is_used_when_the_environment_says_so(start):
    from concurrent import futures

    import grpc
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

    got = []

    class Traces(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(self, request, context):
            got.extend(span.name for r in request.resource_spans for s in r.scope_spans for span in s.spans)
            return trace_service_pb2.ExportTraceServiceResponse()

    server = grpc.server(futures.ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Traces(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        process = start(
            """
            paramedic.init(service="support-bot")
            paramedic.Guard("llm").run_sync(lambda: 1)
            """,
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}",
            OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
            OTEL_METRICS_EXPORTER="none",
        )
        code, _, log = finish(process)
        assert code == 0, log
    finally:
        server.stop(0)
    assert got == ["llm"]


def test_importing_the_sdk_loads_opentelemetry_and_the_standard_library_only(start):
    process = start(
        """
        names = {name.split(".")[0] for name, module in sys.modules.items()
                 if getattr(module, "__spec__", None) is not None}
        print(sorted(names - set(sys.stdlib_module_names) - {"_distutils_hack", "__main__"}))
        print("opentelemetry.sdk" in sys.modules, [m for m in sys.modules if m.startswith("opentelemetry.exporter")])
        """
    )
    out = finish(process)[1].splitlines()
    assert set(ast.literal_eval(out[0])) <= {"opentelemetry", "paramedic", "typing_extensions"}
    assert out[1] == "False []"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_worker_sends_spans_and_metrics_as_an_instance_of_its_own(start, collector):
    process = start(
        """
        import os
        paramedic.init(service="support-bot")
        guard = paramedic.Guard("llm")
        guard.run_sync(lambda: 1)
        child = os.fork()
        guard.run_sync(lambda: 1)
        if child == 0:
            guard.run_sync(lambda: 1)
            paramedic.shutdown()
            os._exit(0)
        os.waitpid(child, 0)
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
    )
    code, _, log = finish(process)
    assert code == 0, log
    instances = [s[2]["service.instance.id"] for s in collector.spans]
    assert (len(instances), len(set(instances))) == (4, 2)
    calls = {}
    for name, point, _, about in collector.histograms:
        assert name == "paramedic.call.duration"
        instance = about["service.instance.id"]
        calls[instance] = calls.get(instance, 0) + point.count
    assert calls == {instance: instances.count(instance) for instance in instances}, "no call is told by both"
