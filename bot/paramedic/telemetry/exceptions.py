"""One event for each guard and type of error, at most once a minute: what failed, in the trace where it did.

Recording each exception on its span would make calls several times dearer just when most of them fail.
The text of an exception may be private: it is left out, unless PARAMEDIC_EXCEPTION_MESSAGES=1.
"""

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from paramedic.contract.attributes import (
    CALL_EXCEPTION_EVENT,
    ERROR_TYPE,
    EXCEPTION_MESSAGE,
    EXCEPTION_TYPE,
    GENAI_EXCEPTION_EVENT,
    GENAI_OPERATION,
    GENAI_PROVIDER,
    GENAI_REQUEST_MODEL,
    GUARD,
    PEER,
)
from paramedic.guards.calls import error_type as type_of
from paramedic.telemetry.runtime import Events

if TYPE_CHECKING:
    from paramedic.guards.attempts import Attempts
    from paramedic.guards.calls import Call

EACH_S = 60.0
LONGEST_MESSAGE = 300
WARN = 13

_MOST = 1000  # guards and types that are remembered


class Exceptions:
    """Hears of failed calls.

    Args:
        events: Where to send one of them.
        messages: Whether to tell the text of exceptions.
        mask: Takes what is private out of that text.
        clock: Seconds that never run backwards.
    """

    def __init__(
        self,
        events: Events,
        *,
        messages: bool = False,
        mask: Callable[[str], str] = lambda text: text,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._events, self._messages, self._mask, self._clock = events, messages, mask, clock
        self._told_at: dict[tuple[str, str], float] = {}

    def hear(self, guard: str, peer: str, call: "Call", error_type: str) -> None:
        """A call failed; the exception, if it was one, is the one being handled now."""
        now, which = self._clock(), (guard, error_type)
        if now - self._told_at.get(which, now - EACH_S) < EACH_S:
            return
        if len(self._told_at) >= _MOST:
            self._told_at.clear()
        self._told_at[which] = now
        said = call.said or {}
        attributes = {GUARD: guard, PEER: peer, ERROR_TYPE: error_type, EXCEPTION_TYPE: error_type}
        attributes.update({name: str(said[name]) for name in _GENAI if name in said})
        error = sys.exception()
        if error is not None and type_of(error) == error_type:  # not one that an outer block handles
            attributes[EXCEPTION_TYPE] = _name(type(error))
            if self._messages:
                attributes[EXCEPTION_MESSAGE] = self._mask(_text(error))[:LONGEST_MESSAGE]
        event = GENAI_EXCEPTION_EVENT if GENAI_OPERATION in said else CALL_EXCEPTION_EVENT
        self._events.emit(event, attributes, severity=WARN, span=call.span)


class ExceptionsOnly:
    """What stands in for a recorder when metrics are switched off: failures are told all the same."""

    def __init__(self, exceptions: Exceptions) -> None:
        self._exceptions = exceptions

    def ended(self, guard: "Attempts", call: "Call", outcome: str, error_type: str | None, seconds: float) -> None:
        """Hear of a call that was made."""
        if error_type is not None:
            self._exceptions.hear(guard.name, guard.peer, call, error_type)

    def feedback(self, kind: str) -> None:
        """Nobody counts it."""


_GENAI = (GENAI_OPERATION, GENAI_PROVIDER, GENAI_REQUEST_MODEL)


def _name(kind: type[BaseException]) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _text(error: BaseException) -> str:
    """Long enough that what is cut off afterwards cannot hide half an address from the mask."""
    return str(error)[: LONGEST_MESSAGE * 10]
