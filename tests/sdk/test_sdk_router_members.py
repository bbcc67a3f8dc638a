"""Members of a router: what tells them apart, which are asked how often, and how they come back."""

import asyncio
import inspect
import random
import threading
import time

import pytest

from paramedic import BreakerOpen, Guard, Refused, Router, StreamCut
from paramedic.guards.registry import registry
from paramedic.policy.breaker import Breaker, State
from paramedic.policy.retry import Retry
from paramedic.request import request
from paramedic.routing.cascade import Cascade
from paramedic.routing.members import GuardOptions, Member, RouterOptions, members_of
from paramedic.testing import StatusError
from paramedic.testing.waiting import no_wait


async def echo(value=None):
    return value


def counting(router_of_name, seen):
    async def call():
        seen.append(router_of_name)
        return router_of_name

    return call


def shares(router, seen, run, times=1500):
    async def main():
        seen.clear()
        for _ in range(times):
            await router()

    run(main())
    return {name: seen.count(name) / times for name in sorted(set(seen))}


# Two providers, two models, two zones


def fleet(seen, fails, **options):
    """large before small; in each, two providers in two zones."""

    def call(key):
        async def ask():
            seen.append(key)
            if fails(key):
                raise OSError(key)
            return key

        return ask

    members = {
        f"{peer} {model} {zone}": Member(
            call((peer, model, zone)), peer=peer, model=model, zone=zone, priority=("large", "small").index(model)
        )
        for peer in ("aurora", "borealis")
        for model in ("large", "small")
        for zone in ("1a", "1b")
    }
    return Router("llm", members, **{"draw": random.Random(2).random, **options})


def test_every_provider_model_and_zone_has_a_guard_that_can_be_told_apart(run, sink):
    router = fleet([], lambda key: False)
    assert len({guard.key for guard in router.guards.values()}) == 8
    peer, model, zone = run(router())
    (span,) = sink.spans
    told = span.attributes
    assert (told["service.peer.name"], told["gen_ai.request.model"], told["paramedic.peer.zone"]) == (peer, model, zone)
    assert told["paramedic.guard"] == f"llm.{model}"


def test_the_large_model_of_both_providers_in_both_zones_is_asked_before_the_small_one(run):
    seen = []
    router = fleet(seen, lambda key: False)
    found = shares(router, seen, run, 800)
    assert {model for _, model, _ in found} == {"large"}
    assert all(0.19 < share < 0.31 for share in found.values())
    assert len(found) == 4


def test_a_dead_provider_in_one_zone_and_a_dead_model_elsewhere_leave_no_caller_without_an_answer(run, clock):
    """aurora is down, and so is the large model of borealis in 1a."""
    seen = []
    router = fleet(
        seen,
        lambda key: key[0] == "aurora" or key == ("borealis", "large", "1a"),
        breaker=Breaker(in_a_row=2),
        clock=clock,
    )
    shares(router, seen, run, 50)
    assert shares(router, seen, run, 100) == {("borealis", "large", "1b"): 1.0}


def test_when_the_large_model_is_gone_the_small_one_answers(run, clock):
    seen = []
    router = fleet(seen, lambda key: key[1] == "large", breaker=Breaker(in_a_row=1), clock=clock)
    shares(router, seen, run, 20)
    assert {model for _, model, _ in shares(router, seen, run, 100)} == {"small"}


def test_commands_reach_a_provider_a_zone_or_a_model(clock, command, obey):
    router = fleet([], lambda key: False, clock=clock)

    def closed():
        return {key for key, guard in router.guards.items() if guard.state is State.OPEN_BY_COMMAND}

    obey(command("failover", peer="aurora"))
    assert closed() == {key for key in router.guards if key.startswith("aurora")}
    obey(command("trip_breaker", guard="llm.large", zone="1b"))
    assert len(closed()) == 5
    assert obey(command("failover", zone="1a")).guards == ("llm.large", "llm.small")
    assert obey(command("failover", peer="borealis")).reasons == ("last member",)


# The way back


def test_a_member_whose_breaker_closed_takes_its_share_again_bit_by_bit(run, clock):
    seen = []
    members = {name: counting(name, seen) for name in "ab"}
    router = Router(
        "bot", members, breaker=Breaker(in_a_row=1, rest_s=10), clock=clock, draw=random.Random(4).random, ramp_s=30
    )

    def broken():
        raise OSError("down")

    with pytest.raises(OSError, match="down"):
        router.guards["a"].run_sync(broken)
    assert shares(router, seen, run, 50) == {"b": 1.0}
    clock.now += 10
    while router.guards["a"].state is not State.CLOSED:
        run(router())
    assert shares(router, seen, run)["a"] == pytest.approx(0.1 / 1.1, abs=0.04)
    clock.now += 15
    assert shares(router, seen, run)["a"] == pytest.approx(0.55 / 1.55, abs=0.05)
    clock.now += 15
    assert shares(router, seen, run)["a"] == pytest.approx(0.5, abs=0.05)


def test_a_member_that_a_command_kept_away_takes_its_share_again_bit_by_bit(run, clock, command, obey):
    seen = []
    members = {name: counting(name, seen) for name in "ab"}
    router = Router("bot", members, clock=clock, draw=random.Random(4).random)
    obey(command("failover", peer="bot", zone="a", ttl_s=30.0))
    assert shares(router, seen, run, 50) == {"b": 1.0}
    clock.now += 30
    assert shares(router, seen, run)["a"] == pytest.approx(0.1 / 1.1, abs=0.04)
    clock.now += 30
    assert shares(router, seen, run)["a"] == pytest.approx(0.5, abs=0.05)


def test_the_first_choice_takes_over_again_bit_by_bit_from_the_second(run, clock, command, obey):
    seen = []
    members = {"a": Member(counting("a", seen)), "b": Member(counting("b", seen), priority=1)}
    router = Router("bot", members, clock=clock, draw=random.Random(4).random)
    obey(command("failover", peer="bot", zone="a", ttl_s=30.0))
    run(router())
    clock.now += 30
    assert shares(router, seen, run)["a"] == pytest.approx(0.1, abs=0.04)
    clock.now += 30
    assert shares(router, seen, run) == {"a": 1.0}


def test_without_a_ramp_the_way_back_is_one_step(run, clock, command, obey):
    seen = []
    members = {"a": Member(counting("a", seen)), "b": Member(counting("b", seen), priority=1)}
    router = Router("bot", members, clock=clock, ramp_s=0)
    obey(command("failover", peer="bot", zone="a", ttl_s=30.0))
    run(router())
    clock.now += 30
    assert shares(router, seen, run, 50) == {"a": 1.0}


# Streams


def streaming(name, seen, chunks=("", "x"), error=None, after=99):
    async def stream(question):
        seen.append(name)
        for number, chunk in enumerate(chunks):
            if error is not None and number == after:
                raise error
            yield f"{name}{chunk}" if chunk else ""
        if error is not None and after >= len(chunks):
            raise error

    return stream


async def collected(stream):
    return [chunk async for chunk in stream]


def test_a_stream_that_fails_before_its_first_useful_chunk_goes_on_at_another_member(run, sink):
    seen = []
    members = {"a": streaming("a", seen, error=OSError("cut"), after=1), "b": streaming("b", seen)}
    router = Router("bot", members, draw=lambda: 0.5)
    assert run(collected(router.stream("hi"))) == ["", "bx"]
    assert seen == ["a", "b"]
    assert [span.attributes["paramedic.peer.zone"] for span in sink.spans] == ["a", "b"]


def test_a_stream_that_breaks_after_it_gave_something_useful_is_cut(run):
    seen = []
    members = {"a": streaming("a", seen, "xy", OSError("cut"), 1), "b": streaming("b", seen)}
    router = Router("bot", members, draw=lambda: 0.5)
    with pytest.raises(StreamCut) as cut:
        run(collected(router.stream("hi")))
    assert cut.value.chunks == 1
    assert seen == ["a"]


def test_a_stream_without_a_first_token_goes_on_at_another_member(run):
    async def hang(question):
        await asyncio.sleep(3600)
        yield "late"

    router = Router("bot", {"a": hang, "b": streaming("b", [])}, first_token_s=0.01, draw=lambda: 0.5)
    assert run(collected(router.stream("hi"))) == ["", "bx"]


def test_streams_are_asked_for_again_after_a_wait(run, sink):
    errors = [StatusError(503), StatusError(429, {"retry-after": "2"})]

    async def stream(question):
        if errors:
            raise errors.pop(0)
        yield "at last"

    router = Router("bot", {"a": stream, "b": stream}, retry=Retry(base_s=1), draw=lambda: 0.5)
    with no_wait() as waited:
        assert run(collected(router.stream("hi"))) == ["at last"]
    assert waited == [0.5]
    assert [span.attributes.get("paramedic.retry") for span in sink.spans] == [None, None, 1]


def test_no_stream_is_asked_for_where_the_data_may_not_go(run):
    seen = []
    members = {
        "a": Member(streaming("a", seen), region="us"),
        "b": Member(streaming("b", seen, error=OSError("b"), after=0), region="eu"),
    }
    router = Router("bot", members, retry=3, breaker=None)

    async def main():
        with request(residency={"eu"}):
            await collected(router.stream("hi"))

    with pytest.raises(OSError, match="b"):
        run(main())
    assert set(seen) == {"b"}


def test_streams_fall_back_too_and_leave_nothing_behind(run):
    members = {name: streaming(name, [], error=OSError(name), after=0) for name in "ab"}
    router = Router("bot", members, fallbacks=[lambda question: "Sorry!"], deadline_s=5, residency=None)

    async def main():
        return await collected(router.stream("hi")), Guard.headers()

    assert run(main()) == (["Sorry!"], {})
    assert all(guard.in_flight() == (0, 0.0) for guard in router.guards.values())


def test_sync_streams_are_routed_alike():
    def broken(question):
        raise OSError("down")
        yield

    def words(question):
        yield from question.split()

    router = Router("bot", {"a": broken, "b": words}, draw=lambda: 0.5)
    assert list(router.stream_sync("hello you")) == ["hello", "you"]


def test_when_no_member_gives_a_stream_the_first_error_is_raised(run):
    members = {name: streaming(name, [], error=OSError(name), after=0) for name in "ab"}
    with pytest.raises(OSError, match="a"):
        run(collected(Router("bot", members, draw=lambda: 0.5).stream("hi")))


def test_a_router_of_streams_says_how_to_call_it(run):
    router = Router("bot", {"a": streaming("a", [])})
    with pytest.raises(TypeError, match=r"use stream\(...\)"):
        run(router("hi"))
    with pytest.raises(TypeError, match=r"use stream\(...\)"):
        router.run_sync("hi")


def test_async_members_are_not_called_without_being_awaited():
    with pytest.raises(TypeError, match="use `await router"):
        Router("bot", {"a": echo}).run_sync("hi")


# What cannot be meant


def stream(question):
    yield question


@pytest.mark.parametrize(
    ("make", "error", "why"),
    [
        (lambda: Member(None), TypeError, "needs a function"),
        (lambda: Member(print, weight=0), ValueError, "weight of a member must be above 0, got 0"),
        (lambda: Member(print, weight=float("nan")), ValueError, "weight"),
        (lambda: Member(print, cost=-1), ValueError, "cost of a member must be 0 or more, got -1"),
        (lambda: Member(print, region="e u"), ValueError, "region of a member"),
        (lambda: Router("bot", {}), ValueError, "router 'bot' needs at least one member"),
        (lambda: Router("bot", {"a": print}, weights={"b": 1}), ValueError, r"weights\['b'\] of router 'bot'"),
        (lambda: Router("bot", {"a": print}, residency={"eu"}), ValueError, "has no member in"),
        (lambda: Router("bot", {"a": print}, residency="eu"), TypeError, "collection of regions"),
        (lambda: Router("bot", {"a": print}, deadline_s=0), ValueError, "deadline_s of router 'bot'"),
        (lambda: Router("bot", {"a": print}, ramp_s=-1), ValueError, "ramp_s of router 'bot'"),
        (lambda: Router("bot", {"a": print, "b": stream}), TypeError, "all be generator functions"),
        (
            lambda: Router("bot", {"a": Member(print, peer="x"), "b": Member(repr, peer="x")}),
            ValueError,
            "'a' and 'b' of router 'bot' have the same peer, zone and model",
        ),
    ],
)
def test_a_mistake_is_named_when_the_router_is_made(make, error, why):
    with pytest.raises(error, match=why):
        make()


def test_a_member_that_says_nothing_of_itself_has_its_name_as_its_zone():
    members = members_of("router", {"a": echo, "b": Member(echo, weight=3), "c": Member(echo, peer="x")}, {"a": 2})
    assert [(m.zone, m.peer, m.weight) for m in members.values()] == [("a", "", 2), ("b", "", 3), ("", "x", 1)]


@pytest.mark.parametrize(("of", "options"), [(Router, RouterOptions), (Cascade, GuardOptions)])
def test_what_is_handed_on_to_the_guards_is_what_guards_take(of, options):
    taken = inspect.signature(Guard.__init__).parameters
    own = inspect.signature(of.__init__).parameters
    assert set(options.__annotations__) <= set(taken)
    assert not set(options.__annotations__) & set(own)


# Odd lives


def test_a_router_inside_a_router_counts_refusals_as_such(run, clock):
    inner = Router("inner", {"x": echo}, breaker=Breaker(in_a_row=1), clock=clock)
    inner.guards["x"].force("open")
    outer = Router("outer", {"a": inner, "b": echo}, draw=lambda: 0.5, clock=clock)
    assert run(outer("hi")) == "hi"
    assert outer.guards["a"].state is State.CLOSED


def test_callers_in_many_tasks_get_their_own_answers_and_leave_nothing_in_flight(run, clock):
    chance = random.Random(1)

    async def flaky(value):
        await asyncio.sleep(0)
        if chance.random() < 0.3:
            raise StatusError(503)
        return value

    router = Router("bot", {"a": flaky, "b": flaky, "c": flaky}, breaker=None, max_concurrent=500, clock=clock)

    async def main():
        return await asyncio.gather(*(router(i) for i in range(500)), return_exceptions=True)

    ends = run(main())
    assert all(end == i or isinstance(end, StatusError) for i, end in enumerate(ends))
    assert sum(end == i for i, end in enumerate(ends)) > 450
    assert all(guard.in_flight()[0] == 0 for guard in router.guards.values())


def test_callers_in_many_threads_get_their_own_answers_and_leave_nothing_in_flight(command):
    chance, ends = random.Random(1), []

    def flaky(value):
        if chance.random() < 0.2:
            raise OSError("down")
        return value

    router = Router("bot", {"a": flaky, "b": flaky}, breaker=Breaker(in_a_row=3, rest_s=0.001), peer="bot")

    def work(number):
        for i in range(200):
            if number == 0 and i % 20 == 0:
                registry.apply(command("failover", peer="bot", zone="a"), time.monotonic() + 0.002)
            try:
                ends.append(router.run_sync((number, i)) == (number, i))
            except (OSError, Refused):
                ends.append(None)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ends) == 8 * 200
    assert False not in ends
    assert ends.count(True) > 400
    assert all(guard.in_flight()[0] == 0 for guard in router.guards.values())


def test_cancelling_a_call_is_no_failure_of_any_member(run):
    async def hang():
        await asyncio.sleep(3600)

    router = Router("bot", {"a": hang, "b": hang}, draw=lambda: 0.5)

    async def main():
        call = asyncio.ensure_future(router())
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    run(main())
    assert router.guards["a"].counts == {"cancelled": 1}
    assert router.guards["b"].counts == {}


def test_when_all_refuse_the_caller_hears_of_the_one_that_is_back_first(run, clock):
    router = Router("bot", {"a": echo, "b": echo}, breaker=Breaker(in_a_row=1, rest_s=10), clock=clock)

    def broken():
        raise OSError("down")

    for name in "ab":
        with pytest.raises(OSError, match="down"):
            router.guards[name].run_sync(broken)
        clock.now += 3
    router.guards["b"].force("open")  # so that nobody is the last resort
    with pytest.raises(BreakerOpen) as refused:
        run(router())
    assert refused.value.retry_in_s == 4.0
