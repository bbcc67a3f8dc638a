"""What the scenarios ask of a library, and how a library says that it has no such thing.

    scenario --> Library.breaker(ask, ...) --> the guarded function, or None: not offered

A library is driven as its own documentation tells, with the options that fit best. `note` says, per scenario, what
a reader must know about how it was driven.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, ClassVar, Literal

Ask = Callable[[], Awaitable[str]]
Stream = Callable[[], AsyncIterator[str]]
Verdict = Literal["right", "wrong", "not offered"]

END = "<end>"  # the last chunk of a stream, as a provider's `finish_reason` is


@dataclass(frozen=True, slots=True)
class Cell:
    """What one library did in one scenario."""

    verdict: Verdict
    what: str


@dataclass(frozen=True, slots=True)
class Forced:
    """A guarded function that can be closed by hand."""

    ask: Ask
    close: Callable[[float], Awaitable[None] | None]  # for so many seconds; a library may know no such thing as time
    lasts: bool = False  # whether closing takes a time


@dataclass(frozen=True, slots=True)
class Limited:
    """At most so many calls at once."""

    ask: Ask
    refusals: tuple[type[BaseException], ...] = field(default=())


class Library:
    """Offers nothing: a library's own class says what it has.

    Attributes:
        name: As people call it.
        package: As it is installed.
        unit_s: The time scale of its scenarios: the deadline of a call.
        retry_after_s: What a 429 asks for; well above the pause that it would make by itself.
        note: By scenario, what a reader must know.
        stream_deadlines: Whether it can bound a stream in time.
    """

    name: ClassVar[str] = ""
    package: ClassVar[str] = ""
    unit_s: ClassVar[float] = 0.05
    retry_after_s: ClassVar[float] = 0.3
    note: ClassVar[dict[str, str]] = {}
    stream_deadlines: ClassVar[bool] = False

    @property
    def version(self) -> str:
        return version(self.package)

    async def begin(self) -> None:
        """Get ready, in the event loop of the scenarios."""

    async def end(self) -> None:
        """Let go of what was begun."""

    def breaker(self, ask: Ask, *, failures: int, rest_s: float) -> Ask | None:
        """Opens after so many failures in a row, and lets one call try after a rest."""
        return None

    def on_async(self, ask: Ask, *, failures: int, rest_s: float) -> Ask | None:
        """The breaker around an async function, as its decorator makes it."""
        return self.breaker(ask, failures=failures, rest_s=rest_s)

    def bounded(self, ask: Ask, *, failures: int, deadline_s: float, fallback: Ask) -> Ask | None:
        """A breaker around a deadline, and a fallback around both where there is one."""
        return None

    def guarded(self, ask: Ask, *, failures: int, limit: int) -> Ask | None:
        """All that it has against a caller who gives up: breaker, limit of calls at once, retries."""
        return self.breaker(ask, failures=failures, rest_s=60)

    def limited(self, ask: Ask, *, limit: int, wait_s: float) -> Limited | None:
        """At most `limit` calls at once; others wait for `wait_s` where they can, else are refused."""
        return None

    def retrying(self, ask: Ask, *, attempts: int, base_s: float) -> Ask | None:
        """So many attempts in all, with all that it has to keep retries in check."""
        return None

    def patient(self, ask: Ask, *, attempts: int, base_s: float) -> Ask | None:
        """Retries that mind Retry-After where it can."""
        return self.retrying(ask, attempts=attempts, base_s=base_s)

    def stream(self, source: Stream, *, fallback: Stream, idle_s: float, deadline_s: float) -> Stream | None:
        """A guarded stream of chunks."""
        return None

    def forced(self, ask: Ask, *, rest_s: float) -> Forced | None:
        """Closed by hand, by an operator or from afar."""
        return None

    def checked(self, ask: Ask, *, good: Callable[[str], bool], fallback: Ask) -> Ask | None:
        """Asks the fallback when an answer is no good."""
        return None

    def forkable(self, blocking: Callable[[], str], awaited: Ask) -> Callable[[], str] | None:
        """A guard of at most one call at once, called from any thread; around one of the two."""
        return None


def retry_after_of(error: BaseException) -> float | None:
    """What a team writes itself for a library that lets it."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    return float(headers["retry-after"]) if "retry-after" in headers else None


def not_offered(why: str = "") -> Cell:
    return Cell("not offered", why)


def said(right: bool, what: str) -> Cell:
    return Cell("right" if right else "wrong", what)


def timed(times: float) -> str:
    """A multiple of some time, as precise as a shared machine allows."""
    return f"{times:.1f}"


async def bounded(coming: Coroutine[Any, Any, Any], patience_s: float) -> tuple[Exception | None, bool]:
    """Wait for something, at most so long: its error, and whether it had to be given up."""
    task = asyncio.ensure_future(coming)
    done, _ = await asyncio.wait({task}, timeout=patience_s)
    if done:
        error = task.exception()
        return error if isinstance(error, Exception) else None, False
    task.cancel()
    await asyncio.wait({task}, timeout=1)
    return None, True
