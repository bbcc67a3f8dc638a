"""Replaces methods of other packages, once each, and can put them back."""

import functools
import logging
from collections.abc import Callable
from typing import Any

log = logging.getLogger("paramedic")

_MARK = "__paramedic__"
_replaced: list[tuple[type, str, Any]] = []


def replace(owner: type, name: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> bool:
    """Put `wrap(original)` in the place of a method that the class defines itself; whether that was done."""
    original = owner.__dict__.get(name)
    if not callable(original):
        log.warning("%s.%s is not instrumented: it has no method %s", owner.__module__, owner.__qualname__, name)
        return False
    if hasattr(original, _MARK):
        return False
    wrapped = functools.wraps(original)(wrap(original))
    setattr(wrapped, _MARK, True)
    setattr(owner, name, wrapped)
    _replaced.append((owner, name, original))
    return True


def replace_property(owner: type, name: str, wrap: Callable[[Callable[[Any], Any]], Callable[[Any], Any]]) -> bool:
    """The same for a property that is there; a class without it is left alone."""
    original = owner.__dict__.get(name)
    if not isinstance(original, property) or original.fget is None or hasattr(original.fget, _MARK):
        return False
    reads = functools.wraps(original.fget)(wrap(original.fget))
    setattr(reads, _MARK, True)
    setattr(owner, name, property(reads, original.fset, original.fdel, original.__doc__))
    _replaced.append((owner, name, original))
    return True


def restore_all() -> None:
    """Put back everything, the last first."""
    while _replaced:
        owner, name, original = _replaced.pop()
        setattr(owner, name, original)
