"""A router spreads calls over members that can stand in for each other: providers, models, zones, accounts.

    request --> members in weighted random order, ready ones first --> the next one when one fails or refuses
                a member that a command closed: only its probing share, and a failed probe is retried elsewhere
                a member outside the regions of the request: never

Each member has a guard of its own: breaker, bulkhead, commands and telemetry are the guard's. What is next after a
failure is decided in `rounds`; the shells here only make the calls.
"""

import inspect
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, ParamSpec, TypeVar, Unpack, cast

from paramedic.guards.callables import is_async
from paramedic.guards.calls import Value
from paramedic.guards.fallbacks import Fallback, fallback_of
from paramedic.guards.guard import Guard
from paramedic.guards.obeying import Obeying
from paramedic.guards.registry import registry
from paramedic.guards.waits import waits
from paramedic.policy.retry import Retry
from paramedic.policy.turns import Turns
from paramedic.request import regions
from paramedic.routing.members import Member, RouterOptions, is_stream, members_of
from paramedic.routing.rounds import Ask, Place, Rounds, Rules

P = ParamSpec("P")
T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)


class Router(Generic[P, R_co]):
    """Picks a member for each call.

    >>> async def aurora(question: str) -> str:
    ...     raise ConnectionError
    >>> async def borealis(question: str) -> str:
    ...     return "hello from borealis"
    >>> router = paramedic.Router("llm", {"aurora": aurora, "borealis": borealis}, deadline_s=9, attempt_s=4)
    >>> asyncio.run(router("hello?"))
    'hello from borealis'

    Args:
        name: Of the router and of all its members' guards; a member's model is added to the name of its guard.
        members: By name, the function that calls this member, or a `Member`; all functions, or all generator
            functions. A member that says neither peer, zone nor model has its name as its zone.
        peer: Whom they call, as all callers name it; the router's name when not given.
        deadline_s: Most seconds for a call with all its attempts; the fallbacks come after it.
        attempt_s: Most seconds for one attempt; without it the first may use up the whole deadline.
        weights: By name of the member, how often it is chosen first compared with the others; 1 when not given.
        residency: Regions where what is asked may go: no other member is ever asked, nor anything further down.
        ramp_s: Seconds in which a member that was away takes on its whole weight again, beginning with a tenth.
        fallbacks: As in `Guard`, after all members. Without them, when the breakers of all members are open, one
            call at a time is made all the same, to the member whose rest ends first.
        retry: How often all members are gone through when none helped; a number is `Retry(attempts=number)`. When
            it is not `repeatable`, a call that may have arrived is not made to another member either.
        attributes: Written on every span of its guards.
        options: As in `Guard`, for each member.

    Attributes:
        guards: By name of the member.

    Raises:
        ValueError: No members, none in the regions, two that cannot be told apart, or a number is out of range.
        TypeError: Functions and generator functions are mixed.
    """

    def __init__(
        self,
        name: str,
        members: "Mapping[str, Callable[P, R_co] | Member[P, R_co]]",
        *,
        peer: str = "",
        deadline_s: float | None = None,
        attempt_s: float | None = None,
        weights: Mapping[str, float] | None = None,
        residency: Iterable[str] | None = None,
        ramp_s: float = 30.0,
        fallbacks: "Sequence[Callable[..., Any] | Fallback[..., Any]]" = (),
        retry: Retry | int | None = None,
        attributes: Mapping[str, Value] | None = None,
        **options: Unpack[RouterOptions],
    ) -> None:
        known = members_of(f"router {name!r}", members, weights)
        allowed = regions(residency, f"residency of router {name!r}")
        known = {key: member for key, member in known.items() if member.allowed(allowed)}
        if not known:
            raise ValueError(f"router {name!r} has no member in {sorted(allowed or ())}; say region= of its members")
        if deadline_s is not None and not deadline_s > 0:
            raise ValueError(f"deadline_s of router {name!r} must be above 0 seconds, got {deadline_s!r}")
        if not 0 <= ramp_s < float("inf"):
            raise ValueError(f"ramp_s of router {name!r} must be 0 or more seconds, got {ramp_s!r}")
        self.name, self.peer, self.deadline_s = name, peer or name, deadline_s
        self.guards = {
            key: Guard(
                member.guard_name(name),
                peer=member.peer or peer,
                zone=member.zone,
                deadline_s=attempt_s,
                attributes={**(attributes or {}), **member.attributes},
                members=self._members,
                **options,
            )
            for key, member in known.items()
        }
        self._is_async = any(is_async(member.call) for member in known.values())
        self._streams = any(is_stream(member.call) for member in known.values())
        self._rounds = Rounds(
            [Place(member, self.guards[key]) for key, member in known.items()],
            Turns([m.weight for m in known.values()], [m.priority for m in known.values()], ramp_s),
            Rules(
                deadline_s,
                allowed,
                Retry(retry) if isinstance(retry, int) else retry,
                tuple(fallback_of(fallback) for fallback in fallbacks),
                options.get("ignore", ()),
                options.get("clock", time.monotonic),
                options.get("draw", random.random),
            ),
        )
        registry.add(*self.guards.values())

    def _members(self) -> list[Obeying]:
        return list(self.guards.values())

    async def __call__(self: "Router[P, Awaitable[T]]", *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a member; another one when it fails, is refused or gives a useless answer.

        Raises:
            Refused: No member could be called.
            Exception: What the first member that was called raised, when none worked.
        """
        trip = self._trip(args, kwargs)
        try:
            ask = next(trip)
            while True:
                try:
                    return cast(T, await _answer(ask, args, kwargs))
                except Exception as error:
                    failure = error
                ask = trip.send(failure)
        except StopIteration as done:
            return cast(T, done.value)
        finally:
            trip.close()

    def run_sync(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """As calling it, for sync members."""
        if self._is_async:
            raise TypeError(f"the members of router {self.name!r} are async: use `await router(...)`")
        trip = self._trip(args, kwargs)
        try:
            ask = next(trip)
            while True:
                try:
                    return cast(R_co, _answer_sync(ask, args, kwargs))
                except Exception as error:
                    failure = error
                ask = trip.send(failure)
        except StopIteration as done:
            return cast(R_co, done.value)
        finally:
            trip.close()

    def stream(self: "Router[P, AsyncIterator[T]]", *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        """What a member's async generator gives; another member's when it gives nothing useful.

        Raises:
            StreamCut: While it is read: it broke off after it had given something useful.
            Exception: As of a call.
        """
        from paramedic.streams.generators import streaming

        return streaming(self.name, self._rounds.trip)(*args, **kwargs)

    def stream_sync(self: "Router[P, Iterator[T]]", *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        """As `stream`, for generators."""
        from paramedic.streams.generators import streaming_sync

        return streaming_sync(self.name, self._rounds.trip)(*args, **kwargs)

    def _trip(self, args: Any, kwargs: Any) -> Generator[Ask, Exception, Any]:
        if self._streams:
            raise TypeError(f"the members of router {self.name!r} give streams: use stream(...) or stream_sync(...)")
        return self._rounds.trip(args, kwargs)


async def _answer(ask: Ask, args: Any, kwargs: Any) -> Any:
    if ask.wait_s:
        await waits.asleep(ask.wait_s)
    if ask.guard is not None:
        return await ask.guard.attempt(ask.fn, args, kwargs, ask.probe)
    assert ask.step is not None
    async with ask.step.block():
        answer = ask.fn(*args, **kwargs)
        return await answer if inspect.isawaitable(answer) else answer


def _answer_sync(ask: Ask, args: Any, kwargs: Any) -> Any:
    if ask.wait_s:
        waits.sleep(ask.wait_s)
    if ask.guard is not None:
        return ask.guard.attempt_sync(ask.fn, args, kwargs, ask.probe)
    assert ask.step is not None
    with ask.step.block():
        return ask.fn(*args, **kwargs)
