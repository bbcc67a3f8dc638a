"""A guard's own timer beside everybody else's: it behaves as a nested `asyncio.timeout` would."""

import asyncio
import time

import pytest
from sdk_virtual_time import run_virtually

from paramedic import BreakerOpen, CommandRefused, Guard, deadline
from paramedic.guards.fallbacks import Fallback
from paramedic.guards.registry import registry
from paramedic.policy.breaker import Breaker, State

SOON, LATER = 0.01, 3600.0


@pytest.fixture
def run(monkeypatch, clock):
    """In virtual time, the same for the loop, for budgets and for guards."""
    monkeypatch.setattr(time, "monotonic", clock)
    monkeypatch.setitem(Guard.__init__.__kwdefaults__, "clock", clock)
    return lambda main: run_virtually(clock, main)


async def hang(*_):
    await asyncio.sleep(LATER)


async def stubborn(*_):
    """Swallows a cancellation and answers all the same."""
    try:
        await asyncio.sleep(LATER)
    except asyncio.CancelledError:
        return "all the same"


async def converts(*_):
    """Makes another error of a cancellation."""
    try:
        await asyncio.sleep(LATER)
    except asyncio.CancelledError:
        raise ConnectionResetError("closed") from None


async def cleans_up(*_):
    try:
        await asyncio.sleep(LATER)
    finally:
        await asyncio.sleep(3 * SOON)


async def fine(*_):
    return "fine"


def is_clean():
    return asyncio.current_task().cancelling() == 0


def outcomes(guard):
    return {name: many for name, many in guard.counts.items() if not name.startswith(("fallback", "retry"))}


async def timers_left():
    """Timers of ours that have been neither run nor cancelled."""
    await asyncio.sleep(0)
    scheduled = asyncio.get_running_loop()._scheduled
    return [handle for handle in scheduled if not handle.cancelled()]


def test_a_call_that_takes_too_long_ends_with_a_timeout_that_says_so(run):
    guard = Guard("llm", deadline_s=SOON)

    async def main():
        with pytest.raises(TimeoutError, match=r"'llm' did not answer within 0.01 s") as raised:
            await guard.run(hang)
        assert isinstance(raised.value.__cause__, asyncio.CancelledError)
        assert is_clean()
        await asyncio.sleep(0)
        return await guard.run(fine)

    assert run(main()) == "fine"
    assert outcomes(guard) == {"failed": 1, "worked": 1}


def test_a_call_in_time_leaves_no_timer_behind(run):
    guard = Guard("llm", deadline_s=LATER)

    async def main():
        await guard.run(fine)
        with pytest.raises(ZeroDivisionError):
            await guard.run(divides_by_zero)
        async with guard.call():
            await asyncio.sleep(0)
        async with deadline(LATER):
            await asyncio.sleep(0)
        return await timers_left()

    async def divides_by_zero():
        return 1 / 0

    assert run(main()) == []


@pytest.mark.parametrize(("inner_s", "outer_s"), [(SOON, LATER), (LATER, SOON), (SOON, SOON)])
def test_of_nested_guards_the_one_whose_time_is_up_ends_and_the_other_goes_on(run, inner_s, outer_s):
    inner = Guard("inner", deadline_s=inner_s, breaker=Breaker(in_a_row=1))
    outer = Guard("outer", deadline_s=outer_s, breaker=Breaker(in_a_row=1))

    async def turn():
        try:
            await inner.run(hang)
        except TimeoutError:
            if outer_s == LATER:
                await asyncio.sleep(0)
                return "the outer one went on"
            raise

    async def main():
        try:
            return await outer.run(turn)
        except TimeoutError:
            return "timeout"
        finally:
            assert is_clean()

    assert run(main()) == ("the outer one went on" if outer_s == LATER else "timeout")
    assert outer.state is (State.CLOSED if outer_s == LATER else State.OPEN)
    assert inner.in_flight() == outer.in_flight() == (0, 0.0)


def test_timers_that_fire_in_one_moment_end_both_calls_once(run):
    """Inner and outer time are up in the same turn of the loop: one cancellation arrives, both take back their own."""
    guards = [Guard(f"g{number}", deadline_s=SOON, breaker=Breaker(in_a_row=1)) for number in range(4)]

    async def nested(rest):
        await (rest[0].run(nested, rest[1:]) if rest else hang())

    async def main():
        async with deadline(SOON):
            await nested(guards)

    async def whole():
        with pytest.raises(TimeoutError):
            await main()
        assert is_clean()
        await asyncio.sleep(2 * SOON)

    run(whole())
    assert [guard.state for guard in guards] == [State.OPEN] * 4
    assert [outcomes(guard) for guard in guards] == [{"failed": 1}] * 4


@pytest.mark.parametrize(("guard_s", "caller_s"), [(LATER, SOON), (SOON, LATER)])
def test_the_callers_own_timeout_around_a_guard_stays_whole(run, guard_s, caller_s, sink):
    guard = Guard("llm", deadline_s=guard_s, fallbacks=[fine] if guard_s == SOON else [])

    async def main():
        try:
            async with asyncio.timeout(caller_s) as timeout:
                return await guard.run(hang)
        except TimeoutError:
            assert timeout.expired()
            return "the caller's"
        finally:
            assert is_clean()

    assert run(main()) == ("fine" if guard_s == SOON else "the caller's")
    assert outcomes(guard) == ({"failed": 1} if guard_s == SOON else {"cancelled": 1})


@pytest.mark.parametrize("guard_s", [SOON, LATER])
def test_the_callees_own_timeout_inside_a_guard_stays_whole(run, guard_s):
    async def patient():
        try:
            async with asyncio.timeout(LATER if guard_s == SOON else SOON):
                await hang()
        except TimeoutError:
            return "the callee's"

    guard = Guard("llm", deadline_s=guard_s, fallbacks=[fine])
    assert run(guard.run(patient)) == ("fine" if guard_s == SOON else "the callee's")


def test_wait_for_around_and_inside_a_guard(run):
    async def impatient():
        return await asyncio.wait_for(hang(), SOON)

    async def main():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(Guard("a", deadline_s=LATER).run(hang), SOON)
        with pytest.raises(TimeoutError):
            await Guard("b", deadline_s=LATER).run(impatient)
        assert is_clean()

    run(main())


def test_a_cancellation_that_the_callee_swallows_gives_its_late_answer(run, sink):
    guard = Guard("llm", deadline_s=SOON, breaker=Breaker(in_a_row=1), fallbacks=[fine])

    async def main():
        answer = await guard.run(stubborn)
        assert is_clean()
        await asyncio.sleep(0)
        return answer

    assert run(main()) == "all the same"
    assert guard.state is State.OPEN, "it was late"
    assert sink.spans[0].attributes["error.type"] == "timeout"


def test_an_error_that_the_callee_makes_of_our_cancellation_is_the_callers_to_see(run, sink):
    guard = Guard("llm", deadline_s=SOON)

    async def main():
        with pytest.raises(ConnectionResetError, match="closed"):
            await guard.run(converts)
        assert is_clean()

    run(main())
    assert sink.spans[0].attributes["error.type"] == "timeout"


def test_a_caller_that_gave_up_first_is_not_a_timeout_however_long_the_clean_up_takes(run):
    guard = Guard("llm", deadline_s=2 * SOON, breaker=Breaker(in_a_row=1))

    async def main():
        call = asyncio.ensure_future(guard.run(cleans_up))
        await asyncio.sleep(SOON)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert call.cancelled()

    run(main())
    assert outcomes(guard) == {"cancelled": 1}
    assert guard.state is State.CLOSED


def test_a_caller_that_gives_up_after_the_time_was_up_gets_its_cancellation(run):
    guard = Guard("llm", deadline_s=SOON, fallbacks=[fine])

    async def main():
        call = asyncio.ensure_future(guard.run(cleans_up))
        await asyncio.sleep(2 * SOON)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    run(main())
    assert outcomes(guard) == {"failed": 1}


def test_a_failed_sibling_in_a_task_group_cancels_the_call_and_says_nothing(run):
    guard = Guard("llm", deadline_s=LATER, breaker=Breaker(in_a_row=1))

    async def fails():
        await asyncio.sleep(0)
        raise ValueError

    async def main():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(guard.run(hang))
            tasks.create_task(fails())

    with pytest.raises(ExceptionGroup):
        run(main())
    assert outcomes(guard) == {"cancelled": 1}


def test_a_timeout_in_a_task_group_leaves_its_siblings_to_the_group(run):
    guard = Guard("llm", deadline_s=SOON, fallbacks=[fine])

    async def main():
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(guard.run(hang))
            second = tasks.create_task(asyncio.sleep(2 * SOON, "slow but well"))
        return first.result(), second.result()

    assert run(main()) == ("fine", "slow but well")


def test_a_budget_that_ends_the_tasks_of_a_group_is_a_timeout_of_their_calls(run):
    guard = Guard("llm", breaker=Breaker(in_a_row=1))

    async def main():
        with pytest.raises(TimeoutError):
            async with deadline(SOON), asyncio.TaskGroup() as tasks:
                tasks.create_task(guard.run(hang))

    run(main())
    assert guard.state is State.OPEN


def test_a_fallback_has_its_own_deadline(run):
    quick = Guard("llm", fallbacks=[Fallback(hang, deadline_s=SOON), fine])

    async def fails():
        raise ValueError("first")

    async def main():
        answer = await quick.run(fails)
        with pytest.raises(ValueError, match="first") as raised:
            await Guard("other", fallbacks=[Fallback(hang, deadline_s=SOON)]).run(fails)
        assert isinstance(raised.value.__cause__, TimeoutError)
        assert is_clean()
        return answer

    assert run(main()) == "fine"


def test_a_timer_and_a_command_in_one_moment_end_the_call_once(run, clock, command, obey):
    guard = Guard("llm", peer="aurora", deadline_s=SOON, clock=clock, fallbacks=[fine])

    async def main():
        call = asyncio.ensure_future(guard.run(hang))
        await asyncio.sleep(SOON)
        obey(command("failover", peer="aurora", parameters={"abandon_after_s": 0}))
        answer = await call
        assert call.cancelling() == 0
        return answer

    assert run(main()) == "fine"
    assert sum(outcomes(guard).values()) == 1


def test_a_call_in_another_thread_is_let_go_on_its_own_loop(command):
    """Commands arrive on a thread of the SDK."""
    guard = Guard("llm", peer="aurora")

    async def main():
        call = asyncio.ensure_future(guard.run(hang))
        await asyncio.sleep(0)
        failover = command("trip_breaker", peer="aurora", parameters={"abandon_after_s": 0})
        await asyncio.to_thread(registry.apply, failover, float("inf"))
        with pytest.raises(CommandRefused) as refused:
            await call
        return refused.value

    assert isinstance(asyncio.run(main()).__cause__, asyncio.CancelledError)
    assert outcomes(guard) == {"abandoned": 1}


# Blocks


def test_a_block_is_guarded_and_its_error_is_the_verdict(clock, sink):
    guard = Guard("db", breaker=Breaker(in_a_row=1), clock=clock)
    with guard.call() as call:
        assert Guard.current() is call
        call.set("rows", 3)
    with pytest.raises(KeyError), guard.call():
        raise KeyError
    with pytest.raises(BreakerOpen, match="its breaker is open"), guard.call():
        raise AssertionError("was run")
    assert sink.spans[0].attributes["rows"] == 3
    assert outcomes(guard) == {"worked": 1, "failed": 1, "refused.breaker": 1}


def test_an_async_block_is_ended_when_its_time_is_up(run):
    guard = Guard("db", deadline_s=SOON, breaker=Breaker(in_a_row=1))

    async def main():
        with pytest.raises(TimeoutError):
            async with guard.call():
                await hang()
        assert is_clean()

    run(main())
    assert guard.state is State.OPEN


def test_a_sync_block_that_is_late_counts_as_a_timeout(clock, sink):
    guard = Guard("db", deadline_s=1, clock=clock)
    with guard.call():
        clock.now += 2
    assert outcomes(guard) == {"failed": 1}
    assert sink.spans[0].attributes["error.type"] == "timeout"


def test_a_block_may_call_itself_useless_and_is_not_checked(clock, sink):
    guard = Guard("llm", check=lambda answer: "empty", clock=clock)
    with guard.call() as call:
        call.useless("cut")
    with guard.call():
        pass
    assert outcomes(guard) == {"useless": 1, "worked": 1}
    assert sink.spans[0].attributes["paramedic.useless"] == "cut"


def test_one_block_object_guards_one_block():
    block = Guard("db").call()
    with block:
        pass
    with pytest.raises(RuntimeError, match="guards one block, once"), block:
        pass


def test_a_traceback_shows_what_failed_and_few_frames_of_ours(run):
    async def broken():
        raise ValueError("mine")

    guarded = Guard("llm")(broken)
    with pytest.raises(ValueError, match="mine") as raised:
        run(guarded())
    files = [str(entry.path) for entry in raised.traceback]
    assert files[-1] == __file__
    assert len([file for file in files if "paramedic" in file and "tests" not in file]) <= 5
