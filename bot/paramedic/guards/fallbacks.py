"""What a guard asks when its call did not help: a function with, perhaps, a deadline of its own."""

from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

from paramedic.guards.callables import is_async, is_async_stream

P = ParamSpec("P")
R = TypeVar("R")


class Fallback(Generic[P, R]):
    """A fallback with a deadline of its own; a bare function is one without.

    >>> def ask(question: str) -> str:
    ...     raise ConnectionError
    >>> guard = paramedic.Guard("llm", fallbacks=[paramedic.Fallback(str.upper, deadline_s=2)])
    >>> guard.run_sync(ask, "hello?")
    'HELLO?'

    Args:
        fn: Takes the arguments of the guarded function; sync or async, perhaps guarded itself.
        deadline_s: Most seconds for it; None for what the surrounding `paramedic.deadline` leaves.
        name: As an error shows it; that of the function when not given.

    Raises:
        TypeError: `fn` cannot be called.
        ValueError: `deadline_s` is no number of seconds.
    """

    def __init__(self, fn: Callable[P, R], deadline_s: float | None = None, name: str = "") -> None:
        if not callable(fn):
            raise TypeError(f"a fallback must be callable, got {fn!r}")
        self.fn, self.deadline_s = fn, deadline_s
        self.name = name or getattr(fn, "__qualname__", repr(fn))
        if deadline_s is not None and not deadline_s > 0:
            raise ValueError(f"deadline_s of fallback {self.name!r} must be above 0 seconds, got {deadline_s!r}")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.fn(*args, **kwargs)

    @property
    def is_async(self) -> bool:
        """Whether its answer has to be awaited or iterated asynchronously, as far as can be seen."""
        return is_async(self.fn) or is_async_stream(self.fn)


def fallback_of(fn: "Callable[..., Any] | Fallback[..., Any]") -> "Fallback[..., Any]":
    """The same as a `Fallback`."""
    return fn if isinstance(fn, Fallback) else Fallback(fn)
