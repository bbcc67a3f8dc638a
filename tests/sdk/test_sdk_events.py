"""Events: what is sent of them, how many, and what happens when OpenTelemetry's logs are not what we know."""

import sys

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from sdk_collector_stub import CollectorStub

from paramedic.settings import read_settings
from paramedic.telemetry.events import BURST, EventLog, start_events
from paramedic.telemetry.exceptions import EACH_S, LONGEST_MESSAGE, Exceptions
from paramedic.telemetry.link import Link
from paramedic.telemetry.private import Private
from paramedic.telemetry.runtime import dropped
from paramedic.testing import Clock


class Logger:
    """As OpenTelemetry's; keeps what it gets."""

    def __init__(self, error=None):
        self.got, self.error = [], error

    def emit(self, **about):
        if self.error is not None:
            raise self.error
        self.got.append(about)


class Events:
    def __init__(self):
        self.got = []

    def emit(self, name, attributes, *, severity=9, body="", span=None):
        self.got.append((name, attributes, severity, span))


class Call:
    def __init__(self, said=None, span=None):
        self.said, self.span = said, span


@pytest.fixture
def stub():
    stub = CollectorStub()
    yield stub
    stub.close()


def settings(tmp_path, **env):
    return read_settings("support-bot", None, None, {"PARAMEDIC_DATA_DIR": str(tmp_path), **env})


def dropped_events():
    return dropped.counts.get("events", 0)


def test_an_event_arrives_in_the_trace_of_its_span_without_what_is_private(stub, tmp_path):
    told = settings(tmp_path, OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=f"{stub.url}/v1/logs")
    assert (told.events_to, told.spans_to) == ("otlp", "none")
    with pytest.MonkeyPatch.context() as env:
        env.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", f"{stub.url}/v1/logs")
        events = start_events(told, Resource({"service.name": "support-bot"}), Link(stub.url), Private())
    span = TracerProvider(shutdown_on_exit=False).get_tracer("test").start_span("call")
    events.emit(
        "paramedic.command",
        {"paramedic.command.id": "c-1", "note": "for anna@example.com", "n": 3, "all": ["a", "b"]},
        severity=13,
        body="applied for anna@example.com",
        span=span,
    )
    events.close()
    ((name, attributes, process, record),) = stub.events
    assert name == "paramedic.command"
    assert attributes["paramedic.command.id"] == "c-1"
    assert (attributes["note"], attributes["n"]) == ("for [email]", 3)
    assert [value.string_value for value in attributes["all"].values] == ["a", "b"]
    assert record.body.string_value == "applied for [email]"
    assert record.severity_number == 13
    assert int.from_bytes(record.trace_id, "big") == span.get_span_context().trace_id
    assert process["service.name"] == "support-bot"


def test_a_flood_of_one_event_is_cut_and_others_still_get_through():
    clock, logger = Clock(), Logger()
    events = EventLog(logger, clock=clock)
    before = dropped_events()
    for _ in range(BURST + 30):
        events.emit("flood", {})
    events.emit("rare", {})
    assert len(logger.got) == BURST + 1
    assert dropped_events() == before + 30
    clock.now += 0.5
    for _ in range(20):
        events.emit("flood", {})
    assert len(logger.got) == BURST + 1 + 5


def test_names_without_end_are_not_remembered_without_end():
    logger = Logger()
    events = EventLog(logger, clock=Clock())
    for number in range(1000):
        events.emit(f"name.{number}", {})
    assert len(logger.got) == len(events._allowed) == 100


def test_a_logger_that_fails_costs_the_event_and_one_line(caplog):
    events, before = EventLog(Logger(TypeError("emit() got an unexpected keyword"))), dropped_events()
    for _ in range(3):
        events.emit("paramedic.command", {})
    assert dropped_events() == before + 3
    assert caplog.text.count("events cannot be sent") == 1


def test_with_another_logs_api_there_are_no_events_and_one_line_says_so(tmp_path, caplog, monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk._logs.export", None)
    before = dropped_events()
    told = settings(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT="http://localhost:1")
    assert start_events(told, Resource({}), Link(""), None) is None
    assert dropped_events() == before + 1
    assert caplog.text.count("events are off") == 1


def hear(exceptions, error, call=None, error_type=None):
    """As a guard does: while the exception is being handled."""
    try:
        raise error
    except Exception as raised:
        exceptions.hear("llm", "aurora", call or Call(), error_type or type(raised).__name__)


def test_of_failures_that_are_alike_one_a_minute_is_told():
    clock, events = Clock(), Events()
    exceptions = Exceptions(events, clock=clock)
    for _ in range(5):
        hear(exceptions, ValueError("boom"))
    hear(exceptions, KeyError("other"))
    assert [attributes["exception.type"] for _, attributes, *_ in events.got] == ["ValueError", "KeyError"]
    clock.now += EACH_S - 1
    hear(exceptions, ValueError("boom"))
    clock.now += 1
    hear(exceptions, ValueError("boom"))
    assert len(events.got) == 3


def test_it_names_the_class_and_not_what_was_said():
    events, span = Events(), object()
    hear(Exceptions(events), LookupError("anna@example.com"), Call(span=span))
    assert events.got == [
        (
            "paramedic.call.exception",
            {
                "paramedic.guard": "llm",
                "service.peer.name": "aurora",
                "error.type": "LookupError",
                "exception.type": "LookupError",
            },
            13,
            span,
        )
    ]


def test_the_text_is_told_when_asked_for_masked_and_cut():
    events = Events()
    exceptions = Exceptions(events, messages=True, mask=Private().mask)
    text = "x" * (LONGEST_MESSAGE - 5) + " anna@example.com is far from the start"
    hear(exceptions, ValueError(text))
    (_, attributes, *_) = events.got[0]
    assert attributes["exception.message"] == ("x" * (LONGEST_MESSAGE - 5) + " [email]")[:LONGEST_MESSAGE]


def test_the_failure_of_a_model_has_the_name_of_the_convention():
    events = Events()
    said = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 3}
    hear(Exceptions(events), ValueError(), Call(said))
    (name, attributes, *_) = events.got[0]
    assert name == "gen_ai.client.operation.exception"
    assert attributes["gen_ai.request.model"] == "gpt-4o"
    assert "gen_ai.usage.input_tokens" not in attributes


def test_an_exception_that_an_outer_block_handles_is_not_taken_for_this_one():
    events = Events()
    hear(Exceptions(events, messages=True), ValueError("of somebody else"), error_type="timeout")
    (_, attributes, *_) = events.got[0]
    assert attributes["exception.type"] == "timeout"
    assert "exception.message" not in attributes


def test_types_without_end_are_not_remembered_without_end():
    exceptions = Exceptions(Events())
    for number in range(3000):
        exceptions.hear("llm", "aurora", Call(), f"E{number}")
    assert len(exceptions._told_at) <= 1000
