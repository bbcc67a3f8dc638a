"""Forwarding from a real flight recorder to real backends: what each of their answers leads to."""

import pytest
from forward_kit import GrpcBackend, HttpBackend, Say, in_turn, one_log, one_span, record, spans_of, until
from forward_node import names, towards
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from paramedic_collector.config.model import Retry
from paramedic_collector.otlp import Signal


def busy(backend, retry_s=None):
    if isinstance(backend, HttpBackend):
        return Say(503, {"retry-after": str(retry_s)} if retry_s else {})
    return Say(code="UNAVAILABLE", retry_s=retry_s)


def wrong(backend):
    return Say(400) if isinstance(backend, HttpBackend) else Say(code="INVALID_ARGUMENT")


def too_much(backend):
    return Say(413) if isinstance(backend, HttpBackend) else Say(code="RESOURCE_EXHAUSTED")


def test_what_is_recorded_arrives_in_order_and_is_counted(node, backend):
    one = node(towards(backend, headers=(("X-Team", "bots"),)))
    one.record(*names(50))
    until(lambda: len(backend.spans) == 50, "all arrive")
    assert backend.spans == names(50)
    assert backend.requests[0].headers["x-team"] == "bots"
    until(lambda: one.total("sent_spans", exporter=f"otlp_{kind(backend)}/backend") == 50, "they are counted")
    assert one.total("send_failed_spans") == 0


def kind(backend):
    return "http" if isinstance(backend, HttpBackend) else "grpc"


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_http_sends_protobuf_in_each_compression_to_the_signals_path(node, web, compression):
    node(towards(web, compression=compression)).record("a")
    until(lambda: web.spans == ["a"], "it arrives")
    headers = web.requests[0].headers
    assert headers.get("content-encoding", "none") == compression
    assert (headers["content-type"], headers["path"]) == ("application/x-protobuf", "/v1/traces")


def test_a_signal_may_have_an_url_of_its_own(node, web):
    node(towards(web, urls={Signal.TRACES: f"{web.url}/custom/traces"})).record("a")
    until(lambda: web.spans == ["a"], "it arrives")
    assert web.requests[0].headers["path"] == "/custom/traces"


def test_only_frames_of_the_pipelines_signal_are_sent(node, web):
    one = node(towards(web))
    record(one.recorder, one_log("decoy"), signal=Signal.LOGS)
    one.record("a")
    until(lambda: web.spans == ["a"], "the span arrives")
    assert {got.signal for got in web.requests} == {Signal.TRACES}


def test_a_busy_backend_is_asked_again_after_the_pause_that_it_wants(node, backend):
    backend.decide = in_turn(busy(backend, retry_s=1), busy(backend))
    one = node(towards(backend))
    one.record("a")
    until(lambda: backend.spans == ["a"], "it arrives")
    first, second, third = (got.at for got in backend.requests)
    assert second - first >= 1 > third - second
    assert one.counters.total("paramedic_exporter_retries") == 2


def test_a_pause_that_a_backend_wants_holds_for_the_next_request_too(node, web):
    web.decide = in_turn(Say(429, {"retry-after": "1"}))
    one = node(towards(web, retry=Retry(enabled=False)))
    one.record("a")
    until(lambda: one.total("send_failed_spans", reason="gave_up") == 1, "the first is given up")
    one.record("b")
    until(lambda: web.spans == ["b"], "the second arrives")
    assert web.requests[1].at - web.requests[0].at >= 1


def test_what_will_never_be_taken_is_dropped_counted_and_told_once(node, backend, caplog):
    backend.decide = lambda got: wrong(backend) if spans_of(got.message)[0].name.startswith("bad") else Say()
    one = node(towards(backend))
    for number, name in enumerate(("bad0", "good0", "bad1", "good1")):
        one.record(name)
        until(lambda n=number: one.total("sent_spans") + one.total("send_failed_spans") > n, "it is done with")
    assert backend.spans == ["good0", "good1"]
    assert len(backend.requests) == 4
    assert one.total("send_failed_spans", reason="refused") == 2
    told = [record.getMessage() for record in caplog.records if "are lost" in record.getMessage()]
    assert len(told) == 1
    assert "backend" in told[0]
    assert "1 spans are lost (refused)" in told[0]


def test_items_of_a_partial_success_are_counted_as_rejected_and_never_sent_again(node, backend, caplog):
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans, response.partial_success.error_message = 1, "too old"
    backend.decide = in_turn(Say(body=response.SerializeToString()))
    one = node(towards(backend))
    record(one.recorder, one_span("a") + one_span("b"))
    until(lambda: one.total("sent_spans") == 1, "one is taken")
    one.record("c")
    until(lambda: one.total("sent_spans") == 2, "the next one too")
    assert one.total("send_failed_spans", reason="rejected") == 1
    assert len(backend.requests) == 2
    assert "too old" in caplog.text


def test_a_request_that_is_too_large_is_cut_until_its_parts_are_taken(node, backend):
    """One span alone is over the limit; nothing else is lost with it."""
    backend.decide = lambda got: too_much(backend) if got.message.ByteSize() > 10_000 else Say()
    one = node(towards(backend, compression="none"))
    small = names(20)
    parts = [one_span(name, text="x" * 4000) for name in small]
    parts.insert(7, one_span("huge", text="x" * 20_000))
    record(one.recorder, b"".join(parts))
    until(lambda: one.total("sent_spans") == 20, "all but one are taken")
    assert backend.spans == small
    assert one.total("send_failed_spans", reason="too_large") == 1


def test_a_backend_without_quota_is_not_asked_for_each_item(node, backend):
    """It calls a tiny request too much: that is no matter of size."""
    backend.decide = lambda got: too_much(backend)
    one = node(towards(backend))
    record(one.recorder, b"".join(one_span(name) for name in names(1000)))
    until(lambda: one.total("send_failed_spans", reason="refused") == 1000, "all are given up")
    assert len(backend.requests) < 20


def test_a_real_limit_of_grpc_is_met_and_remembered(node):
    backend = GrpcBackend(most_bytes=100_000)
    backend.start()
    one = node(towards(backend, compression="none"))
    for number in range(40):
        record(one.recorder, one_span(f"s{number}", text="x" * 20_000))
    until(lambda: one.total("sent_spans") == 40, "all are taken")
    backend.stop()
    assert backend.spans == names(40)


def test_a_request_is_given_up_when_its_time_is_over(node, backend):
    backend.decide = lambda got: (
        busy(backend) if got is backend.requests[0] or spans_of(got.message)[0].name == "a" else Say()
    )
    one = node(towards(backend, retry=Retry(initial_s=0.02, give_up_s=0.2)))
    one.record("a")
    until(lambda: one.total("send_failed_spans", reason="gave_up") == 1, "it is given up")
    one.record("b")
    until(lambda: backend.spans == ["b"], "the next one arrives")
