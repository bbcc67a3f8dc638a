"""A guard stands between a bot and one thing that it calls.

    caller --> gate: may this call be made? --yes--> span, timer, the call --> verdict to the breaker
                         |                                     |
                         no                             failed or useless
                         +--> again, then fallbacks, in order <--+

All is decided in `policy`; the shells here only make the calls.
"""

import functools
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar, cast

from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from paramedic.guards.arguments import check_arguments, check_name
from paramedic.guards.attempts import INF, Check
from paramedic.guards.blocks import CallBlock
from paramedic.guards.budget import DEADLINE_HEADER, frame, left_s
from paramedic.guards.callables import is_async, is_async_stream, is_sync_stream
from paramedic.guards.calls import Call, Value, current_call
from paramedic.guards.fallbacks import Fallback, fallback_of
from paramedic.guards.idempotency import KEY_HEADER, key_maker
from paramedic.guards.obeying import Obeying
from paramedic.guards.registry import registry
from paramedic.guards.sharing import retry_budgets
from paramedic.guards.shells import Shells
from paramedic.policy.breaker import Breaker, Circuit
from paramedic.policy.gate import Gate
from paramedic.policy.recovery import Means
from paramedic.policy.retry import Retry
from paramedic.policy.shedding import check_criticality
from paramedic.streams.generators import guarded as guarded_stream
from paramedic.streams.generators import guarded_sync as guarded_stream_sync
from paramedic.streams.generators import rules

P = ParamSpec("P")
R = TypeVar("R")

USUAL = Breaker()


class Guard(Shells):
    """Guards one dependency; share one between threads and tasks.

    Use it as a decorator of a function, an async function or an (async) generator function; call `run` and
    `run_sync`; or write ``with guard.call() as call:``.

    >>> @paramedic.guard("llm.primary", peer="aurora", deadline_s=8, fallbacks=[lambda question: "Sorry!"])
    ... async def ask(question: str) -> str:
    ...     raise ConnectionError
    >>> asyncio.run(ask("where is my parcel?"))
    'Sorry!'
    >>> paramedic.Guard.of(ask).counts["failed"]
    1

    Args:
        name: Of the guard, as a page should show it: "llm.primary".
        peer: Whom it calls, as all callers name it: "aurora". The guard's name when not given.
        zone: Zone of the callee, when known.
        deadline_s: Most seconds for one attempt, never more than the surrounding `paramedic.deadline`
            leaves. An async call is ended; a sync one cannot be, so it counts as a timeout afterwards.
        fallbacks: Functions or `Fallback`, asked in order with the same arguments, when the call fails, is
            refused or is useless.
        max_concurrent: Most calls in flight at once; None for no limit. The less critical leave some room.
        breaker: When the dependency is left alone; None never refuses a call because others failed.
        retry: How often a failed call is made again, and when; a number is `Retry(attempts=number)`.
        first_token_s: Of a stream: most seconds until its first useful chunk.
        idle_s: Of a stream: most seconds from one chunk to the next after that.
        useful: Of a stream: whether a chunk helps the caller; one that is not empty, when not given.
        ends: Of a stream: whether a chunk says that it is complete; without one, a stream is cut.
        check: Says what is wrong with an answer ("empty", "cut", "refused"), or None when it is good.
            A useless answer is a failure for the breaker and goes to the fallbacks; when none of them
            helps, the caller gets the useless answer.
        ignore: Exceptions that are not the dependency's fault: passed on, no verdict, no fallback.
        criticality: Of its calls when the request says nothing: "critical", "high", "medium" or "low".
        attributes: Written on every span of this guard.
        idempotency_key: Makes one key for all attempts of a call from its arguments; True makes a random one.
        clock: Seconds that never run backwards.
        draw: Numbers from 0 to 1, for probes, shedding and waits.
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
        fallbacks: "Sequence[Callable[..., Any] | Fallback[..., Any]]" = (),
        max_concurrent: int | None = None,
        breaker: Breaker | None = USUAL,
        retry: Retry | int | None = None,
        first_token_s: float | None = None,
        idle_s: float | None = None,
        useful: Callable[[Any], bool] | None = None,
        ends: Callable[[Any], bool] | None = None,
        check: Check | None = None,
        ignore: tuple[type[Exception], ...] = (),
        criticality: str = "",
        attributes: Mapping[str, Value] | None = None,
        idempotency_key: Callable[..., str] | bool | None = None,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
        members: "Callable[[], Sequence[Obeying]] | None" = None,
    ) -> None:
        check_name(name)
        check_arguments(f"guard {name!r}", locals())
        if deadline_s is not None and not deadline_s > 0:
            raise ValueError(f"deadline_s of guard {name!r} must be above 0 seconds, got {deadline_s!r}")
        budget = retry_budgets.of(peer or name)
        super().__init__(
            (name, peer or name, zone),
            Gate(Circuit(breaker), max_concurrent, draw, bool(criticality)),
            deadline_s=deadline_s,
            check=check,
            ignore=ignore,
            criticality=check_criticality(f"guard {name!r}", criticality),
            attributes=attributes or {},
            retry_budget=budget,
            clock=clock,
        )
        self.fallbacks = tuple(fallback_of(fn) for fn in fallbacks)
        self.means = Means(Retry(retry) if isinstance(retry, int) else retry, budget, len(self.fallbacks), draw)
        self.rules = rules(name, first_token_s, idle_s, useful, ends)
        self._make_key = key_maker(f"guard {name!r}", idempotency_key)
        self.members = members
        if members is None:
            registry.add(self)

    # What callers use

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Guard a function, sync or async, or an (async) generator function; its signature stays."""
        if not callable(fn):
            raise TypeError(f"guard {self.name!r} decorates functions, got {fn!r}")
        if is_async_stream(fn):
            guarded = guarded_stream(self, fn)
        elif is_sync_stream(fn):
            guarded = guarded_stream_sync(self, fn)
        elif is_async(fn):
            guarded = functools.wraps(fn)(self.guarded(fn))
        else:
            self._check_sync(_called(fn))
            guarded = functools.wraps(fn)(self.guarded_sync(fn))
        guarded.__guard__ = self  # type: ignore[attr-defined]
        return cast(Callable[P, R], guarded)

    async def run(self, fn: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call an async function; again, then the fallbacks, when it fails, is refused or is useless.

        Raises:
            Refused: The call was not made, and no fallback helped.
            Exception: What the function raised, when no fallback helped.
        """
        return cast(R, await self.guarded(fn)(*args, **kwargs))

    def run_sync(self, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function; otherwise as `run`. It cannot be interrupted: see `deadline_s`."""
        return cast(R, self.guarded_sync(fn)(*args, **kwargs))

    def call(self) -> CallBlock:
        """Guard a block of code: ``with guard.call() as call:``, or ``async with``, which can be interrupted.

        A block cannot be run twice: it is not retried, and no fallback is asked.

        Raises:
            Refused: On entering, when the call must not be made.
        """
        return CallBlock(self)

    @staticmethod
    def current() -> Call:
        """The guarded call in progress; outside of one, an object that takes everything and does nothing."""
        return current_call()

    @staticmethod
    def headers() -> dict[str, str]:
        """Headers to send on with a request: the trace, what is left of the deadline, what is being served."""
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier)
        left, now_in = left_s(), frame.get()
        if left != INF:
            carrier[DEADLINE_HEADER] = str(int(left * 1000))
        if now_in is not None and now_in.idempotency_key:
            carrier[KEY_HEADER] = now_in.idempotency_key
        if now_in is not None and now_in.request is not None:
            carrier.update(now_in.request.to_headers())
        return carrier

    @staticmethod
    def of(fn: Callable[..., Any]) -> "Guard":
        """The guard of a decorated function.

        Raises:
            TypeError: It is not decorated.
        """
        guard = getattr(fn, "__guard__", None)
        if not isinstance(guard, Guard):
            raise TypeError(f"{fn!r} has no guard")
        return guard

    def __repr__(self) -> str:
        where = f" in {self.zone}" if self.zone else ""
        return f"<guard {self.name!r} of {self.peer!r}{where}: {self.state.name.lower().replace('_', ' ')}>"

    def _check_sync(self, called: str) -> None:
        for fallback in self.fallbacks:
            if fallback.is_async:
                raise TypeError(f"guard {self.name!r}: {called} is sync and cannot await {fallback.name}")


def _called(fn: Callable[..., Any]) -> str:
    return getattr(fn, "__qualname__", repr(fn))


guard = Guard  # lower case where it decorates: @paramedic.guard("llm.primary")
