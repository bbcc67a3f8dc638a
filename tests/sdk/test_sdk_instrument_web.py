"""FastAPI and Starlette apps that know nothing of paramedic, instrumented."""

import asyncio

import fastapi
import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.opentelemetry import OpenTelemetryMiddleware
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

import paramedic
from paramedic.asgi import Traced
from paramedic.instrument import instrument, uninstrument


@pytest.fixture(autouse=True)
def instrumented():
    instrument("fastapi", "starlette")
    yield
    uninstrument()


def ask(app, path, root_path="", **headers):
    async def main():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, root_path=root_path)
        async with httpx.AsyncClient(transport=transport, base_url="http://bot") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(main())


async def hello(request):
    served = paramedic.request.current()
    return JSONResponse([served.criticality, sorted(served.residency or ()), min(9, paramedic.left_s())])


def starlette(**more):
    return Starlette(routes=[Route("/users/{user}", hello), Mount("/in", routes=[Route("/{deep}", hello)])], **more)


def fast(**more):
    app = FastAPI(**more)

    @app.get("/users/{user}")
    async def users(request: fastapi.Request):
        return await hello(request)

    return app


@pytest.mark.parametrize("make", [fast, starlette])
def test_a_request_is_one_server_span_named_after_its_route(make, sink):
    assert ask(make(), "/users/ann").status_code == 200
    (span,) = sink.spans
    assert (span.name, span.kind, span.attributes["http.route"]) == (
        "GET /users/{user}",
        SpanKind.SERVER,
        "/users/{user}",
    )


def test_the_route_of_a_mounted_app_is_whole(sink):
    outer = fast()
    outer.mount("/sub", starlette())
    ask(outer, "/proxy/sub/users/ann", root_path="/proxy")
    ask(outer, "/proxy/sub/in/there", root_path="/proxy")
    assert [span.name for span in sink.spans] == ["GET /sub/users/{user}", "GET /sub/in/{deep}"]


def test_what_the_caller_says_is_heard(sink):
    headers = {"paramedic-criticality": "low", "paramedic-deadline-ms": "500", "paramedic-residency": "eu"}
    for app in (fast(), starlette()):
        criticality, residency, left_s = ask(app, "/users/ann", **headers).json()
        assert (criticality, residency) == ("low", ["eu"])
        assert 0 < left_s <= 0.5
    assert ask(starlette(), "/users/ann").json() == ["", [], 9]
    assert sink.spans[0].attributes["service.criticality"] == "low"


@pytest.mark.parametrize("make", [fast, starlette])
def test_a_team_that_wraps_its_app_itself_gets_its_own_wrapping(make, sink):
    ask(Traced(make(), exclude={"/users/ann"}), "/users/ann")
    assert sink.spans == []
    inside = make()
    inside.add_middleware(Traced, exclude={"/users/ann"})
    ask(inside, "/users/ann")
    assert sink.spans == []
    ask(inside, "/users/bob")
    assert len(sink.spans) == 1


def test_a_request_is_one_server_span_also_when_a_framework_traces_by_itself(sink):
    own = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(own))
    ask(fast(telemetry={"tracer_provider": provider, "metrics": False, "logs": False}), "/users/ann")
    ask(starlette(middleware=[Middleware(OpenTelemetryMiddleware, tracer_provider=provider)]), "/users/ann")
    assert len(sink.spans) == 2
    assert [span.kind for span in own.get_finished_spans() if span.kind is SpanKind.SERVER] == []


def test_the_middleware_of_starlette_around_us_traces_alone(sink):
    own = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(own))
    ask(OpenTelemetryMiddleware(starlette(), tracer_provider=provider), "/users/ann")
    assert (len(sink.spans), len(own.get_finished_spans())) == (0, 1)


def test_lifespans_and_websockets_work_as_ever(sink):
    app, events = fast(), []

    @app.websocket("/ws")
    async def echo(socket: fastapi.WebSocket):
        await socket.accept()
        await socket.send_text(await socket.receive_text())

    app.router.on_startup.append(lambda: events.append("up"))
    with TestClient(app) as client, client.websocket_connect("/ws") as socket:
        socket.send_text("hi")
        assert socket.receive_text() == "hi"
    assert events == ["up"]


def test_health_checks_are_no_users(sink):
    assert ask(fast(), "/healthz").status_code == 404
    assert sink.spans == []


def test_an_app_made_before_is_recorded_and_one_after_uninstrumenting_is_not(sink):
    uninstrument()
    app = starlette()
    ask(app, "/users/ann")
    assert sink.spans == []
    instrument("starlette")
    ask(app, "/users/ann")
    assert len(sink.spans) == 1


@pytest.mark.parametrize("make", [fast, starlette])
def test_without_telemetry_requests_pass(make):
    assert ask(make(), "/users/ann").status_code == 200
