"""The parts of the bot that need no network: memory, the queue to people, answers, the plain decisions."""

import asyncio
import sqlite3

import pytest

from paramedic_demo.answers import ASK_NUMBER, TOPICS, Way, decision, is_about, order_sentence, reads_like_language
from paramedic_demo.handover import HumanQueue, QueueFull
from paramedic_demo.intents import IntentModel
from paramedic_demo.memory import Memory, Turn
from paramedic_demo.support_bot.turns import Route, continued, remembered_number, route
from paramedic_demo.support_bot.wire import SettingError, Settings, bots_of


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def said(message: str, reply: str = "Yes.", intent: str = "greeting") -> Turn:
    return Turn(message, reply, intent)


def test_the_last_turns_are_remembered_and_all_are_counted():
    memory = Memory(turns=2)
    for message in "abc":
        memory.add("c1", said(message))
    assert [turn.message for turn in memory.turns("c1")] == ["b", "c"]
    assert (memory.count("c1"), memory.count("c2")) == (3, 0)


def test_a_conversation_is_forgotten_after_its_silence_and_not_before():
    clock = Clock()
    memory = Memory(ttl_s=10.0, clock=clock)
    memory.add("c1", said("a"))
    clock.now += 10.0
    assert len(memory.turns("c1")) == 1
    clock.now += 0.1
    assert (memory.turns("c1"), memory.count("c1"), len(memory)) == ((), 0, 0)


def test_the_conversation_that_was_silent_longest_makes_room():
    memory = Memory(conversations=2)
    for conversation in ("c1", "c2", "c1", "c3"):
        memory.add(conversation, said("a"))
    assert [memory.count(name) for name in ("c1", "c2", "c3")] == [2, 0, 1]


@pytest.mark.parametrize(
    ("confidence", "wanted"),
    [
        (1.0, Route.ANSWER),
        (0.9, Route.ANSWER),
        (0.8999, Route.CHECK),
        (0.7, Route.CHECK),
        (0.6999, Route.HAND_OVER),
        (0.0, Route.HAND_OVER),
    ],
)
def test_the_confidence_chooses_the_route(confidence, wanted):
    assert route(confidence) is wanted


def test_every_intent_has_a_topic_and_every_topic_an_intent():
    assert set(TOPICS) == set(IntentModel.load().intents)


def test_a_topic_is_answered_without_a_model_only_where_the_rule_is_the_answer():
    assert TOPICS["shipping_info"].template == TOPICS["shipping_info"].answer != ""
    assert TOPICS["damaged_item"].template == ""
    assert all(topic.way is Way.MODEL for topic in TOPICS.values() if topic.general)


def test_a_topic_is_known_by_its_words():
    assert is_about("refund_request", "The customer wants their MONEY back.")
    assert not is_about("refund_request", "The customer asks about opening hours.")


@pytest.mark.parametrize(
    ("intent", "status", "wanted"),
    [
        ("cancel_order", "packed", "asked the warehouse to cancel order 7"),
        ("cancel_order", "shipped", "can no longer be cancelled"),
        ("cancel_order", "cancelled", "was cancelled before"),
        ("refund_request", "returned", "is on its way"),
        ("refund_request", "delivered", "As soon as order 7 is back"),
        ("refund_request", "cancelled", "nothing left to pay"),
    ],
)
def test_a_rule_decides_about_money(intent, status, wanted):
    assert wanted in decision(intent, {"id": "7", "status": status})


def test_an_order_in_words_has_its_number_state_and_day():
    sentence = order_sentence({"id": "7", "status": "shipped", "expected_on": "2025-11-09"})
    assert sentence == "Your order 7 is shipped: it is on its way to you. We expect it to reach you on 2025-11-09."


def test_a_number_after_we_asked_for_it_goes_on_with_what_was_asked():
    past = (said("cancel my order", ASK_NUMBER, "cancel_order"),)
    assert continued("it is 10234", past).intent == "cancel_order"


@pytest.mark.parametrize(
    ("message", "past"),
    [
        ("it is 10234", ()),
        ("it is 10234", (said("hello"),)),
        ("no, never mind", (said("cancel my order", ASK_NUMBER, "cancel_order"),)),
        ("I would rather know whether 10234 can go to my office", (said("x", ASK_NUMBER, "cancel_order"),)),
    ],
)
def test_any_other_message_stands_for_itself(message, past):
    assert continued(message, past) is None


def test_the_order_that_was_named_last_is_remembered():
    assert remembered_number((said("10234?"), said("and 10300?"), said("thanks"))) == "10300"
    assert remembered_number((said("hello"),)) is None


@pytest.mark.parametrize("text", ["Ã¿Ã¾\x00\x01#$%&", "0x7f3a 0x88 1 2 3 4 5 6", "a" * 31])
def test_garbage_is_no_language(text):
    assert not reads_like_language(text)


def test_an_answer_is_language():
    assert reads_like_language("Your order 10234 is shipped. DHL has it under the tracking number 09876543210.")


# The queue to people


def with_queue(path, work, **more):
    """Run `work` with an open queue, and close it."""

    async def run():
        queue = HumanQueue(str(path), **more)
        queue.start()
        try:
            return await work(queue)
        finally:
            await queue.stop()

    return asyncio.run(run())


def a_ticket(queue: HumanQueue, conversation: str = "c1", turn: int = 1):
    return queue.ticket(conversation, turn, "help", reason="not sure", intent="order_status", confidence=0.4, zone="z")


def test_a_ticket_is_on_disk_when_put_returns(tmp_path):
    async def work(queue):
        await queue.put(a_ticket(queue))
        with sqlite3.connect(tmp_path / "q.db") as book:
            return book.execute("SELECT conversation, turn, reason, asked_at FROM tickets").fetchall()

    assert with_queue(tmp_path / "q.db", work, clock=lambda: 77.0) == [("c1", 1, "not sure", 77.0)]


def test_a_turn_that_comes_twice_is_one_ticket_and_two_turns_are_two(tmp_path):
    async def work(queue):
        await asyncio.gather(*(queue.put(a_ticket(queue, "c1", turn)) for turn in (1, 1, 2)))
        return await queue.latest()

    latest = with_queue(tmp_path / "q.db", work)
    assert latest["waiting"] == 2
    assert {ticket["turn"] for ticket in latest["tickets"]} == {1, 2}


def test_two_bots_share_one_file(tmp_path):
    async def work(queue):
        other = HumanQueue(str(tmp_path / "q.db"))
        other.start()
        await asyncio.gather(queue.put(a_ticket(queue, "c1")), other.put(a_ticket(other, "c2")))
        await other.stop()
        return (await queue.latest())["waiting"]

    assert with_queue(tmp_path / "q.db", work) == 2


def test_a_full_queue_refuses_instead_of_promising(tmp_path):
    async def work(queue):
        outcomes = await asyncio.gather(
            *(queue.put(a_ticket(queue, "c1", turn)) for turn in range(1, 6)), return_exceptions=True
        )
        return [type(outcome) for outcome in outcomes]

    assert QueueFull in with_queue(tmp_path / "q.db", work, most=2)


def test_a_book_that_cannot_be_written_fails_the_put(tmp_path):
    async def work(queue):
        with sqlite3.connect(tmp_path / "q.db") as book:
            book.execute("DROP TABLE tickets")
        with pytest.raises(sqlite3.OperationalError):
            await queue.put(a_ticket(queue))

    with_queue(tmp_path / "q.db", work)


# Settings

URLS = {"DEMO_AURORA_URL": "http://a", "DEMO_BOREALIS_URL": "http://b/v1", "DEMO_ORDERS_URL": "http://o/"}


def test_the_urls_may_end_as_people_write_them():
    settings = Settings.read(URLS)
    assert (settings.aurora_url, settings.borealis_url, settings.orders_url) == (
        "http://a/v1",
        "http://b/v1",
        "http://o",
    )
    assert settings.aurora_model == "aurora-large"


def test_a_missing_url_is_named_with_what_it_should_hold():
    with pytest.raises(SettingError, match=r"DEMO_ORDERS_URL must be a URL such as .*, got ''"):
        Settings.read({**URLS, "DEMO_ORDERS_URL": ""})


def test_the_bots_are_read_by_zone():
    assert bots_of({"DEMO_BOTS": "eu-1a=http://x/, eu-1b=http://y"}) == {"eu-1a": "http://x", "eu-1b": "http://y"}


@pytest.mark.parametrize("text", ["", "http://x", "eu-1a=x"])
def test_bots_that_cannot_be_read_are_named(text):
    with pytest.raises(SettingError, match="DEMO_BOTS must list the bots as zone=URL"):
        bots_of({"DEMO_BOTS": text})
