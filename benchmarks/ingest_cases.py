"""What else the ingest benchmark shows: many series, too much traffic, and a detector beside a busy collector."""

import math
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from ingest_engines import Engine, ours, settle, warm
from ingest_payloads import SPANS, TRACES
from ingest_process import Sender, Talker
from ingest_report import Row
from ingest_sender import Order

LIVE_SERIES: Final = (2, 100, 10_000, 100_000)  # of the family `op`: the served requests, and all names of calls
OVERLOAD: Final = {"http": 256, "grpc": 64}  # connections, each with a request under way at any time
_SETTLE_S: Final = 2.0
_COMPILED_S: Final = 10.0  # after the first spans; the windower's parts too
_REFUSED: Final = ("503", "UNAVAILABLE")


def series(folder: Path, requests: int) -> list[Row]:
    """CPU time a span while ever more series are live."""
    return [row for live in LIVE_SERIES for row in _with_series(folder / f"series-{live}", live, requests)]


def _with_series(folder: Path, live: int, requests: int) -> list[Row]:
    folder.mkdir()
    case = f"{live:,} live series"
    with ExitStack() as stack:
        engine, sender = ours(folder, stack), stack.enter_context(Sender(folder / "sender.log"))
        warm(engine, sender)
        all_of_them = math.ceil(max(live, 20_000) / (SPANS - TRACES))
        engine.ask("watch")
        sender.send(Order("http", engine.address["http"], all_of_them, operations=live - 1))
        sender.prepare(Order("http", engine.address["http"], requests, operations=live - 1))
        settle(engine)
        found = engine.ask("series")["series"]
        if found != live:
            raise RuntimeError(f"{case} were wanted, and {found} are in the windows")
        before, first = engine.process.cpu_s(), engine.folded() or 0
        sender.start()
        sender.result()
        settle(engine)
        spent = engine.process.cpu_s() - before
        if (engine.folded() or 0) - first != requests * SPANS:
            raise RuntimeError(
                f"{requests * SPANS} spans were sent, {(engine.folded() or 0) - first} are in the windows"
            )
        return [
            Row(case, "CPU time a span", round(spent / requests / SPANS * 1e6, 2), "µs"),
            Row(case, "peak resident memory", round(engine.process.peak_mib()), "MiB"),
        ]


def overload(folder: Path, seconds: float) -> list[Row]:
    """Many connections that send as fast as they can: what is accepted is kept, the rest is refused."""
    home = folder / "overload"
    home.mkdir()
    with ExitStack() as stack:
        engine = ours(home, stack)
        senders = {name: stack.enter_context(Sender(home / f"sender-{name}.log")) for name in OVERLOAD}
        address = engine.address["http"]
        warm(engine, senders["http"])
        normal = senders["http"].send(Order("http", address, seconds=min(8.0, seconds)))
        sustainable = normal["accepted_spans"] / normal["seconds"]
        settle(engine)
        before = engine.folded() or 0
        done = _flood(engine, senders, seconds)
        accepted = sum(one["accepted_spans"] for one in done)
        settle(engine)
        windowed = (engine.folded() or 0) - before
        replies = sum((Counter(one["replies"]) for one in done), Counter[str]())
        return _overload_rows("overload", sustainable, engine.process.peak_mib(), seconds, accepted, windowed, replies)


def _flood(engine: Engine, senders: dict[str, Sender], seconds: float) -> list[Any]:
    """What the senders say in the end."""
    for seed, (transport, connections) in enumerate(OVERLOAD.items(), 1):
        address = engine.address[transport]
        order = Order(transport, address, seconds=seconds, connections=connections, made_before=200, seed=seed)
        senders[transport].prepare(order)
    for sender in senders.values():
        sender.start()
    return [sender.result() for sender in senders.values()]


def _overload_rows(
    case: str, sustainable: float, peak: float, seconds: float, accepted: int, windowed: int, replies: Counter[str]
) -> list[Row]:
    offered = replies.total() * SPANS / seconds
    refused = sum(replies[status] for status in _REFUSED)
    others = replies.total() - refused - replies["200"] - replies["OK"]
    return [
        Row(case, "sustainable rate, 4 connections", round(sustainable), "spans/s"),
        Row(case, f"offered rate, {sum(OVERLOAD.values())} connections", round(offered), "spans/s"),
        Row(case, "offered rate, of the sustainable one", round(offered / sustainable, 1), ""),
        Row(case, "accepted", accepted, "spans"),
        Row(case, "accepted, in no window", accepted - windowed, "spans"),
        Row(case, "refused with 503 or UNAVAILABLE", refused, "requests"),
        Row(case, "ended in another way", others, "requests"),
        Row(case, "peak resident memory", round(peak), "MiB"),
    ]


def ticks(folder: Path, seconds: float) -> list[Row]:
    """The detector's rounds in the one process of `paramedic up`, while it is calm and under full ingest load."""
    home = folder / "ticks"
    home.mkdir()
    with (
        Talker("ingest_ours.py", "platform", str(home / "data"), log=home / "platform.log") as platform,
        Sender(home / "sender.log") as sender,
    ):
        address = platform.hello["http"]
        loads = {
            "a batch a second": Order("http", address, seconds=seconds, connections=1, made_before=10, pause_s=1.0),
            "full ingest load": Order("http", address, seconds=seconds, made_before=200),
        }
        sender.send(Order("http", address, 60))
        time.sleep(_COMPILED_S)
        rows: list[Row] = []
        for name, order in loads.items():
            sender.prepare(order)
            time.sleep(_SETTLE_S)
            platform.ask("ticks")
            sender.start()
            done = sender.result()
            found, case = platform.ask("ticks"), f"detector's round, {name}"
            rows.append(Row(case, "ingested", round(done["accepted_spans"] / done["seconds"]), "spans/s"))
            rows += _shares(case, "between two rounds", found["intervals_s"])
            rows += _shares(case, "a thread that slept 10 ms woke later by", found["late_s"])
        return rows


def _shares(case: str, metric: str, values_s: list[float]) -> list[Row]:
    ordered = sorted(values_s)
    at = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "most": 1.0}
    return [
        Row(case, f"{metric}, {name}", round(1000 * ordered[min(len(ordered) - 1, int(q * len(ordered)))], 1), "ms")
        for name, q in at.items()
        if ordered
    ]
