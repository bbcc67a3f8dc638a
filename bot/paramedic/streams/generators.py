"""Streams under guards: deadlines for the first token and for gaps, failover unseen until something useful is given.

    turns --Turn--> attempt: begin, chunks held back until a useful one --none, failed, refused--> the next turn
                       |
                       +--> chunks given at once --> end: worked | failed, late: StreamCut | closed by the caller

`streaming` and `streaming_sync` make the generator function that a caller uses, out of a name and of *turns*:
a function of the call's arguments that returns a generator. It yields a `Turn`, whom to ask; when that one is
refused, fails or helps nobody before its first useful chunk, it is sent the exception (`Refused`, `Useless`,
or what was raised), and yields the next turn, raises what the caller is to see, or returns the chunks of a
useless answer. A turn that gives something useful is the last: the generator is closed then. So a router writes

    def turns(args, kwargs):
        with deadline(8):
            errors = Errors(...)
            for guard, fn, probe in plan:
                errors.add((yield Turn(fn, guard, probe)))
            return errors.give_up()

    stream = streaming("llm", turns)

`turns` runs in a context of its own: what it enters around a ``yield`` stands for the attempts made there, and for
nobody else. Anything with the fields of a `Turn` will do. What is asked of the streams of a guard stands in its
`rules`.

Each attempt runs in a context of its own too, copied when it begins: spans made inside are children of the guard's
span, guards inside see its deadline, and nothing of it is current while the caller has a chunk.
"""

import functools
import types
from collections.abc import AsyncGenerator, Callable, Iterator
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Protocol

from paramedic.guards.recovering import Recovering, marks
from paramedic.guards.waits import waits
from paramedic.policy.streaming import IDLE, Says, StreamRules, not_empty
from paramedic.streams.attempts import Attempt
from paramedic.streams.steps import CANNOT_WAIT, CHUNK, Steps, at_once
from paramedic.streams.turns import Asks, IncompleteStream, StreamCut, Turn
from paramedic.streams.waiter import Waiter

if TYPE_CHECKING:
    from paramedic.guards.guard import Guard

__all__ = [
    "Asks",
    "IncompleteStream",
    "StreamCut",
    "Turn",
    "guarded",
    "guarded_sync",
    "rules",
    "streaming",
    "streaming_sync",
]


class Turns(Protocol):
    """What is needed of a generator of turns."""

    def __next__(self) -> Asks: ...
    def send(self, failure: Exception, /) -> Asks: ...
    def close(self) -> None: ...


@types.coroutine
def waiting(steps: Steps) -> Steps:
    """Steps, as something to await."""
    return (yield from steps)


def rules(
    guard: str, first_token_s: float | None, idle_s: float | None, useful: Says | None, ends: Says | None
) -> StreamRules:
    """What a guard asks of its streams.

    Raises:
        ValueError, TypeError: Something is out of range; the message names the guard and shows it.
    """
    try:
        return StreamRules(first_token_s, idle_s, useful or not_empty, ends)
    except (ValueError, TypeError) as error:
        raise type(error)(f"guard {guard!r}: {error}") from None


def guarded(guard: "Guard", fn: Callable[..., Any]) -> Callable[..., Any]:
    """An async generator function under a guard."""
    return _decorated(guard, fn, streaming(guard.name, functools.partial(_TurnsOf, guard, Turn(fn, guard))))


def guarded_sync(guard: "Guard", fn: Callable[..., Any]) -> Callable[..., Any]:
    """A generator function under a guard. It cannot be interrupted: what is late counts as such, and is given.

    Raises:
        TypeError: A fallback would have to be awaited.
    """
    for fallback in guard.fallbacks:
        if fallback.is_async:
            called = getattr(fn, "__qualname__", repr(fn))
            raise TypeError(f"guard {guard.name!r}: {called} is sync and cannot await {fallback.name}")
    return _decorated(guard, fn, streaming_sync(guard.name, functools.partial(_TurnsOf, guard, Turn(fn, guard))))


def _decorated(guard: "Guard", fn: Callable[..., Any], stream: Callable[..., Any]) -> Callable[..., Any]:
    functools.update_wrapper(stream, fn)
    stream.__guard__ = guard  # type: ignore[attr-defined]
    return stream


def streaming(name: str, turns: Callable[[Any, Any], Turns]) -> Callable[..., AsyncGenerator[Any, None]]:
    """An async generator function that asks those whose turn it is.

    Raises:
        StreamCut: From its iterator: it broke off after it had given useful chunks.
        Exception: What `turns` raises, when nobody gave anything useful.
    """

    async def stream(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        opened = await _opening(name, turns(args, kwargs), args, kwargs, Waiter())
        if not isinstance(opened, Attempt):
            for chunk in opened:
                yield chunk
            return
        attempt, progress, clock, run = opened, opened.progress, opened.clock, opened.run
        given, held_s, asking = 0, 0.0, False  # asking: whether the source is at work, or the caller
        try:
            since = clock()
            for chunk in progress.release():
                given += 1
                yield chunk
            send, box, watched = attempt.send, attempt.box, progress.watched
            while not attempt.over:
                now = clock()
                held_s += now - since
                asking = True
                if now >= progress.until:
                    raise attempt.overdue()
                try:
                    waits_for = run(send, None)
                except StopIteration:
                    break
                if waits_for is not CHUNK:
                    progress.asked_at = now
                    if not await attempt.waiting(waits_for):
                        break
                if watched:
                    progress.hear(box.chunk)
                given += 1
                asking = False
                since = clock()
                yield box.chunk
            asking = True
            progress.count(given, held_s)
            attempt.complete()
        except BaseException as error:
            progress.count(given, held_s)
            raise await waiting(attempt.leave(error, by_caller=not asking))  # noqa: B904

    return stream


def streaming_sync(name: str, turns: Callable[[Any, Any], Turns]) -> Callable[..., Iterator[Any]]:
    """As `streaming`, for sync sources."""

    def stream(*args: Any, **kwargs: Any) -> Iterator[Any]:
        opened = at_once(_opened(name, turns(args, kwargs), args, kwargs, None))
        if not isinstance(opened, Attempt):
            yield from opened
            return
        attempt, progress, clock, run = opened, opened.progress, opened.clock, opened.run
        given, held_s, asking = 0, 0.0, False
        try:
            since = clock()
            for chunk in progress.release():
                given += 1
                yield chunk
            send, box, watched, idle_s = attempt.send, attempt.box, progress.watched, progress.idle_s
            while not attempt.over:
                now = clock()
                held_s += now - since
                asking = True
                try:
                    waits_for = run(send, None)
                except StopIteration:
                    break
                if waits_for is not CHUNK:
                    raise TypeError(CANNOT_WAIT)
                if watched:
                    progress.hear(box.chunk)
                given += 1
                asking = False
                since = clock()
                if since - now > idle_s:
                    progress.late = progress.late or IDLE
                yield box.chunk
            asking = True
            progress.count(given, held_s)
            attempt.complete()
        except BaseException as error:
            progress.count(given, held_s)
            raise at_once(attempt.leave(error, by_caller=not asking))  # noqa: B904

    return stream


def _opened(name: str, turns: Turns, args: Any, kwargs: Any, waiter: Waiter | None) -> Steps:
    """The attempt that gives something useful, or the chunks of a useless answer when nobody does."""
    around = copy_context()  # what `turns` enters stands there, and is copied for each attempt
    run = around.run
    try:
        turn = run(next, turns)
        while True:
            if turn.wait_s > 0:
                yield from _pause(turn.wait_s, waiter)
            attempt = Attempt(name, turn, waiter, around.copy())
            try:
                yield from attempt.open(args, kwargs)
                return attempt
            except Exception as error:
                failure = error
            try:
                turn = run(turns.send, failure)
            finally:
                del failure  # it holds what it went through, and that is here
    except StopIteration as done:
        return done.value or ()
    finally:
        run(turns.close)


_opening = types.coroutine(_opened)  # the same, to be awaited


def _pause(seconds: float, waiter: Waiter | None) -> Steps:
    if waiter is None:
        waits.sleep(seconds)
    else:
        yield from waits.asleep(seconds).__await__()


class _TurnsOf:
    """The guarded function, again when that may help, then the fallbacks; as a generator of turns, at less cost."""

    _recovering: Recovering | None = None

    def __init__(self, guard: "Guard", first: Turn, args: Any, kwargs: Any) -> None:
        self._guard, self._first, self._args, self._kwargs = guard, first, args, kwargs

    def __next__(self) -> Turn:
        self._guard.keyed(self._args, self._kwargs).__enter__()
        self._since = marks.count
        return self._first

    def send(self, failure: Exception) -> Turn:
        if self._recovering is None:
            self._recovering = Recovering.of(self._guard, self._since)
        step = self._recovering.failed(failure)
        if step is None:
            raise StopIteration(self._recovering.give_up())
        if step.fn is None:
            return Turn(self._first.fn, self._guard, wait_s=step.wait_s, step=step)
        return Turn(step.fn, step=step)

    def close(self) -> None:
        """Nothing was begun that must be ended: the context of the turns goes with them."""
