"""The real anthropic package, instrumented, against a provider that answers what a test tells it to."""

import threading

import anthropic
import httpx2
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sdk_llm_stub import ERROR_EVENT, LlmStub, events, message, message_lines, message_stream, overloaded

import paramedic
from paramedic.guards.registry import registry
from paramedic.instrument import instrument, uninstrument
from paramedic.instrument.client_guards import forget, guard_of

ASK = {"model": "claude-x", "max_tokens": 100, "messages": [{"role": "user", "content": "My secret is 42"}]}


@pytest.fixture(autouse=True)
def instrumented():
    instrument("anthropic")
    yield
    uninstrument()
    forget()


@pytest.fixture
def stub():
    with LlmStub(message("Hello")) as stub:
        yield stub


@pytest.fixture
def client(stub):
    http = httpx2.Client(verify=False)  # reading certificates costs more than all the rest
    with anthropic.Anthropic(base_url=stub.url, api_key="k", max_retries=0, http_client=http) as client:
        yield client


@pytest.fixture
def aask(stub, run):
    def aask(work):
        async def main():
            http, about = httpx2.AsyncClient(verify=False), {"api_key": "k", "max_retries": 0}
            async with anthropic.AsyncAnthropic(base_url=stub.url, **about, http_client=http) as client:
                return await work(client)

        return run(main())

    return aask


@pytest.fixture(params=["sync", "async"])
def ask(request, client, aask):
    if request.param == "sync":
        return lambda make: make(client)

    def ask(make):
        async def work(client):
            return await make(client)

        return aask(work)

    return ask


@pytest.fixture(params=["sync", "async"])
def chunks(request, client, aask):
    if request.param == "sync":
        return lambda: list(client.messages.create(**ASK, stream=True))

    def chunks():
        async def work(client):
            return [event async for event in await client.messages.create(**ASK, stream=True)]

        return aask(work)

    return chunks


def about(span):
    return dict(span.attributes)


def test_a_call_is_a_span_with_what_was_asked_and_answered(ask, stub, sink):
    answer = ask(lambda c: c.messages.create(**ASK))
    assert type(answer) is anthropic.types.Message
    (span,) = sink.spans
    told = about(span)
    assert (span.name, told["paramedic.guard"], told["service.peer.name"]) == ("chat claude-x", "anthropic", stub.peer)
    assert (told["gen_ai.provider.name"], told["gen_ai.request.max_tokens"]) == ("anthropic", 100)
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (130, 4)
    assert (told["gen_ai.usage.cache_read.input_tokens"], told["gen_ai.response.finish_reasons"]) == (
        100,
        ("end_turn",),
    )
    assert "secret" not in span.to_json()


@pytest.mark.parametrize(
    ("reply", "useless"),
    [
        (message(), "empty"),
        (message("Hi", reason="max_tokens"), "cut"),
        (message(reason="refusal"), "refused"),
    ],
)
def test_an_answer_that_helps_nobody_is_given_and_told(ask, stub, sink, reply, useless):
    stub.answers(reply)
    assert ask(lambda c: c.messages.create(**ASK)).id == "msg_7"
    assert about(sink.spans[0])["paramedic.useless"] == useless


def test_a_stream_is_watched_to_its_end(chunks, stub, sink):
    stub.answers(message_stream())
    assert [event.type for event in chunks()] == [name for name, _ in message_lines() if name != "ping"]
    told = about(sink.spans[0])
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (10, 6)
    assert told["gen_ai.response.time_to_first_chunk"] > 0
    assert (told["gen_ai.response.model"], told["gen_ai.response.finish_reasons"]) == ("claude-x", ("end_turn",))
    assert "paramedic.useless" not in told


@pytest.mark.parametrize(
    ("reply", "useless"),
    [
        (message_stream(texts=()), "empty"),
        (message_stream(reason="refusal"), "refused"),
        (message_stream(reason="max_tokens"), "cut"),
        (events(*message_lines()[:4]), "cut"),
        (events(*message_lines()[:3]), "empty"),
    ],
)
def test_a_stream_that_helps_nobody_is_told(chunks, stub, sink, reply, useless):
    stub.answers(reply)
    chunks()
    assert about(sink.spans[0])["paramedic.useless"] == useless


@pytest.mark.parametrize(
    ("reply", "error_type"),
    [
        (events(*message_lines()[:4], ERROR_EVENT), "APIStatusError"),
        (events(*message_lines()[:4], broken=True), "RemoteProtocolError"),
    ],
)
def test_an_error_in_a_stream_is_a_failure(chunks, stub, sink, reply, error_type):
    stub.answers(reply)
    with pytest.raises(Exception) as error:  # noqa: PT011  # the client's own, or that of its HTTP client
        chunks()
    assert guard_of("anthropic", stub.peer).counts["failed"] == 1
    assert about(sink.spans[0])["error.type"] == type(error.value).__name__ == error_type


@pytest.mark.parametrize("status", [429, 500, 529])
def test_errors_are_the_clients_own(ask, stub, sink, status):
    stub.answers(overloaded(status))
    with pytest.raises(anthropic.APIStatusError) as error:
        ask(lambda c: c.messages.create(**ASK))
    assert (error.value.status_code, about(sink.spans[0])["error.type"]) == (status, str(status))


def test_the_clients_own_helper_for_streams_works_on_a_watched_one(client, aask, stub, sink):
    stub.answers(message_stream())
    with client.messages.stream(**ASK) as stream:
        assert stream.get_final_text() == "Hello"

    async def work(client):
        async with client.messages.stream(**ASK) as stream:
            return [text async for text in stream.text_stream]

    assert aask(work) == ["Hel", "lo"]
    assert [about(span)["gen_ai.usage.output_tokens"] for span in sink.spans] == [6, 6]


def test_a_stream_left_early_ends_its_call_at_once(client, stub, sink):
    stub.answers(message_stream())
    with client.messages.stream(**ASK) as stream:
        next(iter(stream))
    guard = guard_of("anthropic", stub.peer)
    assert (guard.in_flight()[0], guard.counts["cancelled"]) == (0, 1)
    assert "paramedic.useless" not in about(sink.spans[0])


def test_a_stream_that_nobody_keeps_ends_its_call_without_the_garbage_collector(client, stub):
    stub.answers(message_stream())
    next(client.messages.create(**ASK, stream=True))  # started, so its generator closes its response
    assert guard_of("anthropic", stub.peer).in_flight()[0] == 0


def test_the_response_of_a_stream_is_as_it_was_once_it_has_ended(client, stub):
    stub.answers(message_stream())
    stream = client.messages.create(**ASK, stream=True)
    list(stream)
    assert not {"close", "aclose"} & set(vars(stream.response))


def test_the_clients_own_span_is_not_made_a_second_time(client, sink, monkeypatch):
    own = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(own))
    monkeypatch.setattr("anthropic._tracing.trace.get_tracer_provider", lambda: provider)
    monkeypatch.setattr("anthropic._tracing.trace.get_tracer", lambda *args, **kwargs: provider.get_tracer("anthropic"))
    client.messages.create(**ASK)
    client.messages.count_tokens(model="claude-x", messages=ASK["messages"])
    assert [span.name for span in sink.spans] == ["chat claude-x"]
    assert [span.name for span in own.get_finished_spans()] == ["anthropic.messages.count_tokens"]


def test_a_span_that_a_team_set_up_for_itself_stays(stub, sink):
    own = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(own))
    options = {"tracer_provider": provider}
    with anthropic.Anthropic(base_url=stub.url, api_key="k", max_retries=0, open_telemetry=options) as client:
        client.messages.create(**ASK)
    assert len(sink.spans) == len(own.get_finished_spans()) == 1


def test_counting_tokens_is_no_call(client, sink):
    client.messages.count_tokens(model="claude-x", messages=ASK["messages"])
    assert sink.spans == []


def test_tokens_are_capped_while_a_command_says_so(client, stub, command):
    client.messages.create(**ASK)
    cap = command("cap_tokens", peer=stub.peer, parameters={"max_tokens": 7})
    registry.apply(cap, guard_of("anthropic", stub.peer).clock() + 30)
    client.messages.create(**ASK)
    stub.answers(message_stream())
    list(client.messages.create(**ASK, stream=True))
    assert [seen.body["max_tokens"] for seen in stub.seen] == [100, 7, 7]


def test_a_refusal_is_an_error_of_the_client(ask, stub):
    guard_of("anthropic", stub.peer).force("open")
    with pytest.raises(anthropic.APIConnectionError) as refused:
        ask(lambda c: c.messages.create(**ASK))
    assert isinstance(refused.value, paramedic.Refused)
    assert stub.seen == []


def test_a_sync_call_that_hangs_is_seen_in_flight(client, stub):
    wait = threading.Event()
    stub.answers(_waiting(wait))
    thread = threading.Thread(target=lambda: client.messages.create(**ASK))
    thread.start()
    guard = guard_of("anthropic", stub.peer)
    while not stub.seen:
        thread.join(0.005)
    assert guard.in_flight()[0] == 1
    wait.set()
    thread.join()
    assert guard.in_flight()[0] == 0


def _waiting(wait):
    reply = message("Hello")
    return type(reply)(reply.body, wait=wait)


def test_a_raw_answer_is_read(client, sink):
    raw = client.messages.with_raw_response.create(**ASK)
    assert raw.parse().content[0].text == "Hello"
    assert about(sink.spans[0])["gen_ai.usage.output_tokens"] == 4


def test_a_raw_answer_that_becomes_a_stream_is_watched(client, stub, sink):
    stub.answers(message_stream())
    raw = client.messages.with_raw_response.create(**ASK, stream=True)
    assert len(list(raw.parse())) == 7
    assert about(sink.spans[0])["gen_ai.usage.output_tokens"] == 6
