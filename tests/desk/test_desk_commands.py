"""The platform's end of the command channel: sealed, addressed, owned, and there for bots that can only poll."""

import asyncio
import json
from dataclasses import replace

import pytest
from desk_parts import FAILOVER, MASTER, Clock, Room
from test_desk_api import BOT, OPERATOR, SECRET, Served, is_problem

from paramedic.commands.line import Line
from paramedic.contract.command import Ack, AckState, Command, Lease, SignedCommand, Target
from paramedic.contract.credentials import Platform
from paramedic.contract.keys import command_key, key_id
from paramedic_detector.commands import POLLS_S, CommandHub, Connection
from paramedic_detector.engine.treat import command_of
from paramedic_detector.values import Mode, Reason

KEY = command_key(SECRET)
POLL = "/api/v1/commands?service=support-bot&instance=bot-1"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def hub(clock):
    return CommandHub(MASTER, clock)


@pytest.fixture
def served(tmp_path):
    served = Served(Room(tmp_path / "p.db", Clock()))
    served.room.tick()
    yield served
    served.close()


def a_command(clock, **changes):
    lease, target = Lease("L-1", 30.0), Target(peer="aurora")
    known = {"id": "c-1", "version": 1, "service": "support-bot", "kind": FAILOVER.kind, "issued_at": clock()}
    return Command(**{**known, **changes}, target=target, lease=lease)


def opened(signed, clock):
    return SignedCommand(signed["command"], signed["signature"]).open(KEY, service="support-bot", now=clock())


def polled(hub, instance="bot-1"):
    return json.loads(hub.poll("support-bot", instance))


def test_a_command_is_sealed_with_the_id_of_its_key_a_nonce_and_its_end(hub, clock):
    hub.put(a_command(clock))
    command = opened(polled(hub)[0], clock)
    assert (command.key_id, command.expires_at, command.owner) == (key_id(KEY), clock() + 30, "paramedic")
    again = opened(polled(hub)[0], clock)
    assert again.nonce == command.nonce, "it is sealed once"
    clock.sleep(10)
    hub.renew("c-1")
    renewed = opened(polled(hub)[0], clock)
    assert renewed.nonce != command.nonce
    assert (renewed.version, renewed.expires_at) == (2, clock() + 30)


def test_what_people_wrote_at_length_still_reaches_the_bot(hub, clock):
    hub.put(a_command(clock, reason="x" * 9000))
    assert opened(polled(hub)[0], clock).reason == "x" * 500


def test_a_poll_gives_what_is_in_force_for_this_instance_and_no_other(hub, clock):
    hub.put(a_command(clock))
    hub.put(a_command(clock, id="c-2", instance="bot-2"))
    hub.put(a_command(clock, id="c-3", service="orders"))
    assert [opened(one, clock).id for one in polled(hub)] == ["c-1"]
    assert [opened(one, clock).id for one in polled(hub, "bot-2")] == ["c-1", "c-2"]
    hub.clear("c-1")
    assert polled(hub) == []


def test_a_command_for_one_instance_is_streamed_to_no_other(hub, clock):
    async def main() -> list[list[str]]:
        connections: list[Connection] = [hub.join("support-bot", name) for name in ("bot-1", "bot-2")]
        hub.put(a_command(clock, instance="bot-2"))
        hub.clear("c-1")
        hub.put(a_command(clock, id="c-9"))
        heard = []
        for connection in connections:
            events = [(await connection.next()).data]
            while "c-9" not in events[-1]:
                events.append((await connection.next()).data)
            heard.append([json.loads(json.loads(data)["command"])["id"] for data in events[1:]])
        return heard

    assert asyncio.run(main()) == [["c-9"], ["c-1", "c-1-clear", "c-9"]]


def test_a_bot_that_polls_counts_as_listening_for_a_while(hub, clock):
    polled(hub)
    clock.sleep(POLLS_S)
    assert (hub.commandable(), hub.connected()) == ({"support-bot"}, {"support-bot": {"bot-1"}})
    clock.sleep(0.1)
    assert (hub.commandable(), hub.connected()) == (frozenset(), {})


def test_the_owner_of_a_command_is_who_approved_it(tmp_path):
    room = Room(tmp_path / "p.db", Clock())
    room.policy.mode, room.policy.reason = Mode.ASK, Reason.NOT_SURE
    room.fault()
    room.tick(times=2)
    (action,) = room.case().actions
    owners = {by: command_of(_by(action, by), 0.0).owner for by in ("", "policy", "maya", "m" * 300)}
    assert owners == {
        "": "paramedic",
        "policy": "paramedic",
        "maya": "operator:maya",
        "m" * 300: "operator:" + "m" * 191,
    }


def _by(action, by):
    action.by, action.command_version = by, 1
    return action


# Over HTTP


def test_a_poll_over_http_is_the_snapshot_and_is_not_cached(served):
    assert served.get(POLL, headers=BOT).json() == []
    served.room.hub.put(a_command(served.room.clock))
    answer = served.get(POLL, headers=BOT)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
    assert [opened(one, served.room.clock).id for one in answer.json()] == ["c-1"]
    assert served.room.hub.commandable() == {"support-bot"}


def test_a_poll_needs_the_token_of_its_service(served):
    assert is_problem(served.get(POLL, headers={"Authorization": ""}), 401)
    assert is_problem(served.get(POLL, headers=OPERATOR), 403, "command")
    assert is_problem(served.get(POLL.replace("support-bot", "orders"), headers=BOT), 403, "orders")
    assert is_problem(served.get("/api/v1/commands?service=support-bot", headers=BOT), 422, "instance")


def test_the_sdks_line_reads_the_real_snapshot(served):
    served.room.hub.put(a_command(served.room.clock))
    line = Line(Platform(f"http://127.0.0.1:{served.port}", SECRET), "support-bot", "bot 1/a&b", 8.0)
    (signed,) = json.loads(line.poll())
    assert opened(signed, served.room.clock).id == "c-1"
    assert served.room.hub.connected() == {"support-bot": {"bot 1/a&b"}}


def test_a_bot_with_two_tokens_is_let_in_by_the_right_one(served):
    platform = Platform(f"http://127.0.0.1:{served.port}", "00" * 32, SECRET)
    line = Line(platform, "support-bot", "bot-1", 8.0)
    with pytest.raises(Exception, match="refuses this bot's token with 401"):
        line.poll()
    assert line.poll() == "[]"


def test_the_sdks_acks_are_taken_however_long_their_parts_are(served):
    long = Ack("c" * 300, 1, "support-bot", "i" * 300, AckState.REJECTED, 1.0, "r" * 900, ("g" * 300,) * 200)
    line = Line(Platform(f"http://127.0.0.1:{served.port}", SECRET), "support-bot", "bot-1", 8.0)
    assert line.post([long, replace(long, command_id="c-2")])
    (first, _) = served.room.hub.acks()
    assert (len(first.command_id), len(first.reason), len(first.guards), len(first.guards[0])) == (200, 500, 100, 200)
