"""Senders that repeat a request until it is acknowledged, and what must be counted of what they sent."""

import contextlib
import http.client
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from killed_runner import records, tables_of

RUNNER = Path(__file__).with_name("killed_runner.py")
METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PATIENCE_S = 60.0
NANO = 1_000_000_000
ONCE = 3  # traces in a request that is sent once


@dataclass(frozen=True)
class Span:
    """One call; the nesting of a trace is front > asks > serves > looks up."""

    service: str
    name: str
    kind: int
    start_ns: int
    end_ns: int
    peer: str = ""
    error: str = ""

    @property
    def ns(self):
        return self.end_ns - self.start_ns


@dataclass
class Oracle:
    """Sums over everything that was acknowledged; durations in nanoseconds."""

    op: dict = field(default_factory=lambda: defaultdict(Counter))
    edge: dict = field(default_factory=lambda: defaultdict(Counter))
    callee: dict = field(default_factory=lambda: defaultdict(Counter))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, spans):
        """A whole trace: each span encloses the next one."""
        with self.lock:
            for span, child in itertools.zip_longest(spans, spans[1:]):
                sums = self.op[span.service, span.name]
                self._call(sums, span)
                sums["self_n"] += 1
                sums["self_ns"] += span.ns - (child.ns if child else 0)
                if span.peer:
                    for found in (self.edge[span.service, span.peer], self.callee[(span.peer,)]):
                        self._call(found, span)
                        found["gap_n"] += 1
                        found["gap_ns"] += span.ns - child.ns

    @staticmethod
    def _call(sums, span):
        sums["count"] += 1
        sums["ns"] += span.ns
        sums["errors"] += bool(span.error)


def trace_of(dice, name):
    """Four nested spans, their times drawn."""
    cuts = sorted(dice.sample(range(1, 500_000_000), 8))
    start = time.time_ns() - NANO
    error = "503" if dice.random() < 0.1 else ""
    return [
        Span("front", f"{name} front", 2, start + cuts[0], start + cuts[7]),
        Span("front", f"{name} asks", 3, start + cuts[1], start + cuts[6], peer="back", error=error),
        Span("back", f"{name} serves", 2, start + cuts[2], start + cuts[5], error=error),
        Span("back", f"{name} looks up", 1, start + cuts[3], start + cuts[4]),
    ]


def requests_of(dice, traces):
    """Two requests, as two services would send them: of the callee first, since its spans end first."""
    messages = {"back": ExportTraceServiceRequest(), "front": ExportTraceServiceRequest()}
    for spans in traces:
        trace, parent = dice.randbytes(16), b""
        for span in spans:
            parent = _add(messages[span.service], span, trace, dice.randbytes(8), parent)
    return [message.SerializeToString() for message in messages.values()]


def _add(message, span, trace, span_id, parent):
    resource = message.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = span.service
    out = resource.scope_spans.add().spans.add(
        trace_id=trace, span_id=span_id, parent_span_id=parent, name=span.name, kind=span.kind,
        start_time_unix_nano=span.start_ns, end_time_unix_nano=span.end_ns,
    )  # fmt: skip
    for key, value in (("service.peer.name", span.peer), ("error.type", span.error)):
        if value:
            out.attributes.add(key=key).value.string_value = value
    return span_id


class Runner:
    """The collector's process, started again after each kill on the same ports."""

    def __init__(self, folder):
        self.folder, self.ports, self._pid = folder, {"grpc": 0, "http": 0}, 0
        self._log = open(folder / "log", "ab")  # noqa: SIM115 - closed when it finishes
        self._parent = subprocess.Popen(
            [sys.executable, RUNNER, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        self.start()

    def start(self):
        said = self._ask(f"start {self.ports['grpc']} {self.ports['http']}")
        self._pid = said.pop("pid")
        self.ports = said

    def kill(self):
        os.kill(self._pid, signal.SIGKILL)

    def finish(self):
        """Its counters, once everything is applied and kept."""
        return self._ask("finish")

    def close(self):
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
        self._parent.stdin.close()
        self._parent.wait(PATIENCE_S)
        self._parent.stdout.close()
        self._log.close()

    def _ask(self, command):
        self._parent.stdin.write(command + "\n")
        self._parent.stdin.flush()
        said = self._parent.stdout.readline()
        assert said, (self.folder / "log").read_text()
        return json.loads(said)


class Sender(threading.Thread):
    """Sends traces; each request again and again until it is acknowledged, and some only once."""

    def __init__(self, transport, seed, runner, oracle):
        super().__init__(daemon=True)
        self.acknowledged = self.repeated = 0
        self.unsure = {}  # name of a trace whose requests were sent once: how many of them were acknowledged
        self._dice, self._runner, self._oracle = random.Random(seed), runner, oracle
        self._name, self._send = f"{transport}-{seed}", getattr(self, f"_{transport}")
        self.ending = threading.Event()

    def run(self):
        for number in itertools.count():
            if self.ending.is_set():
                return
            if self._dice.random() < 0.1:
                self._once(f"{self._name} once {number}")
            else:
                self._until_acknowledged()

    def _until_acknowledged(self):
        traces = [trace_of(self._dice, self._name) for _ in range(self._dice.randrange(1, 20))]
        for body in requests_of(self._dice, traces):
            while not self._send(body):
                self.repeated += 1
                time.sleep(0.02)
            self.acknowledged += 1
        for spans in traces:
            self._oracle.add(spans)

    def _once(self, name):
        """Nobody repeats these: they may be counted or not, each request whole."""
        first, second = requests_of(self._dice, [trace_of(self._dice, name) for _ in range(ONCE)])
        self.unsure[name] = (self._send(first), self._send(second))

    def _http(self, body):
        connection = http.client.HTTPConnection("127.0.0.1", self._runner.ports["http"], timeout=10)
        try:
            connection.request("POST", "/v1/traces", body, {"content-type": "application/x-protobuf"})
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _grpc(self, body):
        with grpc.insecure_channel(f"127.0.0.1:{self._runner.ports['grpc']}") as channel:
            try:
                channel.unary_unary(METHOD)(body, timeout=10)
                return True
            except grpc.RpcError:
                return False


def applied(folder):
    """What the consumer applied, over all its lives, in the form of the oracle."""
    found = Oracle()
    for about, data, _ in records(folder / "applied"):
        for family, batch in tables_of(about, data):
            for row in batch.to_pylist():
                _add_row(found, family, row)
    return found


def _add_row(found, family, row):
    if family == "op":
        sums, parts = found.op[row["service"], row["operation"]], (("duration", "ns"), ("self_time", "self_ns"))
    else:
        key = (row["caller"], row["callee"]) if family == "edge" else (row["callee"],)
        sums, parts = getattr(found, family)[key], (("duration", "ns"), ("gap", "gap_ns"))
    sums["count"] += row["count"]
    sums["errors"] += sum(one["count"] for one in row["errors"])
    for column, name in parts:
        if row[column] is not None:
            sums[name] += round(row[column]["sum"] * NANO)
            if name != "ns":
                sums[name.replace("_ns", "_n")] += sum(row[column]["count"]) + row[column]["zero"]
