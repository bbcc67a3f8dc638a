"""A million calls of every kind through the SDK, and what memory they leave behind.

    make soak                     a million calls, some two minutes
    make soak ARGS="100000"       fewer

Calls work, fail, hang until their deadline, are useless, refused, given up and retried; streams end, break off and are
left early; commands come and go; guards are made and forgotten. Spans and metrics are on. The resident memory must not
grow by more than 4 MiB from a fifth of the way on, and no call may be left in flight.
"""

import asyncio
import contextlib
import gc
import json
import logging
import os
import platform
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

import paramedic
from paramedic.telemetry.recorder import Recorder
from paramedic.telemetry.runtime import runtime
from paramedic.testing import commands

AT_ONCE: Final = 50
OUT: Final = Path("build/bench/soak.json")
MOST_MIB: Final = 4.0
WARM: Final = 0.2  # of all calls


@dataclass(frozen=True, slots=True)
class Sample:
    """How it stood at one moment."""

    calls: int
    rss_mib: float
    objects: int  # that the garbage collector knows
    seconds: float


class Soaked:
    """A bot in small: what it calls, and all the ways in which that can end.

    Attributes:
        ended: Calls, by how they ended for the caller.
    """

    def __init__(self, seed: int = 1) -> None:
        self._dice = random.Random(seed)
        self.ended: Counter[str] = Counter()
        breaker = paramedic.Breaker(rest_s=0.01)
        self.guards = [
            paramedic.Guard("plain", peer="a", max_concurrent=40, breaker=breaker, deadline_s=0.003),
            paramedic.Guard("retried", peer="b", retry=paramedic.Retry(attempts=2, base_s=0), fallbacks=[_light]),
            paramedic.Guard("checked", peer="c", breaker=None, check=lambda answer: None if answer else "empty"),
            paramedic.Guard("stream", peer="d", breaker=None, idle_s=0.003, deadline_s=0.05),
            paramedic.Guard("sync", peer="e", breaker=breaker),
        ]
        plain, retried, checked, stream, sync = self.guards
        self._ask, self._again, self._checks = plain(_backend), retried(_backend), checked(_backend)
        self._reads, self._sync = stream(_tokens), sync(_function)
        self._routed = paramedic.Router("routed", {"one": _backend, "two": _backend}, peer="f", attempt_s=0.003)
        self._block = plain

    async def one(self) -> None:
        """One call of some kind."""
        dice = self._dice
        kind = dice.choices(_KINDS, _WEIGHTS)[0]
        ends = dice.choices(_ENDS, _SHARES)[0]
        try:
            async with asyncio.timeout(0.002) if dice.random() < 0.01 else contextlib.nullcontext():
                await getattr(self, f"_play_{kind}")(ends)
            self.ended["worked"] += 1
        except Exception as error:
            self.ended[type(error).__name__] += 1

    async def _play_call(self, ends: str) -> None:
        await self._ask(ends)

    async def _play_retried(self, ends: str) -> None:
        await self._again(ends)

    async def _play_checked(self, ends: str) -> None:
        await self._checks("" if ends == "hangs" else ends)

    async def _play_stream(self, ends: str) -> None:
        async for _ in self._reads(ends):
            pass

    async def _play_left(self, ends: str) -> None:
        async for _ in self._reads(ends):
            break  # the user closed the window

    async def _play_sync(self, ends: str) -> None:
        self._sync(ends)

    async def _play_routed(self, ends: str) -> None:
        await self._routed(ends)

    async def _play_block(self, ends: str) -> None:
        with paramedic.request(conversation="c", criticality="low"):
            async with self._block.call() as call:
                call.set("gen_ai.request.model", "m")
                call.tokens(input=10, output=2)
                await _backend(ends)

    async def _play_fresh(self, ends: str) -> None:
        """A guard that is made for one call, as careless code does."""
        await paramedic.Guard("fresh", peer="g").run(_backend, ends)


_KINDS = ("call", "retried", "checked", "stream", "left", "sync", "routed", "block", "fresh")
_WEIGHTS = (40, 10, 10, 8, 2, 15, 8, 5, 2)
_ENDS, _SHARES = ("well", "fails", "hangs"), (90, 9, 1)


async def _backend(ends: str) -> str:
    if ends == "fails":
        raise ConnectionError
    if ends == "hangs":
        await asyncio.sleep(0.02)
    return ends


async def _tokens(ends: str) -> AsyncIterator[str]:
    for number in range(5):
        if number == 3:
            await _backend(ends)
        yield "token"


async def _light(ends: str) -> str:
    return "light"


def _function(ends: str) -> str:
    if ends == "fails":
        raise ConnectionError
    return ends


def rss_mib() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def soak(calls: int, samples: int, heard: Callable[[Sample], None]) -> Soaked:
    """Make so many calls, some at once; tell how it stands from time to time."""
    bot, began = Soaked(), time.monotonic()
    each = max(AT_ONCE, calls // samples)
    with _telemetry() as recorder, commands() as platform:
        for done in range(AT_ONCE, calls + 1, AT_ONCE):
            await asyncio.gather(*(bot.one() for _ in range(AT_ONCE)))
            _command(platform, bot)
            if done % each < AT_ONCE:
                recorder.take()  # as an export would
                platform.acks.clear()
                gc.collect()
                heard(Sample(done, rss_mib(), len(gc.get_objects()), time.monotonic() - began))
    await asyncio.sleep(0.05)
    gc.collect()
    return bot


@contextlib.contextmanager
def _telemetry() -> Iterator[Recorder]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SpanProcessor())
    recorder = Recorder()
    runtime.tracer, runtime.recorder = provider.get_tracer("soak"), recorder
    try:
        yield recorder
    finally:
        runtime.tracer = runtime.recorder = None


def _command(platform: Any, bot: Soaked) -> None:
    kind, parameters = random.choice(
        [("trip_breaker", {}), ("shed_load", {"share": 0.5}), ("limit_concurrency", {"limit": 5})]
    )
    ack = platform.send(kind, peer=random.choice("abcdef"), ttl_s=0.01, probe_share=0.2, **parameters)
    if random.random() < 0.5:
        platform.clear(ack)
    platform.sweep()


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    logging.disable(logging.CRITICAL)  # each command is a line otherwise
    found: list[Sample] = []

    def heard(sample: Sample) -> None:
        found.append(sample)
        line = (
            f"{sample.calls:>9,} calls {sample.rss_mib:7.1f} MiB {sample.objects:>8,} objects {sample.seconds:6.0f} s"
        )
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    bot = asyncio.run(soak(calls, 20, heard))
    warm = next(sample for sample in found if sample.calls >= WARM * calls)
    grown = found[-1].rss_mib - warm.rss_mib
    left = sum(guard.in_flight()[0] for guard in bot.guards)
    sys.stdout.write(f"ended: {dict(bot.ended.most_common())}\n")
    sys.stdout.write(f"memory grew by {grown:.1f} MiB after {warm.calls:,} calls; {left} calls are left in flight\n")
    OUT.parent.mkdir(parents=True, exist_ok=True)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    rows = [
        {"case": f"{calls} calls", "metric": "memory grew after a fifth", "value": round(grown, 2), "unit": "MiB"},
        {"case": f"{calls} calls", "metric": "calls left in flight", "value": left, "unit": "1"},
    ]
    written = {
        "machine": machine,
        "rows": [{**row, "peer": False} for row in rows],
        "samples": list(map(asdict, found)),
    }
    OUT.write_text(json.dumps(written, indent=1))
    if grown > MOST_MIB or left:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
