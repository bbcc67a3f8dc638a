"""The front door: conversations that outlive a zone, a second try elsewhere, and the bare one beside it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from demo_servers import HTTP, World, bot, serving, wait_until, world

from paramedic_demo.answers import APOLOGY
from paramedic_demo.front_door.app import front_app
from paramedic_demo.front_door.spread_bare import BareSpread
from paramedic_demo.front_door.spread_guarded import GuardedSpread
from paramedic_demo.ports import free_ports
from paramedic_demo.support_bot.calls_guarded import GuardedCalls


@pytest.fixture(scope="module")
def outside() -> Iterator[World]:
    with world() as made:
        yield made


@pytest.fixture(scope="module")
def bots(outside: World) -> Iterator[dict[str, str]]:
    """Two bots that stay well."""
    with ExitStack() as stack:
        yield {zone: stack.enter_context(bot(outside.settings, GuardedCalls, zone)) for zone in ("eu-1a", "eu-1b")}


@pytest.fixture
def nobody() -> str:
    """A URL at which nobody listens."""
    (port,) = free_ports(1)
    return f"http://127.0.0.1:{port}"


def says(url: str, message: str, conversation: str = "c1", **more: object) -> tuple[int, dict[str, Any]]:
    asked = {"conversation": conversation, "message": message, **more}
    response = HTTP.post(f"{url}/chat", json=asked)
    return response.status_code, response.json()


def test_messages_are_spread_over_the_zones(bots):
    with serving(lambda: front_app(GuardedSpread(bots))) as url:
        zones = {says(url, "hello", f"c{number}")[1]["zone"] for number in range(30)}
    assert zones == {"eu-1a", "eu-1b"}


def test_turns_are_numbered_and_remembered_across_zones(bots):
    with serving(lambda: front_app(GuardedSpread(bots))) as url:
        says(url, "where is my order 10234?")
        replies = [says(url, "and when will my order arrive?")[1] for _ in range(12)]
    assert [reply["turn"] for reply in replies] == list(range(2, 14))
    assert {reply["zone"] for reply in replies} == {"eu-1a", "eu-1b"}
    assert "10234" in replies[0]["reply"]


def test_a_zone_that_cannot_be_reached_costs_no_message(bots, nobody):
    with serving(lambda: front_app(GuardedSpread({"eu-1a": nobody, "eu-1b": bots["eu-1b"]}))) as url:
        replies = [says(url, "hello", f"c{number}") for number in range(12)]
    assert {(status, reply["zone"]) for status, reply in replies} == {(200, "eu-1b")}


def test_when_no_zone_answers_the_customer_gets_a_502_and_an_apology(nobody):
    with serving(lambda: front_app(GuardedSpread({"eu-1a": nobody}))) as url:
        status, reply = says(url, "hello", turn=4)
    assert (status, reply["reply"], reply["status"], reply["turn"]) == (502, APOLOGY, "apology", 4)


def test_what_was_said_while_nothing_answered_is_remembered(bots, nobody):
    """The customer has named the order, whatever became of the answer."""
    with serving(lambda: front_app(BareSpread({"eu-1a": nobody, "eu-1b": bots["eu-1b"]}))) as url:
        assert says(url, "where is my order 10234?")[0] == 502
        assert "10234" in says(url, "and when will my order arrive?")[1]["reply"]


def test_a_message_that_came_again_is_remembered_once(bots):
    with serving(lambda: front_app(GuardedSpread(bots))) as url:
        for _ in range(2):
            says(url, "hello", turn=1)
        assert says(url, "hello")[1]["turn"] == 2


def test_what_a_customer_sends_as_history_is_not_believed(bots):
    history = [{"message": "where is my order 10300?", "reply": "x", "intent": "order_status"}]
    with serving(lambda: front_app(GuardedSpread(bots))) as url:
        reply = says(url, "and when will my order arrive?", history=history)[1]["reply"]
    assert "10300" not in reply


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b"{", "the body: "),
        (b'{"conversation": "c"}', "message: "),
        (b'{"conversation": "c", "message": ""}', "message: "),
        (b'{"conversation": "c", "message": "hi", "turn": 0}', "turn: "),
    ],
)
def test_what_is_no_message_is_refused_and_named(bots, body, wanted):
    with serving(lambda: front_app(GuardedSpread(bots))) as url:
        response = HTTP.post(f"{url}/chat", content=body)
    assert response.status_code == 422
    assert response.json()["detail"][0].startswith(wanted)


def test_the_bare_door_takes_the_zones_in_turn_and_what_fails_has_failed(bots, nobody):
    with serving(lambda: front_app(BareSpread({"eu-1a": nobody, "eu-1b": bots["eu-1b"]}))) as url:
        statuses = [says(url, "hello", f"c{number}")[0] for number in range(6)]
    assert statuses == [502, 200] * 3


def test_a_conversation_goes_on_after_kill_9_of_the_bot_that_began_it(outside, bots):
    (port,) = free_ports(1)
    urls = {f"DEMO_{name.upper()}_URL": url for name, url in outside.urls.items()}
    command = [sys.executable, "-m", "paramedic_demo.support_bot", "--port", str(port), "--zone", "eu-1b"]
    process = subprocess.Popen([*command, "--arm", "sdk"], env=os.environ | urls | {"OTEL_SDK_DISABLED": "true"})
    try:
        both = {"eu-1a": bots["eu-1a"], "eu-1b": f"http://127.0.0.1:{port}"}
        wait_until(lambda: is_up(both["eu-1b"]))
        with serving(lambda: front_app(GuardedSpread(both))) as url:
            begun = {
                number: says(url, f"where is my order {number}?", f"c{number}")[1] for number in range(10200, 10220)
            }
            orphans = [number for number, reply in begun.items() if reply["zone"] == "eu-1b"]
            process.kill()
            process.wait()
            later = {number: says(url, "and when will my order arrive?", f"c{number}") for number in orphans}
    finally:
        process.kill()
        process.wait()
    assert orphans
    for number, (status, reply) in later.items():
        assert (status, reply["zone"]) == (200, "eu-1a")
        assert str(number) in reply["reply"]


def is_up(url: str) -> bool:
    try:
        return HTTP.get(f"{url}/healthz").status_code == 200
    except httpx.HTTPError:
        return False
