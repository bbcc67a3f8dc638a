"""A guard stands between a bot and one thing that it calls.

    caller --> gate: may this call be made? --yes--> span, timeout, the call --> verdict to the breaker
                         |                                       |
                         no                               failed or useless
                         +-----> fallbacks, in order <-----------+

All decisions are made in `gate`; the two shells here, `attempt` and `attempt_sync`, only make the call.
"""

import asyncio
import functools
import inspect
import random
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar, cast

from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from paramedic.attempts import INF, Check
from paramedic.budget import DEADLINE_HEADER, left_s
from paramedic.calls import Call, Value, current_call
from paramedic.obeying import Obeying
from paramedic.policy.breaker import Breaker
from paramedic.policy.gate import Gate
from paramedic.registry import registry
from paramedic.rescue import Rescue

P = ParamSpec("P")
R = TypeVar("R")


class Guard(Obeying):
    """Guards one dependency; share one between threads and tasks.

    Use it as a decorator of a function or an async function, or call `run` and `run_sync`.

    Args:
        name: Of the guard, as a page should show it: "llm.primary".
        peer: Whom it calls, as all callers name it: "aurora". The guard's name when not given.
        zone: Zone of the callee, when known.
        deadline_s: Most seconds for one attempt, never more than the surrounding `paramedic.deadline`
            leaves. An async call is ended; a sync one cannot be, so it counts as a timeout afterwards.
        fallbacks: Asked in order, with the same arguments, when the call fails, is refused or is useless.
        max_concurrent: Most calls in flight at once; None for no limit.
        failures: Failures in a row that open the breaker.
        rest_s: Seconds to leave the dependency alone before it is tried again.
        trials: Calls that try it after a rest; all must work to close the breaker.
        check: Says what is wrong with an answer ("empty", "cut", "refused"), or None when it is good.
            A useless answer is a failure for the breaker and goes to the fallbacks; when none of them
            helps, the caller gets the useless answer.
        ignore: Exceptions that are not the dependency's fault: passed on, no verdict, no fallback.
        attributes: Written on every span of this guard.
        clock: Seconds that never run backwards.
        draw: Numbers from 0 to 1, for probes and shedding.
        members: All members of the router that makes this guard, which then registers it.

    Raises:
        ValueError: A number is out of range; the message names it and shows it.
    """

    def __init__(
        self,
        name: str,
        *,
        peer: str = "",
        zone: str = "",
        deadline_s: float | None = None,
        fallbacks: Sequence[Callable[..., Any]] = (),
        max_concurrent: int | None = None,
        failures: int = 5,
        rest_s: float = 10.0,
        trials: int = 1,
        check: Check | None = None,
        ignore: tuple[type[Exception], ...] = (),
        attributes: Mapping[str, Value] | None = None,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
        members: "Callable[[], Sequence[Obeying]] | None" = None,
    ) -> None:
        if not name:
            raise ValueError("a guard needs a name, got ''")
        if deadline_s is not None and not deadline_s > 0:
            raise ValueError(f"deadline_s of guard {name!r} must be above 0 seconds, got {deadline_s!r}")
        super().__init__(
            (name, peer or name, zone),
            Gate(Breaker(failures=failures, rest_s=rest_s, trials=trials), max_concurrent, draw),
            deadline_s=deadline_s,
            fallbacks=fallbacks,
            check=check,
            ignore=ignore,
            attributes=attributes or {},
            clock=clock,
        )
        self.members = members
        if members is None:
            registry.add(self)

    # What callers use

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Guard a function, sync or async; its signature stays."""
        if inspect.isasyncgenfunction(fn) or inspect.isgeneratorfunction(fn):
            raise TypeError(f"guard {self.name!r} takes functions and async functions, not generator {_called(fn)}")
        if inspect.iscoroutinefunction(fn):

            @functools.wraps(fn)
            async def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
                try:
                    return await self.attempt(fn, args, kwargs)
                except Exception as error:
                    failure = error
                return await self._rescue(failure, args, kwargs)

        else:
            for fallback in self.fallbacks:
                if inspect.iscoroutinefunction(fallback):
                    raise TypeError(f"guard {self.name!r}: {_called(fn)} is sync and cannot await {_called(fallback)}")

            @functools.wraps(fn)
            def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
                try:
                    return self.attempt_sync(fn, args, kwargs)
                except Exception as error:
                    failure = error
                return self._rescue_sync(failure, args, kwargs)

        guarded.__guard__ = self  # type: ignore[attr-defined]
        return cast(Callable[P, R], guarded)

    async def run(self, fn: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call an async function; ask the fallbacks when it fails, is refused or is useless.

        Raises:
            Refused: The call was not made, and no fallback helped.
            Exception: What the function raised, when no fallback helped.
        """
        try:
            return await self.attempt(fn, args, kwargs)
        except Exception as error:
            failure = error
        return cast(R, await self._rescue(failure, args, kwargs))

    def run_sync(self, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function; otherwise as `run`. It cannot be interrupted: see `deadline_s`."""
        try:
            return self.attempt_sync(fn, args, kwargs)
        except Exception as error:
            failure = error
        return cast(R, self._rescue_sync(failure, args, kwargs))

    @staticmethod
    def current() -> Call:
        """The guarded call in progress; outside of one, an object that takes everything and does nothing."""
        return current_call()

    @staticmethod
    def headers() -> dict[str, str]:
        """Headers to send on with a request: the trace, and what is left of the deadline."""
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier)
        left = left_s()
        if left != INF:
            carrier[DEADLINE_HEADER] = str(int(left * 1000))
        return carrier

    @staticmethod
    def of(fn: Callable[..., Any]) -> "Guard":
        """The guard of a decorated function."""
        return cast(Guard, fn.__guard__)  # type: ignore[attr-defined]

    # The two shells

    async def attempt(
        self, fn: Callable[..., Coroutine[Any, Any, R]], args: Any, kwargs: Any, probe: bool | None = None
    ) -> R:
        """One call without fallbacks; `Useless` stands for an answer that helps nobody."""
        call = self.begin(asyncio.current_task(), probe)
        try:
            if call.timeout_s is None:
                result = await fn(*args, **kwargs)
            else:
                async with asyncio.timeout(call.timeout_s):
                    result = await fn(*args, **kwargs)
        except BaseException as error:
            self.failed(call, error)
            raise
        self.ended(call, result)
        return result

    def attempt_sync(self, fn: Callable[..., R], args: Any, kwargs: Any, probe: bool | None = None) -> R:
        """As `attempt`, for a function that cannot be interrupted."""
        call = self.begin(None, probe)
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:
            self.failed(call, error)
            raise
        self.ended(call, result)
        return result

    async def _rescue(self, failure: Exception, args: Any, kwargs: Any) -> Any:
        rescue = Rescue(self, failure)
        for below, fallback in rescue.layers():
            try:
                with below:
                    answer = fallback(*args, **kwargs)
                    return await answer if inspect.isawaitable(answer) else answer
            except Exception as error:
                rescue.failed(error)
        return rescue.give_up()

    def _rescue_sync(self, failure: Exception, args: Any, kwargs: Any) -> Any:
        rescue = Rescue(self, failure)
        for below, fallback in rescue.layers():
            try:
                with below:
                    return fallback(*args, **kwargs)
            except Exception as error:
                rescue.failed(error)
        return rescue.give_up()


def _called(fn: Callable[..., Any]) -> str:
    return getattr(fn, "__qualname__", repr(fn))


guard = Guard  # lower case where it decorates: @paramedic.guard("llm.primary")
