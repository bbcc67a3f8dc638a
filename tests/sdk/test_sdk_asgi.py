"""The ASGI middleware, under a real FastAPI app."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI, Response
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

import paramedic
from paramedic.asgi import Traced
from paramedic.telemetry.runtime import dropped, runtime


@pytest.fixture
def ask():
    app = FastAPI()
    guard = paramedic.Guard("llm", peer="aurora")

    @app.post("/chat/{user}")
    async def chat(user: str) -> dict[str, float]:
        async def left() -> float:
            return paramedic.left_s()

        return {"left_s": min(1e9, await guard.run(left))}

    @app.get("/teapot")
    async def teapot() -> Response:
        return Response(status_code=503)

    @app.get("/crash")
    async def crash() -> None:
        raise KeyError("secret")

    app.add_middleware(Traced)

    def ask(method, path, **headers):
        async def main():
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://bot") as client:
                return await client.request(method, path, headers=headers)

        return asyncio.run(main())

    return ask


def test_each_request_is_a_server_span_of_the_callers_trace(ask, sink):
    trace_id, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    ask("POST", "/chat/ann", traceparent=f"00-{trace_id}-{parent}-01")
    client, server = sink.spans
    assert server.name == "POST /chat/{user}"
    assert server.kind.name == "SERVER"
    assert (f"{server.context.trace_id:032x}", f"{server.parent.span_id:016x}") == (trace_id, parent)
    assert client.parent.span_id == server.context.span_id
    assert server.attributes["http.response.status_code"] == 200
    assert server.attributes["http.route"] == "/chat/{user}"
    assert "error.type" not in server.attributes


def test_the_callers_deadline_is_the_budget_of_the_guards(ask, sink):
    answer = ask("POST", "/chat/ann", **{"paramedic-deadline-ms": "5000"})
    assert 3 < answer.json()["left_s"] <= 5
    assert ask("POST", "/chat/ann").json()["left_s"] == 1e9


@pytest.mark.parametrize("nonsense", ["soon", "nan", "inf", ""])
def test_a_deadline_that_is_no_number_is_counted_and_ignored(ask, nonsense):
    before = dropped.counts.get("deadline header", 0)
    assert ask("POST", "/chat/ann", **{"paramedic-deadline-ms": nonsense}).json()["left_s"] == 1e9
    assert dropped.counts["deadline header"] == before + 1


def test_a_request_whose_time_is_up_makes_no_calls(ask, sink):
    assert ask("POST", "/chat/ann", **{"paramedic-deadline-ms": "-3"}).status_code == 500
    assert sink.spans[0].attributes["paramedic.refused.by"] == "deadline"


def test_errors_are_named_and_their_text_is_not_recorded(ask, sink):
    ask("GET", "/teapot")
    ask("GET", "/crash")
    teapot, crash = sink.spans
    assert (teapot.attributes["error.type"], teapot.status.status_code.name) == ("503", "ERROR")
    assert crash.attributes["error.type"] == "KeyError"
    assert crash.attributes["http.response.status_code"] == 500
    assert "secret" not in crash.to_json()


def test_paths_that_lead_nowhere_make_no_names(ask, sink):
    ask("GET", "/wp-login.php")
    assert sink.spans[0].name == "GET"


def test_without_telemetry_requests_pass(ask):
    assert runtime.tracer is None
    assert ask("POST", "/chat/ann").status_code == 200


@pytest.fixture
def fastapi_own():
    """What FastAPI's own telemetry exports."""
    return InMemorySpanExporter()


def served_by_fastapi(own, path, *, inside):
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(own))
    app = FastAPI(telemetry={"tracer_provider": provider, "metrics": False, "logs": False})

    @app.get("/{anything}")
    async def anything(anything: str) -> str:
        return anything

    if inside:
        app.add_middleware(Traced)

    async def main():
        transport = httpx.ASGITransport(app if inside else Traced(app))
        async with httpx.AsyncClient(transport=transport, base_url="http://bot") as client:
            return await client.get(path)

    assert asyncio.run(main()).status_code == 200


@pytest.mark.parametrize(("inside", "ours", "theirs"), [(False, 1, 0), (True, 0, 1)])
def test_a_request_is_one_server_span_also_when_fastapi_traces_by_itself(sink, fastapi_own, inside, ours, theirs):
    served_by_fastapi(fastapi_own, "/hello", inside=inside)
    assert sum(span.kind is SpanKind.SERVER for span in sink.spans) == ours
    assert sum(span.kind is SpanKind.SERVER for span in fastapi_own.get_finished_spans()) == theirs


def test_who_asks_whether_the_bot_lives_is_no_user(sink, fastapi_own):
    served_by_fastapi(fastapi_own, "/healthz", inside=False)
    assert (list(sink.spans), list(fastapi_own.get_finished_spans())) == ([], [])
