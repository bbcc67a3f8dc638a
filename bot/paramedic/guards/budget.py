"""One budget of time for everything below: guards, their fallbacks, and the services they call.

    deadline(8.0) --> guard: min(its own 3 s, what is left) --> header `paramedic-deadline-ms` --> next service

The frame in one context variable says what the code that runs now is part of: which guarded call, which
level of fallback, and when its time is up. A frame can end the task that runs in it: one timer, one
`task.cancel()`, and the reason kept, so that whoever made the frame knows its own cancellation again.
"""

import asyncio
import math
import time
from contextvars import Context, ContextVar, Token
from enum import Enum
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from paramedic.request import Request

DEADLINE_HEADER = "paramedic-deadline-ms"


class Reason(Enum):
    """Why the SDK itself ends a call."""

    DEADLINE = "deadline"
    COMMAND = "command"


class Frame:
    """What the running code is part of.

    Attributes:
        call: The guarded call in progress; None outside one.
        ends_at: When the budget is used up, in seconds of `time.monotonic`; infinity without a budget.
        level: Of the fallback that is running, for the guard that it enters next.
        retry: How often the call was made before, for the guard that it enters next.
        idempotency_key: Of the logical call, for the guard that it enters next; on a call, its own.
        request: What is being served, when somebody said.
        interrupted: Why the SDK ended what runs in it; None when it did not.
        overtaken: Whether somebody else had cancelled the task before the SDK did.
    """

    # As defaults of the class they cost nothing on most frames.
    ends_at = math.inf
    level = retry = 0
    idempotency_key = ""
    request: "Request | None" = None
    interrupted: Reason | None = None
    overtaken = plain = False
    task: "asyncio.Task[Any] | None" = None
    token: "Token[Frame | None] | None" = None
    _timer: asyncio.TimerHandle | None = None
    _cancelling = 0  # cancellations of the task that were under way when the timer was set
    _call: Any = None

    def __init__(self, call: Any, ends_at: float, level: int = 0) -> None:
        self._call, self.ends_at, self.level = call, ends_at, level

    @property
    def call(self) -> Any:
        return self._call

    def inherit(self, outer: "Frame | None") -> "Frame":
        """The same, serving the request of the frame around it."""
        if outer is not None and outer.request is not None:
            self.request = outer.request
        return self

    def end_in(self, seconds: float, reason: Reason = Reason.DEADLINE) -> None:
        """Interrupt what runs in this frame after so many seconds, unless it has been settled by then."""
        task = self.task
        assert task is not None
        self._cancelling = task.cancelling()
        self._timer = task.get_loop().call_later(seconds, self.interrupt, reason, context=Context())  # holds no span

    def interrupt(self, reason: Reason) -> None:
        """End what runs in this frame now; on the thread of its event loop only.

        A command does nothing when somebody else's cancellation is under way. A timer cancels again, as
        nested `asyncio.timeout` do.
        """
        task = self.task
        if task is None or self.interrupted is not None:
            return
        if task.cancelling() > self._cancelling:
            if reason is Reason.COMMAND:
                return
            self.overtaken = not self._is_inside_interrupted()
        self.interrupted, self.plain = reason, False
        task.cancel()

    def settle(self) -> bool:
        """Stop the timer, and take back our own cancellation.

        Returns:
            Whether a cancellation that arrives here is ours alone.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.interrupted is None or self.task is None:
            return False
        return self.task.uncancel() <= self._cancelling

    def _is_inside_interrupted(self) -> bool:
        """Whether a frame further out has ended the task because of its own deadline."""
        inner: Frame | None = self
        while inner is not None and inner.token is not None:
            outer = inner.token.old_value
            inner = outer if isinstance(outer, Frame) else None
            if inner is not None and inner.interrupted is Reason.DEADLINE:
                return True
        return False


frame: ContextVar[Frame | None] = ContextVar("paramedic", default=None)


def leave_frame(token: Token[Frame | None]) -> None:
    """Go back to the frame before; a generator closed in another context has nothing to go back to."""
    try:
        frame.reset(token)
    except ValueError:
        return


def inherited_key() -> str:
    """The idempotency key that the guard which is entered next takes over; empty when it has none to take."""
    outer = frame.get()
    return "" if outer is None or outer.call is outer else outer.idempotency_key


def left_s() -> float:
    """Seconds that the surrounding budget leaves; infinity without one, never below 0.

    >>> paramedic.left_s()
    inf
    """
    now_in = frame.get()
    return math.inf if now_in is None else max(0.0, now_in.ends_at - time.monotonic())


class Block:
    """A frame for a block of code, with ``with`` or ``async with``; one block, once.

    Args:
        seconds: Its budget; infinity leaves that of the frame around it.
        level: Of the fallback in it; None leaves that of the frame around it.
        retry: How often the call in it was made before; None leaves that too.
        key: The idempotency key of the logical call in it; empty leaves that too.
    """

    def __init__(
        self, seconds: float = math.inf, *, level: int | None = None, retry: int | None = None, key: str = ""
    ) -> None:
        self._seconds, self._level, self._retry, self._key = seconds, level, retry, key

    def _enter(self) -> Frame:
        outer = frame.get() or _NOWHERE
        helps = outer.call is not outer  # and is no call itself
        ends_at = outer.ends_at if self._seconds == math.inf else time.monotonic() + self._seconds
        inner = Frame(outer.call, min(ends_at, outer.ends_at), outer.level if self._level is None else self._level)
        inner.inherit(outer)
        if self._retry is not None or (helps and outer.retry):
            inner.retry = outer.retry if self._retry is None else self._retry
        if self._key or (helps and outer.idempotency_key):
            inner.idempotency_key = self._key or outer.idempotency_key
        inner.token = frame.set(inner)
        self._frame = inner
        return inner

    def __enter__(self) -> Self:
        self._enter()
        return self

    def __exit__(self, *_: object) -> None:
        if self._frame.token is not None:
            leave_frame(self._frame.token)

    async def __aenter__(self) -> Self:
        inner = self._enter()
        if self._seconds != math.inf:
            inner.task = asyncio.current_task()
            inner.end_in(max(0.0, inner.ends_at - time.monotonic()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.__exit__()
        if self._frame.settle() and isinstance(error, asyncio.CancelledError):
            raise TimeoutError(f"not done within {self._seconds:g} s") from error


_NOWHERE = Frame(None, math.inf)


class deadline(Block):
    """One budget for everything in the block; an inner one can only shorten an outer one.

    ``with`` bounds the guards inside. ``async with`` also ends the block itself with `TimeoutError`
    when the time is up, wherever it waits.

    >>> with paramedic.deadline(2.0):
    ...     paramedic.Guard("search", deadline_s=30).run_sync(paramedic.left_s) <= 2.0
    True

    Args:
        seconds: The budget, 0 or more.

    Raises:
        ValueError: Not a number of seconds.
    """

    def __init__(self, seconds: float) -> None:
        if not seconds >= 0:
            raise ValueError(f"deadline needs 0 or more seconds, got {seconds!r}")
        super().__init__(seconds)
        self.seconds = seconds
