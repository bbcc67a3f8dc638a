"""Every error of the API is problem+json (RFC 9457), in one sentence, never a traceback."""

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.status import HTTP_413_CONTENT_TOO_LARGE
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from paramedic_detector.api.schemas import Problem
from paramedic_detector.desk import Conflict, Unknown
from paramedic_detector.store.store import Moved, StoreDown

log = logging.getLogger("paramedic.api")
LARGEST_BODY = 1024 * 1024  # bytes
TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    422: "Not understood",
    500: "Internal error",
    503: "Not available now",
}


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    body = Problem(title=TITLES.get(status, "Error"), status=status, detail=detail)
    return JSONResponse(body.model_dump(), status, headers, media_type="application/problem+json")


def install(app: FastAPI) -> None:
    """Give every error its problem."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Unknown, _unknown)
    app.add_exception_handler(Conflict, _conflict)
    app.add_exception_handler(Moved, _conflict)
    app.add_exception_handler(StoreDown, _store_down)
    app.add_middleware(LastResort)
    app.add_middleware(BodyLimit)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    detail = str(error.detail)
    if error.status_code == 404 and detail == "Not Found":
        detail = f"there is nothing at {request.url.path}; the API is described at /docs"
    if error.status_code == 405:
        detail = f"{request.method} does not work on {request.url.path}"
    return problem(error.status_code, detail, dict(error.headers or {}))


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    said = [".".join(str(part) for part in one["loc"]) + ": " + one["msg"] for one in error.errors()]
    return problem(422, "; ".join(said[:5]))


async def _unknown(_: Request, error: Exception) -> JSONResponse:
    return problem(404, str(error))


async def _conflict(_: Request, error: Exception) -> JSONResponse:
    return problem(409, str(error))


async def _store_down(_: Request, error: Exception) -> JSONResponse:
    return problem(503, f"the store cannot be reached ({error}); try again in a moment", {"Retry-After": "2"})


class LastResort:
    """A fault of ours is logged, and told without its inside."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = False

        async def noted(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception:
            log.exception("%s %s failed", scope.get("method", ""), scope.get("path", ""))
            if not began and scope["type"] == "http":
                await problem(500, "this is a fault of paramedic; its log says more")(scope, receive, send)


class BodyLimit:
    """Refuses bodies above LARGEST_BODY, said or streamed, before they are read whole."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        said = dict(scope["headers"]).get(b"content-length", b"0")
        if not said.isdigit() or int(said) > LARGEST_BODY:
            return await problem(413, _too_large())(scope, receive, send)
        got = 0

        async def counted() -> Message:
            nonlocal got
            message = await receive()
            got += len(message.get("body", b""))
            if got > LARGEST_BODY:
                raise HTTPException(HTTP_413_CONTENT_TOO_LARGE, _too_large())
            return message

        await self._app(scope, counted, send)


def _too_large() -> str:
    return f"a body may have at most {LARGEST_BODY // 1024} KiB"
