"""The caches of this process, which the command `flush_cache` can empty.

registry.add_cache("answers", answers.flush)
registry.add_cache("prices", prices.clear, peer="shop")
"""

import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any

from paramedic.contract.command import Target
from paramedic.telemetry.runtime import dropped

log = logging.getLogger("paramedic")

Flush = Callable[[], Any]
Found = Callable[[], Flush | None]


class Caches:
    """Safe to share between threads. A method is held weakly: the cache of an object that is gone is gone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._caches: list[tuple[str, str, Found]] = []

    def add(self, name: str, flush: Flush, peer: str = "") -> None:
        """Have `flush` called when a command means a cache of this name, or of this peer.

        Args:
            name: As the command's ``target.guard`` says it.
            flush: Empties the cache; it runs on a thread of paramedic, and should be quick.
            peer: Whose answers it keeps, as the command's ``target.peer`` says it.

        Raises:
            ValueError: It has no name.
            TypeError: `flush` cannot be called.
        """
        if not name:
            raise ValueError("a cache needs a name, got ''")
        if not callable(flush):
            raise TypeError(f"flush of cache {name!r} must be a function without arguments, got {flush!r}")
        found: Found = weakref.WeakMethod(flush) if hasattr(flush, "__self__") and _weakly(flush) else lambda: flush
        with self._lock:
            self._caches = [kept for kept in self._caches if kept[2]() is not None] + [(name, peer, found)]

    def flush(self, target: Target) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Empty the caches that a target means: the names of those that were, and why others were not."""
        with self._lock:
            meant = [(name, found()) for name, peer, found in self._caches if _means(target, name, peer)]
        done, reasons = set(), set()
        for name, flush in meant:
            try:
                if flush is not None:
                    flush()
                    done.add(name)
            except Exception as error:
                dropped.add("flush")
                log.warning("cache %r could not be flushed: %r", name, error)
                reasons.add(f"cache {name!r} could not be flushed: {type(error).__name__}")
        return tuple(sorted(done)), tuple(sorted(reasons))

    def clear(self) -> None:
        with self._lock:
            self._caches = []

    def after_fork(self) -> None:
        self._lock = threading.Lock()


def _means(target: Target, name: str, peer: str) -> bool:
    return target.matches(peer=peer, zone="", guard=name)


def _weakly(flush: Any) -> bool:
    """Whether it is a method of an object that can be held weakly; `dict().clear` is not."""
    try:
        weakref.WeakMethod(flush)
    except TypeError:
        return False
    return True
