"""Personal data and secrets leave a payload; everything else stays as it is, byte for byte."""

import pytest
from collector_kit import Made, payload, random_spans, request
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from paramedic_collector.otlp import Signal, Undecodable
from paramedic_collector.redact import Redactor, redact_text

SECRETS = [
    "bob.smith+x@example.co.uk",
    "+49 170 1234567",
    "(555) 123-4567",
    "4111 1111 1111 1111",
    "5500-0000-0000-0004",
    "Bearer abcdef0123456789",
    "sk-proj-abcdefghijklmnop1234",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "AKIAIOSFODNN7EXAMPLE",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.sig",
    "api_key=supersecretvalue",
    "pmb.support-bot.0123456789abcdef0123456789abcdef",
]
HARMLESS = [
    "order 4711 not found in 12 ms",
    "2026-11-22T10:27:06.123456Z",
    "550e8400-e29b-41d4-a716-446655440000",
    "http://10.0.0.1:8080/v1/chat?limit=20",
    "gpt-4o-2024-08-06",
    "127.0.0.1:54321",
    "1795344754374220627",  # nanoseconds; fails the check of card numbers
]


@pytest.mark.parametrize("secret", SECRETS)
def test_what_is_personal_or_secret_is_starred_out_at_the_same_length(secret):
    text = f"user said: {secret} thanks"
    redacted = redact_text(text.encode()).decode()
    assert len(redacted) == len(text)
    assert redacted.startswith("user said: ")
    assert redacted.endswith(" thanks")
    assert secret[-6:] not in redacted


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_a_little_like_it_stays(text):
    assert redact_text(text.encode()).decode() == text


@pytest.mark.parametrize("secret", SECRETS)
def test_a_payload_with_it_in_an_attribute_loses_it(secret):
    spans = [*random_spans(1, 20), Made(attributes={"note": f"it was {secret}"}), *random_spans(2, 20)]
    before = request(spans)
    redacted = Redactor().redact(Signal.TRACES, before.SerializeToString())
    assert redacted.values == 1
    assert secret.encode() not in redacted.payload
    after = ExportTraceServiceRequest.FromString(redacted.payload)
    span = after.resource_spans[20].scope_spans[0].spans[0]
    assert span.attributes[0].value.string_value.startswith("it was ")
    span.attributes[0].value.string_value = f"it was {secret}"
    assert after == before  # nothing else was touched


@settings(max_examples=60, deadline=None)
@given(
    secret=st.sampled_from(SECRETS),
    around=st.tuples(*[st.text(alphabet="abc xyz.,é", max_size=80)] * 2),
    name=st.text(alphabet="abcz", max_size=60),
)
def test_it_is_found_wherever_it_stands(secret, around, name):
    """Lengths vary, so that every byte value occurs in front of the text."""
    text = f"{around[0]} {secret} {around[1]}"
    redacted = Redactor().redact(Signal.TRACES, payload(Made(name=name, attributes={"k": text})))
    assert secret.encode() not in redacted.payload


@pytest.mark.parametrize("key", ["gen_ai.input.messages", "gen_ai.prompt.0.content", "llm.prompts", "input.value"])
def test_messages_of_a_conversation_are_dropped_unless_allowed(key):
    body = payload(Made(attributes={key: "my cat is ill", "kept": "yes"}))
    assert b"my cat" not in Redactor().redact(Signal.TRACES, body).payload
    assert Redactor(keep_content=True).redact(Signal.TRACES, body).payload == body


def test_content_inside_lists_and_maps_is_dropped_too():
    message = request([Made()])
    attribute = message.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="gen_ai.output.messages")
    inner = attribute.value.array_value.values.add().kvlist_value.values.add(key="content")
    inner.value.string_value = "take two pills"
    redacted = Redactor().redact(Signal.TRACES, message.SerializeToString())
    assert b"pills" not in redacted.payload
    ExportTraceServiceRequest.FromString(redacted.payload)


def test_an_attribute_named_like_a_secret_loses_its_value_whatever_it_looks_like():
    body = payload(Made(attributes={"http.request.header.authorization": "tok"}))
    assert b"tok" not in Redactor().redact(Signal.TRACES, body).payload


def test_log_bodies_are_read_too():
    message = ExportLogsServiceRequest()
    record = message.resource_logs.add().scope_logs.add().log_records.add(severity_number=9)
    record.body.string_value = "mail to ann@example.com failed"
    redacted = Redactor().redact(Signal.LOGS, message.SerializeToString())
    after = ExportLogsServiceRequest.FromString(redacted.payload)
    assert after.resource_logs[0].scope_logs[0].log_records[0].body.string_value == "mail to *************** failed"


def test_a_harmless_payload_is_the_same_object():
    body = payload(*[Made(attributes={"a": text}) for text in HARMLESS[:3]])
    assert Redactor().redact(Signal.TRACES, body).payload is body


@settings(max_examples=100, deadline=None)
@given(body=st.binary(max_size=200))
def test_garbage_comes_out_at_the_same_length_or_is_refused(body):
    body += b" bob@example.com +49 170 1234567"
    try:
        redacted = Redactor().redact(Signal.TRACES, body)
    except Undecodable:
        return
    assert len(redacted.payload) == len(body)


def test_a_body_that_is_suspicious_all_over_is_refused_before_it_fills_the_memory():
    span = b"*\x01@" * 1100  # its name, again and again
    scope = b"\x12" + varint(len(span)) + span
    spans = b"\x12" + varint(len(scope)) + scope
    body = (b"\x0a" + varint(len(spans)) + spans) * 1000
    with pytest.raises(Undecodable, match="1048576 texts"):
        Redactor().redact(Signal.TRACES, body)


def varint(number):
    return bytes([number & 127 | 128, number >> 7]) if number > 127 else bytes([number])
