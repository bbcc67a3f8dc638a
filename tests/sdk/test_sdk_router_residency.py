"""Where data may not go it does not go: whatever fails, whatever is commanded, however often it is tried again."""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paramedic import Guard, Router, deadline
from paramedic.contract.command import ActionKind, Command, Lease, Target
from paramedic.guards.refusals import Refused, ResidencyRefused
from paramedic.guards.registry import registry
from paramedic.guards.sharing import retry_budgets
from paramedic.policy.breaker import Breaker
from paramedic.policy.retry import Retry
from paramedic.request import request
from paramedic.routing.members import Member
from paramedic.testing import Clock, StatusError
from paramedic.testing.waiting import no_wait

REGIONS = ["eu", "us", "ch", ""]
LISTS = st.none() | st.frozensets(st.sampled_from(REGIONS[:3]), max_size=3)
FAILURES = [
    lambda: OSError("down"),
    lambda: TimeoutError("late"),
    lambda: StatusError(429, {"retry-after": "1"}),
    lambda: StatusError(503),
    lambda: KeyError("bug"),
]


class World:
    """Members in all regions that fail at random, in a router with another router as its fallback."""

    def __init__(self, regions, allowed, seed, sick, retry):
        self.chance, self.sick, self.asked = random.Random(seed), sick, []
        self.clock = Clock()
        names = [f"m{i}" for i in range(len(regions))]
        members = {
            name: Member(self._call(region), peer=name, region=region, priority=i % 2, weight=1 + i)
            for i, (name, region) in enumerate(zip(names, regions, strict=True))
        }
        options = {
            "breaker": Breaker(in_a_row=2, rest_s=3),
            "clock": self.clock,
            "draw": self.chance.random,
            "retry": Retry(attempts=3) if retry else None,
            "check": lambda answer: "empty" if self.chance.random() < sick / 3 else None,
        }
        last = Router("last", members, **options)
        self.router = Router("bot", members, residency=allowed, fallbacks=[last], **options)
        self.guards = [*self.router.guards.values(), *last.guards.values()]

    def _call(self, region):
        async def call():
            self.asked.append((region, request.current().residency))
            if self.chance.random() < self.sick:
                raise self.chance.choice(FAILURES)()
            return region

        return call

    def happen(self, i):
        """Time passes; a command or the operator closes a path, or opens all."""
        self.clock.now += self.chance.choice([0, 0, 1, 5])
        guard, draw = self.chance.choice(self.guards), self.chance.random()
        if draw < 0.2:
            kind = self.chance.choice([ActionKind.FAILOVER, ActionKind.TRIP_BREAKER])
            lease = Lease(f"l{i}", 4.0, self.chance.choice([0.01, 0.5, 1.0]))
            command = Command(f"c{i}", 1, "bot", kind, Target(peer=guard.peer, guard=guard.name), lease, 0.0)
            registry.apply(command, self.clock() + 4)
        elif draw < 0.3:
            guard.force(self.chance.choice(["open", "closed", None]))


@given(
    regions=st.lists(st.sampled_from(REGIONS), min_size=1, max_size=5),
    of_router=LISTS,
    of_request=LISTS,
    inner=LISTS,
    seed=st.integers(0, 10_000),
    sick=st.sampled_from([0.0, 0.3, 0.8, 1.0]),
    retry=st.booleans(),
)
def test_no_member_outside_the_allowed_regions_is_ever_called(regions, of_router, of_request, inner, seed, sick, retry):
    registry.clear()
    retry_budgets.clear()
    if of_router is not None and not of_router & set(regions):
        with pytest.raises(ValueError, match="has no member in"):
            World(regions, of_router, seed, sick, retry)
        return
    world = World(regions, of_router, seed, sick, retry)
    said = [one for one in (of_router, of_request, inner) if one is not None]
    allowed = frozenset.intersection(*said) if said else frozenset(REGIONS)

    ends = []

    async def main():
        for i in range(25):
            world.happen(i)
            with request(residency=of_request), deadline(60), request(residency=inner):
                try:
                    await world.router()
                except Exception as error:
                    ends.append(error)

    with no_wait():
        asyncio.run(main())
    assert {region for region, _ in world.asked} <= allowed
    if not allowed & set(regions):
        assert [type(end) for end in ends] == [ResidencyRefused] * 25
    if said:  # and what is further down is told the same
        assert all(told == allowed for _, told in world.asked)


def test_the_world_of_that_test_does_call_fail_and_fall_back():
    """Otherwise nothing would be tested by it."""
    world = World(["eu", "us", "ch"], None, 5, 0.6, True)
    ends = []

    async def main():
        for i in range(200):
            world.happen(i)
            try:
                ends.append(await world.router())
            except Exception as error:
                ends.append(type(error).__name__)

    with no_wait():
        asyncio.run(main())
    assert {"eu", "us", "ch"} <= set(ends)
    assert len(world.asked) > 300
    assert {"fallback", "retry", "useless", "failed", "worked"} <= {w for g in world.guards for w in g.counts}


def test_a_call_that_may_go_nowhere_is_refused_in_one_sentence_and_counted(run, sink):
    async def call():
        return "?"

    router = Router("bot", {"a": Member(call, region="eu"), "b": Member(call, region="us")})

    async def main():
        with request(residency={"ch"}):
            await router()

    with pytest.raises(Refused) as refused:
        run(main())
    assert refused.value.reason == "residency"
    assert str(refused.value).startswith("'bot' was not called: ")
    (span,) = sink.spans
    assert span.attributes["paramedic.refused.by"] == "residency"
    assert sum(guard.counts["refused.residency"] for guard in router.guards.values()) == 1


def test_a_fallback_may_answer_what_may_go_nowhere(run):
    async def call():
        raise AssertionError

    router = Router("bot", {"a": Member(call, region="us")}, fallbacks=[lambda: "Sorry!"])

    async def main():
        with request(residency={"eu"}):
            return await router()

    assert run(main()) == "Sorry!"


def test_the_regions_of_a_router_go_on_to_the_next_service(run):
    async def call():
        return Guard.headers()["paramedic-residency"]

    router = Router("bot", {"a": Member(call, region="eu")}, residency=["eu", "ch"])
    assert run(router()) == "ch,eu"
    assert request.current().residency is None


def test_members_outside_the_regions_of_a_router_do_not_count_as_standing_in(clock, command, obey):
    members = {"a": Member(print, region="eu"), "b": Member(print, region="us")}
    router = Router("bot", members, residency={"eu"}, clock=clock)
    assert list(router.guards) == ["a"]
    assert obey(command("failover", peer="bot", zone="a")).reasons == ("last member",)
