"""Refusals that are also errors of the client in use, so that the handlers a program has already take them.

CommandRefused --as_clients(openai.APIConnectionError)--> an instance of both
"""

from functools import lru_cache
from typing import Any


def as_clients(error: Exception, base: Any, **fields: Any) -> Exception:
    """The same error, which is also a `base`; the error itself when the two cannot be one.

    Args:
        error: A refusal, or the end of a deadline.
        base: Class of the client's own errors.
        fields: What the client's handlers may read of it.
    """
    try:
        kind = _both(type(error), base)  # type: ignore[arg-type]
        both = kind.__new__(kind)
        both.args = error.args
        both.__dict__.update({"message": str(error), **fields, **error.__dict__})
        both.__cause__ = error.__cause__
        both.__suppress_context__ = True
        return both.with_traceback(error.__traceback__)
    except Exception:  # the two have no common layout, or the base takes no fields
        return error


@lru_cache(maxsize=64)
def _both(ours: type[Exception], theirs: type[Exception]) -> type[Exception]:
    if not isinstance(theirs, type) or issubclass(ours, theirs):
        raise TypeError(f"{ours.__name__} cannot be made a {theirs!r} as well")

    def reduced(error: Exception) -> tuple[Any, ...]:
        """Pickled as our error alone: the client may not be there where it is read."""
        plain = ours.__new__(ours)
        plain.args = error.args
        plain.__dict__.update({name: value for name, value in error.__dict__.items() if name in _told(ours)})
        return tuple(plain.__reduce__()[:2])

    body = {"__reduce__": reduced, "__module__": ours.__module__, "__doc__": ours.__doc__}
    return type(ours.__name__, (ours, theirs), body)


def _told(ours: type[Exception]) -> tuple[str, ...]:
    return ("name", "reason", "retry_in_s", "level")
