"""`redaction`: what is not allowed goes, what is blocked is masked, and a summary says so when asked."""

import hashlib
import hmac

import pytest
from collector_process_kit import (
    LOGS,
    METRICS,
    TRACES,
    built,
    gauges,
    held,
    logs,
    metrics_of,
    records_of,
    refused,
    spans_of,
    traces,
)
from hypothesis import given
from hypothesis import strategies as st

from paramedic_collector.process.patterns import compiled, replaced

CARD = "4111111111111111"
BLOCKED = {"allow_all_keys": True, "blocked_values": ["4[0-9]{15}"]}


def after(settings, attributes):
    request = traces({"name": "a", "attributes": attributes}, resource={"r": "x"})
    (span,) = spans_of(built("redaction", settings).process(TRACES, request, 0.0))
    return held(span)


@pytest.mark.parametrize(
    ("settings", "old", "new"),
    [
        ({}, {"a": 1, "b": "x"}, {}),  # nothing is allowed unless it is said
        ({"allowed_keys": ["a"]}, {"a": 1, "b": "x"}, {"a": 1}),
        ({"allow_all_keys": True}, {"a": 1, "b": "x"}, {"a": 1, "b": "x"}),
        ({"ignored_keys": ["b"]}, {"a": 1, "b": "x"}, {"b": "x"}),
        ({"ignored_key_patterns": ["^safe"]}, {"safe.b": "x", "b": 1}, {"safe.b": "x"}),
        (BLOCKED, {"a": f"card {CARD}.", "b": "x"}, {"a": "card ****.", "b": "x"}),
        (BLOCKED, {"a": int(CARD)}, {"a": int(CARD)}),
        ({**BLOCKED, "redact_all_types": True}, {"a": int(CARD), "b": 1}, {"a": "****", "b": 1}),
        ({**BLOCKED, "ignored_keys": ["a"]}, {"a": CARD}, {"a": CARD}),
        ({**BLOCKED, "allowed_values": ["^41"]}, {"a": CARD, "b": "x" + CARD}, {"a": CARD, "b": "x****"}),
        (
            {"allow_all_keys": True, "blocked_key_patterns": ["token"]},
            {"my_token": "abc", "n": "x"},
            {"my_token": "****", "n": "x"},
        ),
        ({"allow_all_keys": True, "blocked_key_patterns": ["token"]}, {"token": 5}, {"token": "****"}),
        ({**BLOCKED, "hash_function": "md5"}, {"a": CARD}, {"a": hashlib.md5(CARD.encode()).hexdigest()}),
        ({**BLOCKED, "hash_function": "sha3"}, {"a": CARD}, {"a": hashlib.sha3_256(CARD.encode()).hexdigest()}),
        (
            {**BLOCKED, "hash_function": "hmac-sha256", "hmac_key": "k" * 32},
            {"a": CARD},
            {"a": hmac.new(b"k" * 32, CARD.encode(), "sha256").hexdigest()},
        ),
    ],
)
def test_each_rule_does_what_it_says(settings, old, new):
    assert after(settings, old) == new


def test_the_summary_counts_and_names_in_debug_only():
    rules = {
        "allowed_keys": ["keep", "card", "fine"],
        "ignored_keys": ["skip"],
        "blocked_values": ["4[0-9]{15}"],
        "allowed_values": ["^ok$"],
    }
    old = {"z": 1, "b": 2, "keep": "x", "card": CARD, "fine": "ok", "skip": CARD}
    kept = {"keep": "x", "card": "****", "fine": "ok", "skip": CARD}
    counts = {
        f"redaction.{what}.count": n for what, n in (("redacted", 2), ("masked", 1), ("allowed", 1), ("ignored", 1))
    }
    keys = {"redaction.redacted.keys": "b,z", "redaction.masked.keys": "card", "redaction.allowed.keys": "fine"}
    assert after(rules, old) == kept
    assert after({**rules, "summary": "silent"}, old) == kept
    assert after({**rules, "summary": "info"}, old) == kept | counts
    assert after({**rules, "summary": "debug"}, old) == kept | counts | keys


def test_a_second_redaction_adds_to_the_summary_of_the_first():
    first = built("redaction", {"allowed_keys": ["a", "b"], "summary": "debug"})
    second = built("redaction", {"allowed_keys": ["a"], "summary": "debug"})
    request = traces({"name": "s", "attributes": {"a": 1, "b": 2, "c": 3}})
    (span,) = spans_of(second.process(TRACES, first.process(TRACES, request, 0.0)[0], 0.0))
    assert held(span) == {"a": 1, "redaction.redacted.keys": "b,c", "redaction.redacted.count": 2}


def test_resources_scopes_events_and_points_are_redacted_too():
    request = traces({"name": "a", "events": {"e": {"card": CARD}}}, resource={"card": CARD})
    processor = built("redaction", BLOCKED)
    (result,) = processor.process(TRACES, request, 0.0)
    assert CARD.encode() not in result.SerializeToString()
    assert result.SerializeToString().count(b"****") == 2
    metrics = built("redaction", {"allowed_keys": ["a"]}, "metrics").process(METRICS, gauges(m=[{"a": 1, "b": 2}]), 0.0)
    assert metrics_of(metrics) == {"m": [{"a": 1}]}


def test_bodies_are_redacted_inside_of_maps_and_lists():
    body = {"card": CARD, "list": [{"card": CARD}, "fine"], "secret_key": "abc", "number": 5}
    settings = {**BLOCKED, "blocked_key_patterns": ["secret"], "summary": "debug"}
    request = logs((body, {}, 9), (f"my card: {CARD}", {}, 9))
    first, second = records_of(built("redaction", settings, "logs").process(LOGS, request, 0.0))
    assert CARD not in str(first) + str(second)
    assert "abc" not in str(first)
    assert second.body.string_value == "my card: ****"
    assert held(first)["redaction.body.masked.keys"] == "card,list.[0].card,secret_key"
    assert held(second) == {"redaction.body.masked.keys": "body", "redaction.body.masked.count": 1}


def test_keys_of_a_body_that_are_not_allowed_go():
    settings = {"allowed_keys": ["a", "b"], "summary": "debug"}
    (record,) = records_of(
        built("redaction", settings, "logs").process(LOGS, logs(({"a": {"b": 1, "c": 2}, "d": 3}, {}, 9)), 0.0)
    )
    assert "c" not in str(record.body)
    assert held(record)["redaction.body.redacted.keys"] == "a.c,d"


@given(st.text(alphabet="ab\n", max_size=8))
def test_a_pattern_that_may_be_empty_masks_as_go_does(text):
    """One mask a line, or one for an empty text: Python alone would put two."""
    assert replaced(compiled(".*"), lambda _: "#", text) == "\n".join("#" for _ in text.split("\n"))


@pytest.mark.parametrize(
    ("settings", "mistake"),
    [
        ({"blocked_values": ["("]}, "blocked_values::0: error compiling regex '('"),
        ({"summary": "loud"}, "summary: must be debug, info, silent"),
        ({"hash_function": "crc"}, "unknown HashFunction crc, allowed functions are md5, sha1, sha3"),
        ({"hash_function": "hmac-sha256"}, 'hmac_key must not be empty when hash_function is "hmac-sha256"'),
        ({"hash_function": "hmac-sha512", "hmac_key": "k"}, 'at least 64 bytes long for "hmac-sha512", got 1 bytes'),
        ({"url_sanitizer": {"enabled": True}}, 'does not have the setting "url_sanitizer"'),
        ({"allowed_keys": [1]}, "allowed_keys::0: must be a text, got 1: put it in quotes"),
    ],
)
def test_each_mistake_is_named(settings, mistake):
    found = refused("redaction", settings)
    assert any(mistake in line for line in found), found
