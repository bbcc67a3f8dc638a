"""Reading answers of language models by their shape, from dictionaries and from the clients' own classes."""

import pytest
from anthropic.types import Message
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response

import paramedic
from paramedic import genai
from paramedic.genai.content import answered_content, asked_content
from paramedic.genai.requests import provider_of, read_request
from paramedic.telemetry.runtime import dropped


def chat(content="Hello", reason="stop", **message):
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-2024",
        "choices": [
            {"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": content, **message}}
        ],
        "usage": {
            "prompt_tokens": 12,
            "completion_tokens": 3,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 8},
            "completion_tokens_details": {"reasoning_tokens": 2},
        },
    }


TOOL = {"id": "c1", "type": "function", "function": {"name": "track", "arguments": "{}"}}


def message(*blocks, reason="end_turn"):
    usage = {
        "input_tokens": 10,
        "output_tokens": 4,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 20,
    }
    about = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_sequence": None}
    return {**about, "content": list(blocks), "stop_reason": reason, "usage": usage}


def said(text):
    return {"type": "text", "text": text}


def response(*items, status="completed", **more):
    usage = {"input_tokens": 7, "output_tokens": 9, "total_tokens": 16}
    usage["input_tokens_details"] = {"cached_tokens": 5, "cache_write_tokens": 1}
    usage["output_tokens_details"] = {"reasoning_tokens": 6}
    about = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "gpt-5",
        "tools": [],
        "tool_choice": "auto",
    }
    return {**about, "output": list(items), "status": status, "usage": usage, "tool_choice": "auto", **DEFAULTS, **more}


DEFAULTS = {"parallel_tool_calls": True}


def put_out(*content):
    return {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": list(content)}


OUT = {"type": "output_text", "text": "Hello", "annotations": []}


@pytest.mark.parametrize("form", [lambda raw: raw, ChatCompletion.model_validate])
def test_a_chat_completion_says_its_model_tokens_and_reasons(form):
    reading = genai.read_answer(form(chat()))
    assert (reading.model, reading.id, reading.finish_reasons) == ("gpt-4o-2024", "chatcmpl-1", ("stop",))
    assert (reading.input_tokens, reading.output_tokens, reading.cache_read) == (12, 3, 8)
    assert (reading.usage.reasoning, reading.useless) == (2, None)


@pytest.mark.parametrize("form", [lambda raw: raw, Message.model_validate])
def test_input_tokens_of_anthropic_are_all_of_them(form):
    reading = genai.read_answer(form(message(said("Hi"))))
    assert (reading.input_tokens, reading.output_tokens) == (130, 4)
    assert (reading.cache_read, reading.cache_write) == (100, 20)
    assert reading.finish_reasons == ("end_turn",)


@pytest.mark.parametrize("form", [lambda raw: raw, Response.model_validate])
def test_a_response_of_openai_is_read(form):
    reading = genai.read_answer(form(response(put_out(OUT))))
    assert (reading.input_tokens, reading.output_tokens, reading.cache_read, reading.cache_write) == (7, 9, 5, 1)
    assert (reading.usage.reasoning, reading.useless) == (6, None)


@pytest.mark.parametrize(
    ("answer", "useless"),
    [
        (chat(), None),
        (chat(content=" \n"), "empty"),
        (chat(content=None), "empty"),
        (chat(content=None, tool_calls=[TOOL]), None),
        (chat(content=[{"type": "text", "text": "x"}]), None),
        (chat(reason="length"), "cut"),
        (chat(content="", reason="length"), "cut"),
        (chat(content="", reason="content_filter"), "refused"),
        (chat(content=None, refusal="I cannot help with that."), "refused"),
        (chat(reason=None), None),  # many servers that speak like OpenAI leave it out
        ({**chat(), "choices": []}, "empty"),
        ({**chat(), "choices": [*chat(content="")["choices"], *chat()["choices"]]}, None),
        (message(said("Hi")), None),
        (message(), "empty"),
        (message(said(" ")), "empty"),
        (message({"type": "thinking", "thinking": "hm", "signature": ""}), "empty"),
        (message({"type": "tool_use", "id": "t", "name": "track", "input": {}}, reason="tool_use"), None),
        (message(said("Hi"), reason="max_tokens"), "cut"),
        (message(reason="refusal"), "refused"),
        (response(put_out(OUT)), None),
        (response(), "empty"),
        (response({"type": "reasoning", "id": "r", "summary": []}), "empty"),
        (response({"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"}), None),
        (response(put_out({"type": "refusal", "refusal": "No."})), "refused"),
        (response(put_out(OUT, {"type": "refusal", "refusal": "No more."})), None),
        (response(put_out(OUT), status="incomplete", incomplete_details={"reason": "max_output_tokens"}), "cut"),
        (response(status="incomplete", incomplete_details={"reason": "content_filter"}), "refused"),
        (response(status="failed"), "empty"),
        (response(put_out(OUT), status="failed"), "cut"),
        (response(status="queued"), None),
        ({"object": "list", "data": [{"embedding": [0.1]}], "model": "e"}, None),
        ({"object": "list", "data": [], "model": "e"}, "empty"),
        ({"choices": [{"text": "x", "finish_reason": "stop"}]}, None),
        ("Hello", None),
        ("  ", "empty"),
        (None, "empty"),
        (42, None),
        ({"weather": "fine"}, None),
    ],
)
def test_an_answer_that_helps_nobody_is_told_from_one_that_does(answer, useless):
    assert genai.check(answer) == useless


def test_other_classes_of_openai_are_read():
    text = {"id": "c", "object": "text_completion", "created": 1, "model": "m"}
    done = Completion.model_validate({**text, "choices": [{"index": 0, "text": "", "finish_reason": "length"}]})
    assert genai.check(done) == "cut"
    vector = {"object": "embedding", "index": 0, "embedding": [0.5]}
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    listed = CreateEmbeddingResponse.model_validate({"object": "list", "model": "e", "data": [vector], "usage": usage})
    assert genai.read_answer(listed).input_tokens == 3


def delta(reason=None, **delta):
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt", "choices": [choice]}


USAGE = {"id": "c", "model": "gpt", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}


def event(kind, **more):
    return {"type": kind, **more}


START = event("message_start", message={**message(), "usage": {"input_tokens": 10, "output_tokens": 1}})
STOP = [event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 6}), event("message_stop")]


def block(**delta):
    return event("content_block_delta", index=0, delta=delta)


STREAMS = {
    "chat": ([delta(role="assistant", content=""), delta(content="Hi"), delta("stop"), USAGE], 1, None),
    "chat with a tool": ([delta(tool_calls=[TOOL]), delta("tool_calls")], 0, None),
    "chat that says nothing": ([delta(role="assistant", content=""), delta("stop")], None, "empty"),
    "chat that stops": ([delta(content="Hi"), delta(content=" th")], 0, "cut"),
    "chat that stops before it begins": ([delta(role="assistant")], None, "empty"),
    "chat out of tokens": ([delta(content="Hi"), delta("length")], 0, "cut"),
    "chat filtered": ([delta(content="Hi"), delta("content_filter")], 0, "refused"),
    "chat refused": ([delta(refusal="No"), delta("stop")], 0, "refused"),
    "only thoughts": ([delta(reasoning_content="hm"), delta("stop")], 0, "empty"),
    "messages": ([START, event("ping"), block(type="text_delta", text="Hi"), *STOP], 2, None),
    "messages that stop": ([START, block(type="text_delta", text="Hi")], 1, "cut"),
    "messages out of tokens": (
        [START, block(type="text_delta", text="Hi"), event("message_delta", delta={"stop_reason": "max_tokens"})],
        1,
        "cut",
    ),
    "messages that say nothing": ([START, *STOP], None, "empty"),
    "messages with a tool": (
        [START, event("content_block_start", index=0, content_block={"type": "tool_use", "id": "t"}), *STOP],
        1,
        None,
    ),
    "responses": (
        [
            event("response.created", response=response(status="in_progress")),
            event("response.output_text.delta", delta="Hi"),
            event("response.completed", response=response(put_out(OUT))),
        ],
        1,
        None,
    ),
    "responses that stop": (
        [
            event("response.created", response=response(status="in_progress")),
            event("response.output_text.delta", delta="Hi"),
        ],
        1,
        "cut",
    ),
    "responses that are incomplete": (
        [
            event("response.output_text.delta", delta="Hi"),
            event(
                "response.incomplete",
                response=response(
                    put_out(OUT), status="incomplete", incomplete_details={"reason": "max_output_tokens"}
                ),
            ),
        ],
        0,
        "cut",
    ),
    "texts": (["", "Hi"], 1, None),
    "no texts": (["", ""], None, "empty"),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_read_as_it_passes(name):
    chunks, first, useless = STREAMS[name]
    reader = genai.ChunkReader()
    fed = [reader.feed(chunk) for chunk in chunks]
    assert (fed.index(True) if True in fed else None) == first
    assert reader.reading.useless == useless
    assert [genai.useful(chunk) for chunk in chunks] == fed
    assert genai.check(chunks) == useless


def test_only_a_stream_that_nobody_ended_is_unfinished():
    readers = {name: genai.ChunkReader() for name in STREAMS}
    for name, reader in readers.items():
        for chunk in STREAMS[name][0]:
            reader.feed(chunk)
    unfinished = {name for name, reader in readers.items() if reader.reading.unfinished}
    assert unfinished == {name for name in STREAMS if "stop" in name}


@pytest.mark.parametrize(("name", "tokens"), [("chat", (5, 2)), ("messages", (10, 6)), ("responses", (7, 9))])
def test_the_last_count_of_tokens_in_a_stream_holds(name, tokens):
    reader = genai.ChunkReader()
    for chunk in STREAMS[name][0]:
        reader.feed(chunk)
    assert (reader.reading.input_tokens, reader.reading.output_tokens) == tokens


def test_chunks_of_the_clients_own_class_are_read():
    chunk = ChatCompletionChunk.model_validate(delta("stop", content="Hi"))
    assert (genai.useful(chunk), genai.ends(chunk)) == (True, True)
    assert genai.ends(ChatCompletionChunk.model_validate(delta(content="Hi"))) is False


@pytest.mark.parametrize(
    ("chunk", "last"), [(STOP[1], True), (STOP[0], False), (event("response.completed"), True), ("text", False)]
)
def test_a_stream_has_one_chunk_without_which_it_is_not_whole(chunk, last):
    assert genai.ends(chunk) is last


def test_a_chunk_of_a_teams_own_class_is_useful_when_it_is_true():
    assert genai.useful({"token": "x"})
    assert not genai.useful(())


NAMES = (
    *("choices", "delta", "message", "content", "usage", "output", "status", "data", "object", "type", "model", "id"),
    *("finish_reason", "text", "response", "item", "input_tokens", "prompt_tokens", "cache_read_input_tokens"),
    *("index", "refusal", "content_block", "stop_reason", "incomplete_details"),
)
KINDS = ("message", "message_start", "message_delta", "response.completed", "content_block_delta", "list", "text_delta")
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES), inner | st.sampled_from(KINDS), max_size=6)
    ),
    max_leaves=15,
)


@given(answer=ANY)
def test_nothing_that_a_client_may_give_makes_reading_raise(answer):
    genai.check(answer)
    genai.read_answer([answer, answer])
    assert isinstance(genai.useful(answer) or genai.ends(answer), bool)


class Odd:
    @property
    def choices(self):
        raise RuntimeError("not read yet")


def test_what_cannot_be_read_is_counted_and_taken_for_good():
    before = dropped.counts.get("genai reading", 0)
    assert genai.check(Odd()) is None
    assert dropped.counts["genai reading"] == before + 1


def test_an_answer_is_described_on_the_guarded_call(sink):
    guard = paramedic.Guard("llm", peer="aurora")
    assert guard.run_sync(lambda: genai.describe(chat(content=""))).useless == "empty"
    about = sink.spans[0].attributes
    assert (about["gen_ai.usage.input_tokens"], about["gen_ai.response.model"]) == (12, "gpt-4o-2024")
    assert (about["paramedic.useless"], guard.counts["worked"]) == ("empty", 1)
    assert genai.describe(chat()).output_tokens == 3  # outside of a call too


def test_a_request_says_what_it_asks_and_whom():
    body = {"model": "gpt-4o", "max_tokens": 50, "temperature": 0, "stream": True}
    asked = read_request("/chat/completions", body, "https://api.openai.com/v1/", "openai")
    assert (asked.span_name, asked.peer) == ("chat gpt-4o", "openai")
    assert asked.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.request.max_tokens": 50,
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.stream": True,
        "server.address": "api.openai.com",
        "server.port": 443,
    }


@pytest.mark.parametrize(
    ("path", "url", "vendor", "peer"),
    [
        ("/chat/completions", "http://127.0.0.1:9101/v1/", "openai", "127.0.0.1:9101"),
        ("/chat/completions", "https://llm.internal/v1/", "openai", "llm.internal"),
        ("/chat/completions", "https://acme.openai.azure.com/openai/", "openai", "azure.ai.openai"),
        ("/v1/messages?beta=true", "https://api.anthropic.com", "anthropic", "anthropic"),
        ("/chat/completions", "https://evil-api.openai.com.example/", "openai", "evil-api.openai.com.example"),
        ("/embeddings", "", "openai", "openai"),
    ],
)
def test_a_peer_is_a_known_provider_or_an_address(path, url, vendor, peer):
    assert read_request(path, {"model": "m"}, url, vendor).peer == peer


@pytest.mark.parametrize("path", ["/models", "/v1/messages/batches", "/threads/t_1/messages", "/files", ""])
def test_other_requests_are_no_questions_to_a_model(path):
    assert read_request(path, {"model": "m"}, "http://x", "openai") is None


def test_a_host_belongs_to_a_provider_by_its_whole_end():
    assert provider_of("bedrock-runtime.eu-west-1.amazonaws.com") == "aws.bedrock"
    assert provider_of("notamazonaws.com") == ""


@pytest.mark.parametrize(
    ("path", "url", "body", "capped"),
    [
        ("/chat/completions", "http://x", {"max_tokens": 100}, {"max_tokens": 10}),
        ("/chat/completions", "http://x", {"max_completion_tokens": 100}, {"max_completion_tokens": 10}),
        ("/chat/completions", "http://x", {"max_tokens": 9}, None),
        ("/chat/completions", "http://x", {}, {"max_tokens": 10}),
        ("/chat/completions", "https://api.openai.com", {}, {"max_completion_tokens": 10}),
        ("/responses", "http://x", {}, {"max_output_tokens": 10}),
        ("/v1/messages", "http://x", {"max_tokens": 100}, {"max_tokens": 10}),
        ("/embeddings", "http://x", {}, None),
    ],
)
def test_a_cap_of_tokens_goes_into_the_field_that_the_server_knows(path, url, body, capped):
    whole = {"model": "m", **body}
    asked = read_request(path, whole, url, "openai")
    assert asked.capped(10) == (None if capped is None else {"model": "m", **capped})
    assert whole == {"model": "m", **body}


def test_content_has_the_form_of_the_conventions():
    asked = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "image_url"}]}]}
    assert asked_content(asked)["gen_ai.input.messages"] == (
        '[{"role": "user", "parts": [{"type": "text", "content": "Hi"}, {"type": "image_url"}]}]'
    )
    assert "Hello" in answered_content(chat())["gen_ai.output.messages"]
    assert "Hello" in answered_content(response(put_out(OUT)))["gen_ai.output.messages"]
    assert "Hey" in answered_content(message(said("Hey")))["gen_ai.output.messages"]
