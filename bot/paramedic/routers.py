"""A router spreads calls over members that can stand in for each other: zones, replicas, accounts.

    request --> members in weighted random order, ready ones first --> the next one when one fails or refuses
                a member that a command closed: only its probing share, and a failed probe is retried elsewhere

Each member has a guard of its own: breaker, bulkhead, commands and telemetry are the guard's.
"""

import contextlib
import math
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, Generic, ParamSpec

from paramedic.attempts import REQUEST_WAS_WRONG, Check, Useless
from paramedic.budget import deadline
from paramedic.calls import Value, status_of
from paramedic.guards import Guard
from paramedic.refusals import Refused
from paramedic.registry import registry

P = ParamSpec("P")
Turn = tuple[Guard, Callable[..., Any], bool | None]  # whose turn it is; whether the call is a probe


class Router(Generic[P]):
    """Picks a member for each call.

    Args:
        name: Of the router and of all its members' guards.
        members: By zone, the function that calls this member; all async, or all sync.
        peer: Whom they call, as all callers name it; the router's name when not given.
        deadline_s: Most seconds for a call with all its attempts.
        attempt_s: Most seconds for one attempt; without it the first may use up the whole deadline.
        weights: By zone, how often a member is chosen first compared with the others; 1 when not given.
        max_concurrent: As in `Guard`, for each member; so are `failures`, `rest_s`, `trials`, `check`,
            `ignore`, `attributes`, `clock` and `draw`.

    Raises:
        ValueError: No members, or a number is out of range.
    """

    def __init__(
        self,
        name: str,
        members: Mapping[str, Callable[P, Any]],
        *,
        peer: str = "",
        deadline_s: float | None = None,
        attempt_s: float | None = None,
        weights: Mapping[str, float] | None = None,
        max_concurrent: int | None = None,
        failures: int = 5,
        rest_s: float = 10.0,
        trials: int = 1,
        check: Check | None = None,
        ignore: tuple[type[Exception], ...] = (),
        attributes: Mapping[str, Value] | None = None,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        if not members:
            raise ValueError(f"router {name!r} needs at least one member")
        self._weights = {zone: (weights or {}).get(zone, 1.0) for zone in members}
        for zone, weight in self._weights.items():
            if not weight > 0:
                raise ValueError(f"weights[{zone!r}] of router {name!r} must be above 0, got {weight!r}")
        self.name, self.peer, self.deadline_s = name, peer or name, deadline_s
        self._calls, self._ignore, self._draw = dict(members), ignore, draw
        self.guards = {
            zone: Guard(
                name,
                peer=peer,
                zone=zone,
                deadline_s=attempt_s,
                max_concurrent=max_concurrent,
                failures=failures,
                rest_s=rest_s,
                trials=trials,
                check=check,
                ignore=ignore,
                attributes=attributes,
                clock=clock,
                draw=draw,
                members=self._members,
            )
            for zone in members
        }
        registry.add(*self.guards.values())

    def _members(self) -> list[Guard]:
        return list(self.guards.values())

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Call a member; another one when it fails, is refused or gives a useless answer.

        Raises:
            Refused: No member could be called.
            Exception: What the first member that was called raised, when none worked.
        """
        errors = Errors(self._ignore)
        with self._budget():
            for guard, call, probe in self._plan():
                try:
                    return await guard.attempt(call, args, kwargs, probe)
                except Exception as error:
                    errors.add(error)
        return errors.give_up()

    def run_sync(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """As calling it, for sync members."""
        errors = Errors(self._ignore)
        with self._budget():
            for guard, call, probe in self._plan():
                try:
                    return guard.attempt_sync(call, args, kwargs, probe)
                except Exception as error:
                    errors.add(error)
        return errors.give_up()

    def _budget(self) -> "contextlib.AbstractContextManager[Any]":
        return contextlib.nullcontext() if self.deadline_s is None else deadline(self.deadline_s)

    def _plan(self) -> list[Turn]:
        """Members to try in order, and for each whether the call is a probe."""
        probes: list[Turn] = []
        ready: list[Turn] = []
        others: list[Turn] = []
        for zone in self._shuffled():
            guard, call = self.guards[zone], self._calls[zone]
            drawn = guard.draws_probe()
            if drawn is None:
                (ready if guard.ready else others).append((guard, call, None))
            elif drawn and not probes:
                probes.append((guard, call, True))
            else:
                others.append((guard, call, False))
        return [*probes, *ready, *others]

    def _shuffled(self) -> list[str]:
        """Zones in random order; each stands first as often as its weight says (Efraimidis and Spirakis, 2006)."""
        return sorted(self._weights, key=lambda zone: -math.log(1 - self._draw()) / self._weights[zone])


class Errors:
    """Which of the members' errors the caller sees: the first of a call that was made, else the last refusal."""

    def __init__(self, ignore: tuple[type[Exception], ...]) -> None:
        self._ignore = ignore
        self._made: Exception | None = None
        self._refused: Exception | None = None

    def add(self, error: Exception) -> None:
        """Keep it; raise it at once when another member would answer the same."""
        if isinstance(error, self._ignore) or status_of(error) in REQUEST_WAS_WRONG:
            raise error
        if isinstance(error, Refused):
            self._refused = error
        elif self._made is None:
            self._made = error

    def give_up(self) -> Any:
        error = self._made or self._refused
        assert error is not None
        if isinstance(error, Useless):
            return error.result
        raise error
