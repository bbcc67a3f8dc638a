"""What commands make of a guard, and that they end by themselves."""

import asyncio
import contextlib
import random

import pytest

import paramedic
from paramedic import BreakerOpen, BulkheadFull, CommandRefused, Guard, Router, Shed
from paramedic.contract.command import CommandError
from paramedic.guards.registry import registry
from paramedic.policy.breaker import Breaker, State


async def echo(value):
    return value


async def broken(*_):
    raise RuntimeError("down")


def test_a_tripped_guard_refuses_until_its_lease_ends(run, clock, command, obey, sink):
    guard = Guard("llm", peer="aurora", clock=clock)
    assert obey(command("trip_breaker", peer="aurora", ttl_s=20)).guards == ("llm",)
    with pytest.raises(CommandRefused, match=r"retry in 20\.0 s"):
        run(guard.run(echo, 1))
    assert guard.state is State.OPEN_BY_COMMAND
    assert sink.spans[0].attributes["paramedic.refused.by"] == "command"
    assert sink.spans[0].attributes["paramedic.lease.id"] == "lease-1"
    clock.now += 20
    assert guard.state is State.CLOSED
    assert run(guard.run(echo, 1)) == 1


def test_a_failover_sends_calls_to_the_fallbacks(run, clock, command, obey):
    guard = Guard("llm", peer="aurora", clock=clock, fallbacks=[lambda value: f"light {value}"])
    obey(command("failover", peer="aurora"))
    assert run(guard.run(echo, 1)) == "light 1"


def test_a_failover_of_a_guard_that_has_nothing_else_is_rejected(run, clock, command, obey):
    guard = Guard("llm", peer="aurora", clock=clock)
    applied = obey(command("failover", peer="aurora"))
    assert (applied.guards, applied.reasons) == ((), ("no fallback",))
    assert run(guard.run(echo, 1)) == 1


def test_other_guards_are_left_alone(run, clock, command, obey):
    meant = Guard("llm", peer="aurora", zone="eu-1a", clock=clock)
    elsewhere = Guard("llm", peer="aurora", zone="eu-1b", clock=clock)
    other = Guard("orders", peer="orders", zone="eu-1a", clock=clock)
    obey(command("trip_breaker", peer="aurora", zone="eu-1a"))
    assert [g.state for g in (meant, elsewhere, other)] == [State.OPEN_BY_COMMAND, State.CLOSED, State.CLOSED]


def test_the_probing_share_goes_through_and_says_so(run, clock, command, obey, sink):
    guard = Guard("llm", peer="aurora", clock=clock, draw=random.Random(3).random)
    obey(command("trip_breaker", peer="aurora", probe_share=0.1))

    async def main():
        for _ in range(2000):
            try:
                await guard.run(echo, 1)
            except CommandRefused:
                continue

    run(main())
    probes = [span for span in sink.spans if span.attributes.get("paramedic.probe")]
    assert 150 < len(probes) < 250
    assert {(p.attributes["paramedic.decision"], p.attributes["paramedic.lease.id"]) for p in probes} == {
        ("allowed", "lease-1")
    }
    assert len(sink.spans) == 2000


def test_at_most_one_probe_is_in_flight(run, clock, command, obey):
    guard = Guard("llm", peer="aurora", clock=clock, draw=lambda: 0.0)
    obey(command("trip_breaker", peer="aurora", probe_share=1.0))

    async def main():
        gate = asyncio.Event()
        calls = [asyncio.ensure_future(guard.run(gate.wait)) for _ in range(20)]
        await asyncio.sleep(0)
        assert guard.in_flight()[0] == 1
        gate.set()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert await guard.run(echo, "the next probe") == "the next probe"
        return answers

    answers = run(main())
    assert sorted(map(str, map(type, answers))).count(str(bool)) == 1


def test_probes_that_fail_become_ever_rarer_and_one_that_works_ends_the_pause(run, clock, command, obey):
    guard = Guard("llm", peer="aurora", clock=clock, draw=lambda: 0.0)
    obey(command("trip_breaker", peer="aurora", probe_share=1.0, ttl_s=300))
    made = []

    async def tried(fn):
        made.append(clock.now)
        return await fn()

    async def main(fn, seconds):
        begun, made[:] = clock.now, []
        for _ in range(4 * seconds):
            with contextlib.suppress(RuntimeError, CommandRefused):
                await guard.run(tried, fn)
            clock.now += 0.25
        return [at - begun for at in made]

    async def fine():
        return 1

    assert run(main(broken, 12)) == [0, 0.5, 1.5, 3.5, 7.5, 11.5], "half a second, doubled up to four"
    clock.now += 4
    assert len(run(main(fine, 5))) == 20


def test_the_next_treatment_probes_at_once(run, clock, command, obey):
    guard = Guard("llm", peer="aurora", clock=clock, draw=lambda: 0.0)
    first = command("trip_breaker", peer="aurora", probe_share=1.0)
    obey(first)
    with pytest.raises(RuntimeError):
        run(guard.run(broken))
    registry.withdraw(first.id)
    obey(command("trip_breaker", peer="aurora", probe_share=1.0))
    assert run(guard.run(echo, 1)) == 1


def test_a_share_of_nothing_probes_nothing(run, clock, command, obey):
    guard = Guard("llm", peer="aurora", clock=clock, draw=lambda: 0.0)
    obey(command("trip_breaker", peer="aurora", probe_share=0.0))
    with pytest.raises(CommandRefused):
        run(guard.run(echo, 1))


def test_a_probe_passes_an_open_breaker(run, clock, command, obey):
    guard = Guard("llm", peer="aurora", breaker=Breaker(in_a_row=1), clock=clock, draw=lambda: 0.0)

    async def main():
        with pytest.raises(RuntimeError):
            await guard.run(broken)
        with pytest.raises(BreakerOpen):
            await guard.run(echo, 1)
        obey(command("trip_breaker", peer="aurora", probe_share=1.0))
        return await guard.run(echo, 1)

    assert run(main()) == 1


@pytest.mark.parametrize("how", ["lease", "clear"])
def test_after_a_command_the_local_breaker_starts_closed(run, clock, command, obey, how):
    guard = Guard("llm", peer="aurora", breaker=Breaker(in_a_row=1, rest_s=1000), clock=clock)
    trip = command("trip_breaker", peer="aurora", ttl_s=20)

    async def main():
        with pytest.raises(RuntimeError):
            await guard.run(broken)
        obey(trip)
        if how == "lease":
            clock.now += 20
        else:
            registry.withdraw(trip.id)
        assert guard.state is State.CLOSED
        return await guard.run(echo, 1)

    assert run(main()) == 1


def test_failed_probes_say_nothing_to_the_local_breaker(run, clock, command, obey):
    guard = Guard("llm", peer="aurora", breaker=Breaker(in_a_row=1), clock=clock, draw=lambda: 0.0)
    trip = command("trip_breaker", peer="aurora", probe_share=1.0)
    obey(trip)

    async def main():
        for _ in range(3):
            with pytest.raises(RuntimeError):
                await guard.run(broken)
            clock.now += 4  # longer than the pause between failed probes

    run(main())
    registry.withdraw(trip.id)
    assert guard.state is State.CLOSED


def test_the_operator_beats_commands(run, clock, command, obey):
    guard = Guard("llm", peer="aurora", clock=clock)
    obey(command("trip_breaker", peer="aurora"))
    guard.force("closed")
    assert run(guard.run(echo, 1)) == 1
    assert obey(command("trip_breaker", peer="aurora")).reasons == ("overridden by operator",)
    guard.force(None)
    with pytest.raises(CommandRefused):
        run(guard.run(echo, 1))


def test_a_share_of_the_load_is_shed(run, clock, command, obey):
    guard = Guard("llm", peer="aurora", clock=clock, draw=random.Random(1).random)
    obey(command("shed_load", peer="aurora", parameters={"share": 0.25}))

    async def main():
        return await asyncio.gather(*(guard.run(echo, 1) for _ in range(1000)), return_exceptions=True)

    shed = sum(isinstance(answer, Shed) for answer in run(main()))
    assert 200 < shed < 300


def test_concurrency_is_limited_to_the_stricter_of_both(run, clock, command, obey):
    guard = Guard("llm", peer="aurora", max_concurrent=5, clock=clock)

    async def at_once():
        answers = await asyncio.gather(*(guard.run(asyncio.sleep, 0) for _ in range(10)), return_exceptions=True)
        return sum(not isinstance(answer, BulkheadFull) for answer in answers)

    assert run(at_once()) == 5
    obey(command("limit_concurrency", peer="aurora", parameters={"limit": 2}))
    assert run(at_once()) == 2
    obey(command("limit_concurrency", peer="aurora", parameters={"limit": 100}))
    assert run(at_once()) == 2
    clock.now += 31
    assert run(at_once()) == 5


def test_a_deadline_is_set(run, clock, command, obey):
    guard = Guard("llm", peer="aurora", deadline_s=3600, clock=clock)
    obey(command("set_deadline", peer="aurora", parameters={"deadline_s": 0.01}))
    with pytest.raises(TimeoutError):
        run(guard.run(asyncio.sleep, 3600))


def test_a_degraded_guard_begins_with_the_fallback_that_was_asked_for(run, clock, command, obey):
    guard = Guard("llm", peer="aurora", clock=clock, fallbacks=[lambda v: "light", lambda v: "cached"])
    obey(command("degrade", peer="aurora", parameters={"level": 2}))
    assert run(guard.run(echo, 1)) == "cached"
    assert obey(command("degrade", peer="aurora", parameters={"level": 3})).reasons == (
        "no fallback 3, this guard has 2",
    )


@pytest.mark.parametrize(
    ("kind", "parameters", "why"),
    [
        ("shed_load", {}, "parameters.share must be a number from 0 to 1, got None"),
        ("shed_load", {"share": "all"}, "got 'all'"),
        ("limit_concurrency", {"limit": 0}, "parameters.limit"),
        ("limit_concurrency", {"limit": 2.5}, "whole number"),
        ("limit_concurrency", {"limit": True}, "got True"),
        ("set_deadline", {"deadline_s": -1}, "parameters.deadline_s"),
        ("trip_breaker", {"abandon_after_s": -1}, "parameters.abandon_after_s"),
        ("cap_tokens", {"max_tokens": 0}, "parameters.max_tokens must be a number from 1"),
        ("flush_cache", {}, "flush_cache asks nothing of a guard"),
    ],
)
def test_what_cannot_be_done_is_said(clock, command, obey, kind, parameters, why):
    guard = Guard("llm", peer="aurora", clock=clock)
    with pytest.raises(CommandError) as rejected:
        obey(command(kind, peer="aurora", parameters=parameters))
    assert why in str(rejected.value)
    assert guard.state is State.CLOSED


def test_a_router_avoids_a_member_but_for_its_probing_share(run, clock, command, obey):
    seen = []

    def member(zone):
        async def call(value):
            seen.append(zone)
            return zone

        return call

    router = Router("bot", {z: member(z) for z in ("a", "b")}, peer="bot", clock=clock, draw=random.Random(5).random)
    obey(command("failover", peer="bot", zone="a", probe_share=0.1))

    async def main():
        for _ in range(1000):
            await router(1)

    run(main())
    assert 60 < seen.count("a") < 140
    assert seen.count("b") == 1000 - seen.count("a")


def test_a_failed_probe_is_retried_on_another_member(run, clock, command, obey, sink):
    router = Router("bot", {"a": broken, "b": echo}, peer="bot", clock=clock, draw=lambda: 0.0)
    obey(command("failover", peer="bot", zone="a", probe_share=1.0))
    assert run(router("b answers")) == "b answers"
    probe, retry = sink.spans
    assert probe.attributes["paramedic.probe"] is True
    assert probe.attributes["paramedic.peer.zone"] == "a"
    assert retry.attributes["paramedic.peer.zone"] == "b"


def test_the_last_member_is_never_taken_out(run, clock, command, obey):
    router = Router("bot", {"a": echo, "b": echo}, peer="bot", clock=clock)
    first = command("failover", peer="bot", zone="a")
    assert obey(first).guards == ("bot",)
    assert obey(command("failover", peer="bot", zone="b")).reasons == ("last member",)
    assert obey(command("trip_breaker", peer="bot")).reasons == ("last member",)
    assert run(router(1)) == 1
    registry.withdraw(first.id)
    assert obey(command("failover", peer="bot", zone="b")).guards == ("bot",)


def test_a_command_for_all_members_takes_out_none(clock, command, obey):
    router = Router("bot", {"a": echo, "b": echo}, peer="bot", clock=clock)
    assert obey(command("failover", peer="bot")).guards == ()
    assert {guard.state for guard in router.guards.values()} == {State.CLOSED}


def test_hanging_calls_are_let_go_to_the_fallbacks(run, clock, command, obey, sink):
    """Those older than asked; a younger one gets the rest of its time."""
    guard = Guard(
        "llm",
        peer="aurora",
        breaker=Breaker(in_a_row=1),
        deadline_s=3600,
        clock=clock,
        fallbacks=[lambda v: f"light {v}"],
    )

    async def hang(value):
        await asyncio.sleep(3600)

    async def main():
        old = asyncio.ensure_future(guard.run(hang, "old"))
        await asyncio.sleep(0)
        clock.now += 5
        young = asyncio.ensure_future(guard.run(hang, "young"))
        await asyncio.sleep(0)
        obey(command("failover", peer="aurora", ttl_s=600, parameters={"abandon_after_s": 4}))
        assert await old == "light old"
        assert not young.done()
        young.cancel()
        with pytest.raises(asyncio.CancelledError):
            await young
        assert old.cancelling() == 0

    run(main())
    let_go = sink.spans[0].attributes
    assert (let_go["paramedic.decision"], let_go["paramedic.refused.by"]) == ("refused", "command")
    assert let_go["paramedic.abandoned"] is True
    assert sink.spans[0].status.is_unset
    assert guard.in_flight() == (0, 0.0)
    clock.now += 600
    assert guard.state is State.CLOSED


def test_a_young_call_is_let_go_when_it_has_come_of_age(run, command):
    guard = Guard("llm", peer="aurora", fallbacks=[lambda: "light"])

    async def hang():
        await asyncio.sleep(3600)

    async def main():
        call = asyncio.ensure_future(guard.run(hang))
        await asyncio.sleep(0)
        registry.apply(command("trip_breaker", peer="aurora", parameters={"abandon_after_s": 0.01}), float("inf"))
        return await call

    assert run(main()) == "light"


def test_without_being_asked_no_call_is_let_go(run, clock, command, obey):
    guard = Guard("llm", peer="aurora", clock=clock, fallbacks=[lambda _: "light"])

    async def slow(gate):
        await gate.wait()
        return "own answer"

    async def main():
        gate = asyncio.Event()
        call = asyncio.ensure_future(guard.run(slow, gate))
        await asyncio.sleep(0)
        clock.now += 100
        obey(command("failover", peer="aurora"))
        await asyncio.sleep(0)
        gate.set()
        return await call

    assert run(main()) == "own answer"


def test_the_callers_cancellation_beats_letting_go(run, clock, command, obey):
    guard = Guard("llm", peer="aurora", clock=clock, fallbacks=[lambda: "light"])

    cleaned = []

    async def stubborn():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)
            cleaned.append(True)
            raise

    async def main():
        call = asyncio.ensure_future(guard.run(stubborn))
        await asyncio.sleep(0)
        call.cancel()
        obey(command("failover", peer="aurora", parameters={"abandon_after_s": 0}))
        with pytest.raises(asyncio.CancelledError):
            await call
        return call.cancelled()

    assert run(main())
    assert cleaned, "the clean-up was not disturbed"
    assert guard.in_flight() == (0, 0.0)


def test_a_call_let_go_inside_the_callers_timeout_leaves_that_timeout_whole(run, clock, command, obey):
    guard = Guard("llm", peer="aurora", clock=clock, fallbacks=[lambda: "light"])

    async def hang():
        await asyncio.sleep(3600)

    async def main():
        async def caller():
            async with asyncio.timeout(60):
                answer = await guard.run(hang)
                await asyncio.sleep(0)
                return answer

        call = asyncio.ensure_future(caller())
        await asyncio.sleep(0)
        obey(command("failover", peer="aurora", parameters={"abandon_after_s": 0}))
        return await call

    assert run(main()) == "light"


def test_a_call_let_go_that_answers_all_the_same_is_no_cancelled_task(run, clock, command, obey, sink):
    guard = Guard("llm", peer="aurora", clock=clock, fallbacks=[lambda: "light"])

    async def stubborn():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            return "own answer"

    async def main():
        async def caller():
            answer = await guard.run(stubborn)
            return answer, asyncio.current_task().cancelling()

        call = asyncio.ensure_future(caller())
        await asyncio.sleep(0)
        obey(command("failover", peer="aurora", parameters={"abandon_after_s": 0}))
        return await call

    assert run(main()) == ("own answer", 0)
    assert sink.spans[0].attributes["paramedic.decision"] == "allowed"


def test_of_two_commands_for_one_path_the_smaller_probing_share_holds(run, clock, command, obey):
    guard = Guard("llm", peer="aurora", clock=clock, draw=lambda: 0.5)
    obey(command("trip_breaker", peer="aurora", probe_share=1.0))
    assert run(guard.run(echo, "a probe")) == "a probe"
    obey(command("trip_breaker", guard="llm", probe_share=0.1))
    with pytest.raises(CommandRefused):
        run(guard.run(echo, 1))


def test_a_router_sends_one_probe_a_call(run, clock, command, obey, sink):
    router = Router("bot", {"a": broken, "b": broken, "c": echo}, peer="bot", clock=clock, draw=lambda: 0.0)
    obey(command("failover", peer="bot", zone="a", probe_share=1.0))
    obey(command("failover", peer="bot", zone="b", probe_share=1.0))
    assert run(router("c answers")) == "c answers"
    assert [span.attributes["paramedic.peer.zone"] for span in sink.spans] == ["a", "c"]


# Tools, tokens


def test_a_tool_that_is_switched_off_answers_from_its_fallback_and_is_not_available(run, clock, command, obey):
    guard = Guard("search", peer="web", clock=clock, fallbacks=[lambda v: f"light {v}", lambda v: "never"])
    assert obey(command("disable_tool", peer="web", ttl_s=20)).guards == ("search",)
    assert (run(guard.run(echo, 1)), guard.available) == ("light 1", False)
    clock.now += 20
    assert (run(guard.run(echo, 1)), guard.available) == (1, True)


def test_a_tool_without_a_fallback_can_be_switched_off_too(run, clock, command, obey):
    guard = Guard("search", peer="web", clock=clock)
    obey(command("disable_tool", guard="search"))
    with pytest.raises(CommandRefused):
        run(guard.run(echo, 1))


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_a_closed_tool_stands_in_the_share_of_lists_that_is_left_for_probes(run, clock, command, obey, share):
    guard = Guard("search", peer="web", clock=clock, draw=random.Random(3).random)
    tool = guard(echo)
    obey(command("disable_tool", peer="web", probe_share=share, ttl_s=600))
    listed = sum(paramedic.available([tool, print]) == [tool, print] for _ in range(1000))
    assert share * 1000 - 50 <= listed <= share * 1000 + 50


def test_a_closed_tool_that_a_list_named_is_let_through_once(run, clock, command, obey, sink):
    draws = iter([0.05, 0.5, 0.5, 0.5])
    guard = Guard("search", peer="web", clock=clock, draw=lambda: next(draws))
    tool = guard(echo)
    obey(command("disable_tool", peer="web", probe_share=0.1, ttl_s=600))
    assert paramedic.available([tool]) == [tool]
    clock.now += 59
    assert paramedic.available([tool]) == [], "each list draws anew"
    assert run(tool("a probe")) == "a probe"
    assert sink.spans[-1].attributes["paramedic.probe"] is True
    with pytest.raises(CommandRefused):
        run(tool(1))


def test_what_a_list_named_long_ago_is_refused(run, clock, command, obey):
    draws = iter([0.05, 0.5])
    guard = Guard("search", peer="web", clock=clock, draw=lambda: next(draws))
    tool = guard(echo)
    obey(command("trip_breaker", peer="web", probe_share=0.1, ttl_s=600))
    assert paramedic.available([tool]) == [tool]
    clock.now += 60
    with pytest.raises(CommandRefused):
        run(tool(1))


def test_a_tool_that_is_switched_off_altogether_is_refused_whatever_a_list_promised(run, clock, command, obey):
    guard = Guard("search", peer="web", clock=clock, draw=lambda: 0.0)
    tool = guard(echo)
    obey(command("trip_breaker", peer="web", probe_share=0.1))
    assert paramedic.available([tool]) == [tool]
    obey(command("disable_tool", peer="web", probe_share=0.0))
    with pytest.raises(CommandRefused):
        run(tool(1))


def test_tokens_are_capped_to_the_least_that_is_asked(run, clock, command, obey):
    guard = Guard("llm", peer="aurora", clock=clock)

    async def ask(wanted):
        return Guard.current().cap_tokens(wanted)

    assert run(guard.run(ask, 1000)) == 1000
    obey(command("cap_tokens", peer="aurora", ttl_s=10, parameters={"max_tokens": 100}))
    obey(command("cap_tokens", peer="aurora", ttl_s=20, parameters={"max_tokens": 300}))
    assert [run(guard.run(ask, wanted)) for wanted in (1000, 50)] == [100, 50]
    clock.now += 10
    assert run(guard.run(ask, 1000)) == 300
    clock.now += 10
    assert run(guard.run(ask, 1000)) == 1000
