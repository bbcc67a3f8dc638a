"""The flight recorder with ten minutes of 1,000 spans a second: finding traces, starting again, committing.

    python benchmarks/bench_recorder.py [--spans 600000] [--questions 20]

Traces of eight spans in four services, two spans each, 12 attributes a span; each service sends 512 spans a request, so
a trace lies in four frames. A question asks for some random traces, as the evidence of an incident does, and gets
them whole. Wall time; reading a file that was just written comes from the page cache.
"""

import argparse
import json
import os
import platform
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from rich.console import Console
from rich.table import Table

from paramedic_collector.decode import parse
from paramedic_collector.otlp import Signal
from paramedic_collector.record.recorder import Recorder

BATCH, SERVICES, EACH = 512, 4, 2  # spans a request, services of a trace, spans of a trace in each service
MINUTES_S = 600.0
OUT = Path("build/bench/recorder.json")


def template(service: int, dice: random.Random) -> tuple[bytes, list[bytes]]:
    """A request of one service, and the trace ids in it, to be replaced by others."""
    message, ids = ExportTraceServiceRequest(), [dice.randbytes(16) for _ in range(BATCH // EACH)]
    resource_spans = message.resource_spans.add()
    resource_spans.resource.attributes.add(key="service.name").value.string_value = f"service-{service}"
    scope, now = resource_spans.scope_spans.add(), time.time_ns()
    for at in range(BATCH):
        span = scope.spans.add(trace_id=ids[at // EACH], span_id=dice.randbytes(8), kind=2, name=f"chat {at % 5}")
        span.start_time_unix_nano, span.end_time_unix_nano = now - dice.randrange(10**9), now
        for number in range(12):
            value = dice.choice(["aurora", "borealis", "allowed", f"customer {dice.randrange(10**6)}"])
            span.attributes.add(key=f"some.attribute.{number}").value.string_value = value
    return message.SerializeToString(), ids


def fill(recorder: Recorder, clock: "Clock", spans: int, dice: random.Random) -> list[bytes]:
    """Record so many spans over ten minutes; the trace ids."""
    templates, recorded = [template(service, dice) for service in range(SERVICES)], list[bytes]()
    groups = spans // (BATCH * SERVICES)
    for group in range(groups):
        clock.now = clock.start + MINUTES_S * group / groups
        ids = [dice.randbytes(16) for _ in range(BATCH // EACH)]
        recorded += ids
        for body, before in templates:
            payload = replaced(body, before, ids)
            recorder.append(recorder.compress(parse(Signal.TRACES, payload), payload))
    return recorded


def replaced(body: bytes, before: list[bytes], after: list[bytes]) -> bytes:
    """The same request with other trace ids, and other span ids behind them."""
    changed, at = bytearray(body), 0
    for old, new in zip(before, after, strict=True):
        for _ in range(EACH):
            at = body.index(old, at)
            changed[at : at + 16] = new
            changed[at + 18 : at + 26] = os.urandom(8)
            at += 26
    return bytes(changed)


class Clock:
    def __init__(self) -> None:
        self.start = self.now = time.time() - MINUTES_S

    def __call__(self) -> float:
        return self.now


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def questions(recorder: Recorder, ids: list[bytes], rounds: int, dice: random.Random) -> Iterator[tuple[str, float]]:
    for wanted in (1, 4, 20, 100):
        asked = [[one.hex() for one in dice.sample(ids, wanted)] for _ in range(rounds)]
        took = [seconds(lambda some=some: whole(recorder, some)) for some in asked]  # type: ignore[misc]
        yield f"{wanted} whole traces, median", statistics.median(took)
        yield f"{wanted} whole traces, slowest", max(took)


def whole(recorder: Recorder, ids: list[str]) -> None:
    found = recorder.traces(ids)
    assert {len(spans) for spans in found.values()} == {SERVICES * EACH}, "a trace is not whole"
    assert len(found) == len(ids)


def commits(folder: Path, threads: int, rounds: int, dice: random.Random) -> tuple[float, float]:
    """Requests a second that so many senders get on disk at once, and how many a commit holds."""
    recorder, (body, ids) = Recorder(folder, clock=time.time), template(0, dice)
    new = [replaced(body, ids, [dice.randbytes(16) for _ in ids]) for _ in range(threads * rounds)]
    frames = [recorder.compress(parse(Signal.TRACES, one), one) for one in new]

    def send(mine: int) -> None:
        for frame in frames[mine::threads]:
            recorder.append(frame)

    running = [threading.Thread(target=send, args=(mine,)) for mine in range(threads)]
    took = seconds(lambda: ([one.start() for one in running], [one.join() for one in running]))
    recorder.close()
    return len(frames) / took, len(frames) / recorder.commits


def measured(spans: int, rounds: int) -> Iterator[tuple[str, str, float, str]]:
    dice, clock = random.Random(3), Clock()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "recorder"
        recorder = Recorder(folder, clock=clock)
        ids = fill(recorder, clock, spans, dice)
        yield "log", "size", recorder.disk_bytes / 2**20, "MiB"
        yield "log", "bytes a span", recorder.disk_bytes / spans, "B"
        for metric, took in questions(recorder, ids, rounds, dice):
            yield "evidence", metric, took, "s"
        recorder.close()
        opened: list[Recorder] = []
        took = seconds(lambda: opened.append(Recorder(folder, clock=clock)))
        yield "start", "index of the log rebuilt", took, "s"
        whole(opened[0], [one.hex() for one in dice.sample(ids, 4)])
        opened[0].close()
        for threads in (1, 8, 32):
            rate, together = commits(Path(name) / f"commit-{threads}", threads, 400 // threads, dice)
            yield f"{threads} senders", "requests of 512 spans on disk", rate, "1/s"
            yield f"{threads} senders", "requests a commit", together, ""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--spans", type=int, default=600_000)
    parser.add_argument("--questions", type=int, default=20)
    asked = parser.parse_args()
    table = Table("case", "metric", "value", "unit", title=f"flight recorder, {asked.spans:,} spans")
    rows = []
    for case, metric, value, unit in measured(asked.spans, asked.questions):
        table.add_row(case, metric, f"{value:,.3f}" if value < 100 else f"{value:,.0f}", unit)
        rows.append({"case": case, "metric": metric, "value": value, "unit": unit, "peer": False})
    Console().print(table)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    OUT.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
