"""A live collector in a process of its own, under whatever bytes its ports can be sent.

After each attempt the sender got an answer or the connection was closed within a deadline, and a good request still
works; in the end the process has not grown. `make fuzz` goes on for longer.
"""

import gzip
import socket
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
import zstandard
from collector_kit import payload
from fuzz_kit import GOOD, examples, payloads, spoiled
from hypothesis import given
from hypothesis import strategies as st
from receive_kit import JSON, PROTOBUF, Talk, export, head, now_span, post

from paramedic_collector.otlp import Signal
from paramedic_collector.receive.addresses import Endpoint

CHILD = Path(__file__).with_name("fuzz_child.py")
MOST_GROWN_KIB = 128 << 10  # compiled loops and pools of threads come with the first requests; a leak knows no bound
STATUSES = {200, 204, 400, 401, 404, 405, 408, 413, 415, 431}


class Live:
    """The process, as the helpers of the receivers' tests want a collector."""

    def __init__(self, folder):
        command = [sys.executable, str(CHILD), str(folder)]
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        ports = self.child.stdout.readline().split()
        self.addresses = {
            name: Endpoint("localhost", int(port)) for name, port in zip(("http", "grpc"), ports, strict=True)
        }
        for signal in Signal:  # the first of each pays for what is made once
            assert post(self, GOOD[signal], f"/v1/{signal}").status == 200
        self.before_kib = self.resident_kib()

    def resident_kib(self):
        lines = Path(f"/proc/{self.child.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

    def assert_well(self):
        assert self.child.poll() is None, "the collector has died"
        assert post(self, payload(now_span())).status == 200

    def stop(self):
        self.child.stdin.close()
        self.child.wait(20)
        self.child.stdout.close()


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    one = Live(tmp_path_factory.mktemp("data"))
    yield one
    grown_kib = one.resident_kib() - one.before_kib
    one.stop()
    assert one.child.returncode == 0
    assert grown_kib < MOST_GROWN_KIB, f"it grew by {grown_kib} KiB"


PACK = {"": bytes, "gzip": gzip.compress, "zstd": zstandard.compress}
BODIES = st.one_of(*(payloads(signal) for signal in Signal))


def test_any_body_gets_an_answer_and_the_next_request_works(live):
    @examples(60)
    @given(
        body=BODIES,
        signal=st.sampled_from(list(Signal)),
        kind=st.sampled_from([PROTOBUF, JSON, "text/plain"]),
        packed=st.sampled_from(sorted(PACK)),
        said=st.sampled_from(["", "gzip", "zstd", "deflate", "br"]),
    )
    def check(body, signal, kind, packed, said):
        named = {"content_encoding": said} if said else {}
        assert post(live, PACK[packed](body), f"/v1/{signal}", kind, **named).status in STATUSES
        live.assert_well()

    check()


CODES = {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED}


def code_of(live, body, service):
    try:
        export(live, body, service)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def test_any_message_over_grpc_gets_an_answer_and_the_next_request_works(live):
    @examples(40)
    @given(body=BODIES, service=st.sampled_from(["trace.v1.TraceService", "metrics.v1.MetricsService", "no.Service"]))
    def check(body, service):
        assert code_of(live, body, service) in CODES
        live.assert_well()

    check()


LINES = st.sampled_from([
    "content-length: 5", "content-length: 99999999999999999999", "content-length: -1", "transfer-encoding: chunked",
    "transfer-encoding: gzip, chunked", "expect: 100-continue", "connection: close", "connection: upgrade",
    "upgrade: h2c", "content-encoding: gzip", "x: \x00", ": y", "origin: *", "authorization: Bearer \xff",
    "content-type: " + "a" * 300,
])  # fmt: skip
CHUNKS = st.sampled_from(
    [b"5\r\nhello\r\n", b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"-1\r\n", b"5;a=b\r\nhello\r\n", b"\r\n"]
)


@st.composite
def streams(draw):
    """Requests that are nearly right, one after the other, in pieces; then perhaps spoiled as a whole."""
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(["/v1/traces", "/v1/logs", "/healthz", "/metrics", "*", "/", "http://x/v1/traces"]))
        method = draw(st.sampled_from(["POST", "GET", "OPTIONS", "HEAD", "CONNECT", "PRI", "post"]))
        version = draw(st.sampled_from(["1.1", "1.1", "1.0", "2.0", "0.9"]))
        lines = draw(st.lists(LINES, max_size=3))
        parts.append("\r\n".join([f"{method} {path} HTTP/{version}", "host: x", *lines, "", ""]).encode("latin-1"))
        parts += draw(st.lists(CHUNKS | st.binary(max_size=30), max_size=3))
    whole = b"".join(parts)
    if draw(st.booleans()):
        whole = draw(spoiled(whole))
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=3)))
    return [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


def test_any_stream_of_bytes_ends_and_the_next_request_works(live):
    """The sender closes its half at the end: whatever state the connection is in, it must be over soon."""

    @examples(80)
    @given(pieces=streams(), port=st.sampled_from(["http", "http", "http", "grpc"]))
    def check(pieces, port):
        with Talk(live, port) as talk:
            try:
                for piece in pieces:
                    talk.say(piece)
                talk.socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # cut off before it had said everything
            talk.rest()  # fails after 10 s
        live.assert_well()

    check()


def test_a_good_request_is_answered_between_many_bad_ones_on_one_connection(live):
    with Talk(live) as talk:
        for _ in range(20):
            talk.say(head(size=3) + b"\xff\xff\xff").hear(b"HTTP/1.1 400")
            talk.hear(b"\r\n\r\n")
        good = payload(now_span())
        talk.say(head(size=len(good)) + good).hear(b"HTTP/1.1 200")
