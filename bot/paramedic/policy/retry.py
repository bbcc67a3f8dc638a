"""Which failed calls are made again, after which wait, and how many of a dependency's calls may be.

    failed --worth repeating?--> wait: chance * min(5 s, 0.2 s * 2^n), at least what the callee asks for --> again
              |
              no: a wrong request, an ignored error, one that was retried further in, no tokens, no time

One budget for each dependency, shared by all who call it: when much fails, nobody retries.

Source: full jitter is Brooker, Exponential Backoff And Jitter (AWS, 2015); the budget is gRPC's proposal A6.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
LONGEST_WAIT_S = 30.0  # for a callee that asks for time, when no deadline says how long that may be
DEPTH = 16  # causes of an error that are looked through

# Classes of clients that the SDK does not import, by their names.
TRANSPORT = frozenset({
    "APIConnectionError", "ClientConnectionError", "ConnectionError", "NetworkError", "ProxyError",
    "RemoteProtocolError", "ServerDisconnectedError", "gaierror",
})  # fmt: skip
UNREACHED = frozenset({
    "ClientConnectorError", "ConnectError", "ConnectTimeout", "ConnectTimeoutError", "ConnectionRefusedError",
    "ConnectionTimeoutError", "NewConnectionError", "PoolTimeout", "gaierror",
})  # fmt: skip

On = tuple[type[BaseException], ...] | Callable[[Exception], bool] | None


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a failed call is made again, and when.

    >>> guard = paramedic.Guard("index", retry=paramedic.Retry(attempts=3, base_s=0.1, on=(ConnectionError,)))

    Args:
        attempts: Most calls that are made, the first included.
        base_s: Longest wait before the second call; it doubles with each.
        longest_s: Longest wait before any call, unless the callee asks for more.
        on: Exception types to retry, or a function that says so, in place of the usual rule: timeouts, lost
            connections, and the statuses 408, 425, 429, 500, 502, 503, 504 and 529.
        repeatable: False when calling twice does harm: then only what surely never reached the callee is
            called again, unless the call carries an idempotency key.

    Raises:
        ValueError: A number is out of range; the message names it and shows it.
        TypeError: `on` is neither.
    """

    attempts: int = 3
    base_s: float = 0.2
    longest_s: float = 5.0
    on: On = None
    repeatable: bool = True

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.attempts != int(self.attempts):
            raise ValueError(f"attempts of a Retry must be a whole number of at least 1 call, got {self.attempts!r}")
        for name in ("base_s", "longest_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} of a Retry must be 0 or more seconds, got {getattr(self, name)!r}")
        if isinstance(self.on, type):
            object.__setattr__(self, "on", (self.on,))
        if not (self.on is None or isinstance(self.on, tuple) or callable(self.on)):
            raise TypeError(f"on of a Retry takes exception types or a function, got {self.on!r}")

    def repeats(self, error: Exception, *, asked_to_wait: bool, keyed: bool) -> bool:
        """Whether this failure is one to call again after.

        Args:
            error: What the call raised.
            asked_to_wait: Whether the callee said when to come back.
            keyed: Whether the call carries an idempotency key.
        """
        if self.on is not None:
            worth = isinstance(error, self.on) if isinstance(self.on, tuple) else bool(self.on(error))
        else:
            worth = is_passing(error)
        return worth and (self.repeatable or keyed or never_arrived(error, asked_to_wait))

    def wait_s(self, ordinal: int, asked_s: float | None, draw: Callable[[], float]) -> float:
        """Seconds before the retry with this ordinal, from 1; never fewer than the callee asked for."""
        jitter = draw() * min(self.longest_s, self.base_s * 2.0 ** min(ordinal - 1, 60))
        return jitter if asked_s is None else asked_s + jitter


def is_passing(error: BaseException) -> bool:
    """Whether the usual rule calls again after this: what may well be over in a moment."""
    status = status_of(error)
    if status is not None:
        return status in STATUSES
    return isinstance(error, (TimeoutError, ConnectionError)) or any(
        name in TRANSPORT or name in UNREACHED or name.endswith(("Timeout", "TimeoutError", "TimeoutException"))
        for name in _names(error)
    )


def never_arrived(error: BaseException, asked_to_wait: bool) -> bool:
    """Whether the callee surely did nothing: it was not reached, or turned the call away at its door."""
    status = status_of(error)
    if status is not None:
        return status == 429 or (status == 503 and asked_to_wait)
    return any(name in UNREACHED for each in causes(error) for name in _names(each))


def _names(error: BaseException) -> Iterator[str]:
    return (each.__name__ for each in type(error).__mro__)


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what led to it, the members of groups too; not endless."""
    todo, seen = [error], 0
    while todo and seen < DEPTH:
        error, seen = todo.pop(0), seen + 1
        yield error
        if isinstance(error, BaseExceptionGroup):
            todo.extend(error.exceptions)
        todo.extend(each for each in (error.__cause__, error.__context__) if each is not None)


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an exception carries, as those of httpx, requests, aiohttp, OpenAI and Anthropic do.

    That of an answer that began well is none: what went wrong came later, in its stream.
    """
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "status"):
            status = getattr(holder, name, None)
            if isinstance(status, int) and not isinstance(status, bool) and not 200 <= status < 300:
                return status
    return None


def asked_wait_s(error: BaseException, wall: Callable[[], float]) -> float | None:
    """Seconds that the callee asks to wait, by `retry-after-ms` or `retry-after`; None when it does not.

    Args:
        error: With `headers`, or with a `response` that has them.
        wall: Seconds since 1970, for a date.
    """
    for holder in (getattr(error, "response", None), error):
        told = _lowered(getattr(holder, "headers", None))
        asked = _milliseconds(told.get("retry-after-ms"))
        asked = _seconds(told.get("retry-after"), wall) if asked is None else asked
        if asked is not None:
            return asked
    return None


def _lowered(headers: Any) -> dict[str, str]:
    try:
        return {str(name).lower(): str(value) for name, value in headers.items()}
    except Exception:
        return {}


def _milliseconds(text: str | None) -> float | None:
    seconds = _number(text)
    return None if seconds is None else seconds / 1000


def _seconds(text: str | None, wall: Callable[[], float]) -> float | None:
    if text is None:
        return None
    seconds = _number(text)
    if seconds is not None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - wall())
    except (TypeError, ValueError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number < math.inf else None


class RetryBudget:
    """How much retrying one dependency can bear; shared by all guards of it in this process.

    A failed call costs one of ten tokens, one that worked gives back a tenth of one; calls are made again
    while more than half are left.

    Attributes:
        tokens: What is left.
        is_full: Whether nothing is missing.
    """

    __slots__ = ("is_full", "tokens")

    FULL = 10.0
    COST = 1.0
    GAIN = 0.1

    def __init__(self) -> None:
        self.tokens, self.is_full = self.FULL, True

    def worked(self) -> None:
        self.tokens = min(self.FULL, self.tokens + self.GAIN)
        self.is_full = self.tokens == self.FULL

    def failed(self) -> None:
        self.is_full = False
        self.tokens = max(0.0, self.tokens - self.COST)

    @property
    def allows(self) -> bool:
        """Whether a call may be made again now."""
        return self.tokens > self.FULL / 2
