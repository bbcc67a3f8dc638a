"""The clients of OpenAI and Anthropic, which one generator makes: all their calls go through one method, `request`.

    client.chat.completions.create(...) --> request --> no question to a model? as ever
                                               |
                                               +--> in a guard of the team: its span says what was asked and answered
                                               +--> else: a guard of the client's own, a call
                                               +--> streams: the same, if that guard is one of streams; else a guard
                                                    of the client's own, until the last chunk

The program gets what the client gives, as the client gives it.
"""

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from importlib import import_module
from typing import Any

from paramedic.genai.requests import Asked, read_request
from paramedic.guards.attempts import Useless
from paramedic.guards.calls import Call, current_call
from paramedic.guards.guard import Guard
from paramedic.guards.refusals import Refused
from paramedic.instrument.answering import Described
from paramedic.instrument.client_errors import as_clients
from paramedic.instrument.client_guards import guard_of
from paramedic.instrument.patches import replace, replace_property
from paramedic.instrument.talking import Talking, talking
from paramedic.instrument.watching import OpenCall, watch
from paramedic.streams.steps import inside
from paramedic.telemetry.runtime import dropped, log

Request = Callable[..., Any]
# What OpenAI's client makes of an answer that is cut or refused: the provider is not at fault.
_NOBODYS_FAULT = ("LengthFinishReasonError", "ContentFilterFinishReasonError")
_NO_ANSWER = {"request": None, "body": None, "code": None, "param": None, "type": None}


def patch(name: str) -> None:
    """Have all clients of this package, there already or made later, be recorded."""
    base = import_module(f"{name}._base_client")
    vendor = Vendor(name)
    for class_name, recorded in (("SyncAPIClient", vendor.sync), ("AsyncAPIClient", vendor.asynchronous)):
        client = getattr(base, class_name, None)
        if isinstance(client, type):
            replace(client, "request", recorded)
        else:
            log.warning("%s is not instrumented: this version has no %s", name, class_name)
    if isinstance(client := getattr(base, "BaseClient", None), type):
        replace_property(client, "_tracer", _unless_recorded)


def _unless_recorded(tracer: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Anthropic's client makes a span of its own, to the same exporter: a call is one span.

    One that a team set up for itself, with another provider or for content, stays.
    """

    def own_tracer(client: Any) -> Any:
        options = getattr(client, "_open_telemetry", None) or {}
        for_itself = "tracer_provider" in options or options.get("traces", {}).get("content_mode") == "content"
        return None if talking.get() and not for_itself else tracer(client)

    return own_tracer


class Vendor:
    """One of the packages."""

    def __init__(self, name: str) -> None:
        self.name = name
        package = import_module(name)
        self._ignored = tuple(getattr(package, error) for error in _NOBODYS_FAULT if hasattr(package, error))

    def sync(self, original: Request) -> Request:
        def request(client: Any, *args: Any, **kwargs: Any) -> Any:
            asked = self._asked(client, args, kwargs)
            if asked is None:
                return original(client, *args, **kwargs)
            made = _Made(original, client, args, kwargs, asked)
            ask = self._stream if kwargs.get("stream") else self._ask
            try:
                return ask(made)
            except (Refused, TimeoutError) as error:
                raise self._as_own(error) from None

        return request

    def asynchronous(self, original: Request) -> Request:
        async def request(client: Any, *args: Any, **kwargs: Any) -> Any:
            asked = self._asked(client, args, kwargs)
            if asked is None:
                return await original(client, *args, **kwargs)
            made = _Made(original, client, args, kwargs, asked)
            ask = self._astream if kwargs.get("stream") else self._aask
            try:
                return await ask(made)
            except (Refused, TimeoutError) as error:
                raise self._as_own(error) from None

        return request

    def _asked(self, client: Any, args: Any, kwargs: Any) -> Asked | None:
        try:
            options = _options(args, kwargs)
            return read_request(options.url, options.json_data, str(client.base_url), self.name)
        except Exception as error:
            dropped.add("instrument")
            log.debug("a request of %s could not be read: %r", self.name, error)
            return None

    # One answer

    def _ask(self, made: "_Made") -> Any:
        outer = current_call()
        if outer.describes(made.asked.attributes):
            return made.now(Described(outer, made.asked, own=False))
        try:
            return self._guard(made).attempt_sync(lambda: made.now(_own(made)), (), {})
        except Useless as useless:
            return useless.result

    async def _aask(self, made: "_Made") -> Any:
        outer = current_call()
        if outer.describes(made.asked.attributes):
            return await made.soon(Described(outer, made.asked, own=False))
        try:
            return await self._guard(made).attempt(lambda: made.soon(_own(made)), (), {})
        except Useless as useless:
            return useless.result

    # A stream of chunks

    def _stream(self, made: "_Made") -> Any:
        open_call, described = self._open(made, None)
        try:
            result = open_call.context.run(made.sent, described)
        except BaseException as error:
            open_call.failed(error)
            raise
        watch(result, open_call)
        return result

    async def _astream(self, made: "_Made") -> Any:
        open_call, described = self._open(made, asyncio.current_task())
        try:
            result = await _inside(open_call.context, made.asent(described))
            open_call.opened()
        except BaseException as error:
            open_call.failed(error)
            raise
        watch(result, open_call)
        return result

    def _open(self, made: "_Made", task: "asyncio.Task[Any] | None") -> tuple[OpenCall, Described]:
        outer, context = current_call(), copy_context()
        if outer.streamed and outer.describes(made.asked.attributes):
            described = Described(outer, made.asked, own=False)
            return OpenCall(None, outer, context, described, self._as_own), described
        guard = self._guard(made)
        call = context.run(guard.begin, task)
        if task is not None and call.timeout_s is not None:
            call.end_in(call.timeout_s)
        call.describes(made.asked.attributes)
        described = Described(call, made.asked, own=True)
        return OpenCall(guard, call, context, described, self._as_own), described

    def _guard(self, made: "_Made") -> Guard:
        return guard_of(self.name, made.asked.peer, self._ignored)

    def _as_own(self, error: Exception) -> Exception:
        late = isinstance(error, TimeoutError)
        base = getattr(import_module(self.name), "APITimeoutError" if late else "APIConnectionError", None)
        return as_clients(error, base, **_NO_ANSWER)


class _Made:
    """A request on its way to the client's own method."""

    def __init__(self, original: Request, client: Any, args: Any, kwargs: Any, asked: Asked) -> None:
        self.asked = asked
        self._original, self._client, self._args, self._kwargs = original, client, args, kwargs

    def sent(self, described: Described) -> Any:
        args, kwargs = self._capped(described)
        with Talking():
            return self._original(self._client, *args, **kwargs)

    async def asent(self, described: Described) -> Any:
        args, kwargs = self._capped(described)
        with Talking():
            return await self._original(self._client, *args, **kwargs)

    def now(self, described: Described) -> Any:
        try:
            result = self.sent(described)
        except Exception as error:
            described.answered(getattr(error, "completion", None))  # one that the client would not parse
            raise
        described.answered(_body_of(result))
        return result

    async def soon(self, described: Described) -> Any:
        try:
            result = await self.asent(described)
        except Exception as error:
            described.answered(getattr(error, "completion", None))
            raise
        described.answered(_body_of(result))
        return result

    def _capped(self, described: Described) -> tuple[Any, Any]:
        """The arguments, with fewer tokens asked for when a command says so."""
        if described.body is None:
            return self._args, self._kwargs
        try:
            options = _options(self._args, self._kwargs)
            copied = options.model_copy(update={"json_data": described.body})
        except Exception as error:
            dropped.add("cap_tokens")
            log.debug("the tokens of a request could not be capped: %r", error)
            return self._args, self._kwargs
        if "options" in self._kwargs:
            return self._args, {**self._kwargs, "options": copied}
        return (self._args[0], copied, *self._args[2:]), self._kwargs


@types.coroutine
def _inside(context: Context, coroutine: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
    return (yield from inside(context, coroutine))  # type: ignore[arg-type]


def _own(made: _Made) -> Described:
    call: Call = current_call()
    call.describes(made.asked.attributes)
    return Described(call, made.asked, own=True)


def _options(args: Any, kwargs: Any) -> Any:
    return kwargs["options"] if "options" in kwargs else args[1]


def _body_of(result: Any) -> Any:
    """The answer itself, also when the program asked for the raw response; None when its body is not here yet."""
    response = getattr(result, "http_response", None)
    if response is None or not hasattr(result, "parse"):
        return result
    try:
        return response.json()
    except Exception:  # not read yet, or no JSON: the program's business
        return None
