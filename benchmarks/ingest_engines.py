"""The engines that the ingest benchmark compares, each in a process of its own, behind one face.

with start_all(folder) as engines:
    engines[0].name, .address["http"], .process.cpu_s(), .taken()
"""

import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import yaml
from ingest_process import Process, Sender, Talker, free_port, listens, wait_until
from ingest_sender import Order

ROOT: Final = Path(__file__).parents[1]
OURS: Final = "paramedic, whole path"
ROTEL: Final = "rotel, blackhole"
OTELCOL: Final = "OpenTelemetry Collector"
_OTELCOL_BINARY: Final = ROOT / "build/otelcol/otelcol"
_ROTEL_VERSION: Final = "0.0.1a15"
_WARM_REQUESTS: Final = 60
_COMPILED_S: Final = 300.0
_SETTLE_S: Final = 2.0  # windows, joins and metrics are written at most this long after the last span

# What the Collector's parts come to that do, as nearly as there are any, what our whole path does.
_SPAN_METRICS: Final = {
    "histogram": {"unit": "s", "exponential": {"max_size": 160}},
    "dimensions": [
        {"name": name}
        for name in (
            "service.peer.name",
            "cloud.availability_zone",
            "gen_ai.request.model",
            "service.version",
            "error.type",
        )
    ],
    "exemplars": {"enabled": True, "max_per_data_point": 4},
    "metrics_flush_interval": "1s",
    "aggregation_temporality": "AGGREGATION_TEMPORALITY_DELTA",
}
_REDACTION: Final = {
    "allow_all_keys": True,
    "blocked_values": [
        r"[\w.+-]+@[\w-]+\.[\w.-]+",
        r"\b(?:\d[ -]?){13,16}\b",
        r"\+\d[\d ()-]{7,}\d",
        r"\b(?:sk|ghp|xoxb)[-_][\w-]{16,}\b",
    ],
}


@dataclass(frozen=True, slots=True)
class Engine:
    """One that runs.

    Args:
        taken: Spans that it says it has taken so far; None when it does not say.
        folded: Spans in its windows or metrics so far; None when it does not say.
        ask: A question to our own process.
    """

    name: str
    peer: bool
    process: Process
    address: dict[str, str]  # by transport
    taken: Callable[[], int | None]
    folded: Callable[[], int | None] = lambda: None
    ask: Callable[[str], Any] = lambda question: None


@contextmanager
def start_all(folder: Path) -> Iterator[list[Engine]]:
    """Everything that can be had here; what cannot is told and left out."""
    with ExitStack() as stack:
        engines = [ours(folder, stack)]
        agent = _rotel_agent()
        if agent is not None:
            engines.append(_rotel(agent, folder, stack))
        if _OTELCOL_BINARY.exists():
            engines += [
                _otelcol(what, folder, stack) for what in ("nop", "span_metrics", "span_metrics, redaction, file")
            ]
        else:
            _say("the OpenTelemetry Collector is not built and left out: make otelcol")
        yield engines


def ours(folder: Path, stack: ExitStack) -> Engine:
    data = folder / "paramedic"
    talker = Talker("ingest_ours.py", "collector", str(data), log=folder / "paramedic.log")
    stack.enter_context(talker)
    return Engine(
        OURS,
        False,
        talker,
        talker.hello,
        lambda: int(talker.ask("report")["accepted_spans"]),
        lambda: int(talker.ask("report")["windowed_spans"]),
        talker.ask,
    )


def warm(engine: Engine, sender: Sender) -> None:
    """Let it compile, cache and allocate what it does only once."""
    for transport, address in engine.address.items():
        sender.send(Order(transport, address, _WARM_REQUESTS))
    settle(engine)


def settle(engine: Engine) -> None:
    """Wait until it has given out what it took: what it counts, and what only whole traces can tell."""
    if engine.folded() is not None:
        wait_until(lambda: engine.folded() == engine.taken(), f"{engine.name} has folded what it took", _COMPILED_S)
    time.sleep(_SETTLE_S)


def _rotel(agent: Path, folder: Path, stack: ExitStack) -> Engine:
    ports = {"http": free_port(), "grpc": free_port()}
    flags = [f for name, port in ports.items() for f in (f"--otlp-{name}-endpoint", f"127.0.0.1:{port}")]
    files = ["--pid-file", str(folder / "rotel.pid"), "--log-file", str(folder / "rotel-agent.log")]
    command = [str(agent), "start", "--exporter", "blackhole", *flags, *files]
    process = stack.enter_context(Process(command, folder / "rotel.log"))
    return _listening(Engine(ROTEL, True, process, _local(ports), lambda: None))


def _rotel_agent() -> Path | None:
    """The program in the wheel, in an environment of its own; None where it cannot be installed."""
    home = ROOT / "build/rotel"
    if not (home / "bin/python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    wanted = [str(home / "bin/python"), "-m", "pip", "install", "--quiet", "--no-deps", f"rotel=={_ROTEL_VERSION}"]
    found = next(iter(home.glob("lib/python*/site-packages/rotel/rotel-agent")), None)
    if found is None:
        done = subprocess.run(wanted, check=False, capture_output=True, text=True)
        found = next(iter(home.glob("lib/python*/site-packages/rotel/rotel-agent")), None)
        if found is None:
            _say(f"rotel {_ROTEL_VERSION} cannot be installed and is left out: {done.stderr.strip()[-300:]}")
    return found


def _otelcol(what: str, folder: Path, stack: ExitStack) -> Engine:
    ports = {"http": free_port(), "grpc": free_port()}
    own = free_port()
    slug = re.sub(r"\W+", "-", what)
    file = folder / f"otelcol-{slug}.yaml"
    file.write_text(yaml.safe_dump(_otelcol_config(what, ports, own, folder / f"otelcol-{slug}.zst")))
    process = stack.enter_context(
        Process([str(_OTELCOL_BINARY), "--config", str(file)], folder / f"otelcol-{slug}.log")
    )

    def count(name: str) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{own}/metrics", timeout=10) as page:
            lines = page.read().decode().split("\n")
        return int(sum(float(line.split()[-1]) for line in lines if re.match(rf"otelcol_{name}(?:_total)?[{{ ]", line)))

    return _listening(
        Engine(f"{OTELCOL}, {what}", True, process, _local(ports), lambda: count("receiver_accepted_spans"))
    )


def _otelcol_config(what: str, ports: dict[str, int], own: int, file: Path) -> dict[str, Any]:
    """Its own counters are to be read on port `own`."""
    protocols = {name: {"endpoint": f"127.0.0.1:{port}"} for name, port in ports.items()}
    metrics = {"receivers": ["span_metrics"], "exporters": ["nop"]}
    redaction = ["redaction"] if "redaction" in what else []
    exporters = ["nop"] if what == "nop" else ["span_metrics", *(["file"] if "file" in what else [])]
    traces = {"receivers": ["otlp"], "processors": ["memory_limiter", *redaction, "batch"], "exporters": exporters}
    reader = {"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": own}}}}
    return {
        "receivers": {"otlp": {"protocols": protocols}},
        "processors": {
            "memory_limiter": {"check_interval": "1s", "limit_mib": 512},
            "batch": {"timeout": "200ms"},
            "redaction": _REDACTION,
        },
        "connectors": {"span_metrics": _SPAN_METRICS} if "span_metrics" in what else {},
        "exporters": {"nop": {}, "file": {"path": str(file), "format": "proto", "compression": "zstd"}},
        "service": {
            "telemetry": {"metrics": {"level": "basic", "readers": [reader]}, "logs": {"level": "warn"}},
            "pipelines": {"traces": traces, **({"metrics": metrics} if "span_metrics" in what else {})},
        },
    }


def _local(ports: dict[str, int]) -> dict[str, str]:
    return {name: f"127.0.0.1:{port}" for name, port in ports.items()}


def _listening(engine: Engine) -> Engine:
    for address in engine.address.values():
        port = int(address.rpartition(":")[2])
        wait_until(partial(_listens_or_ended, engine, port), f"{engine.name} listens on {port}")
        if not engine.process.alive:
            raise RuntimeError(f"{engine.name} ended: {engine.process.log.read_text()[-2000:]}")
    return engine


def _listens_or_ended(engine: Engine, port: int) -> bool:
    return listens(port) or not engine.process.alive


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)  # noqa: T201
