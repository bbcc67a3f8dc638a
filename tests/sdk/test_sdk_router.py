"""A router over members that stand in for each other."""

import asyncio
import random

import pytest

from paramedic import BreakerOpen, Router
from paramedic.policy.breaker import Breaker, State


def member(name, seen, fails=None):
    async def call(*_):
        seen.append(name)
        if fails is not None:
            raise fails
        return name

    return call


class HttpError(Exception):
    status_code = 422


def router_of(members, **options):
    return Router("bot", members, peer="support-bot", **options)


def test_members_share_the_calls_by_their_weights(run):
    seen = []
    members = {name: member(name, seen) for name in "ab"}
    router = router_of(members, weights={"a": 3}, draw=random.Random(1).random)

    async def main():
        for _ in range(2000):
            await router()

    run(main())
    assert 1400 < seen.count("a") < 1600


def test_a_member_that_fails_is_followed_by_the_next(run, sink):
    seen = []
    router = router_of({"a": member("a", seen, OSError()), "b": member("b", seen)}, draw=lambda: 0.5)
    assert run(router()) == "b"
    assert seen == ["a", "b"]
    assert [span.attributes["paramedic.peer.zone"] for span in sink.spans] == ["a", "b"]
    assert {span.attributes["service.peer.name"] for span in sink.spans} == {"support-bot"}


def test_a_member_whose_breaker_is_open_is_not_asked(run, clock, sink):
    seen = []
    router = router_of(
        {"a": member("a", seen, OSError()), "b": member("b", seen)},
        breaker=Breaker(in_a_row=2),
        clock=clock,
        draw=lambda: 0.5,
    )

    async def main():
        for _ in range(10):
            await router()

    run(main())
    assert seen.count("a") == 2
    assert router.guards["a"].state is State.OPEN
    assert not [span for span in sink.spans if span.attributes["paramedic.decision"] == "refused"]
    clock.now += 10
    run(router())
    assert seen.count("a") == 3


def test_when_all_fail_the_first_error_is_raised(run):
    router = router_of({"a": member("a", [], OSError("a")), "b": member("b", [], OSError("b"))}, draw=lambda: 0.5)
    with pytest.raises(OSError, match="a"):
        run(router())


def test_when_all_are_open_the_caller_is_told_when_to_come_back(run, clock):
    router = router_of({"a": member("a", [], OSError("down"))}, breaker=Breaker(in_a_row=1), clock=clock)

    async def main():
        with pytest.raises(OSError, match="down"):
            await router()
        with pytest.raises(BreakerOpen) as refused:
            await router()
        return refused.value.retry_in_s

    assert run(main()) == 10.0


def test_a_wrong_request_is_not_sent_to_everybody(run):
    seen = []
    router = router_of({name: member(name, seen, HttpError()) for name in "abc"})
    with pytest.raises(HttpError):
        run(router())
    assert len(seen) == 1


def test_a_useless_answer_is_followed_by_the_next_member(run):
    seen = []
    check = {"a": "empty"}.get
    assert run(router_of({n: member(n, seen) for n in "ab"}, check=check, draw=lambda: 0.5)()) == "b"
    assert run(router_of({"a": member("a", seen)}, check=check)()) == "a"


def test_an_attempt_that_hangs_leaves_time_for_the_next(run):
    async def hang():
        await asyncio.sleep(3600)

    router = router_of({"a": hang, "b": member("b", [])}, attempt_s=0.01, deadline_s=60, draw=lambda: 0.5)
    assert run(router()) == "b"


def test_the_deadline_holds_for_all_attempts_together(run):
    async def hang():
        await asyncio.sleep(3600)

    router = router_of({"a": hang, "b": hang}, deadline_s=0.01)
    with pytest.raises(TimeoutError):
        run(router())


def test_sync_members_are_routed_alike():
    def broken(value):
        raise OSError

    router = router_of({"a": broken, "b": lambda value: value}, draw=lambda: 0.5)
    assert router.run_sync(7) == 7


@pytest.mark.parametrize(
    ("members", "options", "why"), [({}, {}, "at least one member"), ({"a": print}, {"weights": {"a": 0}}, "weights")]
)
def test_a_router_that_cannot_work_is_refused(members, options, why):
    with pytest.raises(ValueError, match=why):
        router_of(members, **options)
