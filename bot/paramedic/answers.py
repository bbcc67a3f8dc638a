"""Answers that were given before, for the time when nobody gives new ones.

    known = paramedic.Answers(seconds=600)

    @paramedic.guard("llm.primary", fallbacks=[ask_light_model, known.recall])
    @known.remembering
    async def ask_model(question: str) -> str: ...

Good answers are kept by the arguments that they answered and by the tenant of the request. Bounded in number and age;
in this process only; emptied by the command `flush_cache`.
"""

import functools
import inspect
import os
import threading
import time
import weakref
from collections.abc import Callable, Hashable, Mapping
from typing import Any, ParamSpec, TypeVar, cast

from paramedic.guards.callables import is_async
from paramedic.guards.calls import current_call
from paramedic.guards.registry import registry
from paramedic.request import request
from paramedic.routing.members import is_stream
from paramedic.telemetry.runtime import dropped

P = ParamSpec("P")
R = TypeVar("R")
_PLAIN = (str, bytes, int, float, bool, complex, type(None))


class Answers:
    """A cache of answers; share it between threads and tasks.

    >>> known = paramedic.Answers(seconds=600)
    >>> known.remembering(str.upper)("hello")
    'HELLO'
    >>> known.recall("hello")
    'HELLO'

    Args:
        name: Of the cache, as the command `flush_cache` names it in ``target.guard``.
        peer: Whose answers it keeps, as the command names them in ``target.peer``.
        seconds: How old an answer may be.
        size: Most answers; the oldest goes first.
        key: What an answer is kept under, from the arguments of the call, or None to keep it not at all. The
            arguments themselves when not given. The tenant of the request is always part of it.
        check: Says what is wrong with an answer, or None when it is good; that of the guard.
        clock: Seconds that never run backwards.

    Raises:
        ValueError: A number is out of range; the message names it and shows it.
    """

    def __init__(
        self,
        name: str = "answers",
        *,
        peer: str = "",
        seconds: float = 600.0,
        size: int = 1000,
        key: Callable[..., Hashable | None] | None = None,
        check: Callable[[Any], str | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not name:
            raise ValueError("answers need a name, got ''")
        if not seconds > 0:
            raise ValueError(f"seconds of answers {name!r} must be above 0, got {seconds!r}")
        if size < 1:
            raise ValueError(f"size of answers {name!r} must be at least 1, got {size!r}")
        self.name, self.seconds, self.size = name, seconds, size
        self._key_of, self._check, self._clock = key or arguments, check, clock
        self._lock = threading.Lock()
        self._held: dict[Hashable, tuple[float, Any]] = {}  # oldest first
        _alive.add(self)
        registry.add_cache(name, self.flush, peer)

    def __len__(self) -> int:
        return len(self._held)

    def remembering(self, fn: Callable[P, R]) -> Callable[P, R]:
        """The same function, whose good answers are kept. Stands inside the guard, under its decorator.

        Raises:
            TypeError: A generator function; streams are not kept.
        """
        if is_stream(fn):
            raise TypeError(f"answers {self.name!r} keep no streams, and {fn!r} is a generator function")
        if is_async(fn):

            @functools.wraps(fn)
            async def remembered(*args: P.args, **kwargs: P.kwargs) -> Any:
                key = self._key(args, kwargs)  # before the call, which may change its arguments
                answer = await fn(*args, **kwargs)
                self._keep(key, answer)
                return answer

        else:

            @functools.wraps(fn)
            def remembered(*args: P.args, **kwargs: P.kwargs) -> Any:
                key = self._key(args, kwargs)
                answer = fn(*args, **kwargs)
                self._keep(key, answer)
                return answer

        return cast(Callable[P, R], remembered)

    def recall(self, *args: Any, **kwargs: Any) -> Any:
        """The answer that was given to these arguments before: a fallback.

        Raises:
            LookupError: None is kept, or it is too old.
        """
        key = self._key(args, kwargs)
        with self._lock:
            kept_at, answer = self._held.get(key, (0.0, None)) if key is not None else (0.0, None)
        if answer is None or self._clock() - kept_at > self.seconds:
            raise LookupError(f"answers {self.name!r} hold none for these arguments that is young enough")
        return answer

    def flush(self) -> int:
        """Forget all answers; how many there were."""
        with self._lock:
            count = len(self._held)
            self._held.clear()
        return count

    def _keep(self, key: Hashable | None, answer: Any) -> None:
        if key is None or answer is None or inspect.isawaitable(answer):
            return
        if current_call().useless_as is not None or not self._is_good(answer):
            return
        now = self._clock()
        with self._lock:
            self._held.pop(key, None)
            self._held[key] = now, answer
            while len(self._held) > self.size or now - next(iter(self._held.values()))[0] > self.seconds:
                del self._held[next(iter(self._held))]

    def _is_good(self, answer: Any) -> bool:
        try:
            return self._check is None or self._check(answer) is None
        except Exception:
            dropped.add("answers check")
            return False

    def _key(self, args: Any, kwargs: Mapping[str, Any]) -> Hashable | None:
        """None for what cannot be kept."""
        try:
            key = self._key_of(*args, **kwargs)
            hash(key)
        except Exception:  # of the team's function, or arguments that cannot be compared
            dropped.add("answers key")
            return None
        return None if key is None else (request.current().tenant, key)

    def after_fork(self) -> None:
        self._lock = threading.Lock()


def arguments(*args: Any, **kwargs: Any) -> Hashable:
    """Arguments as one value that can be compared: lists and mappings by what is in them.

    Raises:
        TypeError: One of them cannot be hashed.
    """
    return _frozen(args), _frozen(kwargs)


def _frozen(value: Any) -> Hashable:
    if isinstance(value, _PLAIN):
        return type(value), value  # 1, 1.0 and True are equal and are not the same question
    if isinstance(value, Mapping):
        return dict, frozenset((_frozen(name), _frozen(held)) for name, held in value.items())
    if isinstance(value, list | tuple):
        return list, tuple(map(_frozen, value))
    if isinstance(value, set | frozenset):
        return set, frozenset(map(_frozen, value))
    hash(value)
    return cast(Hashable, value)


_alive: "weakref.WeakSet[Answers]" = weakref.WeakSet()


def _after_fork() -> None:
    for answers in list(_alive):
        answers.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
