"""The bot over HTTP, with the real provider simulators and the real order backend behind it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from demo_servers import HTTP, World, bot, wait_until, world

from paramedic.testing import MemorySink
from paramedic_demo.answers import APOLOGY, ASK_NUMBER, TOPICS
from paramedic_demo.orders_data import find_order, open_book
from paramedic_demo.ports import free_ports
from paramedic_demo.provider_models import cost_usd
from paramedic_demo.support_bot.calls_bare import BareCalls
from paramedic_demo.support_bot.calls_guarded import GuardedCalls

SHIPPING, DAMAGED, STATUS = "how long does delivery take?", "my jacket arrived damaged", "where is my order 10234?"


@pytest.fixture(scope="module")
def outside() -> Iterator[World]:
    with world() as made:
        yield made


@pytest.fixture
def healthy(outside: World) -> Iterator[World]:
    yield outside
    outside.heal_all()


class Client:
    """A customer of one bot."""

    def __init__(self, url: str) -> None:
        self.url, self.last = url, httpx.Response(200)

    def says(self, message: str, conversation: str = "c1", **more: object) -> dict[str, object]:
        asked = {"conversation": conversation, "message": message, **more}
        self.last = HTTP.post(f"{self.url}/chat", json=asked)
        return self.last.json()

    def queue(self) -> dict[str, object]:
        return HTTP.get(f"{self.url}/queue").json()


@pytest.fixture
def guarded(healthy: World, tmp_path: Path) -> Iterator[Client]:
    with bot(replace(healthy.settings, queue_file=str(tmp_path / "q.db")), GuardedCalls) as url:
        yield Client(url)


@pytest.fixture
def bare(healthy: World) -> Iterator[Client]:
    with bot(healthy.settings, BareCalls) as url:
        yield Client(url)


# What it answers


def test_a_question_is_answered_by_the_primary_model_from_the_facts(guarded):
    reply = guarded.says(SHIPPING, turn=3)
    assert TOPICS["shipping_info"].answer in str(reply["reply"])
    assert (reply["status"], reply["served_by"], reply["intent"]) == ("answered", "aurora", "shipping_info")
    assert (reply["zone"], reply["turn"]) == ("eu-1a", 3)
    assert reply["confidence"] >= 0.9


def test_an_order_is_looked_up_before_the_model_is_asked(guarded):
    order = find_order(open_book(), 10234)
    reply = str(guarded.says(STATUS)["reply"])
    assert f"order 10234 is {order['status']}" in reply
    assert order["items"][0] in reply


def test_an_order_that_is_not_there_is_said_to_be_so(guarded):
    assert "cannot find an order 99999" in str(guarded.says("where is my order 99999?")["reply"])


def test_a_greeting_needs_no_model(guarded, healthy):
    before = healthy.calls("aurora")
    assert guarded.says("hello there, good morning")["served_by"] == "shop"
    assert healthy.calls("aurora") == before


def test_the_agent_looks_the_order_up_with_its_tool_and_the_rule_decides(guarded, healthy):
    status = find_order(open_book(), 10234)["status"]
    before = healthy.calls("aurora"), healthy.calls("orders")
    reply = guarded.says("please cancel my order 10234")
    assert f"order 10234 is {status}" in str(reply["reply"])
    assert "cancel" in str(reply["reply"])
    assert (healthy.calls("aurora"), healthy.calls("orders")) == (before[0] + 2, before[1] + 1)


# Confidence


def test_a_likely_guess_is_checked_by_the_light_model_and_then_answered(guarded, healthy):
    before = healthy.calls("borealis")
    reply = guarded.says("did order 10234 leave the warehouse?")
    assert 0.7 <= reply["confidence"] < 0.9
    assert (reply["status"], reply["served_by"]) == ("checked", "aurora")
    assert healthy.calls("borealis") == before + 1


def test_a_likely_guess_that_the_second_look_does_not_bear_out_goes_to_a_person(guarded):
    reply = guarded.says("vochers?")
    assert 0.7 <= reply["confidence"] < 0.9
    assert (reply["status"], reply["served_by"]) == ("handed_over", "person")


def test_a_vague_message_goes_to_a_person_with_an_honest_word_and_is_one_ticket(guarded):
    for _ in range(2):
        reply = guarded.says("it went blue again", turn=1)
    assert reply["confidence"] < 0.7
    assert "not sure" in str(reply["reply"])
    queue = guarded.queue()
    assert queue["waiting"] == 1
    assert queue["tickets"][0]["message"] == "it went blue again"


def test_who_asks_for_a_person_gets_one(guarded):
    reply = guarded.says("I want to talk to a human please")
    assert (reply["status"], guarded.queue()["tickets"][0]["reason"]) == ("handed_over", "asked for a person")


# Memory


def test_the_bot_asks_for_a_number_and_goes_on_with_what_was_asked(guarded):
    assert guarded.says("please cancel my order")["reply"] == ASK_NUMBER
    reply = guarded.says("it is 10234")
    assert (reply["intent"], reply["turn"]) == ("cancel_order", 2)
    assert "10234" in str(reply["reply"])


def test_the_order_of_the_conversation_is_remembered_and_not_that_of_another(guarded):
    guarded.says(STATUS, "c1")
    assert "10234" in str(guarded.says("and when will my order arrive?", "c1")["reply"])
    assert guarded.says("and when will my order arrive?", "c2")["reply"] == ASK_NUMBER


def test_the_history_that_comes_along_is_believed_instead_of_its_own(guarded):
    """What a bot in another zone goes by after this one was killed."""
    guarded.says(STATUS)
    history = [{"message": "where is my order 10300?", "reply": "On its way.", "intent": "order_status"}]
    assert "10300" in str(guarded.says("and when will my order arrive?", turn=2, history=history)["reply"])
    assert guarded.says("when will my order arrive?", turn=3, history=[])["reply"] == ASK_NUMBER


def test_a_turn_that_is_sent_again_gets_the_same_reply_and_costs_nothing(guarded, healthy):
    first, before = guarded.says(SHIPPING, turn=1), healthy.calls("aurora")
    assert guarded.says(SHIPPING, turn=1) == first
    assert healthy.calls("aurora") == before


# What it does when something is broken


@pytest.mark.parametrize("kind", ["errors", "rate_limit", "auth", "empty", "cut", "garbage"])
def test_whatever_is_wrong_with_the_primary_the_light_model_answers(guarded, healthy, kind):
    healthy.break_it("aurora", kind)
    reply = guarded.says(SHIPPING)
    assert (reply["status"], reply["served_by"]) == ("answered", "borealis")
    assert "working days" in str(reply["reply"])


def test_a_hanging_primary_is_left_in_time(guarded, healthy):
    healthy.break_it("aurora", "hang")
    assert guarded.says(SHIPPING)["served_by"] == "borealis"


@pytest.mark.parametrize("kind", ["errors", "empty", "cut", "garbage"])
def test_without_any_model_a_rule_of_the_house_is_still_told(guarded, healthy, kind):
    healthy.break_it("aurora", "errors")
    healthy.break_it("borealis", kind)
    reply = guarded.says(SHIPPING)
    assert (reply["reply"], reply["served_by"]) == (TOPICS["shipping_info"].answer, "template")
    assert "order 10234 is" in str(guarded.says(STATUS)["reply"])


def test_without_any_model_what_needs_one_gets_an_honest_apology(guarded, healthy):
    for name in ("aurora", "borealis"):
        healthy.break_it(name, "errors")
    reply = guarded.says(DAMAGED)
    assert (reply["status"], reply["reply"], guarded.last.status_code) == ("apology", APOLOGY, 200)


def test_without_any_model_the_agents_decision_stands_alone(guarded, healthy):
    for name in ("aurora", "borealis"):
        healthy.break_it(name, "errors")
    reply = guarded.says("I would like a refund for order 10234")
    assert (reply["status"], reply["served_by"]) == ("answered", "template")
    assert "10234" in str(reply["reply"])


def test_the_light_model_keeps_a_conversation_that_the_primary_dropped(guarded, healthy):
    """A turn must not wait for the same broken provider twice."""
    healthy.break_it("aurora", "errors")
    before = healthy.calls("aurora")
    assert guarded.says("please cancel my order 10234")["served_by"] == "borealis"
    assert healthy.calls("aurora") == before + 1


def test_a_second_look_that_cannot_be_had_is_replaced_by_the_customers_own_words(guarded, healthy):
    healthy.break_it("borealis", "errors")
    reply = guarded.says("did order 10234 leave the warehouse?")
    assert (reply["status"], reply["served_by"]) == ("checked", "aurora")


def test_without_the_order_book_a_known_order_is_told_and_an_unknown_one_apologised_for(guarded, healthy):
    guarded.says(STATUS)
    healthy.break_it("orders", "errors")
    assert "10234" in str(guarded.says(STATUS, "c2")["reply"])
    reply = guarded.says("where is my order 10300?", "c3")
    assert (reply["status"], guarded.last.status_code) == ("apology", 200)


def test_an_apology_is_not_kept_as_the_answer_of_a_turn(guarded, healthy):
    for name in ("aurora", "borealis"):
        healthy.break_it(name, "errors")
    guarded.says(DAMAGED, turn=1)
    healthy.heal_all()
    assert guarded.says(DAMAGED, turn=1)["status"] == "answered"


@pytest.mark.parametrize(
    "asked", [{}, {"conversation": "c", "message": ""}, {"conversation": "c", "message": "x" * 2001}, [1]]
)
def test_what_is_no_message_is_refused_with_its_mistake(guarded, asked):
    response = HTTP.post(f"{guarded.url}/chat", json=asked)
    assert response.status_code == 422
    assert response.json()["detail"]


# What its guards record


def spans(sink: MemorySink) -> list[tuple[str, dict[str, object]]]:
    """What was called to answer; that each message is first understood goes without saying."""
    return [(span.name, dict(span.attributes or {})) for span in sink.spans if span.name != "nlu"]


def test_a_model_call_is_recorded_with_its_tokens_its_cost_and_its_first_token(guarded):
    with MemorySink() as sink:
        guarded.says(SHIPPING)
    ((name, seen),) = spans(sink)
    assert (name, seen["service.peer.name"], seen["gen_ai.provider.name"]) == ("llm.primary", "aurora", "aurora")
    assert (seen["gen_ai.operation.name"], seen["gen_ai.request.model"]) == ("chat", "aurora-large")
    tokens = seen["gen_ai.usage.input_tokens"], seen["gen_ai.usage.output_tokens"]
    assert min(tokens) > 10
    assert seen["paramedic.cost"] == pytest.approx(cost_usd("aurora-large", *tokens))
    assert 0 < seen["gen_ai.response.time_to_first_chunk"] < 20
    assert seen["gen_ai.response.finish_reasons"] == ("stop",)


@pytest.mark.parametrize(("kind", "wanted"), [("empty", "empty"), ("cut", "cut")])
def test_a_useless_answer_is_recorded_as_such_and_the_fallback_with_its_level(guarded, healthy, kind, wanted):
    healthy.break_it("aurora", kind)
    with MemorySink() as sink:
        guarded.says(SHIPPING)
    (primary, useless), (light, rescued) = spans(sink)
    assert (primary, useless["paramedic.useless"], useless["paramedic.fallback.level"]) == ("llm.primary", wanted, 0)
    assert (light, rescued["service.peer.name"], rescued["paramedic.fallback.level"]) == ("llm.light", "borealis", 1)


@pytest.mark.parametrize(("kind", "wanted"), [("rate_limit", "429"), ("auth", "401"), ("garbage", "JSONDecodeError")])
def test_an_error_is_recorded_by_its_type(guarded, healthy, kind, wanted):
    healthy.break_it("aurora", kind)
    with MemorySink() as sink:
        guarded.says(SHIPPING)
    assert spans(sink)[0][1]["error.type"] == wanted


def test_the_calls_of_an_agent_are_a_model_an_order_and_a_model(guarded):
    with MemorySink() as sink:
        guarded.says("please cancel my order 10234")
    assert [name for name, _ in spans(sink)] == ["llm.primary", "orders", "llm.primary"]


# The bare arm


def test_the_bare_bot_answers_as_well_while_all_is_well(bare):
    assert TOPICS["shipping_info"].answer in str(bare.says(SHIPPING)["reply"])
    assert "10234" in str(bare.says("please cancel my order 10234")["reply"])


def test_an_error_of_the_provider_is_a_502_with_an_apology_of_the_bare_bot(bare, healthy):
    """After the two retries that the openai client makes by itself."""
    healthy.break_it("aurora", "errors")
    before = healthy.calls("aurora")
    assert bare.says(SHIPPING)["reply"] == APOLOGY
    assert (bare.last.status_code, healthy.calls("aurora")) == (502, before + 3)


@pytest.mark.parametrize(
    ("kind", "is_bad"), [("empty", lambda text: text == ""), ("cut", lambda text: text[-1] != "?")]
)
def test_the_bare_bot_passes_on_what_it_gets(bare, healthy, kind, is_bad):
    healthy.break_it("aurora", kind)
    assert is_bad(bare.says(SHIPPING)["reply"])


BARE = """
import json, random, sys
from paramedic_demo.front_door.__main__ import bare_door
from paramedic_demo.support_bot.__main__ import bare_bot
from paramedic_demo.support_bot.troubles import Troubles
from paramedic_demo.support_bot.wire import Settings
bare_bot(Settings("http://a", "http://b", "http://o", "m", "n", "k", ":memory:"), Troubles(random.Random()), "eu-1a")
bare_door({"eu-1a": "http://a"})
names = {module.partition(".")[0] for module in sys.modules}
print(json.dumps(sorted(names & {"paramedic", "sklearn", "openai"})))
"""


def test_the_bare_arm_has_nothing_of_paramedic_in_it():
    """The decoy is openai, which must be there; scikit-learn would cost seconds at each start."""
    out = subprocess.run([sys.executable, "-c", BARE], capture_output=True, text=True, check=True).stdout
    assert json.loads(out) == ["openai"]


# The processes


@pytest.mark.parametrize("module", ["support_bot", "front_door"])
def test_a_missing_setting_is_one_line(module):
    command = [sys.executable, "-m", f"paramedic_demo.{module}", "--port", "1"]
    zone = ["--zone", "eu-1a"] if module == "support_bot" else []
    env = {name: value for name, value in os.environ.items() if not name.startswith("DEMO_")}
    done = subprocess.run([*command, *zone], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert " must " in done.stderr


def test_sigterm_ends_a_bot_cleanly_after_what_it_is_answering(healthy):
    (port,) = free_ports(1)
    urls = {f"DEMO_{name.upper()}_URL": url for name, url in healthy.urls.items()}
    command = [sys.executable, "-m", "paramedic_demo.support_bot", "--port", str(port), "--zone", "z", "--arm", "bare"]
    process = subprocess.Popen(command, env=os.environ | urls, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: process.poll() is not None or answers(port))
        assert Client(f"http://127.0.0.1:{port}").says(SHIPPING)["status"] == "answered"
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in errors
    assert process.returncode in (0, -signal.SIGTERM)


def answers(port: int) -> bool:
    try:
        return HTTP.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    except httpx.HTTPError:
        return False
