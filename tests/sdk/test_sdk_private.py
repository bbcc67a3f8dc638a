"""What is taken out of telemetry before it leaves the process, and what is not."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode

from paramedic.telemetry.private import Private
from paramedic.telemetry.redaction import masked_span

PRIVATE = {
    "anna.b+x@mail.example.co.uk": "[email]",
    "write to anna@example.com, please": "write to [email], please",
    "müller@exämple.de": "[email]",
    "call +49 30 1234567 now": "call [phone] now",
    "+1 (415) 555-2671": "[phone]",
    "0049 30 1234567": "[phone]",
    "(415) 555-2671": "[phone]",
    "415-555-2671": "[phone]",
    "card 4111 1111 1111 1111, thanks": "card [card], thanks",
    "5555-5555-5555-4444": "[card]",
    "378282246310005": "[card]",
    "pay DE89 3704 0044 0532 0130 00 today": "pay [iban] today",
    "de89370400440532013000": "[iban]",
    "BE68 5390 0754 7034 paid": "[iban] paid",
    "Authorization: Bearer abcdefgh12345": "Authorization: [secret]",
    "Basic dXNlcjpwYXNz": "[secret]",
    "key sk-proj-abcdefghijklmnop1234 is wrong": "key [secret] is wrong",
    "sk-ant-api03-abcdefghijklmnop": "[secret]",
    "sk_live_abcdefgh1234": "[secret]",
    "ghp_abcdefghijklmnopqrst": "[secret]",
    "xoxb-1234567890-abc": "[secret]",
    "AKIAIOSFODNN7EXAMPLE": "[secret]",
    "AIzaSyA-abcdefghijklmnopqrstuvwxyz12": "[secret]",
    "eyJhbGciOiJI.eyJzdWIiOiIx.abc-def": "[secret]",
    "pmb.support-bot.0123456789abcdef": "[secret]",
    "password=hunter2hunter2": "password=[secret]",
    '{"api_key": "abcdef123456"}': '{"api_key": "[secret]"}',
    "https://x.example/?token=abc123def&a=1": "https://x.example/?token=[secret]&a=1",
    "anna@example.com or +49 30 1234567": "[email] or [phone]",
}
PUBLIC = [
    "",
    "llm.primary",
    "gpt-4o-2024-11-20",
    "2026-11-22T16:29:08.123456+00:00",
    "2026-11-22 16:29:08",
    "1732290548123",
    "1732290548123456789",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "123e4567-e89b-12d3-a456-426614174000",
    "192.168.100.200:8080",
    "order 1234567",
    "v1.22.333.4444",
    "4111 1111 1111 1112",  # the last digit is wrong
    "DE88370400440532013000",  # so is the check here
    "user@localhost",
    "unexpected token: identifier",
    "max_tokens=100000",
    "cache key: user-profile",
    "the secretary",
    "task-force risk-1",
    "9007199254740993",
    "0.30000000000000004",
    "Retry-After: 120",
    "SELECT name FROM users WHERE id = 12345678",
]


@pytest.mark.parametrize(("text", "masked"), PRIVATE.items())
def test_what_is_private_is_masked(text, masked):
    assert Private().mask(text) == masked


@pytest.mark.parametrize("text", PUBLIC)
def test_what_is_not_private_stays(text):
    private = Private()
    assert private.mask(text) == text
    assert private.mask(text) is text


@given(st.text() | st.text("0123456789 -+@.()ABdesk_:=/", max_size=80))
def test_any_text_is_masked_once_and_for_all(text):
    private = Private()
    once = private.mask(text)
    assert private.mask(text) == once
    if once == text:
        assert private.attributes({"note": text}) == {"note": text}


@given(
    st.text(" .,;:!?abcXYZ", max_size=20),
    st.sampled_from([text for text, masked in PRIVATE.items() if masked.startswith("[")]),
)
def test_what_is_private_is_found_between_other_words(around, text):
    assert text not in Private().mask(f"{around} {text} {around}")


values = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=40)
@given(st.dictionaries(st.text(max_size=9), values, max_size=4))
def test_any_attributes_can_be_looked_at(attributes):
    masked = Private().attributes(attributes)
    assert set(masked) == set(attributes)


def test_texts_are_found_wherever_they_are_in_a_value():
    attributes = {"to": ["anna@example.com", "nobody"], "more": {"deep": ["+49 30 1234567"]}, "n": 1, "ok": ["a"]}
    masked = Private().attributes(attributes)
    assert masked == {"to": ["[email]", "nobody"], "more": {"deep": ["[phone]"]}, "n": 1, "ok": ["a"]}
    assert attributes["to"] == ["anna@example.com", "nobody"], "what others may look at is not touched"


def test_a_value_that_is_named_like_a_secret_is_one():
    attributes = {"http.request.header.authorization": ["x"], "X-Api-Key": "short", "note": "x-api-key"}
    for _ in range(2):
        private = Private()
        assert private.mask("X-Api-Key") == "X-Api-Key"  # as a value it is harmless, as a name it is not
        masked = private.attributes(attributes)
        assert masked == {"http.request.header.authorization": "[secret]", "X-Api-Key": "[secret]", "note": "x-api-key"}


@pytest.mark.parametrize(
    "name",
    ["gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.prompt.0.content", "input.value", "llm.prompts.0"],
)
def test_messages_that_another_library_wrote_on_a_span_are_left_out_unless_content_is_captured(name):
    attributes = {name: "where is my parcel?", "gen_ai.usage.input_tokens": 3}
    assert Private().attributes(attributes) == {name: "[content]", "gen_ai.usage.input_tokens": 3}
    captured = Private(capturing=lambda: True)
    assert captured.attributes(attributes) is attributes
    assert captured.attributes({name: "I am anna@example.com"}) == {name: "I am [email]"}


def test_a_team_adds_patterns_of_its_own():
    private = Private([r"\bC-\d{6}\b", re.compile("anna", re.I)])
    assert private.mask("customer C-123456, Anna") == "customer [redacted], [redacted]"


@pytest.mark.parametrize("pattern", ["(", "x*", 3])
def test_a_pattern_that_cannot_work_is_refused(pattern):
    with pytest.raises(ValueError, match="redact must be regular expressions"):
        Private([pattern])


def test_the_memory_of_clean_texts_is_bounded():
    private = Private()
    for number in range(10_000):
        private.attributes({f"name.{number}": f"text {number}"})
    assert len(private._clean) <= 4096
    assert len(private._clean_names) <= 4096
    assert private.mask("x" * 1000) not in private._clean


CONTEXT = SpanContext(1, 2, is_remote=False)
PLAIN = {"paramedic.guard": "llm", "note": "fine", "n": 3}


def span(attributes=PLAIN, *, name="llm", events=(), links=(), status=None):
    return ReadableSpan(
        name,
        CONTEXT,
        attributes=attributes,
        events=events,
        links=links,
        kind=SpanKind.CLIENT,
        status=status or Status(),
    )


def test_a_span_without_anything_private_is_sent_as_it_is():
    clean = span(events=[Event("e", {"a": "b"})], links=[Link(CONTEXT, {"a": "b"})])
    assert masked_span(clean, Private()) is clean


@pytest.mark.parametrize(
    "dirty",
    [
        span({"note": "anna@example.com", "n": 3}),
        span(name="GET /users/anna@example.com"),
        span(events=[Event("exception", {"exception.message": "no anna@example.com"})]),
        span(links=[Link(CONTEXT, {"a": "anna@example.com"})]),
        span(status=Status(StatusCode.ERROR, "no anna@example.com")),
    ],
)
def test_wherever_in_a_span_it_stands_it_is_masked_in_a_copy(dirty):
    before = dirty.to_json()
    masked = masked_span(dirty, Private())
    assert "anna@example.com" not in masked.to_json()
    assert "[email]" in masked.to_json()
    assert (masked.context, masked.kind, masked.resource) == (dirty.context, dirty.kind, dirty.resource)
    assert dirty.to_json() == before
