"""One attempt at a stream, from asking its guard to telling it how the stream went.

    begin --> open: steps until the first useful chunk --> the shell's steps, one a chunk --> complete or leave
                 |                                             |
                 +---- Waiter: one timer, re-armed lazily -----+

All here serves async and sync streams alike; the shells in `streams` only give the chunks to the caller.
"""

import asyncio
import contextlib
import functools
import threading
import time
import types
from collections.abc import Callable, Generator
from contextvars import Context
from typing import TYPE_CHECKING, Any

from paramedic.policy.streaming import NO_RULES, Late, Progress
from paramedic.streams.steps import CANNOT_WAIT, CHUNK, Box, Steps, closing, inside, source_of, stream_of
from paramedic.streams.turns import Asks, IncompleteStream, StreamCut
from paramedic.streams.waiter import NOTHING, Waiter

if TYPE_CHECKING:
    from paramedic.guards.attempts import Attempts
    from paramedic.guards.calls import Call


class Attempt:
    """One attempt. Its context is its own: nothing that runs inside is seen outside, and nothing must be put back.

    Attributes:
        box: Has the last chunk that came.
        progress: What it has given.
        over: Whether it ended before it was opened; what was held back is all there is.
        run: Calls something inside its context.
        send: Takes the next step of its source; to be called by `run`.
    """

    over = False
    send: Callable[[Any], Any]
    _throw: Callable[[BaseException], Any]
    progress: Progress
    _call: "Call | None" = None
    _stream: Any = ()

    def __init__(self, name: str, turn: Asks, waiter: Waiter | None, context: Context) -> None:
        self._name, self._turn, self._guard, self.waiter = name, turn, turn.guard, waiter
        self._context, self.run, self.box = context, context.run, Box()
        if waiter is not None:
            self.clock: Callable[[], float] = waiter.clock
        else:
            self.clock = time.monotonic if turn.guard is None else turn.guard.clock

    def open(self, args: Any, kwargs: Any) -> Steps:
        """Go on until its first useful chunk has come, or it has ended without one.

        Raises:
            Refused: It was not made.
            Useless: It ended and helps nobody.
            Exception: What broke it.
        """
        self._begin()
        try:
            self._stream = stream_of(self.run(self._turn.fn, *args, **kwargs))
            source = source_of(self._stream, self.box)
            self.send, self._throw = source.send, source.throw
            while True:
                try:
                    waits_for = self.run(self.send, None)
                except StopIteration:
                    break
                if waits_for is not CHUNK and not (yield from self.wait(waits_for)):
                    break
                if self.progress.opens(self.box.chunk):
                    return self._opened()
            self._fail_if_incomplete()
        except BaseException as error:
            raise (yield from self.leave(error))  # noqa: B904
        self.over = True
        self._end_empty()

    def wait(self, waits_for: Any) -> Generator[Any, Any, bool]:
        """Pass on what it waits for until a chunk is here; False when it has ended instead."""
        waiter, run, send = self.waiter, self.run, self.send
        if waiter is None:
            raise TypeError(CANNOT_WAIT)
        try:
            while waits_for is not CHUNK:
                if waiter.attentive and waiter.must_interrupt():
                    waits_for = run(self._throw, asyncio.CancelledError())
                    continue
                waiter.waits_for = waits_for
                try:
                    value = yield waits_for
                except BaseException as error:
                    waiter.hear_out()
                    waits_for = run(self._throw, error)
                else:
                    waits_for = run(send, value)
        except StopIteration:
            if waiter.interrupted:
                raise asyncio.CancelledError from None  # an end that the interruption brought about is none
            return False
        waiter.waits_for = NOTHING
        if waiter.alarmed:
            waiter.forgive()
        return True

    waiting = types.coroutine(wait)  # the same, to be awaited

    def complete(self) -> None:
        """It has ended after useful chunks.

        Raises:
            IncompleteStream: Not with the chunk that says so.
        """
        self._fail_if_incomplete()
        call, late = self._taken(), self.progress.late
        if call is None or self._guard is None:
            return
        try:
            if late is None:
                self.run(self._guard.ended, call, self.progress.kept)
            else:  # of a sync stream, which could not be interrupted
                self.run(self._guard.failed, call, self._timeout(late))
        except Exception:  # useless or late: what was given cannot be taken back
            return

    def overdue(self) -> BaseException:
        """What ends it when its next chunk must not be asked for any more."""
        assert self.waiter is not None
        return self.waiter.overdue()

    def leave(self, error: BaseException, by_caller: bool = False) -> Generator[Any, Any, BaseException]:
        """It is over before its end: close it, tell the guard, and give what the caller is to see.

        Args:
            error: What ended it.
            by_caller: Whether the caller ended it, between two chunks.
        """
        if self.waiter is not None:
            self.waiter.disarm()
        try:
            with contextlib.nullcontext() if by_caller else contextlib.suppress(Exception):
                yield from inside(self._context, closing(self._stream))
        finally:
            seen = self._fail(GeneratorExit() if by_caller else error)
        return error if by_caller else self._cut(seen)

    def _begin(self) -> None:
        turn, guard, rules, deadline_s = self._turn, self._guard, NO_RULES, None
        waiter: Any = self.waiter
        if turn.step is not None:
            self.run(turn.step.block().__enter__)
            deadline_s = turn.step.deadline_s
        if guard is not None:
            self._call = call = self.run(guard.begin, waiter, turn.probe)
            call.streamed = True
            deadline_s, rules = call.timeout_s, getattr(guard, "rules", NO_RULES)
        self.progress = progress = Progress(rules, self.clock(), None if waiter is None else deadline_s)
        if guard is not None and guard.checks:
            progress.keep()
        if rules is not NO_RULES:
            progress.fault = functools.partial(_fault, guard)  # does not keep this attempt alive, as a method would
        if waiter is not None:
            waiter.follow(progress)

    def _opened(self) -> None:
        waiter = self.waiter
        if self._call is not None:
            self._call.first_token()
        if waiter is None:
            self.progress.late = self.progress.lateness(self.clock())
        else:
            waiter.attentive = True  # the gaps between chunks may be bounded closer than the time to the first
            if waiter.timer is not None:
                waiter.disarm()

    def _end_empty(self) -> None:
        call = self._taken()
        if call is not None and self._guard is not None:
            if call.useless_as is None:
                call.useless("empty")
            self.run(self._guard.ended, call, self.progress.held_back)

    def _fail_if_incomplete(self) -> None:
        if not self.progress.complete:
            raise IncompleteStream(f"{self._name!r} stopped without the chunk that says it is complete")

    def _fail(self, error: BaseException) -> BaseException:
        late, waiter = self.progress.late, self.waiter
        if late is not None and waiter is not None and not (_is_cancelled(error) and waiter.cancelling()):
            error, broken = self._timeout(late), error
            error.__cause__ = None if _is_cancelled(broken) else broken
        call, guard = self._taken(), self._guard
        if call is None or guard is None:
            return error
        if self.waiter is None and isinstance(error, GeneratorExit) and guard.locked:
            self._tell_later(guard, call)
            return error
        cause = error.__cause__ if isinstance(error, StreamCut) else None
        try:
            self.run(guard.failed, call, cause or error)
        except Exception as other:
            return other
        return error

    def _cut(self, error: BaseException) -> BaseException:
        ignored = () if self._guard is None else self._guard.ignore
        if not self.progress.opened or not isinstance(error, Exception) or isinstance(error, ignored):
            return error
        cut = StreamCut(self._name, self.progress.given)
        cut.__cause__ = error
        return cut

    def _timeout(self, late: Late) -> TimeoutError:
        return TimeoutError(f"{self._name!r} {late.value} {self.progress.limit_of(late):g} s")

    def _taken(self) -> "Call | None":
        """The call, for the one who ends it. The time for which the caller held chunks is not the callee's."""
        call, self._call = self._call, None
        if self.waiter is not None and self.waiter.timer is not None:
            self.waiter.disarm()
        if call is not None and self.progress.held_s > 0:
            call.started += self.progress.held_s
            if self.waiter is not None and call.timeout_s is not None:
                call.timeout_s = max(0.0, call.timeout_s - self.progress.held_s)
        return call

    def _tell_later(self, guard: "Attempts", call: "Call") -> None:
        """On a thread of its own: a collector runs anywhere, also while this thread holds the lock of the guard."""
        thread = threading.Thread(target=self.run, args=(_let_go, guard, call), name="paramedic-let-go", daemon=True)
        with contextlib.suppress(RuntimeError):  # the interpreter is going as well
            thread.start()

    def __del__(self) -> None:
        """Nobody closed it: its event loop is gone."""
        if self._call is not None and self._guard is not None:
            self._tell_later(self._guard, self._call)


def _let_go(guard: "Attempts", call: "Call") -> None:
    with contextlib.suppress(Exception):
        guard.failed(call, GeneratorExit())


def _fault(guard: "Attempts | None", rule: str, error: Exception) -> None:
    if guard is not None:
        guard.fault(rule, f"guard %r: its rule {rule!r} fails with %r; chunks are taken as good", error)


def _is_cancelled(error: BaseException) -> bool:
    return isinstance(error, asyncio.CancelledError)
