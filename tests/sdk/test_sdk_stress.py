"""Many callers at once: nothing leaks, nothing stampedes."""

import asyncio
import random
import threading

import pytest

from paramedic import BreakerOpen, Guard, Refused
from paramedic.policy.breaker import Breaker, State


@pytest.mark.parametrize("trials", [1, 3])
def test_of_fifty_callers_at_a_rested_breaker_exactly_the_trials_get_through(run, clock, trials):
    guard = Guard("llm", breaker=Breaker(in_a_row=1, rest_s=10, trials=trials), clock=clock)
    reached = []

    async def broken():
        raise RuntimeError

    async def sick():
        reached.append(1)
        await asyncio.sleep(0.01)
        raise RuntimeError

    async def main():
        await asyncio.gather(guard.run(broken), return_exceptions=True)
        clock.now += 10
        return await asyncio.gather(*(guard.run(sick) for _ in range(50)), return_exceptions=True)

    answers = run(main())
    assert len(reached) == trials
    assert sum(isinstance(answer, BreakerOpen) for answer in answers) == 50 - trials
    assert guard.state is State.OPEN


def test_fifty_threads_at_a_rested_breaker_let_one_through(clock):
    guard = Guard("db", breaker=Breaker(in_a_row=1, rest_s=10), clock=clock)
    reached, together, release = [], threading.Barrier(50), threading.Event()

    def sick():
        reached.append(1)
        release.wait(10)
        raise RuntimeError

    def broken():
        raise RuntimeError

    with pytest.raises(RuntimeError):
        guard.run_sync(broken)
    clock.now += 10
    refused = []

    def caller():
        together.wait()
        try:
            guard.run_sync(sick)
        except BreakerOpen:
            refused.append(1)
            if len(refused) == 49:
                release.set()
        except RuntimeError:
            return

    threads = [threading.Thread(target=caller) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(reached), len(refused)) == (1, 49)


def test_no_permit_leaks_over_sixty_four_threads_and_a_thousand_tasks(run):
    """Every way a call can end, in threads and tasks at once, on one guard."""
    guard = Guard("all", max_concurrent=40, breaker=None, deadline_s=0.005)
    most, inside, lock = [0], [0], threading.Lock()

    def enter(by):
        with lock:
            inside[0] += by
            most[0] = max(most[0], inside[0])

    def sync_call(dice):
        enter(1)
        try:
            if dice < 0.3:
                raise RuntimeError
            if dice < 0.4:
                raise KeyboardInterrupt
        finally:
            enter(-1)

    def in_thread(seed):
        dice = random.Random(seed)
        for _ in range(50):
            try:
                guard.run_sync(sync_call, dice.random())
            except (Refused, RuntimeError, KeyboardInterrupt):
                continue

    async def async_call(dice):
        enter(1)
        try:
            if dice < 0.3:
                raise RuntimeError
            await asyncio.sleep(3600 if dice < 0.4 else dice * 0.002)
        finally:
            enter(-1)

    async def main():
        dice = random.Random(7)
        tasks = []
        for number in range(1000):
            tasks.append(asyncio.ensure_future(guard.run(async_call, dice.random())))
            if number % 20 == 19:
                await asyncio.sleep(0.002)
                for task in dice.sample(tasks, 3):
                    task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    threads = [threading.Thread(target=in_thread, args=(seed,)) for seed in range(64)]
    for thread in threads:
        thread.start()
    run(main())
    for thread in threads:
        thread.join()
    assert guard.in_flight() == (0, 0.0)
    assert 0 < most[0] <= 40
    assert guard.run_sync(lambda: "free") == "free"
