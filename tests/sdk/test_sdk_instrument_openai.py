"""The real openai package, instrumented, against a provider that answers what a test tells it to."""

import asyncio
import gc
import json
import threading
from typing import TypeVar

import httpx2
import openai
import pytest
from openai.lib.streaming.chat import ChatCompletionStream
from openai.types.chat import ChatCompletion
from sdk_llm_stub import (
    DONE,
    LlmStub,
    Reply,
    chat,
    chat_stream,
    chat_usage,
    chunk,
    events,
    overloaded,
    response_body,
    response_stream,
)

import paramedic
from paramedic.guards.registry import registry
from paramedic.instrument import instrument, uninstrument
from paramedic.instrument.client_guards import forget, guard_of
from paramedic.telemetry.runtime import dropped

T = TypeVar("T")
ASK = {"model": "gpt-4o", "messages": [{"role": "user", "content": "My secret is 42"}]}


@pytest.fixture(autouse=True)
def instrumented():
    instrument("openai")
    yield
    uninstrument()
    forget()


@pytest.fixture
def stub():
    with LlmStub(chat()) as stub:
        yield stub


@pytest.fixture
def client(stub):
    http = httpx2.Client(verify=False)  # reading certificates costs more than all the rest
    with openai.OpenAI(base_url=f"{stub.url}/v1", api_key="k", max_retries=0, http_client=http) as client:
        yield client


@pytest.fixture
def aask(stub, run):
    """Runs `work(client)` with an async client."""

    def aask(work):
        async def main():
            http = httpx2.AsyncClient(verify=False)
            about = {"base_url": f"{stub.url}/v1", "api_key": "k", "max_retries": 0}
            async with openai.AsyncOpenAI(**about, http_client=http) as client:
                return await work(client)

        return run(main())

    return aask


@pytest.fixture(params=["sync", "async"])
def ask(request, client, aask):
    """`ask(lambda c: c.chat...)` with either client."""
    if request.param == "sync":
        return lambda make: make(client)

    def ask(make):
        async def work(client):
            return await make(client)

        return aask(work)

    return ask


@pytest.fixture(params=["sync", "async"])
def chunks(request, client, aask):
    """All chunks of a stream, with either client."""
    if request.param == "sync":
        return lambda make: list(make(client))

    def chunks(make):
        async def work(client):
            return [chunk async for chunk in await make(client)]

        return aask(work)

    return chunks


def eventually(is_so):
    """What the garbage collector finds is told on another thread."""
    for thread in threading.enumerate():
        if thread.name == "paramedic-let-go":
            thread.join(10)
    assert is_so()


def again(call):
    for _ in range(50):
        call()


def about(span):
    return dict(span.attributes)


def test_a_call_is_a_span_with_what_was_asked_and_answered(ask, stub, sink):
    answer = ask(lambda c: c.chat.completions.create(**ASK, max_tokens=50))
    assert type(answer) is ChatCompletion
    assert answer.choices[0].message.content == "Hello there"
    (span,) = sink.spans
    told = about(span)
    assert (span.name, span.kind.name) == ("chat gpt-4o", "CLIENT")
    assert (told["paramedic.guard"], told["service.peer.name"]) == ("openai", stub.peer)
    assert (told["gen_ai.operation.name"], told["gen_ai.provider.name"]) == ("chat", "openai")
    assert (told["gen_ai.request.model"], told["gen_ai.response.model"]) == ("gpt-4o", "gpt-4o-2024")
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (11, 3)
    assert (told["gen_ai.response.finish_reasons"], told["gen_ai.request.max_tokens"]) == (("stop",), 50)
    assert "paramedic.useless" not in told
    assert "secret" not in span.to_json()


@pytest.mark.parametrize(
    ("reply", "useless"),
    [
        (chat(""), "empty"),
        (chat(reason="length"), "cut"),
        (chat(None, "content_filter"), "refused"),
        (chat(None, refusal="No."), "refused"),
        (Reply({**chat().body, "choices": []}), "empty"),
    ],
)
def test_an_answer_that_helps_nobody_is_given_and_told(ask, stub, sink, reply, useless):
    stub.answers(reply)
    assert ask(lambda c: c.chat.completions.create(**ASK)).id == "chatcmpl-7"
    assert sink.spans[0].attributes["paramedic.useless"] == useless
    assert guard_of("openai", stub.peer).counts["useless"] == 1


def test_inside_a_guard_of_the_team_its_span_says_it(client, sink):
    guard = paramedic.Guard("llm.primary", peer="aurora")

    def twice():
        client.chat.completions.create(**ASK)
        client.chat.completions.create(**ASK)

    guard.run_sync(twice)
    second, first = sink.spans
    assert (first.name, first.attributes["gen_ai.usage.input_tokens"]) == ("llm.primary", 11)
    assert first.attributes["service.peer.name"] == "aurora"
    assert (second.name, second.parent.span_id) == ("chat gpt-4o", first.context.span_id)


def test_a_useless_answer_inside_a_guard_of_the_team_is_for_its_check_to_judge(client, stub, sink):
    stub.answers(chat(""))
    guard = paramedic.Guard("llm.primary", fallbacks=[lambda: "fallback"])
    assert guard.run_sync(lambda: client.chat.completions.create(**ASK)).id == "chatcmpl-7"
    assert sink.spans[0].attributes["paramedic.useless"] == "empty"
    checked = paramedic.Guard("llm.checked", fallbacks=[lambda: "fallback"], check=paramedic.genai.check)
    assert checked.run_sync(lambda: client.chat.completions.create(**ASK)) == "fallback"


def test_a_stream_is_watched_to_its_end(chunks, stub, sink):
    stub.answers(chat_stream())
    got = chunks(lambda c: c.chat.completions.create(**ASK, stream=True))
    assert [c.choices[0].delta.content for c in got if c.choices] == ["", "Hello", " there", None]
    told = about(sink.spans[0])
    assert (told["gen_ai.usage.output_tokens"], told["gen_ai.response.finish_reasons"]) == (2, ("stop",))
    assert told["gen_ai.response.time_to_first_chunk"] > 0
    assert "paramedic.useless" not in told
    assert "error.type" not in told


def test_a_call_is_in_flight_until_its_stream_has_ended(client, stub, sink):
    gate = threading.Event()
    stub.answers(chat_stream(gate=gate))
    stream = client.chat.completions.create(**ASK, stream=True)
    assert type(stream) is openai.Stream
    next(stream)
    guard = guard_of("openai", stub.peer)
    assert (guard.in_flight()[0], sink.spans) == (1, [])
    gate.set()
    list(stream)
    assert (guard.in_flight()[0], len(sink.spans)) == (0, 1)


@pytest.mark.parametrize(
    ("lines", "useless"),
    [
        ([chunk(role="assistant"), chunk(content="Half an ans")], "cut"),
        ([chunk(role="assistant"), chunk(content="Half an ans"), DONE], "cut"),
        ([chunk(role="assistant", content=""), chunk("stop"), chat_usage(), DONE], "empty"),
        ([chat_usage(), DONE], "empty"),
        ([chunk(content="Hm"), chunk("length"), DONE], "cut"),
        ([chunk(content="Hm"), chunk("content_filter"), DONE], "refused"),
        ([DONE], None),  # of no known shape
    ],
)
def test_a_stream_that_helps_nobody_is_told(chunks, stub, sink, lines, useless):
    stub.answers(events(*lines))
    assert len(chunks(lambda c: c.chat.completions.create(**ASK, stream=True))) == len([x for x in lines if x != DONE])
    assert about(sink.spans[0]).get("paramedic.useless") == useless


def test_a_stream_that_breaks_is_a_failure(chunks, stub, sink):
    stub.answers(events(chunk(role="assistant"), chunk(content="Half"), broken=True))
    with pytest.raises(openai.APIConnectionError):
        chunks(lambda c: c.chat.completions.create(**ASK, stream=True))
    told = about(sink.spans[0])
    assert (told["error.type"], guard_of("openai", stub.peer).counts["failed"]) == ("APIConnectionError", 1)
    assert "paramedic.useless" not in told


LEAVING = {
    "close": lambda stream: stream.close(),
    "with": lambda stream: stream.__exit__(None, None, None),
    "the response": lambda stream: stream.response.close(),
    "nobody": lambda stream: None,
}


@pytest.mark.parametrize("read", [0, 2])
@pytest.mark.parametrize("leave", LEAVING)
def test_a_stream_left_early_says_nothing_and_leaks_nothing(client, stub, sink, leave, read):
    stub.answers(chat_stream())
    stream = client.chat.completions.create(**ASK, stream=True)
    for _ in range(read):
        next(stream)
    LEAVING[leave](stream)
    if leave != "nobody":
        assert guard_of("openai", stub.peer).in_flight()[0] == 0
    del stream
    if leave == "nobody":
        gc.collect()  # the client's stream refers to itself
        eventually(lambda: sink.spans)
    guard = guard_of("openai", stub.peer)
    assert (guard.in_flight()[0], guard.counts["cancelled"]) == (0, 1)
    assert about(sink.spans[0])["paramedic.cancelled"] is True
    assert "paramedic.useless" not in about(sink.spans[0])


def test_a_stream_that_the_collector_finds_while_its_guard_is_locked_ends_later(client, stub):
    stub.answers(chat_stream())
    stream = client.chat.completions.create(**ASK, stream=True)
    next(stream)
    guard = guard_of("openai", stub.peer)
    with guard._lock:
        del stream
        gc.collect()
    eventually(lambda: guard.counts["cancelled"] == 1)


def test_an_async_stream_left_early_says_nothing_and_leaks_nothing(aask, stub, sink):
    stub.answers(chat_stream())

    async def leave(client):
        async with await client.chat.completions.create(**ASK, stream=True) as stream:
            async for _ in stream:
                break

    aask(leave)
    assert guard_of("openai", stub.peer).counts["cancelled"] == 1


async def _all(stream):
    return [chunk async for chunk in stream]


def test_a_cancelled_reader_of_a_stream_is_no_failure(aask, stub, sink):
    gate = threading.Event()
    stub.answers(chat_stream(gate=gate))

    async def give_up(client):
        stream = await client.chat.completions.create(**ASK, stream=True)
        await stream.__anext__()
        reading = asyncio.create_task(_all(stream))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        gate.set()

    aask(give_up)
    counts = guard_of("openai", stub.peer).counts
    assert (counts["cancelled"], counts["failed"]) == (1, 0)


def test_nothing_stays_current_while_a_stream_is_read(client, stub, sink):
    stub.answers(chat_stream())
    for _ in client.chat.completions.create(**ASK, stream=True):
        assert paramedic.Guard.current().span is None
        paramedic.Guard("tool").run_sync(lambda: None)
    tools = [span for span in sink.spans if span.name == "tool"]
    assert len(tools) == 5
    assert all(span.parent is None for span in tools)


def test_a_stream_inside_a_guard_is_a_child_of_it_also_when_it_outlives_it(client, stub, sink):
    stub.answers(chat_stream())
    stream = paramedic.Guard("llm").run_sync(lambda: client.chat.completions.create(**ASK, stream=True))
    list(stream)
    outer, inner = sink.spans
    assert (outer.name, inner.name) == ("llm", "chat gpt-4o")
    assert inner.parent.span_id == outer.context.span_id
    assert inner.attributes["gen_ai.usage.output_tokens"] == 2


def test_a_stream_inside_a_guard_of_streams_is_told_on_its_span(client, stub, sink):
    stub.answers(chat_stream())

    @paramedic.guard("llm.stream", useful=paramedic.genai.useful, ends=paramedic.genai.ends)
    def answer():
        yield from client.chat.completions.create(**ASK, stream=True)

    assert len(list(answer())) == 5
    (span,) = sink.spans
    assert (span.name, about(span)["gen_ai.usage.output_tokens"]) == ("llm.stream", 2)


def test_an_async_stream_inside_a_guard_of_streams_is_told_on_its_span(aask, stub, sink):
    stub.answers(events(chunk(role="assistant"), chunk(content="Half")), chat_stream())

    async def work(client):
        @paramedic.guard("llm.stream", useful=paramedic.genai.useful, ends=paramedic.genai.ends)
        async def answer():
            async for piece in await client.chat.completions.create(**ASK, stream=True):
                yield piece

        with pytest.raises(paramedic.StreamCut):
            await _all(answer())
        return await _all(answer())

    assert len(aask(work)) == 5
    cut, whole = sink.spans
    assert (cut.name, about(cut)["paramedic.useless"]) == ("llm.stream", "cut")
    assert about(whole)["gen_ai.usage.output_tokens"] == 2


def test_a_deadline_ends_a_stream_that_hangs_as_a_timeout_of_the_client(aask, stub, sink):
    gate = threading.Event()
    stub.answers(chat_stream(gate=gate))

    async def late(client):
        with paramedic.deadline(0.2), pytest.raises(openai.APITimeoutError) as timeout:
            await _all(await client.chat.completions.create(**ASK, stream=True))
        gate.set()
        return timeout.value

    assert isinstance(aask(late), TimeoutError)
    assert about(sink.spans[0])["error.type"] == "timeout"
    assert "paramedic.useless" not in about(sink.spans[0])


def test_the_clients_own_helper_for_streams_works_on_a_watched_one(client, stub, sink):
    stub.answers(chat_stream())
    with client.chat.completions.stream(**ASK) as stream:
        assert type(stream) is ChatCompletionStream
        assert stream.get_final_completion().choices[0].message.content == "Hello there"
    assert about(sink.spans[0])["gen_ai.usage.output_tokens"] == 2


def test_parsed_answers_stay_parsed(client, stub, sink):
    from pydantic import BaseModel

    class City(BaseModel):
        name: str

    stub.answers(chat('{"name": "Turin"}'))
    parsed = client.chat.completions.parse(**ASK, response_format=City)
    assert parsed.choices[0].message.parsed == City(name="Turin")
    stub.answers(chat('{"name": "Tu', "length"))
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(**ASK, response_format=City)
    good, cut = sink.spans
    assert about(good)["gen_ai.usage.input_tokens"] == 11
    assert (about(cut)["gen_ai.usage.input_tokens"], about(cut)["paramedic.useless"]) == (11, "cut")


def test_raw_answers_are_read_and_stay_raw(client, stub, sink):
    raw = client.chat.completions.with_raw_response.create(**ASK)
    assert (raw.http_response.status_code, raw.parse().id) == (200, "chatcmpl-7")
    with client.chat.completions.with_streaming_response.create(**ASK) as body:
        assert json.loads(b"".join(body.iter_bytes()))["id"] == "chatcmpl-7"
    assert about(sink.spans[0])["gen_ai.usage.input_tokens"] == 11
    assert guard_of("openai", stub.peer).counts["worked"] == 2


def test_a_raw_answer_that_becomes_a_stream_is_watched(chunks, client, aask, stub, sink):
    stub.answers(chat_stream())

    def make(client):
        raw = client.chat.completions.with_raw_response.create(**ASK, stream=True)
        if not asyncio.iscoroutine(raw):
            return raw.parse()

        async def parse():
            return (await raw).parse()

        return parse()

    assert len(chunks(make)) == 5
    told = about(sink.spans[0])
    assert (told["gen_ai.usage.output_tokens"], told["gen_ai.response.finish_reasons"]) == (2, ("stop",))


@pytest.mark.parametrize("how", ["lines", "parsed", "unread"])
def test_a_raw_stream_ends_its_call_however_it_is_read(client, stub, sink, how):
    stub.answers(chat_stream())
    with client.chat.completions.with_streaming_response.create(**ASK, stream=True) as raw:
        if how == "lines":
            assert any("there" in line for line in raw.iter_lines())
        if how == "parsed":
            assert len(list(raw.parse())) == 5
    guard = guard_of("openai", stub.peer)
    assert (guard.in_flight()[0], guard.counts["worked"]) == (0, 1)


def test_a_raw_stream_that_is_forgotten_leaks_nothing(client, stub):
    stub.answers(chat_stream())
    client.chat.completions.with_raw_response.create(**ASK, stream=True)
    gc.collect()
    guard = guard_of("openai", stub.peer)
    eventually(lambda: sum(guard.counts.values()) == 1)
    assert guard.in_flight()[0] == 0


def test_the_responses_api_is_read(ask, stub, sink):
    stub.answers(Reply(response_body()))
    assert ask(lambda c: c.responses.create(model="gpt-5", input="Hi")).output_text == "Hello"
    stub.answers(Reply(response_body("", status="incomplete", incomplete_details={"reason": "max_output_tokens"})))
    ask(lambda c: c.responses.create(model="gpt-5", input="Hi"))
    whole, cut = sink.spans
    assert (about(whole)["gen_ai.usage.output_tokens"], about(whole)["gen_ai.response.model"]) == (9, "gpt-5")
    assert (about(cut)["paramedic.useless"], about(cut)["gen_ai.response.finish_reasons"]) == (
        "cut",
        ("max_output_tokens",),
    )


@pytest.mark.parametrize(
    ("last", "more", "useless"),
    [
        ("response.completed", {}, None),
        ("response.incomplete", {"incomplete_details": {"reason": "content_filter"}}, "refused"),
    ],
)
def test_a_stream_of_the_responses_api_is_watched(chunks, stub, sink, last, more, useless):
    stub.answers(response_stream(last, **more))
    assert len(chunks(lambda c: c.responses.create(model="gpt-5", input="Hi", stream=True))) == 3
    told = about(sink.spans[0])
    assert (told["gen_ai.usage.output_tokens"], told.get("paramedic.useless")) == (9, useless)


def test_embeddings_are_calls_too_and_lists_of_models_are_none(client, stub, sink):
    vector = {"object": "embedding", "index": 0, "embedding": [0.5]}
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    stub.answers(Reply({"object": "list", "model": "e", "data": [vector], "usage": usage}))
    client.embeddings.create(model="e", input="Hi", encoding_format="float")
    stub.answers(Reply({"object": "list", "data": []}))
    client.models.list()
    (span,) = sink.spans
    assert (span.name, about(span)["gen_ai.usage.input_tokens"]) == ("embeddings e", 3)


def test_errors_are_the_clients_own(ask, stub, sink):
    stub.answers(overloaded(429, retry_after="0"))
    with pytest.raises(openai.RateLimitError):
        ask(lambda c: c.chat.completions.create(**ASK))
    assert (about(sink.spans[0])["error.type"], sink.spans[0].status.status_code.name) == ("429", "ERROR")


def test_the_clients_own_retries_are_one_call(stub, sink):
    stub.answers(Reply({}, 503, {"retry-after-ms": "1"}), chat())
    with openai.OpenAI(base_url=f"{stub.url}/v1", api_key="k", max_retries=1) as client:
        client.chat.completions.create(**ASK)
    assert (len(stub.seen), len(sink.spans)) == (2, 1)


def test_a_command_of_the_platform_is_obeyed_and_refuses_as_an_error_of_the_client(ask, stub, command):
    ask(lambda c: c.chat.completions.create(**ASK))
    close = command("trip_breaker", peer=stub.peer)
    registry.apply(close, guard_of("openai", stub.peer).clock() + 30)
    with pytest.raises(openai.APIConnectionError) as refused:
        again(lambda: ask(lambda c: c.chat.completions.create(**ASK)))
    assert isinstance(refused.value, paramedic.CommandRefused)
    assert refused.value.reason == "command"
    assert "command" in refused.value.message
    with pytest.raises(openai.APIError):
        again(lambda: ask(lambda c: c.chat.completions.create(**ASK, stream=True)))


def test_without_being_told_to_no_number_of_failures_makes_it_refuse(client, stub):
    stub.answers(overloaded(500))
    for _ in range(30):
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(**ASK)
    assert len(stub.seen) == 30


def test_told_to_it_guards(client, stub, monkeypatch):
    monkeypatch.setenv("PARAMEDIC_GUARDS", "on")
    stub.answers(overloaded(500))

    def fail():
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(**ASK)

    with pytest.raises(paramedic.BreakerOpen):
        again(fail)
    assert len(stub.seen) < 50


@pytest.mark.parametrize("reply", [chat(reason="length"), chat("", "content_filter")])
def test_a_guard_is_not_opened_by_long_answers_and_bad_questions(client, stub, monkeypatch, sink, reply):
    monkeypatch.setenv("PARAMEDIC_GUARDS", "on")
    stub.answers(reply)
    for _ in range(50):
        client.chat.completions.create(**ASK)
    assert "paramedic.useless" in about(sink.spans[0])


def test_a_deadline_ends_a_call_as_a_timeout_of_the_client(aask, stub, sink):
    wait = threading.Event()
    stub.answers(Reply({}, wait=wait))

    async def late(client):
        with paramedic.deadline(0.05), pytest.raises(openai.APITimeoutError) as timeout:
            await client.chat.completions.create(**ASK)
        with paramedic.deadline(0.05), pytest.raises(openai.APITimeoutError):
            await client.chat.completions.create(**ASK, stream=True)
        wait.set()
        return timeout.value

    assert isinstance(aask(late), TimeoutError)
    assert [about(span)["error.type"] for span in sink.spans] == ["timeout", "timeout"]


def test_tokens_are_capped_while_a_command_says_so(ask, stub, sink, command):
    ask(lambda c: c.chat.completions.create(**ASK))
    cap = command("cap_tokens", peer=stub.peer, parameters={"max_tokens": 20})
    registry.apply(cap, guard_of("openai", stub.peer).clock() + 30)
    stub.answers(chat(reason="length"))
    body = {**ASK, "max_tokens": 500}
    ask(lambda c: c.chat.completions.create(**body))
    assert (stub.seen[1].body["max_tokens"], stub.seen[0].body.get("max_tokens"), body["max_tokens"]) == (20, None, 500)
    assert "paramedic.useless" not in about(sink.spans[1])  # it is cut because we asked for less


def test_content_is_recorded_when_asked_for(ask, chunks, stub, sink, monkeypatch):
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    ask(lambda c: c.chat.completions.create(**ASK))
    stub.answers(chat_stream())
    chunks(lambda c: c.chat.completions.create(**ASK, stream=True))
    for span in sink.spans:
        assert "My secret is 42" in about(span)["gen_ai.input.messages"]
        assert "Hello there" in about(span)["gen_ai.output.messages"]


def test_without_telemetry_calls_pass(ask, chunks, stub):
    assert ask(lambda c: c.chat.completions.create(**ASK)).id == "chatcmpl-7"
    stub.answers(chat_stream())
    assert len(chunks(lambda c: c.chat.completions.create(**ASK, stream=True))) == 5


def test_instrumenting_twice_records_once_and_can_be_undone(client, sink):
    instrument("openai")
    instrument()
    client.chat.completions.create(**ASK)
    assert len(sink.spans) == 1
    uninstrument()
    client.chat.completions.create(**ASK)
    assert len(sink.spans) == 1


def test_a_stream_of_a_class_without_an_iterator_passes_untouched(client, stub, sink):
    class Own(openai.Stream[T]):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.mine = self.__dict__.pop("_iterator")

    stub.answers(chat_stream())
    before = dropped.counts.get("unknown stream", 0)
    stream = client.post(
        "/chat/completions", cast_to=object, body=ASK | {"stream": True}, stream=True, stream_cls=Own[object]
    )
    assert len(list(stream.mine)) == 5
    assert dropped.counts["unknown stream"] == before + 1
    assert guard_of("openai", stub.peer).in_flight()[0] == 0


def test_what_is_not_known_is_named():
    with pytest.raises(ValueError, match="openai, anthropic, httpx, starlette, fastapi, got 'openapi'"):
        instrument("openapi")
