"""A platform that is slow, lies or is half blocked, on a real port: the bot answers as without it, and hears it later.

What could go wrong, and must not:
    - it is dead, answers 500, redirects, refuses the token, speaks no HTTP
    - it drips byte by byte, so that no timeout of a socket ever ends; on the stream, on polls, on acks
    - it sends 10 MB in one line, one event, or without end; an answer without end; headers without end
    - it sends what is signed by nobody, for others, long ago, or from the future
    - a proxy holds streams back; acks are lost, refused, or answered never
    - its key is changed
"""

import contextlib
import itertools
import socket
import subprocess
import threading
import time

import pytest
from sdk_platform_stub import ACKS, KEY, POLL, SECRET, STREAM, PlatformStub, event, listed, snapshot

from conftest import NOW
from paramedic import Guard
from paramedic.commands.outbox import KEPT, Outbox
from paramedic.commands.turns import Turns, Way
from paramedic.commands.wire import BYTES, LINES, PERIOD_S, Flow
from paramedic.contract.command import Ack, AckState
from paramedic.contract.credentials import Platform
from paramedic.contract.keys import command_key
from paramedic.policy.breaker import State
from paramedic.telemetry.runtime import dropped, runtime

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


def until(condition):
    """Wait for a thread of ours."""
    ends = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(0.01)


@pytest.fixture
def guard(clock):
    return Guard("llm", peer="aurora", clock=clock, fallbacks=[lambda: "light"])


def drip(piece=b"x", first=b""):
    """Sends a byte every now and then, for ever, so that a timeout of the socket never comes."""

    def to(connection):
        connection.sendall(first)
        with contextlib.suppress(OSError):
            while True:
                connection.sendall(piece)
                time.sleep(0.01)

    return to


def say(*pieces):
    """Sends raw bytes and hangs up."""

    def to(connection):
        with contextlib.suppress(OSError):
            for piece in pieces:
                connection.sendall(piece)

    return to


def silence(connection):
    with contextlib.suppress(OSError):
        while connection.recv(1000):
            continue


def endless(piece, first=b""):
    return say(first, *itertools.repeat(piece, 3000))


MISCHIEF = {
    "silence": silence,
    "hangs up": say(),
    "some other page": say(b"HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n<html>Please log in</html>"),
    "no HTTP": say(b"220 smtp.example ESMTP\r\n"),
    "binary": say(bytes(range(256)) * 40),
    "drips the status": drip(b"H"),
    "drips headers": drip(b"X: y\r\n", OK),
    "drips a line": drip(b"x", OK + b"\r\n"),
    "drips an event": drip(b"d", OK + b"\r\nevent: command\ndata: "),
    "drips chunks": drip(b"1\r\nx\r\n", OK + b"Transfer-Encoding: chunked\r\n\r\n"),
    "10 MB in a line": endless(b"x" * 4096, OK + b"\r\ndata: "),
    "10 MB in an event": endless(b"data: " + b"x" * 4000 + b"\n", OK + b"\r\n"),
    "lines without end": endless(b": alive\n\n" * 50, OK + b"\r\n"),
    "headers without end": endless(b"X: " + b"y" * 4000 + b"\r\n", OK),
    "100 Continue without end": endless(b"HTTP/1.1 100 Continue\r\n\r\n" * 40),
    "chunks of nonsense": say(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "a length of nonsense": say(OK + b"Content-Length: -7\r\n\r\nx"),
    "half an event": say(OK + b"\r\nevent: command\ndata: {"),
    "JSON too deep": say(OK + b"\r\nevent: snapshot\ndata: " + b"[" * 100_000 + b"\n\n"),
    "a signature that is no hex": say(
        OK + b"\r\n", 'event: command\ndata: {"command": "\\ud800", "signature": "é"}\n\n'.encode()
    ),
}


@pytest.mark.parametrize("mischief", MISCHIEF.values(), ids=MISCHIEF)
def test_whatever_the_platform_does_the_bot_answers_and_hears_it_again_later(stub, listen, guard, command, mischief):
    """On the stream and on polls alike; then it mends."""
    stub.mischief = dict.fromkeys((STREAM, POLL), mischief)
    mended = threading.Event()
    tries = itertools.count()

    def draw():
        if next(tries) == 3:  # three streams and a poll are over
            stub.mischief = {}
            mended.set()
        return 0.0

    stub.opening.append(snapshot(command("trip_breaker", peer="aurora", probe_share=0.0)))
    client = listen(stub.platform, silence_s=0.15, draw=draw, poll_s=0.01)
    assert guard.run_sync(lambda: "strong") == "strong"
    assert mended.wait(30)
    stub.next_ack(state="applied")
    assert guard.state is State.OPEN_BY_COMMAND
    assert client.connected


@pytest.mark.parametrize("status", [204, 301, 302, 307, 400, 401, 403, 404, 500, 502, 503])
def test_an_answer_that_is_no_stream_is_left_alone_and_asked_again(stub, listen, guard, command, caplog, status):
    stub.status = status
    tries, mended = itertools.count(), threading.Event()

    def draw():
        if next(tries) == 3:
            stub.status = 200
            mended.set()
        return 0.0

    stub.opening.append(snapshot(command("trip_breaker", peer="aurora")))
    listen(stub.platform, draw=draw, stream_again_s=0.0)
    assert guard.run_sync(lambda: "strong") == "strong"
    assert mended.wait(30)
    stub.next_ack(state="applied")
    assert f"{status}" in caplog.text
    assert not any("elsewhere" in path for path in stub.polls), "a redirect is not followed: the token stays here"


LIES = {
    "signed by nobody": lambda c: event(c("trip_breaker", peer="aurora"), key=b"nobody"),
    "signed with another service's key": lambda c: event(c("trip_breaker", peer="aurora"), key=command_key("11" * 32)),
    "for another service": lambda c: event(c("trip_breaker", peer="aurora", service="front-door")),
    "for another instance": lambda c: event(c("trip_breaker", peer="aurora", instance="me-2")),
    "of long ago": lambda c: event(c("trip_breaker", peer="aurora", issued_at=NOW - 61)),
    "of the future": lambda c: event(c("trip_breaker", peer="aurora", issued_at=NOW + 31)),
    "for ever": lambda c: event(c("trip_breaker", peer="aurora", ttl_s=1e9)),
    "of an unknown kind": lambda c: event(c("trip_breaker", peer="aurora")).replace(b"trip_breaker", b"explode_now"),
    "a snapshot of lies": lambda c: snapshot(c("trip_breaker", peer="aurora"), key=b"nobody"),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_what_is_not_for_this_bot_now_is_refused_and_the_stream_goes_on(stub, listen, guard, command, lie):
    stub.opening += [lie(command), snapshot(), lie(command)]
    listen(stub.platform)
    assert stub.next_ack()["state"] == "rejected"
    assert guard.run_sync(lambda: "strong") == "strong"
    stub.send(event(command("trip_breaker", id="honest", peer="aurora")))
    stub.next_ack(command_id="honest", state="applied")
    assert len(stub.streams) == 1


def test_a_replay_after_a_restart_holds_no_longer_than_the_command_would_have(stub, listen, guard, command, clock):
    """The bot knows nothing of before; what was caught on the wire is played to it when it has 2 s left."""
    stub.opening.append(event(command("trip_breaker", peer="aurora", ttl_s=20)))
    listen(stub.platform, wall=lambda: NOW + 48)
    stub.next_ack(state="applied")
    clock.now += 2
    assert guard.state is State.CLOSED
    stub.next_ack(state="expired")


# Where streams are blocked


def test_a_bot_whose_streams_are_blocked_polls_and_obeys(stub, listen, guard, command):
    stub.mischief[STREAM] = silence  # as a proxy does that waits for the end
    trip = command("trip_breaker", peer="aurora")
    stub.in_force = listed(trip)
    client = listen(stub.platform, silence_s=0.05, poll_s=0.02)
    assert stub.next_ack()["state"] == "applied"
    assert (guard.state, client.connected, len(stub.streams)) == (State.OPEN_BY_COMMAND, True, 3)
    assert stub.polls[0] == "/api/v1/commands?service=support-bot&instance=me-1"
    stub.in_force = listed()
    assert stub.next_ack()["state"] == "reverted"
    assert guard.state is State.CLOSED


def test_a_snapshot_that_is_polled_again_is_not_answered_again(stub, listen, guard, command):
    stub.status_of[STREAM] = 502
    stub.in_force = listed(command("trip_breaker", peer="aurora"))
    listen(stub.platform, poll_s=0.01)
    stub.next_ack(state="applied")
    polled = len(stub.polls)
    until(lambda: len(stub.polls) >= polled + 5)
    assert stub.acks.empty()


def test_a_bot_that_polls_goes_back_to_the_stream_when_it_can(stub, listen, guard, command):
    stub.status_of[STREAM] = 502
    listen(stub.platform, poll_s=0.01, stream_again_s=0.05)
    until(lambda: stub.polls)
    stub.status_of.clear()
    stub.opening.append(snapshot(command("trip_breaker", peer="aurora")))
    stub.next_ack(state="applied")
    polled = len(stub.polls)
    stub.send(event(command("clear", parameters={"command_id": "nothing"})))
    stub.next_ack(state="applied")
    assert len(stub.polls) == polled


# What is decided about it


def test_three_tries_of_the_stream_then_polls_and_the_stream_again_each_minute():
    turns = Turns()
    for _ in range(3):
        assert turns.next(0.0) is Way.STREAM
        turns.streamed(False, 0.0)
    for now in (0.0, 30.0, 59.9):
        assert turns.next(now) is Way.POLL
        turns.polled(True, now)
        assert (turns.wait_s(0.0), turns.wait_s(1.0)) == (1.5, 2.5)
    assert turns.next(60.0) is Way.STREAM
    turns.streamed(False, 60.0)
    assert turns.next(60.0) is Way.POLL, "one try, not three"
    assert turns.next(120.0) is Way.STREAM
    turns.streamed(True, 121.0)
    assert turns.next(121.0) is Way.STREAM


def test_when_a_platform_that_was_dead_is_back_its_stream_is_tried_at_once():
    turns = Turns()
    for _ in range(3):
        turns.streamed(False, 0.0)
    turns.polled(False, 1.0)
    assert turns.next(2.0) is Way.POLL
    turns.polled(True, 2.0)
    assert turns.next(2.0) is Way.STREAM


def test_waits_grow_with_full_jitter_between_their_bounds():
    turns = Turns()
    waits = []
    for _ in range(6):
        turns.streamed(False, 0.0)
        waits.append(turns.wait_s(1.0))
    assert waits == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert turns.wait_s(0.0) == 0.5
    turns.streamed(True, 0.0)
    assert turns.wait_s(1.0) == 1.0, "a stream that worked is called again soon"


def test_more_lines_or_bytes_than_a_platform_sends_are_too_many():
    flow = Flow(0.0)
    for _ in range(LINES):
        flow.add(1, 9.9)
    with pytest.raises(Exception, match="more than 5000 lines"):
        flow.add(1, 9.9)
    flow = Flow(0.0)
    flow.add(BYTES, 9.9)
    flow.add(BYTES, PERIOD_S)
    with pytest.raises(Exception, match="16 MiB in 10 s"):
        flow.add(1, PERIOD_S)


# Acks


def an_ack(command_id, version=1, state=AckState.APPLIED):
    return Ack(command_id, version, "support-bot", "me-1", state, NOW)


def test_of_the_acks_that_wait_the_newest_word_on_a_command_counts():
    outbox = Outbox()
    outbox.put([an_ack("a"), an_ack("b"), an_ack("a", state=AckState.EXPIRED)])
    assert [(ack.command_id, ack.state) for ack in outbox.batch()] == [("b", "applied"), ("a", "expired")]


def test_what_was_said_during_a_post_is_not_taken_for_posted():
    outbox = Outbox()
    outbox.put([an_ack("a")])
    batch = outbox.batch()
    outbox.put([an_ack("a", state=AckState.EXPIRED)])
    outbox.posted(batch)
    assert [ack.state for ack in outbox.batch()] == ["expired"]
    outbox.posted(outbox.batch())
    assert outbox.due_in_s(0.0) is None


def test_when_too_many_acks_wait_the_oldest_go_and_are_counted():
    outbox = Outbox()
    assert outbox.put(an_ack(f"c-{number}") for number in range(KEPT + 3)) == 3
    assert outbox.batch()[0].command_id == "c-3"


def test_acks_that_did_not_arrive_wait_ever_longer_until_the_platform_is_back():
    outbox = Outbox()
    outbox.put([an_ack("a")])
    waits = []
    for _ in range(8):
        outbox.failed(100.0, 1.0)
        waits.append(outbox.due_in_s(100.0))
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    outbox.platform_is_back()
    assert outbox.due_in_s(100.0) == 0.0


@pytest.mark.parametrize("trouble", [500, 503, 429, 401, 302])
def test_acks_are_kept_until_they_arrive(stub, listen, guard, command, trouble):
    """A word that nobody says again: the end of a command."""
    stub.opening.append(snapshot(command("trip_breaker", id="a", peer="aurora")))
    listen(stub.platform)
    stub.next_ack(state="applied")
    stub.status_of[ACKS] = trouble
    stub.opening[-1] = snapshot()
    stub.hang_up()
    until(lambda: stub.posts[-1][0]["state"] == "reverted")
    assert stub.acks.empty()
    stub.status_of.clear()
    stub.hang_up()  # with the next snapshot the platform is back
    assert stub.next_ack()["state"] == "reverted"


def test_acks_that_the_platform_will_never_take_are_dropped_and_counted(stub, listen, guard, command):
    before = dropped.counts.get("acks", 0)
    stub.status_of[ACKS] = 422
    stub.opening.append(snapshot(command("trip_breaker", id="a", peer="aurora")))
    listen(stub.platform)
    until(lambda: dropped.counts.get("acks", 0) > before)
    stub.status_of.clear()
    stub.send(event(command("set_deadline", id="b", peer="aurora", parameters={"deadline_s": 1})))
    assert stub.next_ack()["command_id"] == "b"


def test_an_answer_to_acks_that_drips_does_not_stop_commands(stub, listen, guard, command, clock):
    stub.mischief[ACKS] = drip(b"X: y\r\n", b"HTTP/1.1 204 No Content\r\n")
    listen(stub.platform)
    stub.opening.append(snapshot(command("trip_breaker", peer="aurora", ttl_s=20)))
    stub.hang_up()
    until(lambda: guard.state is State.OPEN_BY_COMMAND)
    clock.now += 20
    assert guard.state is State.CLOSED


# Keys


def test_while_the_key_is_changed_a_bot_with_both_tokens_is_never_deaf(listen, guard, command):
    """It shows the new token first, then the old; and takes commands under either."""
    new = "ee" * 32
    stub = PlatformStub()  # still with the old key
    try:
        stub.opening.append(snapshot(command("trip_breaker", id="old key", peer="aurora")))
        listen(Platform(stub.url, new, SECRET))
        stub.next_ack(command_id="old key", state="applied")
        stub.secret, stub.opening = (
            new,
            [snapshot(command("trip_breaker", id="new key", peer="aurora"), key=command_key(new))],
        )
        stub.hang_up()
        stub.next_ack(command_id="new key", state="applied")
        assert guard.state is State.OPEN_BY_COMMAND
    finally:
        stub.close()


def test_a_bot_with_the_old_token_alone_goes_on_without_its_platform(stub, listen, guard, command, clock):
    stub.opening.append(snapshot(command("trip_breaker", peer="aurora", ttl_s=20)))
    client = listen(stub.platform)
    stub.next_ack(state="applied")
    stub.secret = "ee" * 32
    stub.hang_up()
    until(lambda: not client.connected)
    clock.now += 20
    assert guard.run_sync(lambda: "strong") == "strong"


# TLS


@pytest.fixture
def secure(tmp_path, monkeypatch):
    """A stub whose certificate this process trusts, and no other does."""
    both = tmp_path / "both.pem"
    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    about = ("-subj", "/CN=paramedic tests", "-addext", "subjectAltName=IP:127.0.0.1")
    files = ("-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem"))
    subprocess.run(["openssl", *new, *about, *files], check=True, capture_output=True)
    both.write_text((tmp_path / "cert.pem").read_text() + (tmp_path / "key.pem").read_text())
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    stub = PlatformStub(certificate=str(both))
    yield stub
    stub.close()


def test_over_tls_a_bot_obeys_and_is_not_held_by_drips_either(secure, listen, guard, command):
    secure.mischief[STREAM] = drip(b"X: y\r\n", OK)
    secure.in_force = listed(command("trip_breaker", id="polled", peer="aurora"))
    client = listen(secure.platform, silence_s=0.3, poll_s=0.01, stream_again_s=0.1)
    secure.next_ack(command_id="polled", state="applied")
    secure.opening.append(snapshot(command("trip_breaker", id="streamed", peer="aurora")))
    secure.mischief.clear()
    secure.next_ack(command_id="streamed", state="applied")
    client.stop()
    assert guard.state is State.OPEN_BY_COMMAND


def test_a_platform_whose_certificate_nobody_vouches_for_is_not_heard(secure, listen, guard, monkeypatch, caplog):
    monkeypatch.delenv("SSL_CERT_FILE")
    client = listen(secure.platform)
    until(lambda: "CERTIFICATE_VERIFY_FAILED" in caplog.text)
    assert (client.connected, secure.streams) == (False, [])
    assert guard.run_sync(lambda: "strong") == "strong"


# Events


def test_each_word_on_a_command_is_an_event(stub, listen, guard, command, monkeypatch):
    emitted = []

    class Events:
        def emit(self, name, attributes, *, severity=9, body=""):
            emitted.append((name, severity, attributes))
            raise RuntimeError("a broken exporter must not keep commands from being obeyed")

    monkeypatch.setattr(runtime, "events", Events())
    trip = command("trip_breaker", id="a", peer="aurora", incident="INC-7")
    stub.opening.append(snapshot(trip))
    listen(stub.platform)
    stub.next_ack(command_id="a")
    stub.send(event(command("trip_breaker", id="b", peer="aurora"), key=b"nobody"))
    stub.next_ack(command_id="b")
    applied, rejected = emitted
    assert applied == (
        "paramedic.command",
        9,
        {
            "paramedic.command.id": "a",
            "paramedic.command.version": 1,
            "paramedic.command.state": "applied",
            "paramedic.command.kind": "trip_breaker",
            "paramedic.command.owner": "paramedic",
            "paramedic.command.guards": ["llm"],
            "paramedic.lease.id": "lease-1",
            "paramedic.incident": "INC-7",
        },
    )
    assert rejected[1] == 13
    assert rejected[2]["paramedic.command.reason"].startswith("the signature is wrong")
    assert KEY not in str(emitted).encode()


def test_a_guard_can_be_made_whatever_happens_to_the_client(listen, stub, monkeypatch):
    client = listen(stub.platform)
    monkeypatch.setattr(client.ledger, "greet", lambda guards: 1 / 0)
    assert Guard("made", peer="aurora").run_sync(lambda: "works") == "works"


def test_a_port_that_nobody_listens_on_costs_the_bot_nothing(listen, guard):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    client = listen(Platform(f"http://127.0.0.1:{port}", SECRET))
    assert guard.run_sync(lambda: "strong") == "strong"
    assert not client.connected
