"""What a guard costs: CPU time a call, each case beside the others in every round of one run.

    bare await | guard | guard with a timer | guard with a span | bare OpenTelemetry span with five attributes

Cases take turns in shuffled order, so that a noisy machine is noisy for all of them; the median round is
shown. Spans go to a processor that drops them: the cost on the caller's thread, without the encoding.
"""

import asyncio
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind

import paramedic
from paramedic.telemetry.runtime import runtime

ROUNDS, CALLS = 15, 4000
OUT = Path("build/bench/sdk.json")

Case = Callable[[], Awaitable[Any]]


async def bare() -> int:
    return 1


def cases() -> dict[str, Case]:
    """By name, what is measured."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SpanProcessor())
    tracer = provider.get_tracer("bench")
    plain = paramedic.guard("plain", peer="aurora", max_concurrent=64)(bare)
    timed = paramedic.guard("timed", peer="aurora", max_concurrent=64, deadline_s=8)(bare)
    five = {"a": "one", "b": "two", "c": "three", "d": 4, "e": True}

    async def timer() -> int:
        async with asyncio.timeout(8):
            return await bare()

    async def span() -> int:
        with tracer.start_as_current_span("call", kind=SpanKind.CLIENT, attributes=five):
            return await bare()

    async def recorded() -> int:
        runtime.tracer = tracer
        try:
            return await plain()
        finally:
            runtime.tracer = None

    return {
        "bare await": bare,
        "asyncio.timeout": timer,
        "guard, no telemetry": plain,
        "guard, no telemetry, with timer": timed,
        "OpenTelemetry span, 5 attributes": span,
        "guard with its span": recorded,
    }


PEERS = {"bare await", "asyncio.timeout", "OpenTelemetry span, 5 attributes"}


async def measure(case: Case, calls: int) -> float:
    """CPU microseconds a call."""
    began = time.process_time()
    for _ in range(calls):
        await case()
    return (time.process_time() - began) / calls * 1e6


async def rounds(seed: int = 1) -> dict[str, list[float]]:
    """CPU microseconds a call, by case, one figure a round."""
    table, dice = list(cases().items()), random.Random(seed)
    measured: dict[str, list[float]] = {name: [] for name, _ in table}
    for _ in range(ROUNDS):
        dice.shuffle(table)
        for name, case in table:
            measured[name].append(await measure(case, CALLS))
    return measured


def import_seconds() -> float:
    """CPU seconds of `import paramedic` in a fresh interpreter; the best of five."""
    script = "import time; began = time.process_time(); import paramedic; print(time.process_time() - began)"
    return min(float(subprocess.check_output([sys.executable, "-c", script])) for _ in range(5))


def rows(measured: dict[str, list[float]]) -> list[dict[str, Any]]:
    """The figures as they are written: what a call costs over a bare await, and how that compares with a span."""
    found = []
    bare_us, span_us = measured["bare await"], measured["OpenTelemetry span, 5 attributes"]
    for name, each in measured.items():
        over = statistics.median(us - base for us, base in zip(each, bare_us, strict=True))
        ratio = statistics.median(us / base for us, base in zip(each, span_us, strict=True))
        found.append(_row(name, "cpu over a bare await", over, "us/call"))
        found.append(_row(name, "of an OpenTelemetry span", ratio, "ratio"))
    found.append(_row("import paramedic", "cpu", import_seconds(), "s"))
    return found


def _row(case: str, metric: str, value: float, unit: str) -> dict[str, Any]:
    return {"case": case, "metric": metric, "value": round(value, 3), "unit": unit, "peer": case in PEERS}


def main() -> None:
    found = rows(asyncio.run(rounds()))
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"machine": machine, "rows": found}, indent=1))
    lines = [f"{row['case']:34} {row['metric']:26} {row['value']:10.2f} {row['unit']}" for row in found]
    sys.stdout.write("\n".join([machine, *lines, f"written to {OUT}", ""]))


if __name__ == "__main__":
    main()
