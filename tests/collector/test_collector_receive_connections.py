"""HTTP connections byte by byte: odd but right clients are served, slow and greedy ones cost nothing for long."""

import socket
import threading

import grpc
import pytest
from forward_kit import until
from receive_kit import LIMIT, PROTOBUF, Talk, export, head, post, receiving

from paramedic_collector.receive import http as http_module
from paramedic_collector.receive.patience import Patience

OK = b"HTTP/1.1 200 OK\r\n"
HEALTH = head(method="GET", path="/healthz")
IMPATIENT = Patience(head_s=0.4, body_s=0.4, idle_s=0.4, linger_s=0.4)


@pytest.fixture(scope="module")
def shared():
    with receiving() as served:
        yield served


@pytest.fixture
def served(shared):
    shared.intake.taken.clear()
    yield shared
    assert until(lambda: shared.room.taken_bytes == 0, "all room is given back") is True


def test_requests_on_one_connection_are_answered_in_order(served):
    with Talk(served) as talk:
        for body in (b"one", b"two"):
            talk.say(head(size=3) + body).hear(b"content-length: 0\r\n\r\n")
        assert served.intake.payloads == [b"one", b"two"]


def test_pipelined_requests_are_answered_in_order(served):
    bodies = [b"%03d" % number for number in range(40)]
    with Talk(served) as talk:
        talk.say(
            b"".join(head(size=3) + body for body in bodies) + head("connection: close", path="/healthz", method="GET")
        )
        answers = talk.rest()
    assert answers.count(OK) == 41
    assert answers.endswith(b"ok\n")
    assert served.intake.payloads == bodies


def test_who_sends_ahead_of_the_answers_is_not_read_from(served):
    """While one request is worked on, not more than a few buffers of others are taken in."""
    go_on = threading.Event()
    served.intake.wait = go_on.wait
    try:
        with Talk(served) as talk:
            talk.socket.settimeout(0.5)
            with pytest.raises(TimeoutError):
                talk.say((head(size=100_000) + bytes(100_000)) * 500)
            assert served.room.taken_bytes < 3 * LIMIT
    finally:
        served.intake.wait = lambda: None
        go_on.set()


@pytest.mark.parametrize("cut", [1, 2, 7, 50])
def test_a_request_may_come_in_any_pieces(served, cut):
    whole = head("transfer-encoding: chunked") + b"3\r\nabc\r\n4;why=not\r\ndefg\r\n0\r\nx-trailer: yes\r\n\r\n"
    with Talk(served) as talk:
        talk.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(whole), cut):
            talk.say(whole[at : at + cut])
        talk.hear(b"\r\n\r\n")
    assert served.intake.payloads == [b"abcdefg"]


def test_http_1_0_gets_its_answer_and_the_end_of_the_connection(served):
    with Talk(served) as talk:
        answer = talk.say(head(size=3, version="1.0") + b"abc").rest()
    assert answer.startswith(OK)
    assert b"connection: close" in answer
    assert served.intake.payloads == [b"abc"]


def test_a_sender_may_close_its_half_after_the_request(served):
    with Talk(served) as talk:
        talk.say(head(size=3) + b"abc").socket.shutdown(socket.SHUT_WR)
        assert talk.rest().startswith(OK)


def test_who_asks_before_sending_is_told_to_go_on(served):
    with Talk(served) as talk:
        talk.say(head("expect: 100-continue", size=3)).hear(b"HTTP/1.1 100 Continue\r\n\r\n")
        talk.say(b"abc").hear(OK)


@pytest.mark.parametrize("size", [LIMIT + 1, 10 << 30])
def test_who_asks_before_sending_too_much_is_told_at_once(served, size):
    with Talk(served) as talk:
        answer = talk.say(head("expect: 100-continue", size=size)).hear(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"connection: close" in answer


def test_a_wish_for_http_2_is_ignored(served):
    """Java's client has it in its first request on a plain connection, body and all."""
    wish = head("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAEAAQAA", size=6)
    with Talk(served) as talk:
        talk.say(wish + b"ab")
        talk.say(b"cdef" + HEALTH).hear(OK)
        talk.hear(b"ok\n")
    assert served.intake.payloads == [b"abcdef"]


@pytest.mark.parametrize(
    "target", ["/v1/traces?x=1", "http://collector.example:4318/v1/traces", "//v1/traces", "http://[/v1/traces"]
)
def test_a_target_may_have_a_query_or_a_host(served, target):
    with Talk(served) as talk:
        answer = talk.say(head(path=target, size=0)).hear(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 404" if target.startswith(("//", "http://[")) else OK)


def test_head_of_a_page_is_its_headers_alone(served):
    with Talk(served) as talk:
        answer = talk.say(head("connection: close", method="HEAD", path="/healthz")).rest()
    assert answer.startswith(OK)
    assert b"content-length: 3" in answer
    assert answer.endswith(b"\r\n\r\n")


def test_the_body_of_a_refused_request_is_thrown_away_and_the_next_one_served(served):
    with Talk(served) as talk:
        talk.say(head(path="/v1/nothing", size=100_000) + bytes(100_000) + HEALTH)
        talk.hear(b"HTTP/1.1 404")
        talk.hear(b"ok\n")


def test_a_body_without_a_declared_size_is_bounded_too(served):
    with Talk(served) as talk:
        talk.say(head("transfer-encoding: chunked"))
        for _ in range(20):
            talk.say(b"8000\r\n" + bytes(0x8000) + b"\r\n")
        talk.hear(b"HTTP/1.1 413")
        talk.say(b"0\r\n\r\n" + HEALTH).hear(b"ok\n")
    assert served.intake.taken == []


NO_HTTP = {
    "garbage": b"\x00" * 5000,
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03hello",
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "two sizes": b"POST /v1/traces HTTP/1.1\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    "two framings": b"POST /v1/traces HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "negative size": b"POST /v1/traces HTTP/1.1\r\ncontent-length: -3\r\n\r\nabcd",
    "bad chunk": head("transfer-encoding: chunked") + b"zz\r\n",
}


@pytest.mark.parametrize("name", NO_HTTP)
def test_what_is_no_http_gets_a_400_and_the_end(served, name):
    with Talk(served) as talk:
        talk.say(NO_HTTP[name])
        talk.socket.shutdown(socket.SHUT_WR)
        assert talk.rest().startswith(b"HTTP/1.1 400")
    assert post(served, b"abc").status == 200


@pytest.mark.parametrize("endless", [
    b"POST /v1/traces HTTP/1.1\r\nx: ", b"POST /", head("transfer-encoding: chunked") + b"1\r\na\r\n0\r\nx: ",
    head("transfer-encoding: chunked") + b"1;x=",
], ids=["header", "target", "trailer", "extension"])  # fmt: skip
def test_endless_headers_are_cut_off(endless):
    with receiving(patience=IMPATIENT) as served, Talk(served) as talk:
        assert talk.say(endless).say_until_cut(b"a" * 65536, 100_000)


@pytest.mark.parametrize("part", [b"x: y\r\n" * 60_000, b"x: " + b"y" * 300_000])
def test_large_headers_are_a_431(served, part):
    with Talk(served) as talk:
        assert talk.say(head()[:-2] + part).rest().startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize("beginning", [b"", b"POST /v1/traces HT", head(size=3)[:-2]])
def test_a_connection_that_never_sends_its_request_is_closed(beginning):
    with receiving(patience=IMPATIENT) as served, Talk(served) as talk:
        assert talk.say(beginning).rest() == b""


def test_a_body_that_does_not_come_is_a_408(served):
    with receiving(patience=IMPATIENT) as served, Talk(served) as talk:
        answer = talk.say(head(size=3) + b"a").rest()
        assert answer.startswith(b"HTTP/1.1 408")
        assert served.room.taken_bytes == 0


def test_a_connection_without_a_next_request_is_closed():
    with receiving(patience=IMPATIENT) as served, Talk(served) as talk:
        talk.say(head(size=0)).hear(b"\r\n\r\n")
        assert talk.rest() == b""


def test_who_does_not_read_its_answers_is_cut_off():
    with receiving(patience=IMPATIENT) as served, Talk(served) as talk:
        assert talk.say_until_cut(head(method="GET", path="/big"), 1_000_000)


def test_a_slow_grpc_sender_is_cut_off_and_keeps_nobody_waiting():
    """More senders than workers, each with a message that never ends."""
    with receiving(message_s=0.5) as served:
        begun = [_grpc_sender_that_stops(served) for _ in range(40)]
        try:
            assert export(served, b"abc") == b""
            for call, _ in begun[:3]:
                assert call.code() is grpc.StatusCode.CANCELLED
        finally:
            for _, channel in begun:
                channel.close()


def _grpc_sender_that_stops(served):
    channel = grpc.insecure_channel(str(served.addresses["grpc"]), options=[("grpc.use_local_subchannel_pool", 1)])
    never = threading.Event()

    def messages():
        never.wait(10.0)
        yield b""

    call = channel.stream_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
    return call.future(messages(), timeout=10), channel


def test_hundreds_of_idle_connections_do_not_stop_the_next_request(served):
    idle = [Talk(served) for _ in range(300)]
    for one in idle[::2]:
        one.say(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Le")
    try:
        assert post(served, b"abc").status == 200
    finally:
        for one in idle:
            one.socket.close()


def test_too_many_connections_close_the_one_that_is_idle_for_longest(monkeypatch):
    monkeypatch.setattr(http_module, "_MOST_CONNECTIONS", 3)
    with receiving() as served, Talk(served) as first, Talk(served) as second, Talk(served) as third:
        for talk in (first, second, third):
            talk.say(head(size=0)).hear(b"\r\n\r\n")
        with Talk(served) as fourth:
            fourth.say(head(size=0)).hear(b"\r\n\r\n")
            assert first.rest() == b""
            second.say(head(size=0)).hear(b"\r\n\r\n")


def test_bytes_under_way_are_bounded_over_all_connections():
    """Ten senders at once of which three fit; none of their bodies is complete."""
    with receiving(room=3 * LIMIT) as served:
        talks = [Talk(served) for _ in range(10)]
        for talk in talks:
            talk.say(head(size=LIMIT) + bytes(LIMIT - 1))
        until(
            lambda: served.counters.total("otelcol_receiver_refused_requests", reason="no_room") >= 7, "7 are refused"
        )
        assert served.room.taken_bytes <= 3 * LIMIT
        for talk in talks:
            talk.say(b"x")
        answers = [talk.hear(b"\r\n\r\n") for talk in talks]
        refused = [answer for answer in answers if answer.startswith(b"HTTP/1.1 503")]
        assert len(refused) >= 7
        assert all(b"retry-after: 1" in answer for answer in refused)
        assert sum(answer.startswith(OK) for answer in answers) == len(served.intake.taken) == 10 - len(refused)
        assert post(served, b"abc").status == 200
        for talk in talks:
            talk.socket.close()


def test_stop_lets_the_answer_that_is_under_way_go_out():
    go_on = threading.Event()
    with receiving() as served, Talk(served) as talk, Talk(served) as idle:
        served.intake.wait = go_on.wait
        talk.say(head(size=3) + b"abc")
        until(lambda: served.room.taken_bytes == 3, "the request has come")
        stopping = threading.Thread(target=served.stop)
        stopping.start()
        assert idle.rest() == b""
        go_on.set()
        assert talk.rest().startswith(OK)
        stopping.join()
        with pytest.raises(ConnectionRefusedError):
            Talk(served)


def test_the_content_type_of_an_error_before_any_header_is_json(served):
    with Talk(served) as talk:
        answer = talk.say(b"nonsense\r\n\r\n").rest()
    assert b"content-type: application/json" in answer
    assert PROTOBUF.encode() not in answer
