"""Spans per CPU-second of the collector: decoding alone, each stage, and the whole path over the wire.

    python benchmarks/bench_ingest.py [--batches 40] [--rounds 5]

Batches of 512 spans with 12 attributes, all different in ids, times and most values. CPU time is that of the
whole process, best of some rounds, since a shared machine only ever makes it slower. Over the wire the
senders are a process of their own, so their cost is not counted.
"""

import argparse
import http.client
import json
import multiprocessing
import os
import platform
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from rich.console import Console
from rich.table import Table

from paramedic_collector.bus import InProcessBus
from paramedic_collector.config.model import CollectorConfig, Pipeline, Receiver, Server
from paramedic_collector.counters import ACCEPTED
from paramedic_collector.decode import flatten, parse
from paramedic_collector.facts import Tables, facts_of
from paramedic_collector.fold import fold_spans
from paramedic_collector.join import Join
from paramedic_collector.main import Collector
from paramedic_collector.otlp import Signal
from paramedic_collector.receive.addresses import Endpoint
from paramedic_collector.record.recorder import Recorder
from paramedic_collector.redact import Redactor

SPANS = 512  # a batch
OUT = Path("build/bench/ingest.json")
_METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def batch(dice: random.Random, *, personal: bool = False) -> bytes:
    """512 spans of a bot in 64 traces, eight spans each, with 12 attributes."""
    message = ExportTraceServiceRequest()
    resource_spans = message.resource_spans.add()
    for key, value in (("service.name", "support-bot"), ("cloud.availability_zone", "eu-1a")):
        resource_spans.resource.attributes.add(key=key).value.string_value = value
    scope = resource_spans.scope_spans.add()
    now = time.time_ns()
    for at in range(SPANS):
        if at % 8 == 0:
            trace, parent = dice.randbytes(16), b""
        span = scope.spans.add(
            trace_id=trace, span_id=dice.randbytes(8), parent_span_id=parent, kind=3 if parent else 2
        )
        span.name = f"chat {at % 5}"
        span.start_time_unix_nano = now - dice.randrange(10**9)
        span.end_time_unix_nano = now
        span.status.code = 2 if dice.random() < 0.05 else 0
        parent = parent or span.span_id
        for name, attribute in _attributes(dice, at, personal).items():
            _put(span.attributes.add(key=name).value, attribute)
    return bytes(message.SerializeToString())


Value = str | int | float


def _attributes(dice: random.Random, at: int, personal: bool) -> dict[str, Value]:
    return {
        "service.peer.name": dice.choice(["aurora", "borealis", "orders"]),
        "paramedic.guard": "llm.primary",
        "paramedic.decision": "allowed",
        "gen_ai.request.model": "aurora-large",
        "gen_ai.usage.input_tokens": dice.randrange(2000),
        "gen_ai.usage.output_tokens": dice.randrange(500),
        "paramedic.cost": dice.random() / 100,
        "gen_ai.response.time_to_first_chunk": dice.random(),
        "http.response.status_code": 200,
        "gen_ai.conversation.id": f"conv-{dice.randrange(10**6)}",
        "thread.name": f"worker-{at % 16}",
        "enduser.id": f"user{at}@example.com" if personal and at % 4 == 0 else f"user-{at}",
    }


def _put(target: Any, value: Value) -> None:
    if isinstance(value, str):
        target.string_value = value
    elif isinstance(value, int):
        target.int_value = value
    else:
        target.double_value = value


def cpu_s(work: Callable[[], object], rounds: int) -> float:
    """Least CPU seconds of this process that `work` took."""

    def one() -> float:
        before = time.process_time()
        work()
        return time.process_time() - before

    work()
    return min(one() for _ in range(rounds))


def stages(bodies: list[bytes], rounds: int) -> Iterator[tuple[str, float]]:
    """Spans per CPU-second of each stage on its own."""
    spans = SPANS * len(bodies)
    tables = Tables(limit=100_000, keep_s=600.0, clock=time.monotonic)
    parsed = [parse(Signal.TRACES, body) for body in bodies]
    items = flatten(parsed)
    facts = facts_of(items, tables)
    redactor, personal = Redactor(), [batch(random.Random(n), personal=True) for n in range(3)]

    def join() -> None:
        one = Join(tables)
        one.add(facts, 0.0)
        one.close(2.0)

    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(Path(folder), clock=time.time)
        both = list(zip(parsed, bodies, strict=True))
        yield (
            "decode (parse, flatten)",
            spans / cpu_s(lambda: flatten([parse(Signal.TRACES, body) for body in bodies]), rounds),
        )
        yield (
            "redact, nothing found",
            spans / cpu_s(lambda: [redactor.redact(Signal.TRACES, b) for b in bodies], rounds),
        )
        yield (
            "redact, e-mail in every 4th span",
            SPANS * 3 / cpu_s(lambda: [redactor.redact(Signal.TRACES, b) for b in personal], rounds),
        )
        yield "facts", spans / cpu_s(lambda: facts_of(items, tables), rounds)
        yield "fold", spans / cpu_s(lambda: fold_spans(facts, tables), rounds)
        yield "join", spans / cpu_s(join, rounds)
        yield "record", spans / cpu_s(lambda: [recorder.append(recorder.compress(p, b)) for p, b in both], rounds)
        recorder.close()


def send(transport: str, address: str, bodies: list[bytes]) -> None:
    """In a process of its own."""
    if transport == "grpc":
        with grpc.insecure_channel(address) as channel:
            call = channel.unary_unary(_METHOD)
            for body in bodies:
                call(body, timeout=30)
        return
    connection = http.client.HTTPConnection(address, timeout=30)
    for body in bodies:
        connection.request("POST", "/v1/traces", body, {"content-type": "application/x-protobuf"})
        connection.getresponse().read()


def whole(transport: str, bodies: list[bytes], rounds: int) -> float:
    """Spans per CPU-second of receiving, redacting, recording, folding and joining."""
    anywhere = Endpoint("localhost", 0)
    config = CollectorConfig(
        (Receiver("otlp", Server(anywhere, 4 << 20), Server(anywhere, 20 << 20)),),
        tuple(Pipeline(signal, signal, windows=True) for signal in Signal),
    )
    best = 0.0
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            collector = Collector(config, InProcessBus(), Path(folder))
            collector.start()
            before = time.process_time()
            context = multiprocessing.get_context("spawn")
            sender = context.Process(target=send, args=(transport, str(collector.addresses[transport]), bodies))
            sender.start()
            sender.join()
            collector.stop()
            spent = time.process_time() - before
            best = max(best, collector.counters[ACCEPTED] / spent)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    bodies = [batch(random.Random(seed)) for seed in range(options.batches)]
    figures = list(stages(bodies, options.rounds))
    for transport in ("http", "grpc"):
        figures.append((f"whole path over {transport}", whole(transport, bodies, min(options.rounds, 3))))
    show(figures, len(bodies[0]) / SPANS)


def show(figures: list[tuple[str, float]], span_bytes: float) -> None:
    table = Table(title=f"ingest: {SPANS} spans a batch, 12 attributes, {span_bytes:.0f} bytes a span")
    for name in ("case", "spans per CPU-second", "µs a span"):
        table.add_column(name, justify="left" if name == "case" else "right")
    for case, rate in figures:
        table.add_row(case, f"{rate:,.0f}", f"{1e6 / rate:.2f}")
    Console().print(table)
    rows = [
        {"case": c, "metric": "spans per CPU-second", "value": round(v), "unit": "1/s", "peer": False}
        for c, v in figures
    ]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows.append({"case": "peak memory", "metric": "resident set", "value": round(peak), "unit": "MiB", "peer": False})
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")
    Console().print(f"written to {OUT}")


if __name__ == "__main__":
    main()
