"""ASGI middleware: one SERVER span for each request, and what its caller says for all that it causes.

    traceparent, paramedic-deadline-ms, -criticality, -residency --> Traced --> the app, with its guards

Standard library and OpenTelemetry only: works with FastAPI, Starlette, Quart, or any other ASGI app.
"""

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

from opentelemetry import context, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from paramedic.contract.attributes import CANCELLED, ERROR_TYPE
from paramedic.guards.budget import DEADLINE_HEADER, deadline
from paramedic.request import CRITICALITY_HEADER, RESIDENCY_HEADER, Request, request
from paramedic.telemetry.runtime import dropped, runtime

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HEALTH_CHECKS = frozenset({"/healthz", "/readyz", "/livez"})
# In the scope of a request:
FASTAPI = "fastapi.telemetry"  # FastAPI's own record of it, None when it must not trace it
STARLETTE = "starlette.opentelemetry"  # Starlette's own middleware traces it, or must not
TRACED = "paramedic.traced"  # it came through here already
METHOD, ROUTE, STATUS = "http.request.method", "http.route", "http.response.status_code"


class Traced:
    """Wraps an ASGI app: ``app = Traced(app)``, or ``app.add_middleware(Traced)``.

    A request whose deadline header says that its time is up is still served: its guards refuse at once,
    and what needs no call is answered. A FastAPI that makes SERVER spans of its own (from 0.165 on) makes none for
    requests that come through here, and makes them alone when this stands inside of it; the same holds for Starlette's
    own middleware, and for this one when it stands twice: a request is counted once.

    Args:
        app: The ASGI app.
        exclude: Paths without a span: who asks whether a bot lives is no user.
    """

    def __init__(self, app: App, exclude: Collection[str] = HEALTH_CHECKS) -> None:
        self._app, self._exclude = app, frozenset(exclude)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._exclude:
            scope.setdefault(FASTAPI, None)
            scope[TRACED] = True
            return await self._app(scope, receive, send)
        if TRACED in scope:
            return await self._app(scope, receive, send)
        scope[TRACED] = True
        if runtime.forked:
            runtime.revive()
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        with _budget(headers), _request(headers) as served:
            if runtime.tracer is None or scope.get(FASTAPI) is not None or STARLETTE in scope:
                return await self._app(scope, receive, send)
            scope[FASTAPI], scope[STARLETTE] = None, True
            parent = TraceContextTextMapPropagator().extract(headers)
            about = {METHOD: scope["method"], "url.path": scope["path"], **(served.attributes if served else {})}
            span = runtime.tracer.start_span(
                f"{scope['method']} {scope['path']}", parent, SpanKind.SERVER, about, record_exception=False
            )
            await self._traced(span, parent, scope, receive, send)

    async def _traced(self, span: Span, parent: context.Context, scope: Scope, receive: Receive, send: Send) -> None:
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        token = context.attach(trace.set_span_in_context(span, parent))
        try:
            await self._app(scope, receive, watched)
            _finish(span, scope, status, str(status) if status >= 500 else None)
        except asyncio.CancelledError:
            span.set_attribute(CANCELLED, True)
            _finish(span, scope, status, None)
            raise
        except Exception as error:
            _finish(span, scope, status or 500, type(error).__name__)
            raise
        finally:
            context.detach(token)
            span.end()


def _finish(span: Span, scope: Scope, status: int, error_type: str | None) -> None:
    route = getattr(scope.get("route"), "path", None)
    if route:
        mounted_at = scope.get("root_path", "").removeprefix(scope.get("app_root_path", scope.get("root_path", "")))
        route = mounted_at.removesuffix(route) + route
        span.set_attribute(ROUTE, route)
        span.update_name(f"{scope['method']} {route}")
    elif status == 404:
        span.update_name(scope["method"])  # scanners must not make a series for each path that they guess
    if status:
        span.set_attribute(STATUS, status)
    if error_type is not None:
        span.set_attribute(ERROR_TYPE, error_type)
        span.set_status(Status(StatusCode.ERROR))


def _request(headers: dict[str, str]) -> "contextlib.AbstractContextManager[Request | None]":
    if CRITICALITY_HEADER not in headers and RESIDENCY_HEADER not in headers:
        return contextlib.nullcontext()
    return request.from_headers(headers)


def _budget(headers: dict[str, str]) -> "contextlib.AbstractContextManager[Any]":
    left = headers.get(DEADLINE_HEADER)
    if left is None:
        return contextlib.nullcontext()
    try:
        left_ms = float(left)
        if math.isfinite(left_ms):
            return deadline(max(0.0, left_ms / 1000))
    except ValueError:
        left = None
    dropped.add("deadline header")
    return contextlib.nullcontext()
