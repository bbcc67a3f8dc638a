"""What an answer of a backend means, how long a request waits, and how it is counted and cut. No server needed."""

import json
from email.utils import formatdate

import pytest
from forward_kit import one_span, spans_of
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from paramedic_collector.config.model import Retry
from paramedic_collector.forward.answers import Verdict, grpc_answer, http_answer, retry_after_s
from paramedic_collector.forward.backoff import Backoff
from paramedic_collector.forward.otlp_json import to_json
from paramedic_collector.forward.shapes import count, halves
from paramedic_collector.otlp import Signal

NOW = 1_700_000_000.0


def status_with(*details) -> bytes:
    status = Status(code=8)
    for one in details:
        detail = AnyMessage()
        detail.Pack(one)
        status.details.append(detail)
    return status.SerializeToString()


WAIT = RetryInfo(retry_delay=Duration(seconds=2, nanos=500_000_000))


@pytest.mark.parametrize("status", [*range(100, 200, 50), *range(300, 309), *range(400, 431), 451, *range(500, 512)])
def test_of_http_only_what_the_specification_names_is_sent_again(status):
    verdict = http_answer(Signal.TRACES, status, {}, b"", NOW).verdict
    expected = Verdict.LATER if status in (429, 502, 503, 504) else Verdict.REFUSED
    assert verdict is (Verdict.TOO_LARGE if status == 413 else expected)


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("CANCELLED", Verdict.LATER),
        ("UNKNOWN", Verdict.REFUSED),
        ("INVALID_ARGUMENT", Verdict.REFUSED),
        ("DEADLINE_EXCEEDED", Verdict.LATER),
        ("NOT_FOUND", Verdict.REFUSED),
        ("ALREADY_EXISTS", Verdict.REFUSED),
        ("PERMISSION_DENIED", Verdict.REFUSED),
        ("RESOURCE_EXHAUSTED", Verdict.TOO_LARGE),
        ("FAILED_PRECONDITION", Verdict.REFUSED),
        ("ABORTED", Verdict.LATER),
        ("OUT_OF_RANGE", Verdict.LATER),
        ("UNIMPLEMENTED", Verdict.REFUSED),
        ("INTERNAL", Verdict.REFUSED),
        ("UNAVAILABLE", Verdict.LATER),
        ("DATA_LOSS", Verdict.LATER),
        ("UNAUTHENTICATED", Verdict.REFUSED),
    ],
)
def test_of_grpc_only_what_the_specification_names_is_sent_again(code, verdict):
    assert grpc_answer(code, "", b"").verdict is verdict


def test_an_exhausted_backend_is_asked_again_only_if_it_says_when():
    answer = grpc_answer("RESOURCE_EXHAUSTED", "quota", status_with(ErrorInfo(reason="decoy"), WAIT))
    assert (answer.verdict, answer.pause_s) == (Verdict.LATER, 2.5)
    assert grpc_answer("RESOURCE_EXHAUSTED", "", status_with(ErrorInfo())).verdict is Verdict.TOO_LARGE
    assert grpc_answer("RESOURCE_EXHAUSTED", "", b"\xff\xff no status").verdict is Verdict.TOO_LARGE


def test_a_retry_info_does_not_make_a_refusal_retryable():
    assert grpc_answer("INVALID_ARGUMENT", "", status_with(WAIT)).verdict is Verdict.REFUSED


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7),
        (" 120 ", 120),
        (formatdate(NOW + 30, usegmt=True), 30),
        (formatdate(NOW - 30, usegmt=True), 0),
        ("", 0),
        ("-5", 0),
        ("soon", 0),
        ("9" * 400, 86_400),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_at_most_a_day(text, seconds):
    assert retry_after_s(text, NOW) == seconds


def test_a_retry_after_counts_for_each_retryable_status():
    for status in (429, 502, 503, 504):
        assert http_answer(Signal.LOGS, status, {"retry-after": "9"}, b"", NOW).pause_s == 9


def test_the_backends_own_words_are_read_of_a_status_in_either_encoding_or_of_text():
    binary = Status(code=3, message="bad span\nid").SerializeToString()
    assert http_answer(Signal.TRACES, 400, {}, binary, NOW).why == "bad span id"
    as_json = {"content-type": "application/json; charset=utf-8"}
    assert http_answer(Signal.TRACES, 400, as_json, b'{"code":3,"message":"no"}', NOW).why == "no"
    assert http_answer(Signal.TRACES, 404, {"content-type": "text/html"}, b"<h1>404</h1>", NOW).why == "<h1>404</h1>"
    assert len(http_answer(Signal.TRACES, 404, {}, b"<" * 10_000, NOW).why) == 200


def test_partial_success_says_how_many_were_turned_down():
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans, response.partial_success.error_message = 3, "too old"
    answer = http_answer(Signal.TRACES, 200, {}, response.SerializeToString(), NOW)
    assert (answer.verdict, answer.rejected, answer.why) == (Verdict.TAKEN, 3, "too old")
    text = b'{"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}}'
    assert http_answer(Signal.TRACES, 202, {"content-type": "application/json"}, text, NOW) == answer
    assert http_answer(Signal.TRACES, 200, {}, b"\xff<html>", NOW).rejected == 0


def pauses(retry, dice, least_s=0.0):
    """Until it gives up, the pauses being all the time that passes."""
    backoff, elapsed, found = Backoff(retry, lambda: dice), 0.0, []
    while (pause := backoff.next_s(least_s, elapsed)) is not None and len(found) < 100:
        found.append(round(pause, 3))
        elapsed += pause
    return found


def test_pauses_grow_as_the_collectors_do_until_five_minutes_are_over():
    assert pauses(Retry(), 0.5) == [5, 7.5, 11.25, 16.875, 25.312, *[30] * 7]
    assert sum(pauses(Retry(), 0.5)) <= 300 < sum(pauses(Retry(), 0.5)) + 30


def test_pauses_are_spread_by_half_to_both_sides():
    assert pauses(Retry(), 0.0)[0] == 2.5
    assert pauses(Retry(), 0.9999999)[0] == 7.5
    assert pauses(Retry(randomization=0.0), 0.0)[0] == 5


def test_what_the_backend_asks_for_is_the_least_and_may_be_too_long():
    assert pauses(Retry(), 0.5, least_s=20)[:4] == [20, 20, 20, 20]
    assert pauses(Retry(), 0.5, least_s=301) == []
    assert pauses(Retry(give_up_s=0), 0.5, least_s=301) == [301] * 100


def test_retries_that_are_off_are_none():
    assert pauses(Retry(enabled=False), 0.5) == []


def traces(*sizes_of_scopes) -> ExportTraceServiceRequest:
    """A resource for each argument, with a scope of that many spans for each number in it; names tell them apart."""
    message, number = ExportTraceServiceRequest(), 0
    for scopes in sizes_of_scopes:
        resource = message.resource_spans.add(schema_url="kept")
        resource.resource.attributes.add(key="service.name").value.string_value = f"bot-{number}"
        for spans in scopes:
            scope = resource.scope_spans.add()
            scope.scope.name = "scope"
            for _ in range(spans):
                scope.spans.add(name=str(number), trace_state="kept")
                number += 1
    return message


def pieces(signal, payload):
    parts = halves(signal, payload)
    return [payload] if parts is None else [one for part in parts for one in pieces(signal, part)]


@given(st.lists(st.lists(st.integers(0, 5), max_size=4), max_size=4))
def test_halves_hold_every_item_once_and_in_order_down_to_one(sizes):
    whole = traces(*sizes)
    payload = whole.SerializeToString()
    assert count(Signal.TRACES, payload) == len(spans_of(whole))
    single = [ExportTraceServiceRequest.FromString(one) for one in pieces(Signal.TRACES, payload)]
    assert all(len(spans_of(one)) <= 1 for one in single)
    assert [span for one in single for span in spans_of(one)] == spans_of(whole)
    for one in single:
        assert all(resource.schema_url == "kept" for resource in one.resource_spans)
        assert all(scope.scope.name == "scope" for resource in one.resource_spans for scope in resource.scope_spans)


def test_a_joined_request_counts_as_its_parts():
    assert count(Signal.TRACES, one_span("a") + one_span("b") + one_span("c")) == 3
    assert count(Signal.TRACES, b"\xff\xff\xff") == 0


def test_of_metrics_the_points_of_every_kind_count_and_part():
    message = ExportMetricsServiceRequest()
    metrics = message.resource_metrics.add().scope_metrics.add().metrics
    for kind in ("gauge", "sum", "histogram", "exponential_histogram", "summary"):
        metric = metrics.add(name=kind)
        for _ in range(3):
            getattr(metric, kind).data_points.add(time_unix_nano=1)
    metrics.add(name="empty")
    payload = message.SerializeToString()
    assert count(Signal.METRICS, payload) == 15
    parts = pieces(Signal.METRICS, payload)
    assert [count(Signal.METRICS, one) for one in parts] == [1] * 15 + [0]
    last = ExportMetricsServiceRequest.FromString(parts[14]).resource_metrics[0].scope_metrics[0].metrics[0]
    assert last.name == "summary"


def test_log_records_count_and_part():
    message = ExportLogsServiceRequest()
    records = message.resource_logs.add().scope_logs.add().log_records
    for number in range(3):
        records.add(severity_number=number)
    assert [count(Signal.LOGS, one) for one in pieces(Signal.LOGS, message.SerializeToString())] == [1, 1, 1]


def test_json_has_ids_in_hex_enums_as_numbers_and_long_numbers_as_text():
    message = ExportTraceServiceRequest.FromString(one_span("naïve", trace=bytes(range(16))))
    span = spans_of(message)[0]
    span.parent_span_id, span.end_time_unix_nano = b"\xff" * 8, 2**63
    span.links.add(trace_id=b"\xab" * 16, span_id=b"\xcd" * 8)
    span.attributes.add(key="traceId").value.bytes_value = b"\x00\x01"
    text = to_json(Signal.TRACES, message.SerializeToString())
    found = json.loads(text)["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert found["traceId"] == "000102030405060708090a0b0c0d0e0f"
    assert (found["spanId"], found["parentSpanId"]) == ("02" * 8, "ff" * 8)
    assert (found["kind"], found["endTimeUnixNano"], found["name"]) == (3, str(2**63), "naïve")
    assert found["links"] == [{"traceId": "ab" * 16, "spanId": "cd" * 8}]
    assert found["attributes"] == [{"key": "traceId", "value": {"bytesValue": "AAE="}}]
    assert b"\n" not in text
