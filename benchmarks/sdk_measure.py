"""Measures cases beside each other: CPU time, in turn and in shuffled order within every round.

    round 1: case c, case a, case b   round 2: case a, case c, case b   ...  --> medians of what is paired in a round

A noisy machine is noisy for all cases of a round; figures of different processes are not compared.
"""

import asyncio
import contextlib
import inspect
import random
import statistics
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

SPAN: Final = "OpenTelemetry span, 5 attributes"
GUARD: Final = "guard, no telemetry"
TIMED: Final = "guard with a deadline, no telemetry"
EVERY: Final = "guard with all five policies, no telemetry"
RETRIED: Final = "guard with a retry that works"
TOLD: Final = "guard with its span and metrics"
FUNCTION: Final = "guard of a function that blocks"
ROUTED: Final = "router of two"
BARE: Final = "bare await"


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured.

    Attributes:
        name: In the table.
        call: Made again and again: a function, an async function, or one that gives an async iterator.
        base: The case whose cost is taken off.
        peer: Whether it is another project's.
        share: Of the usual number of calls, for what takes long.
        chunks: Of a stream, to be divided by.
        beside: Of another project's: the case of ours that does the same.
        around: Entered around each measurement: what must be switched on for this case alone.
    """

    name: str
    call: Callable[[], Any]
    base: str = BARE
    peer: bool = False
    share: float = 1.0
    chunks: int = 0
    beside: str = GUARD
    around: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext


Measured = dict[str, list[float]]


async def rounds(cases: Sequence[Case], count: int, calls: int, seed: int = 1) -> Measured:
    """CPU microseconds a call, by case, one figure a round."""
    table, dice = list(cases), random.Random(seed)
    measured: Measured = {case.name: [] for case in cases}
    for case in cases:
        await _measure(case, max(1, int(calls * case.share / 20)))  # warm
    for _ in range(count):
        dice.shuffle(table)
        for case in table:
            measured[case.name].append(await _measure(case, max(1, int(calls * case.share))))
    return measured


async def _measure(case: Case, calls: int) -> float:
    if case.chunks:
        calls = max(1, calls // case.chunks)
    with case.around():
        began = time.process_time()
        if case.chunks:
            await _read(case.call, calls)
        elif inspect.iscoroutinefunction(case.call):
            await _await(case.call, calls)
        else:
            _call(case.call, calls)
        took = time.process_time() - began
    return took / calls / (case.chunks or 1) * 1e6


async def _await(call: Callable[[], Any], calls: int) -> None:
    """As in a bot, the event loop gets its turn now and then: it is the one that forgets cancelled timers."""
    for number in range(calls):
        await call()
        if not number % 50:
            await asyncio.sleep(0)


async def _read(stream: Callable[[], AsyncIterator[Any]], calls: int) -> None:
    for _ in range(calls):
        async for _chunk in stream():
            pass


def _call(call: Callable[[], Any], calls: int) -> None:
    for _ in range(calls):
        call()


def rows(cases: Sequence[Case], measured: Measured, *, ours_again: bool = False) -> list[dict[str, Any]]:
    """The figures as they are written: over the base, and beside a span and our guard of the same rounds.

    Args:
        cases: What was measured.
        measured: In the same rounds.
        ours_again: Whether our own rows are here only to be compared with, and are left out.
    """
    found: list[dict[str, Any]] = []
    for case in cases:
        if ours_again and not case.peer:
            continue
        each = measured[case.name]
        over = [us - base for us, base in zip(each, measured[case.base], strict=True)]
        unit = "us/chunk" if case.chunks else "us/call"
        what = f"cpu over {'' if case.base.startswith('Open') else 'a '}{case.base}"
        found.append(row(case.name, what, statistics.median(over), unit, case.peer))
        if case.chunks or case.name == case.base:
            continue
        found.append(row(case.name, "of an OpenTelemetry span", _ratio(each, measured[SPAN]), "ratio", case.peer))
        if ours_again:
            found.append(row(case.name, f"of our {case.beside}", _ratio(each, measured[case.beside]), "ratio", True))
    return found


def _ratio(each: Sequence[float], other: Sequence[float]) -> float:
    return statistics.median(us / them for us, them in zip(each, other, strict=True))


def row(case: str, metric: str, value: float, unit: str, peer: bool) -> dict[str, Any]:
    return {"case": case, "metric": metric, "value": round(value, 3), "unit": unit, "peer": peer}


def run(cases: Sequence[Case], count: int, calls: int) -> Measured:
    return asyncio.run(rounds(cases, count, calls))
