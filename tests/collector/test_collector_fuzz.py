"""The decoder and all that is behind it, with spoiled payloads; the official protobuf parser is the oracle.

What it refuses must be refused or be harmless, what it takes must be taken and have as many items. Nothing may
end in an error other than `Undecodable`. `make fuzz` goes on for longer.
"""

import json

import pytest
from collector_kit import T0
from fuzz_kit import GOOD, REQUESTS, examples, payloads, spoiled
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import given
from hypothesis import strategies as st

from paramedic_collector.counters import FOLD_FAILURES, Counters
from paramedic_collector.decode import parse
from paramedic_collector.intake import Taken
from paramedic_collector.join import Join
from paramedic_collector.otlp import Signal, Undecodable
from paramedic_collector.receive.otlp_json import TooMany, to_protobuf
from paramedic_collector.receive.unpack import ENCODINGS, Broken, unpack
from paramedic_collector.record.segments import Place
from paramedic_collector.redact import Redactor
from paramedic_collector.tables import Tables
from paramedic_collector.windower import Windower

GROUP = 3  # a wire type
FIELDS = {
    Signal.TRACES: ("resource_spans", "scope_spans", "spans"),
    Signal.METRICS: ("resource_metrics", "scope_metrics", "metrics"),
    Signal.LOGS: ("resource_logs", "scope_logs", "log_records"),
}


def official(signal, body):
    """What the official parser makes of it; None when it refuses."""
    try:
        return REQUESTS[signal].FromString(body)
    except DecodeError:
        return None


def items_of(signal, message):
    """Spans, log records, or points of metrics."""
    resources, scopes, items = FIELDS[signal]
    found = [
        one for of in getattr(message, resources) for scope in getattr(of, scopes) for one in getattr(scope, items)
    ]
    if signal is not Signal.METRICS:
        return len(found)
    return sum(len(getattr(one, kind).data_points) for one in found if (kind := one.WhichOneof("data")))


def has_group(message):
    """Whether there is a group in it, a kind of field that protobuf gave up in 2001: we refuse it, nobody sends it."""
    if any(field.wire_type == GROUP for field in UnknownFieldSet(message)):
        return True
    inside = [value for field, value in message.ListFields() if field.type == field.TYPE_MESSAGE]
    return any(has_group(one) for value in inside for one in ([value] if hasattr(value, "ListFields") else value))


def parsed_or_none(signal, body):
    try:
        return parse(signal, body)
    except Undecodable:
        return None


def fold(signal, parsed, body):
    """Through facts, fold, join and merge; the number of groups that could not be folded."""
    counters = Counters()
    tables = Tables(limit=1000, keep_s=600.0, clock=lambda: float(T0))
    windower = Windower("fuzz", tables, Join(tables), counters, wait_s=1.0)
    windower.take([Taken(parsed, Place("s", 0, 1), len(body), None)], T0 + 1.0)
    windower.give(T0 + 5.0)
    return counters.total(FOLD_FAILURES)


@pytest.mark.parametrize("signal", list(Signal))
def test_a_good_payload_is_what_the_official_parser_says(signal):
    """The fuzz tests below would be blind if these were refused."""
    parsed = parse(signal, GOOD[signal])
    assert parsed.items == items_of(signal, official(signal, GOOD[signal])) > 0
    assert fold(signal, parsed, GOOD[signal]) == 0


@pytest.mark.parametrize("signal", list(Signal))
def test_spoiled_payloads_are_refused_or_folded_as_the_official_parser_reads_them(signal):
    @examples(300)
    @given(body=payloads(signal))
    def check(body):
        message, parsed = official(signal, body), parsed_or_none(signal, body)
        if message is not None and not has_group(message):
            assert parsed is not None, "the official parser takes it"
            assert parsed.items == items_of(signal, message)
        if parsed is not None:
            assert fold(signal, parsed, body) == 0

    check()


@pytest.mark.parametrize("signal", list(Signal))
def test_redacting_a_spoiled_payload_never_fails_and_never_makes_it_another(signal):
    redactor = Redactor()

    @examples(150)
    @given(body=payloads(signal))
    def check(body):
        message = official(signal, body)
        try:
            redacted = redactor.redact(signal, body).payload
        except Undecodable:
            assert message is None or has_group(message)
            return
        if message is not None:
            assert items_of(signal, official(signal, redacted)) == items_of(signal, message)

    check()


TEXTS = st.text(max_size=20) | st.sampled_from(["5", "0x", "ff" * 8, "NaN", "AAAA", "1.5e3"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.sampled_from([
        "resourceSpans", "resource", "attributes", "scopeSpans", "spans", "traceId", "spanId", "name", "kind", "key",
        "value", "stringValue", "intValue", "doubleValue", "startTimeUnixNano", "status", "code", "events",
    ]), inner, max_size=4),
    max_leaves=30,
)  # fmt: skip
GOOD_JSON = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{
    "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "name": "click", "kind": 3,
    "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": 1700000001000000000,
    "attributes": [{"key": "n", "value": {"intValue": "5"}}, {"key": "f", "value": {"doubleValue": 0.5}}],
}]}]}]}).encode()  # fmt: skip


@examples(200)
@given(
    body=st.one_of(VALUES.map(lambda value: json.dumps(value).encode()), spoiled(GOOD_JSON), st.binary(max_size=200))
)
def test_any_json_is_refused_or_becomes_a_payload_that_can_be_decoded(body):
    for signal in Signal:
        try:
            payload = to_protobuf(signal, body)
        except (Undecodable, TooMany):
            continue
        assert official(signal, payload) is not None


@examples(200)
@given(encoding=st.sampled_from(sorted(ENCODINGS)), data=st.data())
def test_any_packed_body_is_unpacked_within_its_limit_or_refused(encoding, data):
    body = data.draw(st.one_of(spoiled(PACKED[encoding]), st.binary(max_size=200)))
    taken = []
    try:
        whole = unpack(encoding, body, taken.append)
    except Broken:
        return
    assert sum(taken) == len(whole)


def _packed():
    import gzip
    import zlib

    import zstandard

    text = GOOD[Signal.TRACES] * 20
    return {"gzip": gzip.compress(text), "zstd": zstandard.compress(text), "zlib": zlib.compress(text),
            "deflate": zlib.compress(text)}  # fmt: skip


PACKED = _packed()
