"""The soak of `make soak`, short: what calls of every kind leave behind."""

import asyncio
import logging
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import soak_sdk

CALLS = 3000


@pytest.fixture
def quiet():
    logging.disable(logging.CRITICAL)  # each command is a line otherwise
    yield
    logging.disable(logging.NOTSET)


def test_calls_of_every_kind_leave_nothing_behind_but_what_is_known_of_commands(quiet):
    samples = []
    bot = asyncio.run(soak_sdk.soak(CALLS, 3, samples.append))
    assert [sample.calls for sample in samples] == [1000, 2000, 3000]
    grown = samples[2].objects - samples[1].objects
    commands = 2 * 1000 / soak_sdk.AT_ONCE  # and the end of each; an answer and a last word are kept of both
    assert grown <= 2 * commands + 50
    assert sum(guard.in_flight()[0] for guard in bot.guards) == 0
    assert sum(bot.ended.values()) == CALLS
    assert {"worked", "ConnectionError", "StreamCut"} <= set(bot.ended)
