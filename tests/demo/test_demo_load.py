"""The customers: the same ones from every seed, at the moments they would come, and hard to please."""

import asyncio
import io
import itertools
import json
import random
import signal
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest
from demo_servers import HTTP, serving, wait_until
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from paramedic_demo.load.arrivals import arrival_times
from paramedic_demo.load.conversations import SCRIPTS, TEXTS, Need
from paramedic_demo.load.drive import Driver
from paramedic_demo.load.plan import THINKS_S, USER_S, Message, messages
from paramedic_demo.load.verdict import FOR_A_PERSON, WORDS, judge
from paramedic_demo.orders_data import FIRST_ORDER, LAST_ORDER

# When they come


def arrivals_until(end_s: float, rate: float = 10.0, seed: int = 1) -> list[float]:
    return list(itertools.takewhile(lambda at: at < end_s, arrival_times(random.Random(seed), rate)))


def test_customers_come_at_the_asked_rate_in_the_long_run():
    assert len(arrivals_until(20_000.0)) / 20_000.0 == pytest.approx(10.0, rel=0.05)


def test_they_come_in_bursts():
    """Counts a second of a plain Poisson process vary by their mean; these vary by much more."""
    counts = Counter(int(at) for at in arrivals_until(5_000.0))
    per_second = [counts[second] for second in range(5_000)]
    mean = sum(per_second) / len(per_second)
    variance = sum((count - mean) ** 2 for count in per_second) / len(per_second)
    assert variance > 2 * mean


def test_a_rate_that_is_not_above_0_is_refused():
    with pytest.raises(ValueError, match="rate must be above 0 requests a second, got 0"):
        next(arrival_times(random.Random(1), 0))


# What they write


def first(count: int, seed: int = 7, rate: float = 10.0) -> list[Message]:
    return list(itertools.islice(messages(seed, rate), count))


def test_a_seed_gives_the_same_messages_at_the_same_moments_and_another_seed_others():
    assert first(2000) == first(2000)
    assert [message.text for message in first(50)] != [message.text for message in first(50, seed=8)]


def test_the_turns_of_a_conversation_come_in_order_and_after_the_customer_would_have_left():
    """So that no message ever depends on an answer, and the loop stays open."""
    last: dict[str, Message] = {}
    for message in first(5000):
        before = last.get(message.conversation)
        assert message.turn == (before.turn + 1 if before else 1)
        assert before is None or message.at_s - before.at_s >= THINKS_S[0] > USER_S
        last[message.conversation] = message


def test_a_conversation_is_about_one_order_that_exists():
    orders: dict[str, set[str]] = {}
    for message in first(2000):
        orders.setdefault(message.conversation, set()).add(message.order)
        assert FIRST_ORDER <= int(message.order) <= LAST_ORDER
        assert "{" not in message.text
    assert all(len(of_one) == 1 for of_one in orders.values())


def test_all_needs_come_and_few_of_them_are_for_a_person():
    counts = Counter(message.need for message in first(5000))
    assert set(counts) == set(Need) == set(TEXTS) == {need for script in SCRIPTS for need in script.needs}
    assert 0.01 < sum(counts[need] for need in FOR_A_PERSON) / 5000 < 0.1


# What is of use to them


def asked(need: Need) -> Message:
    return Message(0.0, "c1", 1, "text", need, "10234")


def reply(
    text: str = "Parcels within the EU take two to four working days.", status: str = "answered"
) -> dict[str, str]:
    return {"reply": text, "status": status}


ORDER = reply("Your order 10234 is shipped: it is on its way to you.")


@pytest.mark.parametrize(
    ("need", "status", "body", "seconds", "why"),
    [
        (Need.SHIPPING, 200, reply(), 1.0, "useful"),
        (Need.SHIPPING, 200, reply(status="checked"), 10.0, "useful"),
        (Need.SHIPPING, 200, reply(), 10.1, "late"),
        (Need.SHIPPING, 502, reply(), 1.0, "http 502"),
        (Need.SHIPPING, 200, None, 1.0, "not a reply"),
        (Need.SHIPPING, 200, ["x"], 1.0, "not a reply"),
        (Need.SHIPPING, 200, {"status": "answered"}, 1.0, "not a reply"),
        (Need.SHIPPING, 200, reply(" "), 1.0, "empty"),
        (Need.SHIPPING, 200, reply(status="apology"), 1.0, "apology"),
        (Need.SHIPPING, 200, reply("%%&$ 0x00 working days 0x91 ##### 77777"), 1.0, "garbage"),
        (Need.SHIPPING, 200, reply("Parcels within the EU take two to four working days. As so"), 1.0, "cut off"),
        (Need.SHIPPING, 200, reply("Our stores are open until seven."), 1.0, "off topic"),
        (Need.SHIPPING, 200, reply(status="handed_over"), 1.0, "needless hand-over"),
        (Need.ORDER_STATUS, 200, ORDER, 1.0, "useful"),
        (Need.ORDER_STATUS, 200, reply("Your order 10235 is shipped."), 1.0, "not about the order"),
        (Need.ORDER_STATUS, 200, reply("I would like to help with order 10234."), 1.0, "off topic"),
        (Need.ORDER_STATUS, 200, ORDER | {"status": "handed_over"}, 1.0, "needless hand-over"),
        (Need.ASK_NUMBER, 200, reply("Please send me its number."), 1.0, "useful"),
        (Need.VAGUE, 200, reply("A colleague will answer.", "handed_over"), 1.0, "useful"),
        (Need.VAGUE, 200, reply(), 1.0, "no person"),
        (Need.VAGUE, 200, reply(status="apology"), 1.0, "apology"),
        (Need.PERSON, 200, reply("A colleague will answer.", "handed_over"), 11.0, "late"),
    ],
)
def test_the_verdict_names_what_was_wrong(need, status, body, seconds, why):
    verdict = judge(asked(need), status, body, seconds)
    assert (verdict.why, verdict.useful) == (why, why == "useful")


def test_there_are_words_for_every_need_that_the_bot_answers():
    assert set(WORDS) == set(Need) - set(FOR_A_PERSON)


# Sending


async def answer(request: Request) -> Response:
    """What is asked for in the path: a good answer, none in time, no JSON, an error."""
    kind, raw = request.path_params["kind"], await request.json()
    if kind == "never":
        await asyncio.sleep(5.0)
    if kind == "text":
        return PlainTextResponse("working days.")
    if kind == "error":
        return JSONResponse(reply(), 503)
    about = {"served_by": "aurora", "zone": "z", "turn": raw["turn"]}
    return JSONResponse(reply(f"{raw['message']} {raw['conversation']}.", "handed_over") | about)


def shop() -> Starlette:
    return Starlette(routes=[Route("/{kind}", answer, methods=["POST"])])


@pytest.fixture(scope="module")
def url():
    with serving(shop) as served:
        yield served


def driven(url: str, plan: list[Message], *, most_in_flight: int = 10, stop_after_s: float | None = None) -> list[Any]:
    out = io.StringIO()

    async def run() -> None:
        driver = Driver(url, out, most_in_flight=most_in_flight, clock=lambda: 1000.0)
        if stop_after_s is not None:
            asyncio.get_running_loop().call_later(stop_after_s, driver.stop)
        await driver.run(iter(plan), None)

    asyncio.run(run())
    return [json.loads(line) for line in out.getvalue().splitlines()]


def planned(*moments: float) -> list[Message]:
    return [Message(at_s, f"c{number}", 1, "hello", Need.PERSON, "10234") for number, at_s in enumerate(moments)]


def test_a_line_says_what_came_back_and_who_served_it(url):
    (line,) = driven(f"{url}/good", planned(0.0))
    assert line.pop("seconds") > 0
    assert line == {
        "at": 1000.0,
        "useful": True,
        "why": "useful",
        "conversation": "c0",
        "turn": 1,
        "need": "person",
        "served_by": "aurora",
        "zone": "z",
        "status": "handed_over",
        "intent": "",
        "confidence": "",
    }


@pytest.mark.parametrize(("kind", "why"), [("text", "not a reply"), ("error", "http 503"), ("good", "useful")])
def test_what_comes_back_is_judged(url, kind, why):
    assert [line["why"] for line in driven(f"{url}/{kind}", planned(0.0, 0.0))] == [why] * 2


def test_where_nobody_listens_there_is_no_connection():
    (line,) = driven("http://127.0.0.1:9/chat", planned(0.0))
    assert line["why"] == "no connection: ConnectError"


def test_a_message_over_the_limit_is_not_sent_and_counts_against_the_bot(url):
    lines = driven(f"{url}/good", planned(*[0.0] * 5), most_in_flight=3)
    assert Counter(line["why"] for line in lines) == {"useful": 3, "not sent: too many in flight": 2}


def test_told_to_stop_it_sends_nothing_more(url):
    assert len(driven(f"{url}/good", planned(0.0, 3600.0), stop_after_s=0.3)) == 1


def test_sigterm_ends_it_cleanly_with_whole_lines(url, tmp_path):
    out = tmp_path / "load.jsonl"
    command = [sys.executable, "-m", "paramedic_demo.load", "--url", f"{url}/good", "--rate", "40", "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: process.poll() is not None or (out.exists() and out.read_text().count("\n") >= 5))
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, errors) == (0, "")
    assert all("useful" in json.loads(line) for line in out.read_text().splitlines())


def test_a_rate_of_0_is_one_line():
    command = [sys.executable, "-m", "paramedic_demo.load", "--url", "http://x", "--rate", "0", "--out", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "load: --rate must be above 0 messages a second, got 0\n")


def test_the_test_shop_knows_good_from_bad(url):
    assert HTTP.post(f"{url}/error", json={"turn": 1}).status_code == 503
