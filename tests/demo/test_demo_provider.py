"""The simulated provider as the real `openai` client sees it, over TCP, in a process of its own."""

import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from paramedic_demo.fleet import Fleet, Member
from paramedic_demo.fleet_keeper import Job
from paramedic_demo.ports import free_ports
from paramedic_demo.provider import RateMeter
from paramedic_demo.provider_answers import answer, tool_call
from paramedic_demo.provider_models import MODELS, cost_usd, tokens_of

ORDER = {
    "id": "10234",
    "status": "shipped",
    "items": ["a head torch"],
    "carrier": "DHL",
    "tracking": "00340434161",
    "expected_on": "2025-11-07",
}
CHAT = "/v1/chat/completions"
QUESTION = [{"role": "user", "content": "Where is my order 10234?"}]
WITH_FACTS = [{"role": "system", "content": f"You help customers. Order: {json.dumps(ORDER)}"}, *QUESTION]
TOOL = {
    "type": "function",
    "function": {
        "name": "look_up_order",
        "parameters": {"type": "object", "properties": {"order_id": {"type": "string"}}},
    },
}


@pytest.fixture(scope="module")
def aurora(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a running provider."""
    (port,) = free_ports(1)
    arguments = ("--name", "aurora", "--port", str(port), "--model", "aurora-large", "--seed", "3", "--speed", "10")
    job = Job("aurora", "paramedic_demo.provider", arguments, port, dict(os.environ))
    logs: Path = tmp_path_factory.mktemp("logs")
    with Fleet("bare", seed=3, env={}, log_dir=logs, members=[Member("aurora", "", job)]) as fleet:
        fleet.wait_ready()
        yield job.url
    assert (logs / "aurora.log").read_text() == "", "the provider complained about something"


@pytest.fixture(scope="module")
def raw(aurora: str) -> Iterator[httpx.Client]:
    """Speaks HTTP to the provider, without the client library in between."""
    with httpx.Client(base_url=aurora, headers={"authorization": "Bearer any"}, timeout=15.0) as made:
        yield made


@pytest.fixture(scope="module")
def shared_client(aurora: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{aurora}/v1", api_key="any", max_retries=0, timeout=15.0) as made:
        yield made


@pytest.fixture
def client(raw: httpx.Client, shared_client: openai.OpenAI) -> Iterator[openai.OpenAI]:
    """Of a healthy provider, which is healthy again afterwards."""
    yield shared_client
    raw.delete("/_fault").raise_for_status()


def break_it(raw: httpx.Client, kind: str, **parameters: object) -> None:
    raw.post("/_fault", json={"kind": kind, **parameters}).raise_for_status()


def stats(raw: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = raw.get("/_stats").json()
    return found


def ask(client: openai.OpenAI, messages: Any = WITH_FACTS, **more: Any) -> Any:
    return client.chat.completions.create(model="aurora-large", messages=messages, **more)


def streamed(client: openai.OpenAI, messages: Any = WITH_FACTS, **more: Any) -> list[Any]:
    return list(ask(client, messages, stream=True, **more))


def text_of(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_an_answer_repeats_the_order_that_stands_in_the_prompt(client):
    made = ask(client)
    said = made.choices[0].message.content
    assert "10234 is shipped" in said
    assert "00340434161" in said
    assert made.choices[0].finish_reason == "stop"
    assert made.usage.completion_tokens == tokens_of(said)
    assert made.usage.total_tokens == made.usage.prompt_tokens + made.usage.completion_tokens


def test_a_stream_says_the_same_in_pieces_and_ends_with_the_usage(client):
    chunks = streamed(client, stream_options={"include_usage": True})
    assert chunks[0].choices[0].delta.role == "assistant"
    assert text_of(chunks) == ask(client).choices[0].message.content
    assert len(chunks) > 6
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens > 20


def test_a_stream_has_no_usage_unless_it_was_asked_for(client):
    assert all(chunk.choices and chunk.usage is None for chunk in streamed(client))


def test_the_bytes_of_a_stream_end_with_done(raw, client):
    got = raw.post(CHAT, json={"model": "aurora-large", "messages": QUESTION, "stream": True})
    assert got.headers["content-type"].startswith("text/event-stream")
    assert got.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_for_an_order_and_then_the_answer_uses_it(client, stream):
    if stream:
        chunks = streamed(client, QUESTION, tools=[TOOL])
        call = next(chunk.choices[0].delta.tool_calls[0] for chunk in chunks if chunk.choices[0].delta.tool_calls)
        assert chunks[-1].choices[0].finish_reason == "tool_calls"
    else:
        choice = ask(client, QUESTION, tools=[TOOL]).choices[0]
        assert choice.finish_reason == "tool_calls"
        call = choice.message.tool_calls[0]
    assert call.function.name == "look_up_order"
    assert json.loads(call.function.arguments) == {"order_id": "10234"}
    entry = {"id": call.id, "type": "function", "function": call.function.model_dump()}
    looked_up = [
        *QUESTION,
        {"role": "assistant", "content": None, "tool_calls": [entry]},
        {"role": "tool", "tool_call_id": call.id, "content": json.dumps(ORDER)},
    ]
    said = ask(client, looked_up, tools=[TOOL]).choices[0]
    assert said.finish_reason == "stop"
    assert "DHL has it" in said.message.content


def test_max_tokens_stops_an_answer(client):
    made = ask(client, max_tokens=5)
    assert made.choices[0].finish_reason == "length"
    assert made.usage.completion_tokens == 5


def test_the_models_are_listed(client):
    assert [model.id for model in client.models.list()] == ["aurora-large"]


def test_a_call_without_a_key_is_refused(aurora):
    got = httpx.post(aurora + CHAT, json={"model": "aurora-large", "messages": QUESTION})
    assert got.status_code == 401
    assert got.json()["error"]["type"] == "invalid_request_error"


def test_another_providers_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError, match="borealis-light"):
        client.chat.completions.create(model="borealis-light", messages=QUESTION)


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"model": "aurora-large"}', b'{"messages": "hello"}'])
def test_what_is_no_chat_request_is_a_bad_request(raw, client, body):
    got = raw.post(CHAT, content=body)
    assert got.status_code == 400
    assert got.json()["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_errors_are_server_errors_to_the_client(raw, client, stream):
    break_it(raw, "errors", status=503)
    with pytest.raises(openai.InternalServerError) as caught:
        ask(client, stream=stream)
    assert caught.value.status_code == 503
    assert caught.value.code == "overloaded"


def test_errors_of_no_given_status_are_500_and_503(raw, client):
    break_it(raw, "errors")
    seen = set()
    for _ in range(40):
        if len(seen) == 2:
            break
        with pytest.raises(openai.InternalServerError) as caught:
            ask(client)
        seen.add(caught.value.status_code)
    assert seen == {500, 503}


@pytest.mark.parametrize("stream", [False, True])
def test_a_hang_sends_nothing_until_the_client_leaves(raw, client, stream):
    break_it(raw, "hang")
    with pytest.raises(openai.APITimeoutError):
        ask(client, stream=stream, timeout=0.3)


def test_an_outage_is_half_errors_and_half_hangs(raw, client):
    break_it(raw, "outage")
    seen = set()
    for _ in range(40):
        if len(seen) == 2:
            break
        with pytest.raises((openai.InternalServerError, openai.APITimeoutError)) as caught:
            ask(client, timeout=0.6)
        seen.add(caught.type)
    assert seen == {openai.InternalServerError, openai.APITimeoutError}


def test_a_rate_limit_says_when_to_come_back(raw, client):
    break_it(raw, "rate_limit", retry_after_s=7)
    with pytest.raises(openai.RateLimitError) as caught:
        ask(client)
    assert caught.value.response.headers["retry-after"] == "7"
    assert caught.value.response.headers["x-ratelimit-remaining-requests"] == "0"
    assert caught.value.code == "rate_limit_exceeded"


def test_a_rate_limit_with_a_limit_lets_that_many_pass():
    """By hand, since a test that counts requests a second would measure the machine."""
    now = [100.0]
    meter = RateMeter(lambda: now[0])
    now[0] += 1.0
    assert [meter.passes(3) for _ in range(5)] == [True, True, True, False, False]
    now[0] += 0.34
    assert [meter.passes(3) for _ in range(2)] == [True, False]
    now[0] += 100.0
    assert [meter.passes(0.5) for _ in range(2)] == [True, False]
    assert not meter.passes(0)


def test_calls_within_the_limit_are_answered(raw, client):
    break_it(raw, "rate_limit", limit_per_s=1000)
    assert ask(client).choices[0].message.content


def test_a_revoked_key_is_an_authentication_error(raw, client):
    break_it(raw, "auth")
    with pytest.raises(openai.AuthenticationError) as caught:
        ask(client)
    assert caught.value.code == "invalid_api_key"


def test_a_cut_stream_ends_in_mid_sentence_without_a_finish_reason(raw, client):
    whole = text_of(streamed(client))
    break_it(raw, "cut")
    chunks = streamed(client)
    assert 0 < len(text_of(chunks)) < len(whole)
    assert whole.startswith(text_of(chunks))
    assert all(chunk.choices[0].finish_reason is None for chunk in chunks)


def test_garbage_cannot_be_read(raw, client):
    break_it(raw, "garbage")
    with pytest.raises(json.JSONDecodeError):
        streamed(client)
    with pytest.raises((json.JSONDecodeError, openai.APIError)):
        ask(client)


def test_an_empty_answer_looks_like_a_success(raw, client):
    break_it(raw, "empty")
    made = ask(client)
    assert made.choices[0].message.content == ""
    assert made.choices[0].finish_reason == "stop"
    chunks = streamed(client)
    assert text_of(chunks) == ""
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_slow_answer_is_whole(raw, client):
    """That it is slower is seen in what it misses: a deadline that every healthy first token keeps."""
    break_it(raw, "slow", factor=1000)
    with pytest.raises(openai.APITimeoutError):
        streamed(client, timeout=1.0)
    break_it(raw, "slow", factor=5)
    assert text_of(streamed(client)).startswith(answer(WITH_FACTS)[:20])


def test_a_share_spares_the_other_calls(raw, client):
    break_it(raw, "auth", share=0.5)
    seen = set()
    for _ in range(40):
        if len(seen) == 2:
            break
        try:
            ask(client, max_tokens=1)
            seen.add("answered")
        except openai.AuthenticationError:
            seen.add("refused")
    assert seen == {"answered", "refused"}


def test_healing_is_immediate_and_who_hangs_stays_hung(raw, client):
    break_it(raw, "hang")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, client, timeout=2.0)
        while stats(raw)["in_flight"] == 0:
            assert not waiting.done()
        raw.delete("/_fault")
        assert ask(client, max_tokens=1).choices
        assert isinstance(waiting.exception(), openai.APITimeoutError)
    ends = time.monotonic() + 30
    while stats(raw)["in_flight"]:
        assert time.monotonic() < ends, "the provider did not notice that the client has left"


def test_the_statistics_count_calls_failures_tokens_and_dollars(raw, client):
    before = stats(raw)
    made = ask(client)
    break_it(raw, "auth")
    with pytest.raises(openai.AuthenticationError):
        ask(client)
    after = stats(raw)
    assert after["calls"] == before["calls"] + 2
    assert after["failed"] == before["failed"] + 1
    assert after["tokens"] == before["tokens"] + made.usage.total_tokens
    paid = cost_usd("aurora-large", made.usage.prompt_tokens, made.usage.completion_tokens)
    assert after["cost_usd"] - before["cost_usd"] == pytest.approx(paid)
    assert after["in_flight"] == 0


@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_before_the_end_is_a_failure_and_no_longer_in_flight(raw, client, stream):
    break_it(raw, "slow", factor=100)
    before = stats(raw)
    with pytest.raises(openai.APITimeoutError):
        list(ask(client, stream=stream, timeout=0.5))
    ends = time.monotonic() + 30
    while (after := stats(raw))["in_flight"]:
        assert time.monotonic() < ends, "the provider did not notice"
    assert after["failed"] == before["failed"] + 1


@pytest.mark.parametrize(
    ("fault", "mistake"),
    [
        ({"kind": "hnag"}, "did you mean 'hang'?"),
        ({"kind": "errors", "status": 200}, "status must be a whole number from 500 to 599, got 200"),
        ({"kind": "errors", "share": 1.5}, "share must be a number from 0.0 to 1.0, got 1.5"),
        ({"kind": "hang", "factor": 2}, "factor is not a parameter of 'hang'"),
        (["hang"], "a fault is a JSON object"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_and_changes_nothing(raw, client, fault, mistake):
    break_it(raw, "auth")
    got = raw.post("/_fault", json=fault)
    assert got.status_code == 400
    assert mistake in got.json()["mistakes"][0]
    assert raw.get("/_fault").json()["kind"] == "auth"


def test_the_light_model_is_faster_cheaper_and_weaker():
    large, light = MODELS["aurora-large"], MODELS["borealis-light"]
    assert light.first_token_s < large.first_token_s
    assert light.tokens_per_s > large.tokens_per_s
    assert cost_usd("borealis-light", 1000, 1000) < cost_usd("aurora-large", 1000, 1000) / 5
    assert "tracking number" in answer(WITH_FACTS)
    assert "tracking number" not in answer(WITH_FACTS, weak=True)
    assert "10234" in answer(WITH_FACTS, weak=True)


def test_an_answer_is_about_what_was_asked():
    assert "within 30 days" in answer([{"role": "user", "content": "How do I return shoes?"}])
    assert "Forgot password" in answer([{"role": "user", "content": "I cannot log in"}])
    parts = [{"role": "user", "content": [{"type": "text", "text": "I want a refund"}]}]
    assert "Refunds" in answer(parts)


def test_facts_in_the_system_message_are_what_it_answers_from():
    facts = [{"role": "system", "content": "Answer from these facts.\nFacts:\nOur stores close at 19:00."}]
    assert "close at 19:00" in answer([*facts, {"role": "user", "content": "Can I return shoes in the evening?"}])
    assert "close at 19:00" in answer([*facts, {"role": "user", "content": "Till when?"}], weak=True)


def test_asked_for_the_wish_it_sums_up_instead_of_answering():
    wish = [{"role": "system", "content": "Say in one short sentence what the customer wants."}]
    said = answer([*wish, {"role": "user", "content": "I want my money back for these shoes"}], weak=True)
    assert said == "The customer wants a refund: I want my money back for these shoes"


def test_what_the_model_said_itself_is_no_fact():
    said = {"role": "assistant", "content": json.dumps(ORDER | {"status": "cancelled"})}
    assert "cancelled" not in answer([WITH_FACTS[0], said, *QUESTION])


def test_no_tool_is_called_without_an_order_number_or_when_the_order_is_known():
    assert tool_call([{"role": "user", "content": "How do I pay?"}], [TOOL]) is None
    assert tool_call(WITH_FACTS, [TOOL]) is None
    assert tool_call(QUESTION, []) is None
    assert tool_call(QUESTION, [TOOL]) is not None
