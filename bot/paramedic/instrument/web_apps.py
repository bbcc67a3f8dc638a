"""Starlette and FastAPI: every app that is served is wrapped in `paramedic.asgi.Traced`, from outside of all else."""

from collections.abc import Awaitable, Callable
from functools import partial
from importlib import import_module
from typing import Any

from paramedic.asgi import Receive, Scope, Send, Traced
from paramedic.instrument.patches import replace
from paramedic.telemetry.runtime import log

_CLASSES = {"starlette": "Starlette", "fastapi": "FastAPI"}
_SERVED = "_paramedic_served"

Call = Callable[[Any, Scope, Receive, Send], Awaitable[None]]


def patch(name: str) -> None:
    """Have all apps of this package, there already or made later, be recorded."""
    app = getattr(import_module(f"{name}.applications"), _CLASSES[name], None)
    if isinstance(app, type):
        replace(app, "__call__", _recorded)
    else:
        log.warning("%s is not instrumented: this version has no %s", name, _CLASSES[name])


def _recorded(original: Call) -> Call:
    async def called(app: Any, scope: Scope, receive: Receive, send: Send) -> None:
        await _serving(app, original)(scope, receive, send)

    return called


def _serving(app: Any, original: Call) -> Any:
    """The app as it is served: wrapped, unless the team did so itself, with its own list of paths to leave out."""
    known = app.__dict__.setdefault(_SERVED, {})  # by method: that of a subclass calls that of its base
    if original not in known:
        plain = partial(original, app)
        theirs = any(getattr(middleware, "cls", None) is Traced for middleware in getattr(app, "user_middleware", ()))
        known[original] = plain if theirs else Traced(plain)
    return known[original]
