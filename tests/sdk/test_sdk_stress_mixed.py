"""Every shape of call at once, from threads and tasks, with commands coming and going: no permit is lost or found."""

import asyncio
import contextlib
import random
import sys
import threading

import pytest

from paramedic import Guard, Refused
from paramedic.guards.refusals import BreakerOpen, BulkheadFull
from paramedic.policy.breaker import Breaker, State
from paramedic.policy.retry import Retry
from paramedic.testing import commands

THREADS, TASKS, LIMIT = 64, 1000, 40


class Worked:
    """What runs under the guard: counts who is inside, and ends as the dice say."""

    def __init__(self):
        self.inside = self.most = self.calls = 0
        self.lock = threading.Lock()

    def __enter__(self):
        with self.lock:
            self.calls += 1
            self.inside += 1
            self.most = max(self.most, self.inside)

    def __exit__(self, *_):
        with self.lock:
            self.inside -= 1

    def ends(self, dice):
        if dice < 0.25:
            raise ConnectionError
        if dice < 0.3:
            raise KeyboardInterrupt

    async def answer(self, dice):
        with self:
            await asyncio.sleep(3600 if dice > 0.9 else dice * 0.001)
            if dice < 0.3:
                raise ConnectionError
            return dice

    async def stream(self, dice):
        with self:
            for chunk in range(5):
                await asyncio.sleep(3600 if dice > 0.95 and chunk == 3 else 0)
                if dice < 0.3 and chunk == int(dice * 10):
                    raise ConnectionError
                yield "token"

    def answer_sync(self, dice):
        with self:
            self.ends(dice)

    def stream_sync(self, dice):
        with self:
            for _ in range(3):
                self.ends(dice / 3)
                yield "token"


def permits_left(guard, limit):
    """How many calls may be inside at once, counted by being inside."""
    with contextlib.ExitStack() as inside:
        for taken in range(limit + 1):
            try:
                inside.enter_context(guard.call())
            except BulkheadFull:
                return taken
    return limit + 1


def test_no_permit_leaks_whatever_the_shape_of_a_call_and_however_it_ends(run):
    work = Worked()
    guard = Guard("all", max_concurrent=LIMIT, breaker=None, deadline_s=0.02, idle_s=0.01, retry=Retry(2, base_s=0))
    ask, read = guard(work.answer), guard(work.stream)
    ask_sync, read_sync = guard(work.answer_sync), guard(work.stream_sync)

    def in_thread(seed):
        dice = random.Random(seed)
        for _ in range(30):
            with contextlib.suppress(Exception, KeyboardInterrupt):
                shape, fate = dice.randrange(4), dice.random()
                if shape == 0:
                    ask_sync(fate)
                elif shape == 1:
                    list(read_sync(fate))
                elif shape == 2:
                    next(iter(read_sync(fate)))  # and no further
                else:
                    with guard.call(), work:
                        work.ends(fate)

    async def task(shape, fate):
        if shape == 0:
            await ask(fate)
        elif shape == 1:
            async for _ in read(fate):
                pass
        elif shape == 2:
            async for _ in read(fate):
                break  # the rest is never asked for
        else:
            async with guard.call():
                await work.answer(fate)

    async def main():
        dice, tasks = random.Random(7), []
        for number in range(TASKS):
            tasks.append(asyncio.ensure_future(task(dice.randrange(4), dice.random())))
            if number % 20 == 19:
                await asyncio.sleep(0.001)
                for one in dice.sample(tasks, 3):
                    one.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    commanded = threading.Event()

    def platform():
        dice = random.Random(3)
        with commands() as platform:
            while not commanded.is_set():
                kind, parameters = dice.choice(
                    [
                        ("limit_concurrency", {"limit": dice.randrange(1, LIMIT)}),
                        ("shed_load", {"share": 0.3}),
                        ("trip_breaker", {"abandon_after_s": 0.001}),
                        ("set_deadline", {"deadline_s": 0.005}),
                    ]
                )
                ack = platform.send(kind, peer="all", ttl_s=1, probe_share=0.3, **parameters)
                commanded.wait(0.002)
                platform.clear(ack)
                commanded.wait(0.002)

    threads = [threading.Thread(target=in_thread, args=(seed,)) for seed in range(THREADS)]
    threads.append(threading.Thread(target=platform))
    for thread in threads:
        thread.start()
    run(main())
    for thread in threads[:-1]:
        thread.join()
    commanded.set()
    threads[-1].join()
    assert guard.in_flight() == (0, 0.0)
    assert work.inside == 0
    assert 0 < work.most <= LIMIT
    assert work.calls > THREADS
    assert permits_left(guard, LIMIT) == LIMIT


@pytest.fixture
def restless():
    """Threads take turns as often as the interpreter lets them."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_every_call_of_sixty_four_threads_is_counted_once(restless):
    guard = Guard("counted", max_concurrent=8, breaker=Breaker(failure_rate=None))
    inside, most, lock = [0], [0], threading.Lock()

    def answer(number):
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        try:
            if number % 3 == 0:
                raise ConnectionError
        finally:
            with lock:
                inside[0] -= 1

    def caller():
        for number in range(100):
            with contextlib.suppress(ConnectionError, BulkheadFull):
                guard.run_sync(answer, number)

    threads = [threading.Thread(target=caller) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(guard.counts.values()) == THREADS * 100
    assert most[0] <= 8
    assert permits_left(guard, 8) == 8


@pytest.mark.parametrize("trials", [1, 3])
def test_of_sixty_four_threads_exactly_the_trials_get_through_in_round_after_round(clock, trials):
    guard = Guard("db", breaker=Breaker(in_a_row=1, rest_s=10, trials=trials), clock=clock)
    rounds, reached, refused = 5, [], []
    together, turned_away = threading.Barrier(THREADS + 1), threading.Event()

    def broken():
        raise RuntimeError

    def sick():
        reached.append(1)
        turned_away.wait(10)
        raise RuntimeError

    def caller():
        for _ in range(rounds):
            together.wait(30)
            try:
                guard.run_sync(sick)
            except BreakerOpen:
                refused.append(1)
                if len(refused) == THREADS - trials:
                    turned_away.set()
            except RuntimeError:
                pass
            together.wait(30)

    with pytest.raises(RuntimeError):
        guard.run_sync(broken)
    threads = [threading.Thread(target=caller) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for _ in range(rounds):
        clock.now += 10
        reached.clear()
        refused.clear()
        turned_away.clear()
        together.wait(30)
        together.wait(30)
        assert (len(reached), len(refused)) == (trials, THREADS - trials)
        assert guard.state is State.OPEN
    for thread in threads:
        thread.join()


def test_trials_that_are_cancelled_give_their_place_back_and_no_other(run, clock):
    """Half of the trials are given up by their callers, wave after wave; never are more than `trials` inside."""
    trials = 3
    guard = Guard("llm", breaker=Breaker(in_a_row=1, rest_s=10, trials=trials), clock=clock)
    work = Worked()

    async def broken():
        raise RuntimeError

    async def hangs():
        with work:
            await asyncio.sleep(3600)

    async def main():
        await asyncio.gather(guard.run(broken), return_exceptions=True)
        clock.now += 10
        for _ in range(20):
            tasks = [asyncio.ensure_future(guard.run(hangs)) for _ in range(50)]
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert sum(isinstance(one, Refused) for one in ended) == 50 - trials

    run(main())
    assert (work.most, work.calls) == (trials, 20 * trials)
    assert guard.in_flight() == (0, 0.0)
