"""What calling something gives: an answer, something to await, or a stream. Objects that are called count as well."""

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeGuard


def is_async(fn: Callable[..., Any]) -> TypeGuard[Callable[..., Awaitable[Any]]]:
    """Whether calling it gives something to await: an async function, or an object like a `Router`."""
    return any(inspect.iscoroutinefunction(each) for each in _called(fn))


def is_async_stream(fn: Callable[..., Any]) -> bool:
    """Whether calling it gives an async generator."""
    return any(inspect.isasyncgenfunction(each) for each in _called(fn))


def is_sync_stream(fn: Callable[..., Any]) -> bool:
    """Whether calling it gives a generator."""
    return any(inspect.isgeneratorfunction(each) for each in _called(fn))


def _called(fn: Callable[..., Any]) -> tuple[Any, Any]:
    while isinstance(fn, functools.partial):
        fn = fn.func
    return fn, type(fn).__call__
