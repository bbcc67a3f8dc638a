"""Which tools to offer to a model: those whose guard would let a call through."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from paramedic.guards import Guard

Tool = TypeVar("Tool", bound=Callable[..., Any])


def available(tools: Iterable[Tool]) -> list[Tool]:
    """The tools that can be called now, in their order; what has no guard is kept.

    Args:
        tools: Functions, guarded or not.
    """
    return [tool for tool in tools if _may_be_called(getattr(tool, "__guard__", None))]


def _may_be_called(guard: Any) -> bool:
    return not isinstance(guard, Guard) or guard.available
