"""The least critical go first, and as much of the traffic as was asked for."""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paramedic import BulkheadFull, Guard, Shed
from paramedic.policy.shedding import CLASSES, Mix, room_for
from paramedic.request import request
from paramedic.telemetry.runtime import runtime

classes = st.sampled_from(CLASSES)


async def echo(value):
    return value


@given(seen=st.lists(classes, min_size=1, max_size=150), share=st.floats(0, 1))
def test_the_asked_share_of_the_traffic_goes_from_the_bottom_up(seen, share):
    mix = Mix()
    for name in seen:
        mix.add(name)
    shares = {name: mix.share_of(name, share) for name in set(seen)}
    assert all(0 <= each <= 1 for each in shares.values())
    assert sum(seen.count(name) * each for name, each in shares.items()) == pytest.approx(share * len(seen))
    from_the_bottom = [shares[name] for name in reversed(CLASSES) if name in shares]
    partly = [each for each in from_the_bottom if 1e-9 < each < 1 - 1e-9]
    assert from_the_bottom == sorted(from_the_bottom, reverse=True)
    assert len(partly) <= 1, "a class goes only when all below it have gone"


def test_a_mix_follows_the_traffic():
    mix = Mix()
    for _ in range(1000):
        mix.add("low")
    for _ in range(800):
        mix.add("critical")
    assert mix.share_of("critical", 0.2) > 0.15, "hardly anything else is left to turn away"


def test_a_call_of_which_nobody_said_anything_bears_the_same_share():
    mix = Mix()
    assert mix.share_of("", 0.3) == 0.3
    mix.add("low")
    assert mix.share_of("", 0.3) == 0.3


@pytest.mark.parametrize(
    ("limit", "rooms"), [(64, [64, 57, 48, 32]), (10, [10, 9, 7, 5]), (2, [2, 1, 1, 1]), (1, [1, 1, 1, 1])]
)
def test_the_less_critical_leave_room(limit, rooms):
    assert [room_for(name, limit) for name in CLASSES] == rooms
    assert room_for("", limit) == limit


@pytest.mark.parametrize(("said", "let_in"), [("critical", 10), ("high", 9), ("medium", 7), ("low", 5), ("", 10)])
@pytest.mark.parametrize("where", ["request", "guard", "resource"])
def test_a_bulkhead_goes_by_what_was_said_of_the_call(run, said, let_in, where):
    guard = Guard("llm", max_concurrent=10, criticality=said if where == "guard" else "")
    runtime.criticality = said if where == "resource" else ""

    async def main():
        with request(criticality=said if where == "request" else ""):
            answers = await asyncio.gather(*(guard.run(asyncio.sleep, 0) for _ in range(20)), return_exceptions=True)
        return sum(not isinstance(answer, BulkheadFull) for answer in answers)

    try:
        assert run(main()) == let_in
    finally:
        runtime.criticality = ""


def test_the_request_beats_what_the_guard_says(run):
    guard = Guard("llm", max_concurrent=2, criticality="low")

    async def main():
        first = asyncio.ensure_future(guard.run(asyncio.sleep, 0, 1))
        await asyncio.sleep(0)
        with pytest.raises(BulkheadFull):
            await guard.run(echo, 2)
        with request(criticality="critical"):
            assert await guard.run(echo, 2) == 2
        return await first

    assert run(main()) == 1


def test_shed_load_turns_the_least_critical_away_first(run, clock, command, obey):
    guard = Guard("llm", peer="aurora", clock=clock, draw=random.Random(1).random)
    dice = random.Random(2)

    async def main():
        shed = dict.fromkeys(CLASSES, 0)
        arrived = dict.fromkeys(CLASSES, 0)
        for number in range(2400):
            if number == 400:
                obey(command("shed_load", peer="aurora", parameters={"share": 0.5}))
            name = dice.choices(CLASSES, (1, 3, 3, 3))[0]
            with request(criticality=name):
                try:
                    await guard.run(echo, 1)
                except Shed:
                    shed[name] += 1
                if number >= 400:
                    arrived[name] += 1
        return {name: shed[name] / arrived[name] for name in CLASSES}

    gone = run(main())
    assert gone["critical"] == 0
    assert gone["high"] < 0.05
    assert 0.5 < gone["medium"] < 0.85
    assert gone["low"] > 0.97


def test_a_class_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="criticality of guard 'llm' must be one of critical, high, medium, low"):
        Guard("llm", criticality="urgent")
