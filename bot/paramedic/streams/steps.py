"""Streams of every kind taken step by step, each step inside a context of its own.

An async generator, a generator, an awaitable or a plain value becomes a *source*: a generator that yields
`CHUNK` when `chunk` has been put, and passes on unchanged what it waits for. A source of sync chunks never
waits, so one way of driving serves both. `Context.run` enters the context for a step and leaves it before
anything is yielded: nothing that code inside sets, a span or a variable, is ever seen outside, and
nothing has to be put back when a stream is closed elsewhere.
"""

import inspect
import sys
import types
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextvars import Context
from typing import Any

CHUNK: Any = object()  # what a source yields in place of a chunk, which is in its box
CANNOT_WAIT = "a sync stream cannot await: make the guarded function an async generator function"

Source = Generator[Any, Any, None]
Steps = Generator[Any, Any, Any]


class Box:
    """Where a source puts its chunk; apart from whoever drives it, so that the two make no circle."""

    __slots__ = ("chunk",)
    chunk: Any


def stream_of(made: Any) -> Any:
    """What a function returned, as an async generator or an iterator; anything else is a stream of one chunk."""
    if isinstance(made, types.AsyncGeneratorType) or hasattr(made, "__next__"):
        return made
    if hasattr(made, "__aiter__"):
        return _generator_of(made)
    return _answered(made) if inspect.isawaitable(made) else iter((made,))


def source_of(stream: Any, box: Box) -> Source:
    """The source for what `stream_of` gave."""
    if isinstance(stream, types.AsyncGeneratorType):
        return _async_chunks(box, stream)
    return _chunks(box, stream)


def closing(stream: Any) -> Steps:
    """Close what `stream_of` gave."""
    if isinstance(stream, types.AsyncGeneratorType):
        step: Any = stream.aclose()
        yield from step
    elif hasattr(stream, "close"):
        stream.close()


def inside(context: Context, steps: Steps) -> Steps:
    """Take all steps inside a context, and pass on what they wait for."""
    run = context.run
    try:
        waits_for = run(steps.send, None)
        while True:
            try:
                value = yield waits_for
            except GeneratorExit:
                run(steps.close)
                raise
            except BaseException as error:
                waits_for = run(steps.throw, error)
            else:
                waits_for = run(steps.send, value)
    except StopIteration as done:
        return done.value


def at_once(steps: Steps) -> Any:
    """The result of steps that wait for nothing."""
    try:
        steps.send(None)
    except StopIteration as done:
        return done.value
    steps.close()
    raise TypeError(CANNOT_WAIT)


def _async_chunks(box: Box, chunks: AsyncGenerator[Any, None]) -> Source:
    ask: Callable[[], Any] = chunks.__anext__  # what it gives can be iterated as well as awaited
    first = _unowned(ask)
    try:
        box.chunk = yield from first
        yield CHUNK
        while True:
            box.chunk = yield from ask()
            yield CHUNK
    except StopAsyncIteration:
        return


def _unowned(ask: Callable[[], Any]) -> Any:
    """The first step of an async generator that the event loop shall not close: its guard does, in its context."""
    first_step, finalizer = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, _leave_alone)
    try:
        return ask()
    finally:
        sys.set_asyncgen_hooks(first_step, finalizer)


def _leave_alone(_: Any) -> None:
    """Without this, one that is forgotten would be closed at once, and complain when it has to wait for that."""


def _chunks(box: Box, chunks: Iterator[Any]) -> Source:
    for box.chunk in chunks:
        yield CHUNK


async def _generator_of(made: Any) -> AsyncGenerator[Any, None]:
    """Clients' own classes: they iterate, and close in one way or another."""
    try:
        async for chunk in made:
            yield chunk
    finally:
        close = getattr(made, "aclose", None) or getattr(made, "close", None)
        closed = close() if callable(close) else None
        if inspect.isawaitable(closed):
            await closed


async def _answered(made: Any) -> AsyncGenerator[Any, None]:
    """An async function: its value is one chunk, unless it is a stream itself."""
    stream = stream_of(await made)
    if isinstance(stream, types.AsyncGeneratorType):
        try:
            async for chunk in stream:
                yield chunk
        finally:
            await stream.aclose()
    else:
        for chunk in stream:
            yield chunk
