"""httpx and httpx2, which are alike: every request of a client goes through one method, `send`.

client.get(...) --> send --> headers: the trace, the deadline, what is being served
                      |
                      +--> inside a guarded call: no more than that, its span is the call's
                      +--> else: a guard of the host's own, a CLIENT span, a call
"""

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from os import environ
from typing import Any, Final
from urllib.parse import urlsplit

from opentelemetry import context

from paramedic.genai.requests import SERVER_ADDRESS, SERVER_PORT
from paramedic.guards.calls import Call, current_call
from paramedic.guards.guard import Guard
from paramedic.guards.refusals import Refused
from paramedic.instrument.client_errors import as_clients
from paramedic.instrument.client_guards import guard_of
from paramedic.instrument.patches import replace
from paramedic.instrument.talking import talking
from paramedic.telemetry.runtime import dropped, log

Send = Callable[..., Any]

METHOD: Final = "http.request.method"
STATUS: Final = "http.response.status_code"
URL: Final = "url.full"  # without what may be private: no query, no user, no password

_PORTS = {"http": 80, "https": 443}
_SUPPRESSED = "suppress_instrumentation"  # what OpenTelemetry's own exporters say around their requests
_OTLP = ("/v1/traces", "/v1/metrics", "/v1/logs")
_GUARD = "http"


def patch(name: str) -> None:
    """Have all clients of this package, there already or made later, be recorded."""
    package = import_module(name)
    recorder = Recorder(package)
    for class_name, recorded in (("Client", recorder.sync), ("AsyncClient", recorder.asynchronous)):
        client = getattr(package, class_name, None)
        if isinstance(client, type):
            replace(client, "send", recorded)
        else:
            log.warning("%s is not instrumented: this version has no %s", name, class_name)


class BadStatus(Exception):
    """Inside this module only: an answer whose status says that the call failed. The program gets the answer."""

    def __init__(self, response: Any) -> None:
        super().__init__(response.status_code)
        self.response, self.status_code = response, response.status_code


class Recorder:
    """One of the packages."""

    def __init__(self, package: Any) -> None:
        self._package = package

    def sync(self, original: Send) -> Send:
        def send(client: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
            guard = _guard_for(request)
            if guard is None:
                return original(client, request, *args, **kwargs)

            def sent() -> Any:
                call = _begun(request)
                return _judged(call, original(client, request, *args, **kwargs))

            try:
                return guard.attempt_sync(sent, (), {})
            except BadStatus as bad:
                return bad.response
            except (Refused, TimeoutError) as error:
                raise self._as_own(error, request) from None

        return send

    def asynchronous(self, original: Send) -> Send:
        async def send(client: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
            guard = _guard_for(request)
            if guard is None:
                return await original(client, request, *args, **kwargs)

            async def sent() -> Any:
                call = _begun(request)
                return _judged(call, await original(client, request, *args, **kwargs))

            try:
                return await guard.attempt(sent, (), {})
            except BadStatus as bad:
                return bad.response
            except (Refused, TimeoutError) as error:
                raise self._as_own(error, request) from None

        return send

    def _as_own(self, error: Exception, request: Any) -> Exception:
        late = isinstance(error, TimeoutError)
        base = getattr(self._package, "ReadTimeout" if late else "ConnectError", None)
        return as_clients(error, base, _request=request)


def _guard_for(request: Any) -> Guard | None:
    """The guard of a request that is a call of its own; the headers of one that is part of another are set here."""
    try:
        url = urlsplit(str(request.url))
        if context.get_value(_SUPPRESSED) or _is_ours(url.hostname or "", url.port, url.path):
            return None
        outer = current_call()
        if outer.guard is not None or talking.get():
            _part_of(outer, request)
            return None
        port = "" if url.port in (None, _PORTS.get(url.scheme)) else f":{url.port}"
        return guard_of(_GUARD, f"{url.hostname}{port}")
    except Exception as error:
        _lost(error)
        return None


def _part_of(outer: Call, request: Any) -> None:
    """A request inside a guarded call: that call's span tells of it, the first time."""
    if talking.get():  # to a provider: the trace, and nothing of ours
        return _send_on(request, {name: value for name, value in Guard.headers().items() if name.startswith("trace")})
    _send_on(request, Guard.headers())
    if outer.said is None or SERVER_ADDRESS not in outer.said:
        for name, value in _where(request).items():
            outer.set(name, value)


def _begun(request: Any) -> Call:
    call = current_call()
    try:
        _send_on(request, Guard.headers())
        if call.span is not None:
            call.span.update_name(str(request.method))
        for name, value in {METHOD: str(request.method), **_where(request), URL: _public(request)}.items():
            call.set(name, value)
    except Exception as error:
        _lost(error)
    return call


def _judged(call: Call, response: Any) -> Any:
    """The response, unless it says that the call failed.

    Raises:
        BadStatus: It does.
    """
    status = getattr(response, "status_code", None)
    if isinstance(status, int):
        call.set(STATUS, status)
        if status >= 400:
            raise BadStatus(response)
    return response


def _send_on(request: Any, headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if name not in request.headers:
            request.headers[name] = value


def _where(request: Any) -> dict[str, str | int]:
    url = urlsplit(str(request.url))
    return {SERVER_ADDRESS: url.hostname or "", SERVER_PORT: url.port or _PORTS.get(url.scheme, 443)}


def _public(request: Any) -> str:
    url = urlsplit(str(request.url))
    host = url.netloc.rpartition("@")[2]
    return f"{url.scheme}://{host}{url.path}"


@cache
def _our_hosts() -> frozenset[tuple[str, int | None]]:
    told = [environ.get("PARAMEDIC_URL", "")]
    told += [value for name, value in environ.items() if name.startswith("OTEL_EXPORTER_OTLP_") and "://" in value]
    urls = [urlsplit(value) for value in told if value]
    return frozenset((url.hostname, url.port) for url in urls if url.hostname)


def _is_ours(host: str, port: int | None, path: str) -> bool:
    """Whether a request is telemetry, or goes to the platform: never recorded, or it would never end."""
    return path.endswith(_OTLP) or (host, port) in _our_hosts()


def _lost(error: Exception) -> None:
    dropped.add("instrument")
    log.debug("a request could not be recorded: %r", error)
