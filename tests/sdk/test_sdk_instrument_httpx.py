"""The real httpx and httpx2, instrumented, against a real server."""

import asyncio
import threading

import httpx
import httpx2
import openai
import pytest
from opentelemetry import context
from sdk_llm_stub import LlmStub, Reply, chat

import paramedic
from paramedic.instrument import instrument, uninstrument
from paramedic.instrument.client_guards import MOST, forget, guard_of
from paramedic.instrument.http_clients import _our_hosts


@pytest.fixture(autouse=True)
def instrumented():
    _our_hosts.cache_clear()
    instrument("httpx", "openai")
    yield
    uninstrument()
    forget()
    _our_hosts.cache_clear()


@pytest.fixture
def stub():
    with LlmStub(Reply({"ok": True})) as stub:
        yield stub


@pytest.fixture(params=[httpx, httpx2])
def package(request):
    return request.param


@pytest.fixture(params=["sync", "async"])
def ask(request, package, run):
    """`ask("GET", url, ...)` with either client of either package."""
    if request.param == "sync":

        def ask(*args, **kwargs):
            with package.Client(trust_env=False, verify=False) as client:
                return client.request(*args, **kwargs)

        return ask

    async def aask(*args, **kwargs):
        async with package.AsyncClient(trust_env=False, verify=False) as client:
            return await client.request(*args, **kwargs)

    return lambda *args, **kwargs: run(aask(*args, **kwargs))


def test_a_request_is_a_span_with_stable_names_and_nothing_private(ask, package, stub, sink):
    url = stub.url.replace("http://", "http://ann:secret@")
    assert type(ask("POST", f"{url}/orders?mail=ann@example.com", json={"a": 1})) is package.Response
    (span,) = sink.spans
    told = dict(span.attributes)
    host, port = stub.peer.split(":")
    assert (span.name, span.kind.name, told["service.peer.name"]) == ("POST", "CLIENT", stub.peer)
    assert (told["http.request.method"], told["http.response.status_code"]) == ("POST", 200)
    assert (told["server.address"], told["server.port"]) == (host, int(port))
    assert told["url.full"] == f"{stub.url}/orders"
    assert "secret" not in span.to_json()
    assert "example.com" not in span.to_json()


def test_the_trace_the_deadline_and_what_is_served_are_sent_on(ask, stub, sink):
    with paramedic.deadline(5), paramedic.request(criticality="low", residency={"eu"}):
        ask("GET", stub.url)
    headers, span = stub.seen[0].headers, sink.spans[0]
    assert headers["traceparent"].startswith(f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-")
    assert 4000 < int(headers["paramedic-deadline-ms"]) <= 5000
    assert (headers["paramedic-criticality"], headers["paramedic-residency"]) == ("low", "eu")


def test_headers_that_the_program_sets_itself_stand(ask, stub, sink):
    ask("GET", stub.url, headers={"traceparent": "mine"})
    assert stub.seen[0].headers["traceparent"] == "mine"


@pytest.mark.parametrize(("status", "counted"), [(503, "failed"), (404, "failed"), (302, "worked")])
def test_a_bad_status_is_told_and_the_response_is_given(ask, stub, sink, status, counted):
    stub.answers(Reply({"detail": "no"}, status))
    assert ask("GET", stub.url).json() == {"detail": "no"}
    told = dict(sink.spans[0].attributes)
    assert told["http.response.status_code"] == status
    assert told.get("error.type") == (str(status) if status >= 400 else None)
    assert guard_of("http", stub.peer).counts == {counted: 1}


def test_errors_are_the_clients_own(ask, package, sink):
    with pytest.raises(package.ConnectError):
        ask("GET", "http://127.0.0.1:9")
    assert sink.spans[0].attributes["error.type"] == "ConnectError"


def test_inside_a_guarded_call_its_span_is_enough(package, stub, sink):
    def order():
        with package.Client(trust_env=False, verify=False) as client:
            client.get(stub.url)
            client.get(f"{stub.url}/again")

    paramedic.Guard("orders", peer="orders").run_sync(order)
    (span,) = sink.spans
    assert (span.attributes["service.peer.name"], span.attributes["server.address"]) == ("orders", "127.0.0.1")
    assert [f"{span.context.span_id:016x}" in seen.headers["traceparent"] for seen in stub.seen] == [True, True]


def test_requests_of_a_recorded_client_of_models_are_not_recorded_twice(stub, sink):
    stub.answers(chat())
    with openai.OpenAI(base_url=f"{stub.url}/v1", api_key="k", max_retries=0) as client:
        with paramedic.deadline(60):
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
        client.models.list()
    assert [span.name for span in sink.spans] == ["chat m", "GET"]
    headers = stub.seen[0].headers
    assert f"{sink.spans[0].context.span_id:016x}" in headers["traceparent"]
    assert not any(name.startswith("paramedic") for name in headers)  # no business of a provider


@pytest.mark.parametrize("path", ["/v1/traces", "/otlp/v1/metrics", "/v1/logs"])
def test_telemetry_is_not_recorded(ask, stub, sink, path):
    ask("POST", stub.url + path)
    assert sink.spans == []
    assert "traceparent" not in stub.seen[0].headers


def test_what_goes_to_the_platform_is_not_recorded(ask, stub, sink, monkeypatch):
    monkeypatch.setenv("PARAMEDIC_URL", stub.url)
    ask("GET", f"{stub.url}/api/v1/incidents")
    assert sink.spans == []


def test_what_opentelemetry_asks_to_leave_alone_is_left_alone(package, stub, sink):
    token = context.attach(context.set_value("suppress_instrumentation", True))
    try:
        with package.Client(trust_env=False, verify=False) as client:
            client.get(stub.url)
    finally:
        context.detach(token)
    assert sink.spans == []


def test_a_refusal_is_an_error_of_the_client(ask, package, stub):
    guard_of("http", stub.peer).force("open")
    with pytest.raises(package.ConnectError) as refused:
        ask("GET", stub.url)
    assert isinstance(refused.value, paramedic.Refused)
    assert (str(refused.value.request.url), stub.seen) == (stub.url, [])


def test_a_deadline_ends_a_request_as_a_timeout_of_the_client(package, stub, sink, run):
    wait = threading.Event()
    stub.answers(Reply({}, wait=wait))

    async def late():
        async with package.AsyncClient(trust_env=False, verify=False) as client:
            with paramedic.deadline(0.05), pytest.raises(package.TimeoutException) as timeout:
                await client.get(stub.url)
            wait.set()
            return timeout.value

    assert isinstance(run(late()), TimeoutError)
    assert sink.spans[0].attributes["error.type"] == "timeout"


def test_a_cancelled_request_is_no_failure(package, stub, run):
    wait = threading.Event()
    stub.answers(Reply({}, wait=wait))

    async def give_up():
        async with package.AsyncClient(trust_env=False, verify=False) as client:
            asking = asyncio.create_task(client.get(stub.url))
            while not stub.seen:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            asking.cancel()
            await asyncio.wait([asking])
            wait.set()
            assert asking.cancelled()

    run(give_up())
    assert guard_of("http", stub.peer).counts == {"cancelled": 1}


def test_streamed_bodies_stay_streams(package, stub, sink):
    with package.Client(trust_env=False, verify=False) as client, client.stream("GET", stub.url) as response:
        assert b"".join(response.iter_bytes()) == b'{"ok": true}'
    assert len(sink.spans) == 1


def test_the_number_of_guards_is_bounded():
    names = {guard_of("http", f"host-{number}").peer for number in range(MOST + 10)}
    assert len(names) == MOST + 1
    assert guard_of("http", "one more").peer == "other"


def test_without_telemetry_requests_pass(ask, stub):
    assert ask("GET", stub.url).json() == {"ok": True}


def test_a_url_that_cannot_be_read_is_the_clients_own_business(ask, package):
    with pytest.raises((package.UnsupportedProtocol, package.InvalidURL)):
        ask("GET", "://")
