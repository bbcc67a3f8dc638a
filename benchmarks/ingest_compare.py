"""Spans per CPU-second of every engine, side by side: several rounds, each engine once in each, in random order.

A round sends each engine the same number of batches over HTTP and over gRPC, waits until it has had time to finish its
work, and takes the CPU time that its whole process used meanwhile. Every engine must have taken every span.
"""

import random
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Final

from ingest_engines import OTELCOL, OURS, ROTEL, Engine, settle, start_all, warm
from ingest_payloads import SPANS
from ingest_process import Sender, Talker
from ingest_report import Row, spread
from ingest_sender import Order

DECODE: Final = "paramedic, decode alone"
AGAINST: Final = {
    "of rotel": ROTEL,
    "of span_metrics": f"{OTELCOL}, span_metrics",
    "of span_metrics, redaction and file": f"{OTELCOL}, span_metrics, redaction, file",
}
TRANSPORTS: Final = {"http": "HTTP", "grpc": "gRPC"}
_RATE: Final = "spans per CPU-second"

Rates = dict[str, list[float]]  # by case, one a round


def compare(folder: Path, rounds: int, requests: int, dice: random.Random) -> list[Row]:
    with (
        start_all(folder) as engines,
        Talker("ingest_ours.py", "decode", str(requests), log=folder / "decode.log") as decoder,
        Sender(folder / "sender.log") as sender,
    ):
        for engine in engines:
            warm(engine, sender)
        decoder.ask("go")
        rates: Rates = {_case(engine, transport): [] for engine, transport in product(engines, TRANSPORTS)}
        rates[DECODE] = []
        for _ in range(rounds):
            jobs = list(product(engines, TRANSPORTS))
            for engine, transport in dice.sample(jobs, len(jobs)):
                order = Order(transport, engine.address[transport], requests)
                rates[_case(engine, transport)].append(_rate(engine, order, sender))
            decoded = decoder.ask("go")
            rates[DECODE].append(decoded["spans"] / decoded["cpu_s"])
        return list(_rows(rates, engines, decoder))


def _case(engine: Engine, transport: str) -> str:
    return f"{engine.name}, {TRANSPORTS[transport]}"


def _rate(engine: Engine, order: Order, sender: Sender) -> float:
    """Spans per CPU-second.

    Raises:
        RuntimeError: It did not take or not fold every span.
    """
    counts_before = engine.taken(), engine.folded()
    sender.prepare(order)
    before = engine.process.cpu_s()
    sender.start()
    done = sender.result()
    settle(engine)
    spent = engine.process.cpu_s() - before
    spans = order.requests * SPANS
    if done["accepted_spans"] != spans:
        raise RuntimeError(f"{engine.name} was sent {spans} spans over {order.transport} and replied {done['replies']}")
    for was, now in zip(counts_before, (engine.taken(), engine.folded()), strict=True):
        if was is not None and now is not None and now - was != spans:
            raise RuntimeError(f"{engine.name} was sent {spans} spans over {order.transport} and counts {now - was}")
    return float(spans / spent)


def _rows(rates: Rates, engines: list[Engine], decoder: Talker) -> Iterator[Row]:
    by_case = {_case(engine, transport): engine for engine, transport in product(engines, TRANSPORTS)}
    for case, values in rates.items():
        engine = by_case.get(case)
        peer = engine.peer if engine else False
        yield from spread(case, _RATE, values, "1/s", peer=peer)
        for of, against in AGAINST.items():
            transport = case.rpartition(", ")[2] if engine else "HTTP"
            base = rates.get(f"{against}, {transport}")
            if base and (engine is None or engine.name == OURS):
                ratios = [mine / theirs for mine, theirs in zip(values, base, strict=True)]
                yield from spread(case, of, ratios, "", digits=2)
        peak = (engine.process if engine else decoder).peak_mib()
        yield Row(case, "peak resident memory", round(peak), "MiB", peer)
