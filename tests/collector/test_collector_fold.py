"""Spans become windows: compared with a plain reading of the contract, span by span."""

import pytest
from collector_kit import (
    T0,
    Made,
    batches,
    facts,
    folded,
    naive_windows,
    new_tables,
    payload,
    plain_windows,
    random_spans,
)

from paramedic_collector.decode import Undecodable, joined, parse
from paramedic_collector.facts import facts_of
from paramedic_collector.fold import fold_spans
from paramedic_collector.otlp import Signal
from paramedic_collector.windows import SCHEMAS


def window(family, *spans):
    tables = new_tables()
    (row,) = folded(family, spans, tables).to_pylist()
    return row


@pytest.mark.parametrize("family", ["op", "edge", "callee"])
@pytest.mark.parametrize("seed", range(5))
def test_windows_are_what_a_plain_reading_of_the_contract_gives(family, seed):
    spans, tables = random_spans(seed), new_tables()
    batch = folded(family, spans, tables)
    batch.validate(full=True)
    naive = naive_windows(family, spans)
    if family != "op":
        for values in naive.values():
            for name in ("input_tokens", "output_tokens", "cost_usd", "streams"):
                del values[name]
    assert plain_windows(family, batch) == naive


def test_every_batch_has_the_shared_schema():
    tables = new_tables()
    for batch in batches(fold_spans(facts(random_spans(1), tables), tables), tables):
        family = batch.schema.metadata[b"family"].decode()
        assert batch.schema.equals(SCHEMAS[family], check_metadata=True)


def test_a_refused_call_is_counted_as_refused_and_as_nothing_else():
    refused = {"paramedic.decision": "refused", "paramedic.refused.by": "breaker"}
    row = window("edge", Made(failed=True, attributes=refused | {"service.peer.name": "aurora"}))
    assert row["refused"] == [{"key": "breaker", "count": 1}]
    assert (row["count"], row["errors"], row["exemplars"], row["duration"]["zero"]) == (0, [], [], 0)


def test_the_logical_peer_name_wins_over_provider_and_address():
    names = {"server.address": "10.0.0.1", "gen_ai.system": "openai", "service.peer.name": "aurora"}
    assert window("edge", Made(attributes=names))["callee"] == "aurora"


def test_old_and_new_genai_names_land_in_the_same_series():
    old = {"gen_ai.system": "openai", "gen_ai.response.model": "m", "gen_ai.usage.prompt_tokens": 5}
    new = {"gen_ai.provider.name": "openai", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 7}
    row = window("op", Made(attributes=old), Made(span=b"\x03" * 8, attributes=new))
    assert (row["peer"], row["model"], row["count"], row["input_tokens"]) == ("openai", "m", 2, 12)


def test_a_server_span_names_no_callee_even_with_an_address():
    tables = new_tables()
    spans = [Made(kind="server", attributes={"server.address": "me"})]
    assert folded("edge", spans, tables).num_rows == 0


def test_a_status_code_given_as_text_is_an_error_type_too():
    row = window("op", Made(failed=True, attributes={"http.response.status_code": "503"}))
    assert row["errors"] == [{"key": "503", "count": 1}]


def test_a_failure_that_says_nothing_is_called_other():
    assert window("op", Made(failed=True))["errors"] == [{"key": "_OTHER", "count": 1}]


def test_the_exception_of_a_span_event_names_the_error():
    row = window("op", Made(), Made(span=b"\x03" * 8, failed=True, event={"exception.type": "KeyError"}))
    assert row["errors"] == [{"key": "KeyError", "count": 1}]


def test_a_span_counts_in_the_second_in_which_it_ended():
    assert window("op", Made(duration_ns=2_500_000_000))["ts"] == T0 + 2


def test_a_span_that_ends_before_it_starts_took_no_time():
    made = Made(duration_ns=-5)
    assert window("op", made)["duration"]["zero"] == 1


def test_too_many_series_share_an_overflow_series_and_are_counted():
    tables = new_tables(limit=10)
    spans = [Made(name=f"op-{n}", span=n.to_bytes(8, "big")) for n in range(1, 31)]
    found = folded("op", spans, tables).to_pylist()
    assert len(found) == 11
    (overflow,) = [row for row in found if row["operation"] == "_overflow"]
    assert (overflow["service"], overflow["count"]) == ("_overflow", 20)
    assert tables.overflows == 20


def test_many_small_payloads_fold_like_one_large_one():
    spans = random_spans(5, 60)
    tables = new_tables()
    parsed = [parse(Signal.TRACES, payload(*spans[at : at + 7])) for at in range(0, 60, 7)]
    apart = batches(fold_spans(facts_of(joined(parsed), tables), tables), tables)
    together = batches(fold_spans(facts(spans, tables), tables), tables)
    assert [plain_windows("op", one) for one in apart[:1]] == [plain_windows("op", one) for one in together[:1]]


@pytest.mark.parametrize("body", [b"\xff\xff", b"hello", b"\x0a\x05abc", b"\x0a\xff\xff\xff\xff\x0f"])
def test_bytes_that_are_no_otlp_are_named_so(body):
    with pytest.raises(Undecodable, match="no OTLP traces message"):
        parse(Signal.TRACES, body)


def test_an_empty_request_holds_nothing():
    for signal in Signal:
        assert parse(signal, b"").items == 0


def test_ids_of_a_wrong_length_do_not_fail_the_payload():
    row = window("op", Made(trace=b"\x07\x08", span=b"", parent=b"\x01\x02\x03"))
    assert (row["count"], row["exemplars"][0]["trace_id"]) == (1, "0708" + "0" * 28)
