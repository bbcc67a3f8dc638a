"""Bad days: each scenario does one thing to a library and says what came of it.

    scenario(library) --> Cell: right, wrong or not offered, and what happened

Run as a program it plays them all on one library, in a process of its own, and prints the cells as JSON:

    python benchmarks/sdk_scenarios.py paramedic [SCENARIO...]
"""

import asyncio
import importlib
import json
import logging
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Final

import sdk_scenarios_calls as calls
import sdk_scenarios_streams as streams
from sdk_forks import forked
from sdk_libraries import Cell, Library

Play = Callable[[Library], Awaitable[Cell]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One bad day.

    Attributes:
        key: In the code.
        title: In the table.
        what: What is done, and what is right.
        play: Does it.
    """

    key: str
    title: str
    what: str
    play: Play


SCENARIOS: Final = (
    Scenario(
        "async",
        "Async functions",
        "Ten calls of an `async def` that fails each time, a breaker of five failures. Right: five reach the backend.",
        calls.async_function,
    ),
    Scenario(
        "at_once",
        "Ten calls at once",
        "Ten calls at once through a closed breaker. Right: they do not queue behind each other.",
        calls.at_once,
    ),
    Scenario(
        "stampede",
        "Half-open stampede",
        "A breaker that has rested, fifty callers at once, a backend that is still sick. Right: one finds out for all.",
        calls.stampede,
    ),
    Scenario(
        "hang",
        "Hang",
        "The backend never answers; a deadline, a fallback where there is one, a breaker of three failures. Right: "
        "the caller has an answer after about one deadline, and the breaker learns of it.",
        calls.hang,
    ),
    *(Scenario(key, title, what, play) for key, title, what, play in streams.SCENARIOS),
    Scenario(
        "empty",
        "Empty answer",
        "The backend answers 200 and nothing; a fallback. Right: the fallback is asked.",
        calls.empty_answer,
    ),
    Scenario(
        "retry_after",
        "429 with Retry-After",
        "The provider says how long to leave it alone. Right: it is not asked again before that.",
        calls.retry_after,
    ),
    Scenario(
        "layers",
        "Retries in three layers",
        "A bot, its gateway and its client retry, three attempts each; the backend is dead; with all that the library "
        "has against it. Right: one request is at most three calls, not 27.",
        calls.layers,
    ),
    Scenario(
        "storm",
        "Retry storm",
        "200 requests to a dead backend, 20 at a time, three attempts each, with all that the library has against "
        "storms. Right: retries add at most a tenth to the load of a backend that is down.",
        calls.storm,
    ),
    Scenario(
        "brownout",
        "Brownout",
        "500 requests to a backend that is too busy and fails two calls of five, 20 at a time, three attempts each. "
        "Right: retries add at most a fifth to its load, as with the retry budget that Envoy starts from, and the path "
        "stays open for the others.",
        calls.brownout,
    ),
    Scenario(
        "callers_timeout",
        "The caller's own timeout",
        "Six callers in a row give up on a slow call (`asyncio.wait_for` outside), breaker of three failures, three "
        "calls at once. Right: that says nothing about the backend and holds no permit, the seventh is served.",
        calls.callers_timeout,
    ),
    Scenario(
        "cancelled",
        "Cancelled while waiting",
        "Two calls at once are allowed, ten come, all are cancelled while they run or wait. Right: both permits are "
        "there afterwards.",
        calls.cancelled_while_waiting,
    ),
    Scenario(
        "forced",
        "Forced open, then silence",
        "Somebody closes the path for eight times the breaker's rest, the backend is well, and is never heard of "
        "again. Right: obeyed for that time, then over by itself.",
        calls.forced_open,
    ),
    Scenario(
        "fork",
        "Fork",
        "The process forks, as gunicorn does, while a call is in flight: the only one that is permitted at a time, "
        "where there is such a limit. Right: the child can call.",
        forked,
    ),
)

LIBRARIES: Final = {
    "paramedic": "sdk_ours:Paramedic",
    "pybreaker": "sdk_peers_breakers:PyBreaker",
    "aiobreaker": "sdk_peers_breakers:AioBreaker",
    "purgatory": "sdk_peers_breakers:Purgatory",
    "fluxgate": "sdk_peers_breakers:Fluxgate",
    "pyresilience": "sdk_peers_suites:PyResilience",
    "hyx": "sdk_peers_suites:Hyx",
    "interlock-cb": "sdk_peers_suites:Interlock",
    "tenacity": "sdk_peers_retries:Tenacity",
    "stamina": "sdk_peers_retries:Stamina",
    "LiteLLM Router": "sdk_litellm:LiteLLM",
}


def library(name: str) -> Library:
    module, _, kind = LIBRARIES[name].partition(":")
    made = getattr(importlib.import_module(module), kind)()
    assert isinstance(made, Library)
    return made


async def played(subject: Library, scenario: Scenario) -> Cell:
    """One cell; what a library cannot take is its own error, as a team would see it."""
    try:
        await subject.begin()
        cell = await scenario.play(subject)
        await subject.end()
    except Exception as error:
        cell = Cell("wrong", f"{type(error).__name__}: {str(error)[:100]}")
    note = subject.note.get(scenario.key, "")
    if cell.verdict == "not offered":
        return Cell(cell.verdict, note or cell.what)
    return Cell(cell.verdict, f"{cell.what} ({note})" if note else cell.what)


def main() -> None:
    name, *keys = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    subject = library(name)
    cells = {
        scenario.key: asdict(asyncio.run(played(subject, scenario)))
        for scenario in SCENARIOS
        if not keys or scenario.key in keys
    }
    sys.stdout.write(json.dumps({"name": name, "version": subject.version, "cells": cells}) + "\n")


if __name__ == "__main__":
    main()
