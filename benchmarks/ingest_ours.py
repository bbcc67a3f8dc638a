"""Our side of the ingest benchmark: one part of paramedic in a process of its own, asked over its standard input.

    python benchmarks/ingest_ours.py collector DATA_DIR    the real collector, as otel-config.yaml sets it up
    python benchmarks/ingest_ours.py platform DATA_DIR     the same inside the whole platform, as `paramedic up`
    python benchmarks/ingest_ours.py decode REQUESTS       decoding alone

Each line that it reads is answered by one line of JSON. The first one says where it listens.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pyarrow.compute as pc
from ingest_payloads import Batches

from paramedic_collector.bus import InProcessBus
from paramedic_collector.config.load import load
from paramedic_collector.decode import parse
from paramedic_collector.main import Collector
from paramedic_collector.otlp import Signal

CONFIG: Final = Path(__file__).parents[1] / "otel-config.yaml"
_LOOK_S: Final = 0.01  # between two looks at the engine; also what a thread asks to sleep

Answer = Callable[[str], dict[str, Any]]


def clean_environment() -> dict[str, str]:
    """Ours, without anybody's settings, and with free ports."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PARAMEDIC_", "OTEL_"))}
    return env | {"PARAMEDIC_OTLP_GRPC": "localhost:0", "PARAMEDIC_OTLP_HTTP": "localhost:0"}


class Windows:
    """Takes what the collector gives out in the place of a detector, and counts it."""

    def __init__(self, bus: InProcessBus) -> None:
        self._bus, self.spans = bus, 0
        self._seen: list[Any] | None = None  # while they are watched
        threading.Thread(target=self._run, daemon=True).start()

    def watch(self) -> dict[str, Any]:
        self._seen = []
        return {}

    def series(self) -> dict[str, Any]:
        """How many `op` series there were since `watch`."""
        seen, self._seen = self._seen or [], None
        return {"series": len({name for column in seen for name in column.to_pylist()})}

    def _run(self) -> None:
        while True:
            for batch in self._bus.batches(0.2):
                if (table := batch.tables.get("op")) is not None:
                    self.spans += pc.sum(table["count"]).as_py() or 0
                    if self._seen is not None:
                        self._seen.append(table["operation"])


def collector(data_dir: str) -> tuple[dict[str, Any], Answer]:
    bus = InProcessBus()
    windows = Windows(bus)
    one = Collector(load(CONFIG, clean_environment()), bus, Path(data_dir))
    one.start()

    def answer(question: str) -> dict[str, Any]:
        if question in ("watch", "series"):
            return windows.watch() if question == "watch" else windows.series()
        return {"windowed_spans": windows.spans, **_counted(one.counters)}

    return addresses(one), answer


def platform(data_dir: str) -> tuple[dict[str, Any], Answer]:
    from paramedic_cli.assembly import Assembly  # only here: the other parts are measured without the detector
    from paramedic_detector.settings import load as load_settings

    env = clean_environment() | {"PARAMEDIC_DATA_DIR": data_dir, "PARAMEDIC_API": "localhost:0"}
    assembly = Assembly(load_settings({}, env), env, CONFIG, with_dashboard=False).__enter__()
    ticks = Ticks(lambda: assembly.detector.engine.health().ticked_at)

    def answer(question: str) -> dict[str, Any]:
        return ticks.since_last_time() if question == "ticks" else _counted(assembly.collector.counters)

    return addresses(assembly.collector), answer


def addresses(one: Collector) -> dict[str, Any]:
    return {name: f"127.0.0.1:{endpoint.port}" for name, endpoint in one.addresses.items()}


def _counted(counters: Mapping[str, float]) -> dict[str, Any]:
    names = ("otelcol_receiver_accepted_spans", "otelcol_receiver_accepted_items")
    accepted = next((counters[name] for name in names if counters.get(name)), 0)
    others = ("paramedic_out_of_range_items", "paramedic_fold_failures", "paramedic_recorder_degraded")
    return {"accepted_spans": int(accepted), **{name: counters.get(name, 0) for name in others}}


class Ticks:
    """When the detector's rounds began, and how late a thread that asked to sleep was woken."""

    def __init__(self, ticked_at: Callable[[], float | None]) -> None:
        self._ticked_at, self._began, self._late = ticked_at, list[float](), list[float]()
        threading.Thread(target=self._run, daemon=True).start()

    def since_last_time(self) -> dict[str, Any]:
        began, late, self._began, self._late = self._began, self._late, [], []
        return {"intervals_s": [b - a for a, b in pairwise(began)], "late_s": late}

    def _run(self) -> None:
        while True:
            asked_at = time.monotonic()
            time.sleep(_LOOK_S)
            self._late.append(time.monotonic() - asked_at - _LOOK_S)
            at = self._ticked_at()
            if at is not None and (not self._began or at != self._began[-1]):
                self._began.append(at)


def decode(requests: str) -> tuple[dict[str, Any], Answer]:
    def answer(_question: str) -> dict[str, Any]:
        batches = Batches(0)
        bodies = [batches.next(time.time_ns()) for _ in range(int(requests))]
        began = time.process_time()
        spans = sum(parse(Signal.TRACES, body).items for body in bodies)
        return {"spans": spans, "cpu_s": time.process_time() - began}

    return {}, answer


def main() -> None:
    parts = {"collector": collector, "platform": platform, "decode": decode}
    listening, answer = parts[sys.argv[1]](sys.argv[2])
    print(json.dumps(listening), flush=True)  # noqa: T201
    for line in sys.stdin:
        print(json.dumps(answer(line.strip())), flush=True)  # noqa: T201
    os._exit(0)  # nothing that it holds is worth a tidy end


if __name__ == "__main__":
    main()
