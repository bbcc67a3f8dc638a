"""One call through a router: a round over its members, perhaps another one after a wait, then the fallbacks.

    order of the members --> next --refused, failed, useless--> next --> ...
        all kept away by their own breakers?       one call at a time goes to the one whose rest ends first
        worth another round, with budget and time? wait, and again
        else                                       the fallbacks in order, then the first error

`Rounds.trip` decides, and the shells of the router make the calls: it is a generator that yields whom to ask, is
sent the exception when that did not help, and returns a useless answer or raises when nobody helped.
"""

import math
import os
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from paramedic.contract.attributes import REFUSED_BY_BREAKER, REFUSED_BY_RESIDENCY
from paramedic.guards.attempts import REQUEST_WAS_WRONG, Useless
from paramedic.guards.budget import deadline, inherited_key
from paramedic.guards.fallbacks import Fallback
from paramedic.guards.guard import Guard
from paramedic.guards.recovering import Recovering, Step, marks
from paramedic.guards.refusals import Refused
from paramedic.policy.breaker import State
from paramedic.policy.recovery import Means
from paramedic.policy.retry import Retry, asked_wait_s, never_arrived, status_of
from paramedic.policy.turns import Kept, Seen, Turns
from paramedic.request import current_request, request
from paramedic.routing.members import Member

LONGEST_WISH_S = 300.0  # for which a member that answered Retry-After is asked last


@dataclass(frozen=True, slots=True)
class Place:
    """A member of a router, and the guard before it."""

    member: Member[..., Any]
    guard: Guard


@dataclass(frozen=True, slots=True)
class Ask:
    """Whom to ask next.

    Attributes:
        fn: What asks.
        guard: Of the member; None for a fallback.
        probe: Whether the guard shall let the call through to probe a closed path; None when it is not closed.
        wait_s: Seconds to wait before.
        step: What a fallback is part of; None for a member.
    """

    fn: Callable[..., Any]
    guard: Guard | None = None
    probe: bool | None = None
    wait_s: float = 0.0
    step: Step | None = None


Trip = Generator[Ask, Exception, Any]


@dataclass(frozen=True, slots=True)
class Rules:
    """How a router makes its rounds."""

    deadline_s: float | None
    residency: frozenset[str] | None
    retry: Retry | None
    fallbacks: tuple[Fallback[..., Any], ...]
    ignore: tuple[type[Exception], ...]
    clock: Callable[[], float]
    draw: Callable[[], float]


class Rounds:
    """The rounds of one router; safe to share between threads.

    Args:
        places: Its members.
        turns: Decides their order.
        rules: How to go round.
    """

    def __init__(self, places: Sequence[Place], turns: Turns, rules: Rules) -> None:
        self.places, self.rules, self._turns = tuple(places), rules, turns
        self._all = range(len(self.places))
        self._asks = [Ask(place.member.call, place.guard) for place in self.places]
        self._wishes: dict[int, float] = {}  # until when a member asked to be left alone
        self._last_resort: dict[int, object] = {}  # by process, whose call it is; taking it is one step

    def trip(self, args: Any, kwargs: Any) -> Trip:
        """Whom to ask for one call. To be closed in the end, in the context that began it."""
        rules = self.rules
        with (
            nullcontext() if rules.residency is None else request(residency=rules.residency),
            self.places[0].guard.keyed(args, kwargs),
        ):
            call = _Call(self)
            with nullcontext() if rules.deadline_s is None else deadline(rules.deadline_s):
                step = yield from call.rounds()
            while step is not None and step.fn is not None:
                step = call.recovering.failed((yield Ask(step.fn, step=step)))
            return call.give_up()

    def order(self, allowed: Sequence[int], in_s: float) -> list[Ask]:
        """The members that may be asked, in the order in which to ask them `in_s` from now."""
        now = self.rules.clock() + in_s
        seen = [self._see(i, now) if i in allowed else _FAR for i in self._all]
        turns = self._turns.order(seen, now, self.rules.draw)
        return [self._ask(turn.member, turn.probe) for turn in turns if turn.member in allowed]

    def allowed(self) -> Sequence[int]:
        """The members to which the data of this request may go."""
        here = current_request()
        if here is None or here.residency is None:
            return self._all
        return [i for i, place in enumerate(self.places) if place.member.allowed(here.residency)]

    def wish(self, guard: Guard, seconds: float) -> None:
        """A member asked to be left alone for a while."""
        for i, place in enumerate(self.places):
            if place.guard is guard:
                self._wishes[i] = self.rules.clock() + min(seconds, LONGEST_WISH_S)

    def take_last_resort(self, call: object) -> bool:
        """Whether this call may ask a member that rests; no other may until `give_back`."""
        return self._last_resort.setdefault(os.getpid(), call) is call

    def give_back(self) -> None:
        self._last_resort.pop(os.getpid(), None)

    def _ask(self, i: int, probe: bool | None) -> Ask:
        ask = self._asks[i]
        return ask if probe is None else replace(ask, probe=probe)

    def _see(self, i: int, now: float) -> Seen:
        seen, until = self.places[i].guard.seen(), self._wishes.get(i)
        if until is not None and now >= until:
            self._wishes.pop(i, None)
        elif until is not None and seen.kept is Kept.NOTHING:
            return Seen(Kept.ITS_WISH)
        return seen


_FAR = Seen(Kept.OPERATOR)  # a member that must not be asked is not looked at either


class _Call:
    """One call on its rounds."""

    def __init__(self, of: Rounds) -> None:
        self._of, self._rules, self._since = of, of.rules, marks.count
        self._allowed = of.allowed()
        self._recovering: Recovering | None = None
        self._made: list[Exception] = []  # what calls of this round raised
        self._refused: list[tuple[Ask, Refused]] = []
        self._useless: Useless | None = None
        self._final = False  # whether nobody else must be asked

    def rounds(self) -> "Generator[Ask, Exception, Step | None]":
        """The rounds over the members; what comes after them."""
        if not self._allowed:
            return self.recovering.failed(self._nowhere())
        step = yield from self._round(self._allowed, 0.0)
        while step is not None and step.fn is None:
            with step.block():
                step = yield from self._round(self._affordable(), step.wait_s)
        return step

    @property
    def recovering(self) -> Recovering:
        """What decides after a round; most calls need none."""
        if self._recovering is None:
            rules, guards = self._rules, self._guards()
            budget = max((guard.retry_budget for guard in guards), key=lambda budget: budget.tokens)
            means = Means(rules.retry, budget, len(rules.fallbacks), rules.draw)
            self._recovering = Recovering(guards[0], means, rules.fallbacks, self._since, self._is_open)
        return self._recovering

    def give_up(self) -> Any:
        """A useless answer when there was one, else raise an error of the first call that was made."""
        return self._useless.result if self._useless is not None else self.recovering.give_up()

    def _round(self, allowed: Sequence[int], wait_s: float) -> "Generator[Ask, Exception, Step | None]":
        self._made.clear()
        self._refused.clear()
        for ask in self._of.order(allowed, wait_s):
            self._hear(ask, (yield replace(ask, wait_s=wait_s) if wait_s else ask))
            if self._final:
                break
            wait_s = 0.0
        least_bad = self._least_bad()
        if least_bad is not None and self._of.take_last_resort(self):
            try:
                self._hear(least_bad, (yield replace(least_bad, probe=True)))
            finally:
                self._of.give_back()
        return self.recovering.failed(self._telling())

    def _hear(self, ask: Ask, error: Exception) -> None:
        if isinstance(error, Refused) and not isinstance(error, self._rules.ignore):
            error.level = 1  # of a member; the fallbacks are the router's
            self._refused.append((ask, error))
            return
        self._made.append(error)
        if isinstance(error, self._rules.ignore) or status_of(error) in REQUEST_WAS_WRONG:
            self._final, self._useless = True, None  # another member would answer the same
            return
        if isinstance(error, Useless):
            self._useless = self._useless or error
        asked_s = asked_wait_s(error, time.time)
        if asked_s and ask.guard is not None:
            self._of.wish(ask.guard, asked_s)
        if not self._may_repeat(error, asked_s):
            self._final = True

    def _may_repeat(self, error: Exception, asked_s: float | None) -> bool:
        """Whether asking another member does no harm: it would not do twice what must be done once."""
        retry = self._rules.retry
        return retry is None or retry.repeatable or bool(inherited_key()) or never_arrived(error, asked_s is not None)

    def _least_bad(self) -> Ask | None:
        """When local breakers, and nothing else, kept the call from every member: the one whose rest ends first.

        A member that is being tried already is left alone. A router of one is as its guard.
        """
        if self._made or self._rules.fallbacks or len(self._of.places) < 2:
            return None
        if any(error.reason != REFUSED_BY_BREAKER for _, error in self._refused):
            return None
        resting = [one for one in self._refused if one[0].guard is not None and one[0].guard.state is State.OPEN]
        return min(resting, key=_back_in)[0] if resting else None

    def _telling(self) -> Exception:
        """The error that stands for the round: one that another round may mend, else that of the first call made."""
        retry = self._rules.retry
        if self._final:
            return self._made[-1]
        if retry is not None:
            asked = [(asked_wait_s(error, time.time), error) for error in self._made]
            worth = [
                (wait_s or 0.0, i)
                for i, (wait_s, error) in enumerate(asked)
                if retry.repeats(error, asked_to_wait=wait_s is not None, keyed=bool(inherited_key()))
            ]
            if worth:
                return self._made[min(worth)[1]]
        if self._made:
            return self._made[0]
        return min(self._refused, key=_back_in)[1]

    def _guards(self) -> list[Guard]:
        """Of the members that may be asked; of all when none may."""
        return [self._of.places[i].guard for i in self._allowed] or [place.guard for place in self._of.places]

    def _affordable(self) -> Sequence[int]:
        """The members whose budget bears another call."""
        affordable = [i for i in self._allowed if self._of.places[i].guard.retry_budget.allows]
        return affordable or self._allowed

    def _is_open(self) -> bool:
        return all(guard.state is not State.CLOSED for guard in self._guards())

    def _nowhere(self) -> Exception:
        guard = self._of.places[0].guard
        try:
            guard.refuse(REFUSED_BY_RESIDENCY)
        except Refused as error:
            return error


def _back_in(refused: tuple[Ask, Refused]) -> float:
    """Seconds after which it is worth asking again."""
    retry_in_s = refused[1].retry_in_s
    return math.inf if retry_in_s is None else retry_in_s
