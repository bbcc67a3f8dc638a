"""A call that was not made: why, and when to ask again.

    Refused --- BreakerOpen, BulkheadFull, CommandRefused, DeadlineExceeded, ResidencyRefused, Shed

A refusal says nothing about the callee: it is counted apart and is never an error of it.
"""

from typing import Any

from paramedic.contract.attributes import (
    REFUSED_BY_BREAKER,
    REFUSED_BY_BULKHEAD,
    REFUSED_BY_COMMAND,
    REFUSED_BY_DEADLINE,
    REFUSED_BY_OPERATOR,
    REFUSED_BY_RESIDENCY,
    REFUSED_BY_SHED,
)


class Refused(Exception):
    """The call was not made.

    Attributes:
        name: The guard that refused.
        reason: What refused: "operator", "command", "breaker", "bulkhead", "deadline", "shed" or
            "residency".
        retry_in_s: Seconds after which it may be worth asking again; None when nobody can know.
    """

    why = "it was refused"
    level = 1  # of the fallback to begin with

    def __init__(self, name: str, reason: str, retry_in_s: float | None = None) -> None:
        when = "" if retry_in_s is None else f"; retry in {retry_in_s:.1f} s"
        super().__init__(f"{name!r} was not called: {self.why}{when}")
        self.name, self.reason, self.retry_in_s = name, reason, retry_in_s

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, self.reason, self.retry_in_s)


class BreakerOpen(Refused):
    """The dependency is left alone after failures in a row, or an operator said so."""

    why = "its breaker is open"


class BulkheadFull(Refused):
    """As many calls as allowed are in flight already."""

    why = "its limit of calls at once is reached"


class CommandRefused(Refused):
    """The platform asked to leave this path alone for now; also a hanging call that it asked to let go."""

    why = "a command of the platform keeps calls away from it"


class DeadlineExceeded(Refused, TimeoutError):
    """The surrounding `paramedic.deadline` leaves no time for it."""

    why = "the time for the whole request is used up"


class Shed(Refused):
    """The platform asked to turn away a share of the calls."""

    why = "load is being shed"


class ResidencyRefused(Refused):
    """Nobody in a region where the data of this request may go can be asked."""

    why = "no member stands in a region where this data may go"


_CLASS_OF: dict[str, type[Refused]] = {
    REFUSED_BY_OPERATOR: BreakerOpen,
    REFUSED_BY_COMMAND: CommandRefused,
    REFUSED_BY_BREAKER: BreakerOpen,
    REFUSED_BY_BULKHEAD: BulkheadFull,
    REFUSED_BY_DEADLINE: DeadlineExceeded,
    REFUSED_BY_SHED: Shed,
    REFUSED_BY_RESIDENCY: ResidencyRefused,
}


def refusal(name: str, reason: str, retry_in_s: float | None = None) -> Refused:
    """The exception for one of the values of ``paramedic.refused.by``."""
    return _CLASS_OF[reason](name, reason, retry_in_s)
