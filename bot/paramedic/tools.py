"""Which tools to offer to a model: those whose guard would let a call through."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from paramedic.guards.guard import Guard

Tool = TypeVar("Tool", bound=Callable[..., Any])


def available(tools: Iterable[Tool]) -> list[Tool]:
    """The tools that can be called now, in their order; what has no guard is kept.

    A tool that a command keeps calls away from still stands in the share of lists that the command leaves for
    probes, and is then let through once: else nobody would see that it works again.

    >>> @paramedic.guard("tool.refund")
    ... def refund(order: int) -> str: ...
    >>> paramedic.available([refund, str.upper]) == [refund, str.upper]
    True
    >>> paramedic.Guard.of(refund).force("open")  # as the operator; a command `disable_tool` does it too
    >>> paramedic.available([refund, str.upper]) == [str.upper]
    True

    Args:
        tools: Functions, guarded or not.
    """
    return [tool for tool in tools if _may_be_called(getattr(tool, "__guard__", None))]


def _may_be_called(guard: Any) -> bool:
    return not isinstance(guard, Guard) or guard.offered()
