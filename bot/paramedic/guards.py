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
import logging
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, NoReturn, ParamSpec, TypeVar, cast

from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from paramedic.breaker import FAILED, SAYS_NOTHING, WORKED, Breaker, State, Verdict
from paramedic.budget import DEADLINE_HEADER, Below, Frame, frame, left_s
from paramedic.calls import Call, Value, current_call, error_type, status_of
from paramedic.contract.attributes import (
    ALLOWED,
    DECISION,
    FALLBACK_LEVEL,
    GUARD,
    LEASE_ID,
    PEER,
    PEER_ZONE,
    PROBE,
    REFUSED,
    REFUSED_BY,
    REFUSED_BY_COMMAND,
    TIMEOUT,
)
from paramedic.contract.command import ActionKind
from paramedic.gate import Admission, Forced, Gate, Refusal
from paramedic.orders import Order, Orders
from paramedic.refusals import Refused, refusal
from paramedic.registry import Key, registry
from paramedic.telemetry.runtime import dropped, runtime

P = ParamSpec("P")
R = TypeVar("R")
INF = float("inf")

log = logging.getLogger("paramedic")

# Statuses that blame the request, not the dependency: no verdict for the breaker.
REQUEST_WAS_WRONG = frozenset({400, 404, 405, 406, 409, 410, 411, 413, 414, 415, 422})

Check = Callable[[Any], str | None]


class Useless(Exception):
    """Inside the SDK only: an answer that arrived and helps nobody. The fallbacks are asked instead."""

    def __init__(self, result: Any, kind: str) -> None:
        super().__init__(kind)
        self.result = result


class Guard:
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
        members: "Callable[[], Sequence[Guard]] | None" = None,
    ) -> None:
        if not name:
            raise ValueError("a guard needs a name, got ''")
        if deadline_s is not None and not deadline_s > 0:
            raise ValueError(f"deadline_s of guard {name!r} must be above 0 seconds, got {deadline_s!r}")
        self.name, self.peer, self.zone = name, peer or name, zone
        self.key: Key = (self.name, self.peer, self.zone)
        self.deadline_s, self.fallbacks = deadline_s, tuple(fallbacks)
        self.counts: defaultdict[str, int] = defaultdict(int)  # calls by decision
        self.members = members
        self.ignore, self._check, self._clock = ignore, check, clock
        self._gate = Gate(Breaker(failures=failures, rest_s=rest_s, trials=trials), max_concurrent, draw)
        self._lock = threading.Lock()
        self._calls: dict[Call, None] = {}  # in flight, oldest first
        self._told_check = False
        about: dict[str, Value] = {PEER: self.peer, GUARD: name, **(attributes or {})}
        if zone:
            about[PEER_ZONE] = zone
        self._refused_attributes = {**about, DECISION: REFUSED}
        self._attributes = {**about, DECISION: ALLOWED, FALLBACK_LEVEL: 0}
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

    def force(self, state: Forced) -> None:
        """As the local operator: "open" refuses all calls, "closed" lets all through; None gives the guard back.

        Beats the platform's commands and the breaker.
        """
        if state not in ("open", "closed", None):
            raise ValueError(f'force takes "open", "closed" or None, got {state!r}')
        with self._lock:
            self._gate.forced = state

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
        call = self._begin(asyncio.current_task(), probe)
        try:
            if call.timeout_s is None:
                result = await fn(*args, **kwargs)
            else:
                async with asyncio.timeout(call.timeout_s):
                    result = await fn(*args, **kwargs)
        except BaseException as error:
            self._failed(call, error)
            raise
        self._ended(call, result)
        return result

    def attempt_sync(self, fn: Callable[..., R], args: Any, kwargs: Any, probe: bool | None = None) -> R:
        """As `attempt`, for a function that cannot be interrupted."""
        call = self._begin(None, probe)
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:
            self._failed(call, error)
            raise
        self._ended(call, result)
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

    # What both do

    def _begin(self, task: "asyncio.Task[Any] | None", probe: bool | None) -> Call:
        if runtime.forked:
            runtime.revive()
        outer, now, gate = frame.get(), self._clock(), self._gate
        left = INF if outer is None or outer.ends_at == INF else outer.ends_at - time.monotonic()
        with self._lock:
            answer = gate.admit(now, left, probe)
            orders = gate.orders
            if answer.__class__ is Admission:
                call = Call(answer, now, task)
                self._calls[call] = None
        if answer.__class__ is Refusal:
            self._refuse(answer, outer)
        if self.deadline_s is not None or left != INF or orders is not None:
            self._bound(call, orders, outer, left)
        if runtime.tracer is not None:
            call.start_span(runtime.tracer, self.name, self._about(call, outer))
        call.token = frame.set(call)
        return call

    def _bound(self, call: Call, orders: Orders | None, outer: Frame | None, left_s: float) -> None:
        own_s = self.deadline_s if orders is None or orders.deadline_s is None else orders.deadline_s
        call.own_deadline_s = own_s
        if own_s is not None and own_s < left_s:
            call.timeout_s, call.ends_at = own_s, time.monotonic() + own_s
        elif outer is not None and left_s != INF:
            call.timeout_s, call.ends_at = left_s, outer.ends_at

    def _about(self, call: Call, outer: Frame | None) -> Mapping[str, Value]:
        admission, level = call.admission, 0 if outer is None else outer.level
        if not level and not admission.probe:
            return self._attributes
        about: dict[str, Value] = {**self._attributes, FALLBACK_LEVEL: level}
        if admission.probe:
            about.update({PROBE: True, LEASE_ID: admission.lease_id})
        return about

    def _refuse(self, why: Refusal, outer: Frame | None) -> NoReturn:
        with self._lock:
            self.counts[f"{REFUSED}.{why.reason}"] += 1
        if runtime.tracer is not None:
            about = {**self._refused_attributes, REFUSED_BY: why.reason, FALLBACK_LEVEL: outer.level if outer else 0}
            if why.lease_id:
                about[LEASE_ID] = why.lease_id
            runtime.tracer.start_span(self.name, kind=SpanKind.CLIENT, attributes=about).end()
        error = refusal(self.name, why.reason, why.retry_in_s)
        error.level = why.level
        raise error

    def _ended(self, call: Call, result: Any) -> None:
        timed = call.task is None and call.timeout_s is not None
        if self._check is None and not (timed or call.abandoned) and call.useless_as is None:  # as nearly always
            with self._lock:
                if self._calls.pop(call, call) is None:
                    self._gate.leave(call.admission, WORKED, 0.0)
                self.counts["worked"] += 1
            return call.leave(None)
        if call.abandoned and call.task is not None:
            call.task.uncancel()  # it answered all the same
            call.abandoned = False
        if call.useless_as is None and self._check is not None:
            call.useless_as = self._checked(result)
        late = timed and self._clock() - call.started > (call.timeout_s or 0)
        if call.useless_as is not None:
            self._end(call, FAILED, "useless", TIMEOUT if late else None)
            raise Useless(result, call.useless_as)
        if late:
            self._end(call, self._verdict_of_timeout(call), "failed", TIMEOUT)
        else:
            self._end(call, WORKED, "worked", None)

    def _failed(self, call: Call, error: BaseException) -> None:
        cancelled = isinstance(error, asyncio.CancelledError)
        if call.abandoned and call.task is not None:
            if call.task.uncancel() == 0 or not cancelled:
                self._end(call, SAYS_NOTHING, "abandoned", None)
                raise refusal(self.name, REFUSED_BY_COMMAND) from error
            call.abandoned = False  # the caller gave up as well, and goes first
        if cancelled and call.ends_at <= time.monotonic():
            self._end(call, self._verdict_of_timeout(call), "failed", TIMEOUT)  # the budget ended the call
        elif not isinstance(error, Exception):
            self._end(call, SAYS_NOTHING, "cancelled", None, cancelled=True)
        else:
            self._end(call, self._verdict(call, error), "failed", error_type(error))

    def _verdict(self, call: Call, error: Exception) -> Verdict:
        if isinstance(error, (*self.ignore, Refused)) or status_of(error) in REQUEST_WAS_WRONG:
            return SAYS_NOTHING
        return self._verdict_of_timeout(call) if isinstance(error, TimeoutError) else FAILED

    def _verdict_of_timeout(self, call: Call) -> Verdict:
        """A callee that got less than half of its usual time, because the budget was short, is not to blame."""
        own, given = call.own_deadline_s, call.timeout_s
        short_changed = own is not None and given is not None and given < own / 2
        return SAYS_NOTHING if short_changed and self._clock() - call.started >= (given or 0) else FAILED

    def _end(
        self, call: Call, verdict: Verdict, outcome: str, error_type: str | None, *, cancelled: bool = False
    ) -> None:
        with self._lock:
            if self._calls.pop(call, call) is None:  # a fork may have emptied it
                self._gate.leave(call.admission, verdict, 0.0 if verdict is WORKED else self._clock())
            self.counts[outcome] += 1
        call.leave(error_type, cancelled)

    def _checked(self, result: Any) -> str | None:
        assert self._check is not None
        try:
            return self._check(result)
        except Exception as error:
            dropped.add("check")
            if not self._told_check:
                self._told_check = True
                log.warning("guard %r: its check fails with %r; answers are taken as good", self.name, error)
            return None

    # What commands and gauges use

    def objection(self, order: Order, meant: "Sequence[Guard]") -> str:
        """Why this guard will not obey; empty when it will.

        Args:
            order: What is asked.
            meant: All guards that it is asked of.
        """
        if self._gate.forced is not None:
            return "overridden by operator"
        if self.members is not None and order.closes_path:
            return "" if any(m.stands for m in self.members() if m not in meant) else "last member"
        if order.kind is ActionKind.FAILOVER and not self.fallbacks:
            return "no fallback"
        if order.kind is ActionKind.DEGRADE and order.level > len(self.fallbacks):
            return f"no fallback {order.level}, this guard has {len(self.fallbacks)}"
        return ""

    def obey(self, command_id: str, order: Order, ends_at: float) -> None:
        """Obey from the next call on, until `ends_at` of this guard's clock."""
        now = self._clock()
        with self._lock:
            self._gate.put(command_id, order, ends_at, now)
            calls = list(self._calls)
        if order.closes_path and order.abandon_after_s is not None:
            for call in calls:
                self._let_go(call, max(0.0, order.abandon_after_s - (now - call.started)))

    def disobey(self, command_id: str) -> None:
        with self._lock:
            self._gate.drop(command_id, self._clock())

    def _let_go(self, call: Call, in_s: float) -> None:
        if call.task is None or call.admission.probe:
            return
        loop = call.task.get_loop()

        def let_go() -> None:
            if call in self._calls and self.state is State.OPEN_BY_COMMAND:
                call.let_go()

        try:
            loop.call_soon_threadsafe(loop.call_later, in_s, let_go)
        except RuntimeError:  # its loop is closed
            dropped.add("abandon")

    def draws_probe(self) -> bool | None:
        """For a router: None while the path is open, else whether this call shall probe it."""
        with self._lock:
            orders = self._gate.orders_at(self._clock())
            if orders is None or orders.closed_until is None or self._gate.forced is not None:
                return None
            return self._gate.may_probe(orders)

    @property
    def ready(self) -> bool:
        """Whether the local breaker and the operator would let a call through now."""
        with self._lock:
            return self._gate.forced != "open" and self._gate.breaker.wait_s(self._clock()) == 0

    @property
    def stands(self) -> bool:
        """Whether neither a command nor the operator keeps calls away; the local breaker comes and goes."""
        return self._gate.forced != "open" and self.state is not State.OPEN_BY_COMMAND

    @property
    def state(self) -> State:
        with self._lock:
            return self._gate.state(self._clock())

    def in_flight(self) -> tuple[int, float]:
        """Calls begun and not ended, and the age of the oldest in seconds."""
        with self._lock:
            oldest = next(iter(self._calls), None)
            return len(self._calls), 0.0 if oldest is None else max(0.0, self._clock() - oldest.started)

    def count_fallback(self) -> None:
        with self._lock:
            self.counts["fallback"] += 1

    def after_fork(self) -> None:
        """In a forked child: the calls in flight are the parent's."""
        self._lock = threading.Lock()
        self._calls.clear()
        self._gate.forget_calls()


class Rescue:
    """What to ask next after a call failed, and what to say when nothing helped."""

    def __init__(self, guard: Guard, first: Exception) -> None:
        self.guard, self.first = guard, first
        self._seen = [first]
        outer = frame.get()
        self._level = 0 if outer is None else outer.level

    def layers(self) -> "Iterator[tuple[Below, Callable[..., Any]]]":
        """The fallbacks in order, each with the frame to run it in: one level below the guarded call."""
        if isinstance(self.first, self.guard.ignore):
            return
        refused_here = isinstance(self.first, Refused) and self.first.name == self.guard.name
        begin = self.first.level if refused_here and isinstance(self.first, Refused) else 1
        for number, fallback in enumerate(self.guard.fallbacks[begin - 1 :], begin):
            self.guard.count_fallback()
            yield Below(self._level + number), fallback

    def failed(self, error: Exception) -> None:
        """Chain the error of a fallback to the one before it, unless that has a cause of its own."""
        if self._seen[-1].__cause__ is None and all(error is not seen for seen in self._seen):
            self._seen[-1].__cause__ = error
        self._seen.append(error)

    def give_up(self) -> Any:
        """The useless answer when there was one, else the first error."""
        if isinstance(self.first, Useless):
            return self.first.result
        raise self.first


def _called(fn: Callable[..., Any]) -> str:
    return getattr(fn, "__qualname__", repr(fn))


guard = Guard  # lower case where it decorates: @paramedic.guard("llm.primary")
