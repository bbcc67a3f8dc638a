"""A client's stream watched while the program reads it; to the program it is the client's own object, unchanged.

request --begin--> Stream --its iterator replaced--> chunk, chunk, ... --> ended, failed, or left early
"""

import asyncio
import contextlib
import math
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import Context
from typing import Any

from paramedic.guards.attempts import Useless
from paramedic.guards.calls import Call
from paramedic.guards.guard import Guard
from paramedic.instrument.answering import Described
from paramedic.telemetry.runtime import dropped, log


class OpenCall:
    """A guarded call that lasts until its stream does; whatever happens first ends it, once.

    Everything runs in a context of its own: nothing is current in the program between two chunks.

    Args:
        guard: Whose call it is; None for one of a team's guard of streams, which ends it.
        call: The call.
        context: In which it began.
        described: Who notes what the stream says.
        as_own: Makes an error of ours one of the client's as well.
    """

    def __init__(
        self,
        guard: Guard | None,
        call: Call,
        context: Context,
        described: Described,
        as_own: Callable[[Exception], Exception],
    ) -> None:
        self.context, self.as_own = context, as_own
        self._guard, self._call, self._described = guard, call, described
        self._open = [True]
        self.stepping = False  # the client is at work on the next chunk
        self.watched = False  # somebody reads chunks

    def opened(self) -> None:
        """The client has its stream: from here on, who waits for a chunk bounds that wait."""
        if self._guard is not None:
            self._call.settle()
            self._call.task = None

    @property
    def left_s(self) -> float | None:
        """Seconds until its deadline; None without one, or when somebody else sees to it."""
        bounded = self._guard is not None and self._call.ends_at != math.inf
        return max(0.0, self._call.ends_at - time.monotonic()) if bounded else None

    def chunk(self, chunk: Any) -> None:
        if not self._over:
            self._described.chunk(chunk)

    def ended(self) -> None:
        """The stream came to its end, or what came was no stream of chunks."""
        if self._finish(whole=True) and self._guard is not None:
            try:
                self.context.run(self._guard.ended, self._call, None)
            except Useless:
                return  # the program has it already, and may make of it what it wants

    def failed(self, error: BaseException) -> None:
        """It broke.

        Raises:
            Exception: One that stands for the error, when a command or a deadline ended the call.
        """
        if self._finish(whole=False) and self._guard is not None:
            self.context.run(self._guard.failed, self._call, error)

    def closed(self) -> None:
        """The program closed what the stream comes from, or the client did so at its end."""
        if self.stepping or self._over:
            return  # at the end; that is told in another way
        if self._guard is not None and self._guard.locked:
            return self.let_go()
        if self.watched:
            self.failed(GeneratorExit())
        else:
            self.ended()  # read by other means than chunks

    def let_go(self) -> None:
        """Nobody has the stream any more. Told on a thread of its own: the garbage collector runs anywhere, also while
        this thread holds a lock that is needed for it."""
        if self._over:
            return
        tell = threading.Thread(target=self._tell_quietly, name="paramedic-let-go", daemon=True)
        with contextlib.suppress(RuntimeError):  # the interpreter is going as well
            tell.start()

    def _tell_quietly(self) -> None:
        with contextlib.suppress(Exception):
            if self.watched:
                self.failed(GeneratorExit())
            else:
                self.ended()

    def _finish(self, *, whole: bool) -> bool:
        try:
            self._open.pop()  # one step: a collector's thread and the program's may come at once
        except IndexError:
            return False
        if self.watched:
            self._described.streamed(whole=whole)
        return True

    @property
    def _over(self) -> bool:
        return not self._open


class _Watched:
    """Stands for a client's iterator; what else one may ask of that, it answers itself."""

    def __init__(self, inner: Any, open_call: OpenCall) -> None:
        self._inner, self._open = inner, open_call

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_inner"], name)

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # at the end of the process anything may be gone
            self._open.let_go()

    def _step_failed(self, error: BaseException) -> None:
        self._open.stepping = False
        self._open.failed(error)


class WatchedIterator(_Watched):
    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self._open.stepping = True
        try:
            chunk = next(self._inner)
        except StopIteration:
            self._open.stepping = False
            self._open.ended()
            raise
        except BaseException as error:
            self._step_failed(error)
            raise
        self._open.stepping = False
        self._open.chunk(chunk)
        return chunk


class WatchedAsyncIterator(_Watched):
    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        self._open.stepping = True
        left_s = self._open.left_s
        try:
            if left_s is None:
                chunk = await self._inner.__anext__()
            else:
                chunk = await self._in_time(left_s)
        except StopAsyncIteration:
            self._open.stepping = False
            self._open.ended()
            raise
        except BaseException as error:
            self._step_failed(error)
            raise
        self._open.stepping = False
        self._open.chunk(chunk)
        return chunk

    async def _in_time(self, left_s: float) -> Any:
        try:
            async with asyncio.timeout(left_s):
                return await self._inner.__anext__()
        except TimeoutError as error:
            raise self._open.as_own(error) from None


def watch(result: Any, open_call: OpenCall) -> None:
    """Watch what a client returned for a streaming request: a stream, or a raw response that gives one."""
    try:
        if hasattr(result, "_iterator") and hasattr(result, "response"):
            _watch_stream(result, open_call)
        elif hasattr(result, "parse") and hasattr(result, "http_response"):
            _watch_raw(result, open_call)
        else:
            dropped.add("unknown stream")
            open_call.ended()
    except Exception as error:
        dropped.add("instrument")
        log.debug("a stream is not watched: %r", error)
        open_call.ended()


def _watch_stream(stream: Any, open_call: OpenCall) -> None:
    if open_call.watched:
        return
    inner = stream._iterator
    watched = WatchedAsyncIterator if hasattr(inner, "__anext__") else WatchedIterator
    stream._iterator = watched(inner, open_call)
    open_call.watched = True
    _on_close(stream.response, open_call)


def _watch_raw(raw: Any, open_call: OpenCall) -> None:
    """A raw response: it becomes a stream when the program parses it, or never does."""
    _replace(raw, "parse", lambda parsed: _watch_parsed(parsed, open_call))
    _on_close(raw.http_response, open_call)
    weakref.finalize(raw, _forgotten, open_call).atexit = False


def _watch_parsed(parsed: Any, open_call: OpenCall) -> None:
    if hasattr(parsed, "_iterator") and hasattr(parsed, "response"):
        _watch_stream(parsed, open_call)


def _forgotten(open_call: OpenCall) -> None:
    if not open_call.watched:
        open_call.let_go()


def _on_close(response: Any, open_call: OpenCall) -> None:
    for name in ("close", "aclose"):
        if hasattr(response, name):
            _replace(response, name, lambda _: open_call.closed())


def _replace(owner: Any, name: str, then: Callable[[Any], None]) -> None:
    """Call `then` with what a method of this one object gives the first time, sync or async; then it is as it was."""
    original = getattr(owner, name)

    def called(*args: Any, **kwargs: Any) -> Any:
        for replaced in ("close", "aclose", "parse"):
            owner.__dict__.pop(replaced, None)
        given = original(*args, **kwargs)
        if hasattr(given, "__await__"):
            return awaited(given)
        then(given)
        return given

    async def awaited(given: Any) -> Any:
        result = await given
        then(result)
        return result

    setattr(owner, name, called)
