"""The receivers in front of a whole collector: what is taken, what is refused, and what is meant to hurt."""

import gzip
import json
import os
import resource
import socket
import threading
import zlib

import grpc
import pytest
import zstandard
from collector_kit import Made, config_of, payload, running
from google.protobuf import json_format
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from receive_kit import JSON, LIMIT, PROTOBUF, export, now_span, post, receiving

from paramedic_collector.bus import InProcessBus
from paramedic_collector.intake import Answer, Reply
from paramedic_collector.main import Collector
from paramedic_collector.receive.addresses import AddressInUse, Endpoint


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    collector, _ = running(tmp_path_factory.mktemp("data"), limit_bytes=LIMIT)
    yield collector
    collector.stop()


def recorded(served, made):
    return served.recorder.traces([made.trace.hex()]).get(made.trace.hex(), [])


def works(served):
    """A good request on both ports still gets its answer and is recorded."""
    over_http, over_grpc = now_span(), now_span()
    assert post(served, payload(over_http)).status == 200
    assert export(served, payload(over_grpc)) == b""
    return len(recorded(served, over_http)) == len(recorded(served, over_grpc)) == 1


def detail_of(error, kind):
    """A detail of the google.rpc.Status that came with a gRPC error."""
    status = Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    return only(status.details, kind)


def only(details, kind):
    (packed,) = details
    found = kind()
    assert packed.Unpack(found)
    return found


def test_success_is_an_empty_answer_in_the_encoding_of_the_request(served):
    answer = post(served, payload(now_span()))
    assert (answer.status, answer.headers["content-type"], answer.text) == (200, PROTOBUF, b"")
    assert not ExportTraceServiceResponse.FromString(answer.text).HasField("partial_success")
    answer = post(served, b"{}", content_type="application/json; charset=utf-8")
    assert (answer.status, answer.headers["content-type"], answer.text) == (200, "application/json", b"{}")


@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
def test_an_empty_request_is_fine(served, signal):
    assert post(served, b"", f"/v1/{signal}").status == 200


def test_json_with_hex_ids_is_taken_on_the_same_port(served):
    made = now_span(attributes={"n": 5})
    document = {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "browser"}}]},
                "scopeSpans": [
                    {
                        "spans": [
                            {
                                "traceId": made.trace.hex().upper(),
                                "spanId": made.span.hex(),
                                "name": "click",
                                "kind": 3,
                                "startTimeUnixNano": str(made.start_ns),
                                "endTimeUnixNano": made.start_ns + made.duration_ns,
                                "attributes": [{"key": "n", "value": {"intValue": "5"}}],
                                "someday": {"unknown": ["field"]},
                            }
                        ]
                    }
                ],
            }
        ]
    }
    answer = post(served, json.dumps(document).encode(), content_type="application/json")
    assert answer.status == 200, answer.text
    (span,) = recorded(served, made)
    assert (span.service, span.name, span.kind, span.span_id) == ("browser", "click", "client", made.span.hex())
    assert span.attributes == {"n": 5}


NO_OTLP = [
    b"{",
    b"[]",
    b'{"resourceSpans": 5}',
    b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "xyz"}]}]}]}',
    b"[" * 100_000,
    b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
]


@pytest.mark.parametrize("body", NO_OTLP)
def test_json_that_is_no_otlp_is_a_400_with_a_status(served, body):
    answer = post(served, body, content_type="application/json")
    assert answer.status == 400
    status = json_format.Parse(answer.text, Status())
    assert status.code == 3
    assert only(status.details, BadRequest).field_violations[0].description == status.message
    assert "no OTLP traces message" in status.message


@pytest.mark.parametrize("body", [b"\xff" * 50, b"hello world", payload(Made())[:-3], os.urandom(1000)])
def test_garbage_over_http_is_a_400_with_a_status_and_the_next_request_works(served, body):
    answer = post(served, body)
    assert (answer.status, answer.headers["content-type"]) == (400, PROTOBUF)
    assert Status.FromString(answer.text).code == 3
    assert works(served)


@pytest.mark.parametrize("body", [b"\xff" * 50, b"hello world", payload(Made())[:-3]])
def test_garbage_over_grpc_is_an_invalid_argument_and_the_next_request_works(served, body):
    with pytest.raises(grpc.RpcError) as caught:
        export(served, body)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "no OTLP traces message" in caught.value.details()
    assert detail_of(caught.value, BadRequest).field_violations[0].description == caught.value.details()
    assert works(served)


RAW_GARBAGE = [
    b"\x00" * 5000,
    b"GET / HTTP/9.9\r\n\r\n",
    b"POST /v1/traces HTTP/1.1\r\nX: " + b"a" * 200_000,
    b"\x16\x03\x01\x02\x00hello",  # somebody speaks TLS
    bytes(range(256)) * 12,
]


@pytest.mark.parametrize("port", ["http", "grpc"])
@pytest.mark.parametrize("garbage", RAW_GARBAGE)
def test_raw_garbage_on_a_port_hurts_nobody_else(served, port, garbage):
    endpoint = served.addresses[port]
    with socket.create_connection((endpoint.host, endpoint.port), timeout=5) as one:
        try:
            one.sendall(garbage)
            one.shutdown(socket.SHUT_WR)
            while one.recv(65536):
                pass
        except OSError:
            pass  # cut off is as good an answer as any
    assert works(served)


PACKED = {
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
    "deflate": zlib.compress,
    "zlib": zlib.compress,
    "identity": bytes,
}


@pytest.mark.parametrize("encoding", PACKED)
def test_a_packed_body_is_unpacked(served, encoding):
    made = now_span()
    assert post(served, PACKED[encoding](payload(made)), content_encoding=encoding).status == 200
    assert len(recorded(served, made)) == 1


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_packed_parts_may_follow_each_other(served, encoding):
    made, pack = now_span(), PACKED[encoding]
    whole = payload(made)
    assert post(served, pack(whole[:50]) + pack(whole[50:]), content_encoding=encoding).status == 200
    assert len(recorded(served, made)) == 1


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_parts_without_end_are_refused_soon(served, encoding):
    """Each part costs a copy of those that follow it: 100,000 of them would keep a worker for minutes."""
    assert post(served, PACKED[encoding](b"") * 10_000, content_encoding=encoding).status == 400


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "deflate"])
@pytest.mark.parametrize("spoil", [lambda body: body[:-12], lambda body: body[:2], lambda body: b"no such thing"])
def test_a_broken_packed_body_is_a_400(served, encoding, spoil):
    body = spoil(PACKED[encoding](os.urandom(1000)))
    assert post(served, body, content_encoding=encoding).status == 400


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "deflate"])
def test_a_bomb_is_refused_without_being_unpacked(served, encoding):
    """120 MiB in 120 KiB or less; the reply comes long before that much memory is taken."""
    bomb = PACKED[encoding](b"\0" * (120 << 20))
    assert len(bomb) < LIMIT
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = post(served, bomb, content_encoding=encoding)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert answer.status == 413
    assert grown < 50 << 10  # KiB
    assert works(served)


def test_a_gzip_bomb_over_grpc_is_refused_too(served):
    with pytest.raises(grpc.RpcError) as caught:
        export(served, b"\0" * (50 << 20), compression=grpc.Compression.Gzip)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert works(served)


def test_a_body_over_the_limit_is_a_413_that_says_where_to_raise_it(served):
    answer = post(served, b"\0" * (LIMIT + 1))
    assert answer.status == 413
    assert "max_request_body_size" in Status.FromString(answer.text).message


@pytest.mark.parametrize(
    ("method", "path", "content_type", "status"),
    [
        ("POST", "/v1/traces", "text/plain", 415),
        ("POST", "/v1/spans", PROTOBUF, 404),
        ("GET", "/v1/traces", PROTOBUF, 405),
        ("POST", "/healthz", PROTOBUF, 405),
    ],
)
def test_what_does_not_belong_here_is_told_so_with_a_status(served, method, path, content_type, status):
    answer = post(served, b"", path, content_type, method)
    assert answer.status == status
    read = Status.FromString if content_type == PROTOBUF else lambda text: json_format.Parse(text, Status())
    assert read(answer.text).message


def test_an_unknown_content_encoding_is_a_415(served):
    assert post(served, b"x", content_encoding="br").status == 415


def test_many_senders_at_once_are_all_recorded(served):
    spans = [now_span() for _ in range(60)]
    answers = []

    def send(part):
        answers.extend(post(served, payload(made)).status for made in part)

    senders = [threading.Thread(target=send, args=(spans[at::6],)) for at in range(6)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert answers == [200] * 60
    found = served.recorder.traces([made.trace.hex() for made in spans])
    assert len(found) == 60


def test_it_tells_about_itself(served):
    works(served)
    assert post(served, None, "/healthz", method="GET").text == b"ok\n"
    assert post(served, None, "/readyz", method="GET").status == 200
    text = post(served, None, "/metrics", method="GET").text.decode()
    assert 'otelcol_receiver_accepted_spans_total{transport="grpc"}' in text
    assert "# TYPE otelcol_exporter_queue_size gauge" in text


@pytest.fixture
def full():
    """Both receivers in front of an intake that has no room."""
    with receiving() as served:
        served.intake.answer = Answer(Reply.NO_ROOM, "5 bytes wait already")
        yield served


@pytest.mark.parametrize(("content_type", "read"), [
    (PROTOBUF, Status.FromString), (JSON, lambda text: json_format.Parse(text, Status())),
])  # fmt: skip
def test_a_full_queue_asks_http_senders_to_come_again(full, content_type, read):
    answer = post(full, b"{}", content_type=content_type)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert read(answer.text).code == 14
    assert "5 bytes wait already" in read(answer.text).message


def test_a_full_queue_asks_grpc_senders_to_come_again_and_says_when(full):
    with pytest.raises(grpc.RpcError) as caught:
        export(full, payload(now_span()))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    retry = detail_of(caught.value, RetryInfo)
    assert retry.retry_delay.seconds == 1


def test_a_full_memory_refuses_http_senders_before_their_body_is_read():
    with receiving() as served:
        served.intake.full = "600 MiB are in use"
        answer = post(served, b"x" * 1000)
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert b"600 MiB are in use" in answer.text
        assert served.intake.taken == []
        assert served.counters.total("otelcol_receiver_refused_requests", reason="no_room", transport="http") == 1
        served.intake.full = ""
        assert post(served, b"").status == 200


def test_a_full_memory_refuses_grpc_senders_before_their_message_is_read():
    with receiving() as served:
        served.intake.full = "600 MiB are in use"
        with pytest.raises(grpc.RpcError, match="600 MiB are in use") as caught:
            export(served, payload(now_span()))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert detail_of(caught.value, RetryInfo).retry_delay.seconds == 1
        assert served.intake.taken == []
        served.intake.full = ""
        export(served, payload(now_span()))


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_port_in_use_is_one_sentence_that_names_it_and_the_cure(tmp_path, protocol):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        setting = f"receivers.otlp.protocols.{protocol}.endpoint in otel-config.yaml"
        endpoints = {protocol: Endpoint("localhost", port, setting)}
        collector = Collector(config_of(**endpoints), InProcessBus(), tmp_path)
        with pytest.raises(AddressInUse) as caught:
            collector.start()
    assert str(caught.value) == (
        f"port {port} on localhost is in use by another process: stop that, or choose another port with {setting}"
    )
