"""One budget for everything below."""

import asyncio
import contextvars
import math

import pytest

import paramedic
from paramedic import DeadlineExceeded, Guard, deadline, left_s
from paramedic.policy.breaker import Breaker, State


async def hang():
    await asyncio.sleep(3600)


async def look():
    return left_s()


def test_without_a_budget_there_is_no_end():
    assert math.isinf(left_s())


def test_an_inner_deadline_can_only_shorten_an_outer_one():
    with deadline(100):
        with deadline(5):
            assert 4 < left_s() <= 5
        with deadline(1000):
            assert 99 < left_s() <= 100
    assert math.isinf(left_s())


def test_a_guards_own_deadline_is_the_budget_of_what_it_calls(run):
    guard = Guard("a", deadline_s=5)
    assert 4 < run(guard.run(look)) <= 5
    with deadline(2):
        assert 1 < run(guard.run(look)) <= 2


def test_a_guard_never_takes_longer_than_what_is_left(run):
    guard = Guard("a", deadline_s=3600)

    async def main():
        with deadline(0.01):
            await guard.run(hang)

    with pytest.raises(TimeoutError):
        run(main())


def test_a_call_without_time_left_is_refused(run, sink):
    guard = Guard("a", breaker=Breaker(in_a_row=1))

    async def main():
        with deadline(0):
            await guard.run(hang)

    with pytest.raises(DeadlineExceeded) as refused:
        run(main())
    assert refused.value.reason == "deadline"
    assert guard.state is State.CLOSED
    assert sink.spans[0].attributes["paramedic.refused.by"] == "deadline"


def test_an_async_deadline_ends_its_block(run):
    async def main():
        async with deadline(0.01):
            await hang()

    with pytest.raises(TimeoutError):
        run(main())


@pytest.mark.parametrize("own_s", [None, 0.011])
def test_a_dependency_that_uses_up_the_whole_budget_has_failed(run, own_s):
    """Whichever timer fires first, the guard's or the block's."""
    guard = Guard("a", deadline_s=own_s, breaker=Breaker(in_a_row=1))

    async def main():
        async with deadline(0.01):
            await guard.run(hang)

    with pytest.raises(TimeoutError):
        run(main())
    assert guard.state is State.OPEN


def test_a_dependency_that_was_given_too_little_time_is_not_to_blame(run):
    guard = Guard("a", deadline_s=3600, breaker=Breaker(in_a_row=1))

    async def main():
        with deadline(0.01):
            await guard.run(hang)

    with pytest.raises(TimeoutError):
        run(main())
    assert guard.state is State.CLOSED


def test_fallbacks_share_the_surrounding_budget_but_not_the_guards_own(run):
    guard = Guard("a", deadline_s=0.01, fallbacks=[look])

    async def main():
        with deadline(50):
            return await guard.run(hang)

    assert 40 < run(main()) <= 50


def test_sync_code_sees_what_is_left():
    with paramedic.deadline(5):
        assert 4 < Guard("a").run_sync(left_s) <= 5


@pytest.mark.parametrize("seconds", [-1, math.nan])
def test_a_deadline_that_is_no_time_is_refused(seconds):
    with pytest.raises(ValueError, match="deadline needs"):
        deadline(seconds)


def test_a_generator_closed_in_another_context_does_not_break():
    def leaky():
        with deadline(5):
            yield left_s()

    generator = leaky()
    assert contextvars.copy_context().run(next, generator) <= 5
    contextvars.Context().run(generator.close)
    assert math.isinf(left_s())
