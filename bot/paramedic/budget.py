"""One budget of time for everything below: guards, their fallbacks, and the services they call.

    deadline(8.0) --> guard: min(its own 3 s, what is left) --> header `paramedic-deadline-ms` --> next service

The frame in one context variable says what the code that runs now is part of: which guarded call, which
level of fallback, and when its time is up.
"""

import asyncio
import math
import time
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paramedic.request import Request

DEADLINE_HEADER = "paramedic-deadline-ms"


class Frame:
    """What the running code is part of.

    Attributes:
        call: The guarded call in progress; None outside one.
        ends_at: When the budget is used up, in seconds of `time.monotonic`; infinity without a budget.
        level: Of the fallback that is running, for the guard that it enters next.
        request: What is being served, when somebody said.
    """

    ends_at = math.inf
    level = 0
    request: "Request | None" = None
    _call: Any = None

    def __init__(self, call: Any, ends_at: float, level: int = 0) -> None:
        self._call, self.ends_at, self.level = call, ends_at, level

    def inherit(self, outer: "Frame | None") -> "Frame":
        """The same, serving the request of the frame around it."""
        if outer is not None and outer.request is not None:
            self.request = outer.request
        return self

    @property
    def call(self) -> Any:
        return self._call


frame: ContextVar[Frame | None] = ContextVar("paramedic", default=None)


def leave_frame(token: Token[Frame | None]) -> None:
    """Go back to the frame before; a generator closed in another context has nothing to go back to."""
    try:
        frame.reset(token)
    except ValueError:
        return


class Below:
    """Runs a fallback: the guard that it enters next stands at `level`; all else stays."""

    def __init__(self, level: int) -> None:
        self._level = level

    def __enter__(self) -> None:
        outer = frame.get()
        call, ends_at = (None, math.inf) if outer is None else (outer.call, outer.ends_at)
        self._token = frame.set(Frame(call, ends_at, self._level).inherit(outer))

    def __exit__(self, *_: object) -> None:
        leave_frame(self._token)


def left_s() -> float:
    """Seconds that the surrounding budget leaves; infinity without one, never below 0."""
    now_in = frame.get()
    return math.inf if now_in is None else max(0.0, now_in.ends_at - time.monotonic())


class deadline:
    """One budget for everything in the block; an inner one can only shorten an outer one.

    ``with`` bounds the guards inside. ``async with`` also ends the block itself with `TimeoutError`
    when the time is up, wherever it waits.

    Args:
        seconds: The budget, 0 or more.

    Raises:
        ValueError: Not a number of seconds.
    """

    def __init__(self, seconds: float) -> None:
        if not seconds >= 0:
            raise ValueError(f"deadline needs 0 or more seconds, got {seconds!r}")
        self.seconds = seconds

    def __enter__(self) -> "deadline":
        outer = frame.get()
        ends_at = time.monotonic() + self.seconds
        if outer is None:
            outer = Frame(None, math.inf)
        self._token = frame.set(Frame(outer.call, min(ends_at, outer.ends_at), outer.level).inherit(outer))
        return self

    def __exit__(self, *_: object) -> None:
        leave_frame(self._token)

    async def __aenter__(self) -> "deadline":
        self.__enter__()
        left = left_s()
        self._timeout = asyncio.timeout(None if math.isinf(left) else left)
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.__exit__()
        await self._timeout.__aexit__(kind, error, where)
