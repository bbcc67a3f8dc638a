"""The tools that a model is offered are those that can be called."""

import contextlib

import paramedic
from paramedic import Breaker, Guard
from paramedic.testing import commands


def tool(name: str, **options):
    @paramedic.guard(f"tool.{name}", **options)
    def call(fails: bool = False) -> str:
        if fails:
            raise ConnectionError
        return name

    return call


def test_a_tool_that_is_switched_off_is_not_offered_until_the_command_ends(clock):
    refund, track = tool("refund", clock=clock), tool("track", clock=clock)
    with commands(clock) as platform:
        platform.send("disable_tool", guard="tool.refund", ttl_s=30)
        assert paramedic.available([refund, track]) == [track]
        clock.now += 31
        assert paramedic.available([refund, track]) == [refund, track]


def test_a_tool_whose_breaker_is_open_is_not_offered_until_it_may_be_tried(clock):
    broken = tool("broken", clock=clock, breaker=Breaker(in_a_row=1, rest_s=10))
    with contextlib.suppress(ConnectionError):
        broken(fails=True)
    assert paramedic.available([broken]) == []
    clock.now += 10
    assert paramedic.available([broken]) == [broken]


def test_what_has_no_guard_is_offered_and_the_order_stays():
    one, two = tool("one"), tool("two")
    assert paramedic.available([two, str.upper, one]) == [two, str.upper, one]
    Guard.of(two).force("open")
    assert paramedic.available((two, str.upper, one)) == [str.upper, one]


def test_to_ask_changes_nothing(clock):
    """A tool may be offered and not be called: what is asked here must not use up a trial."""
    broken = tool("broken", clock=clock, breaker=Breaker(in_a_row=1, rest_s=10))
    with contextlib.suppress(ConnectionError):
        broken(fails=True)
    clock.now += 10
    for _ in range(3):
        assert paramedic.available([broken]) == [broken]
    assert broken() == "broken"
