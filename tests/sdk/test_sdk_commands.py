"""The command client against a real server: obedient to its platform, deaf to everybody else."""

import logging
import os
import socket
import threading

import pytest
from sdk_platform_stub import KEY, SECRET, event, snapshot

from paramedic import Guard, Router
from paramedic.commands.client import CommandClient
from paramedic.commands.sse import StreamError, events
from paramedic.contract.command import SignedCommand
from paramedic.contract.credentials import Platform
from paramedic.guards.registry import registry
from paramedic.policy.breaker import State

NOW = 1_700_000_000.0


@pytest.fixture
def guard(clock):
    return Guard("llm", peer="aurora", clock=clock)


def signed(command, key=KEY):
    return SignedCommand.seal(command, key).to_json()


# Over the wire


def test_a_command_is_obeyed_and_acknowledged(stub, listen, guard, command):
    stub.opening.append(snapshot())
    listen(stub.platform)
    trip = command("trip_breaker", peer="aurora")
    stub.opening.append(event(trip))
    stub.hang_up()
    ack = stub.next_ack()
    assert (ack["command_id"], ack["version"], ack["state"], ack["guards"]) == (trip.id, 1, "applied", ["llm"])
    assert (ack["service"], ack["instance"], ack["at"]) == ("support-bot", "me-1", NOW)
    assert guard.state is State.OPEN_BY_COMMAND
    assert stub.streams[0] == "/api/v1/commands/stream?service=support-bot&instance=me-1"


def test_what_is_in_the_snapshot_holds_and_what_is_not_is_dropped(stub, listen, guard, command):
    first, second = command("trip_breaker", peer="aurora"), command("shed_load", peer="aurora", parameters={"share": 1})
    stub.opening.append(snapshot(first))
    listen(stub.platform)
    stub.next_ack(command_id=first.id, state="applied")
    stub.opening[-1] = snapshot(second)
    stub.hang_up()
    ack = stub.next_ack(command_id=first.id, state="reverted")
    assert ack["guards"] == ["llm"]
    assert guard.state is State.CLOSED


def test_a_renewal_extends_the_lease_and_its_end_is_told(stub, listen, guard, command, clock):
    trip = command("trip_breaker", peer="aurora", ttl_s=10)
    stub.opening.append(snapshot(trip))
    listen(stub.platform)
    stub.next_ack(version=1)
    clock.now += 8
    stub.send(event(command("trip_breaker", id=trip.id, version=2, peer="aurora", ttl_s=10)))
    stub.next_ack(version=2, state="applied")
    clock.now += 8
    assert guard.state is State.OPEN_BY_COMMAND
    clock.now += 2
    assert guard.state is State.CLOSED
    ack = stub.next_ack(state="expired")
    assert (ack["command_id"], ack["version"]) == (trip.id, 2)


def test_a_clear_ends_it_at_once(stub, listen, guard, command):
    trip = command("trip_breaker", peer="aurora")
    stub.opening.append(snapshot(trip))
    listen(stub.platform)
    stub.next_ack(command_id=trip.id)
    clear = command("clear", parameters={"command_id": trip.id})
    stub.send(event(clear))
    assert stub.next_ack()["state"] == "reverted"
    assert stub.next_ack()["command_id"] == clear.id
    assert guard.state is State.CLOSED


def test_garbage_is_passed_over_and_the_stream_goes_on(stub, listen, guard, command, caplog):
    trip = command("trip_breaker", peer="aurora")
    lies = [
        b"event: command\ndata: {}\n\n",
        b"event: command\ndata: not json\n\n",
        b'event: command\ndata: {"command": "[1]", "signature": "00"}\n\n',
        b'event: command\ndata: {"command": 7, "signature": null}\n\n',
        b"event: snapshot\ndata: {}\n\n",
        b"event: snapshot\ndata: [1, null, {}]\n\n",
        b"event: weather\ndata: rain\n\n",
        b"\xff\xfe\n\ndata\n:\n\n",
        event(command("trip_breaker", peer="aurora"), key=b"forged"),
    ]
    stub.opening += [*lies, event(trip)]
    listen(stub.platform)
    assert stub.next_ack(state="applied")["command_id"] == trip.id
    assert len(stub.streams) == 1
    assert guard.state is State.OPEN_BY_COMMAND
    assert any("signature is wrong" in record.message for record in caplog.records)


def test_a_platform_that_is_dead_is_tried_again_and_said_once(listen, guard, caplog):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    draws = threading.Semaphore(0)

    def draw():
        draws.release()
        return 0.0

    with caplog.at_level(logging.INFO, "paramedic"):
        client = listen(Platform(f"http://127.0.0.1:{port}", SECRET), draw=draw)
        for _ in range(4):
            assert draws.acquire(timeout=20)
    assert not client.connected
    assert guard.run_sync(lambda: "works") == "works"
    assert len([r for r in caplog.records if "no commands from" in r.message]) == 1


def test_a_platform_that_falls_silent_is_left_and_called_again(stub, listen):
    stub.says_alive = False
    tried = threading.Semaphore(0)

    def draw():
        tried.release()
        return 0.0

    listen(stub.platform, silence_s=0.05, draw=draw)
    for _ in range(3):
        assert tried.acquire(timeout=20)
    assert len(stub.streams) >= 3


def test_a_refused_token_is_told_with_its_cure(stub, listen, caplog):
    tried = threading.Semaphore(0)

    def draw():
        tried.release()
        return 0.0

    listen(Platform(stub.url, "00" * 32), draw=draw)
    assert tried.acquire(timeout=20)
    assert "prints the right PARAMEDIC_TOKEN" in caplog.text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_listens_as_an_instance_of_its_own(stub, clock):
    stub.opening.append(snapshot())
    client = CommandClient(stub.platform, "support-bot", lambda: f"pid-{os.getpid()}", clock=clock, wall=lambda: NOW)
    client.start()
    guard = Guard("llm", peer="aurora", clock=clock)
    from paramedic.telemetry.runtime import runtime

    runtime.on_revival(client.start)
    child = os.fork()
    if child == 0:
        guard.run_sync(lambda: None)
        threading.Event().wait(20)
        os._exit(0)
    try:
        for _ in range(400):
            if any(f"instance=pid-{child}" in path for path in stub.streams):
                break
            threading.Event().wait(0.05)
        assert any(f"instance=pid-{child}" in path for path in stub.streams)
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        runtime.forget(client.start)
        client.stop()


# The ledger alone


def test_a_forged_command_changes_nothing_and_is_named(ledger, guard, command, caplog):
    (ack,) = ledger.receive(signed(command("trip_breaker", id="cmd-x", peer="aurora"), key=b"somebody"))
    assert (ack.command_id, ack.state, ack.reason) == (
        "cmd-x",
        "rejected",
        "the signature is wrong: not from this bot's platform",
    )
    assert guard.state is State.CLOSED
    assert caplog.messages == ["command 'cmd-x' is rejected: the signature is wrong: not from this bot's platform"]
    ledger.receive(signed(command("trip_breaker", id="cmd-x", peer="aurora"), key=b"somebody"))
    assert len(caplog.messages) == 1


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"service": "other-bot"}, "the command is for 'other-bot', this is 'support-bot'"),
        ({"instance": "me-2"}, "the command is for instance 'me-2', this is 'me-1'"),
        ({"issued_at": NOW - 100}, "expired"),
        ({"issued_at": NOW + 100}, "clocks of bot and platform differ"),
        ({"ttl_s": 0.0}, "lease.ttl_s"),
        ({"probe_share": 2.0}, "lease.probe_share"),
        ({"kind": "flush_cache"}, "no cache matches"),
    ],
)
def test_a_command_that_is_not_for_now_or_not_for_us_is_rejected(ledger, guard, command, changes, why):
    (ack,) = ledger.receive(signed(command(**{"kind": "trip_breaker", "peer": "aurora", **changes})))
    assert ack.state == "rejected"
    assert why in ack.reason
    assert guard.state is State.CLOSED
    assert not ledger.holds_any


def test_an_old_version_is_not_applied_again(ledger, guard, command, clock):
    one = command("trip_breaker", peer="aurora", ttl_s=10)
    two = command("trip_breaker", id=one.id, version=2, peer="aurora", ttl_s=10)
    ledger.receive(signed(one))
    ledger.receive(signed(two))
    clock.now += 9
    assert ledger.receive(signed(one)) == []
    (again,) = ledger.receive(signed(two))
    assert (again.version, again.state) == (2, "applied")
    clock.now += 1
    assert guard.state is State.CLOSED


def test_a_command_played_again_after_its_end_stays_ended(ledger, guard, command, clock):
    trip = command("trip_breaker", peer="aurora", ttl_s=10)
    ledger.receive(signed(trip))
    clock.now += 10
    (expired,) = ledger.sweep()
    assert ledger.receive(signed(trip)) == [expired]
    assert guard.state is State.CLOSED


def test_a_snapshot_of_what_is_known_changes_nothing(ledger, guard, command, clock):
    trip = command("trip_breaker", peer="aurora", ttl_s=10)
    ledger.receive(signed(trip))
    clock.now += 9
    (ack,) = ledger.snapshot(f"[{signed(trip)}]")
    assert ack.state == "applied"
    clock.now += 1
    assert guard.state is State.CLOSED


def test_a_snapshot_that_cannot_be_read_drops_nothing(ledger, guard, command):
    ledger.receive(signed(command("trip_breaker", peer="aurora")))
    assert ledger.snapshot("{}") == []
    assert ledger.snapshot("<html>") == []
    assert guard.state is State.OPEN_BY_COMMAND


def test_a_command_waits_for_a_guard_that_is_made_later(ledger, command, clock):
    trip = command("trip_breaker", peer="aurora", ttl_s=10)
    assert ledger.receive(signed(trip)) == []
    assert ledger.sweep() == []
    clock.now += 1
    assert ledger.receive(signed(trip)) == [], "heard again, it holds no longer than at first"
    clock.now += 1
    (nobody,) = ledger.sweep()
    assert (nobody.state, nobody.reason) == ("rejected", "no guard matches")
    assert ledger.sweep() == []
    late = Guard("llm", peer="aurora", clock=clock)
    (ack,) = ledger.greet([late])
    assert (ack.state, ack.guards) == ("applied", ("llm",))
    assert late.state is State.OPEN_BY_COMMAND
    clock.now += 8
    assert late.state is State.CLOSED


def test_a_router_made_later_obeys_too(ledger, command, clock):
    ledger.receive(signed(command("failover", peer="bot", zone="a")))
    registry.on_new_guards(ledger.greet)
    try:
        router = Router("bot", {"a": print, "b": print}, peer="bot", clock=clock)
    finally:
        registry.off_new_guards(ledger.greet)
    assert [guard.state for guard in router.guards.values()] == [State.OPEN_BY_COMMAND, State.CLOSED]


def test_a_rejected_command_says_why(ledger, guard, command):
    (ack,) = ledger.receive(signed(command("failover", peer="aurora")))
    assert (ack.state, ack.reason, ack.guards) == ("rejected", "no fallback", ())


def test_clearing_what_is_not_in_force_is_no_error(ledger, command):
    (ack,) = ledger.receive(signed(command("clear", parameters={"command_id": "cmd-77"})))
    assert (ack.state, ack.reason) == ("applied", "cmd-77 was not in force")


# Server-sent events


def lines(text):
    pieces = text.splitlines(keepends=True)
    return lambda size: pieces.pop(0)[:size] if pieces else b""


def test_events_are_read_as_the_standard_says():
    text = b": hello\nevent: command\ndata: a\ndata:b\r\n\r\ndata: c\n\nevent: lost\n\ndata: unfinished"
    assert list(events(lines(text))) == [(":", "hello"), ("command", "a\nb"), ("message", "c")]


def test_a_line_without_end_is_no_stream():
    with pytest.raises(StreamError, match="a line of more than"):
        list(events(lambda size: b"x" * size))
