"""A virtual fleet: the demo's services, guards and faults in virtual time, telling what real telemetry would tell.

    users --10/s--> front-door --Router--> support-bot (eu-1a, eu-1b) --> aurora | borealis, orders

Spans exist only when calls end, processes export once a second with their own phase, a killed process loses what it had
not exported, the collector publishes partial windows every half second. Requests are generators that yield seconds.
"""

import contextlib
import heapq
import itertools
import math
import random
from collections import defaultdict
from collections.abc import Generator
from dataclasses import dataclass, field

import pyarrow as pa

from paramedic_collector.windows import KEYS, SCALE, SCHEMAS, VALUES, WindowBatch

EXPORT_S, PUBLISH_S, WIRE_S = 1.0, 0.5, 0.15
Step = Generator[float, None, object]


class CallFailed(Exception):
    """A call that did not work; `kind` is its error.type."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass
class Fault:
    """What is wrong with a provider or backend."""

    kind: str
    share: float = 1.0
    factor: float = 6.0


@dataclass
class Guard:
    """A guard with a local breaker and, when commanded, a probing share; one for each process and callee."""

    name: str
    peer: str
    zone: str = ""
    deadline_s: float = 8.0
    failures: int = 5
    rest_s: float = 10.0
    in_a_row: int = 0
    open_until: float = 0.0
    commanded: float | None = None  # probe share
    probing: bool = False
    running: dict[int, float] = field(default_factory=dict)  # call -> when it began

    def refusal(self, now: float, rng: random.Random) -> tuple[str, bool]:
        """Who refuses ("" for nobody) and whether this call is a probe."""
        if self.commanded is not None:
            if rng.random() < self.commanded and not self.probing:
                return "", True
            return "command", False
        if self.in_a_row >= self.failures:
            if now < self.open_until:
                return "breaker", False
            self.open_until = now + self.rest_s  # this call is the trial
        return "", False

    def ended(self, worked: bool, now: float) -> None:
        self.in_a_row = 0 if worked else self.in_a_row + 1
        if self.in_a_row >= self.failures:
            self.open_until = now + self.rest_s

    def is_shut(self, now: float) -> bool:
        return self.commanded is not None or (self.in_a_row >= self.failures and now < self.open_until)


class Process:
    """One instance: its spans wait here for the next export."""

    def __init__(self, service: str, zone: str, phase: float) -> None:
        self.service, self.zone, self.phase = service, zone, phase
        self.spans: list[dict[str, object]] = []
        self.guards: dict[str, Guard] = {}
        self.alive, self.started_at = True, 0.0


class VirtualFleet:
    """See the module.

    Args:
        seed: Of all randomness.
        rate: Requests a second of users, as a Poisson process.
        router_tells: Whether the router records a refused span for a member that it skips.
    """

    def __init__(self, seed: int = 1, *, rate: float = 10.0, router_tells: bool = True, start: float = 1_700_000_000):
        self.rng, self.rate, self.router_tells = random.Random(seed), rate, router_tells
        self.now = self.start = float(start)
        self._events: list[tuple[float, int, object]] = []
        self._numbers = itertools.count()
        self._arrived: list[tuple[str, dict[str, object]]] = []
        self._batches: list[WindowBatch] = []
        self._sequence = 0
        self._turn = 0
        self.faults: dict[str, Fault] = {}
        self.users: list[tuple[float, bool, float]] = []  # when, useful, seconds
        self.processes = {
            "front": Process("front-door", "eu-1a", 0.1),
            "eu-1a": Process("support-bot", "eu-1a", 0.4),
            "eu-1b": Process("support-bot", "eu-1b", 0.8),
            "orders": Process("orders", "eu-1a", 0.6),
        }
        front = self.processes["front"]
        for zone in ("eu-1a", "eu-1b"):
            front.guards[zone] = Guard("bot", "support-bot", zone, deadline_s=9.0)
            self._boot(self.processes[zone])
        for process in self.processes.values():
            self._at(self.start + process.phase, lambda p=process: self._export(p))
        self._at(self.start + PUBLISH_S, self._publish)
        self._at(self.start + self._gap(), self._arrive)

    # The world

    def run(self, until_s: float) -> list[WindowBatch]:
        """Let time pass to `until_s` after the start; the batches that were published meanwhile."""
        end = self.start + until_s
        while self._events and self._events[0][0] <= end:
            self.now, _, event = heapq.heappop(self._events)
            event()  # type: ignore[operator]
        self.now = end
        batches, self._batches = self._batches, []
        return batches

    def kill(self, zone: str) -> None:
        process = self.processes[zone]
        process.alive, process.spans = False, []

    def restart(self, zone: str) -> None:
        process = self.processes[zone]
        process.alive, process.started_at, process.spans = True, self.now, []
        self._boot(process)

    def command(self, service: str, peer: str, zone: str, share: float | None) -> None:
        """Failover away from a callee with this probing share; None clears it."""
        for process in self.processes.values():
            for guard in process.guards.values():
                if process.service == service and guard.peer == peer and zone in ("", guard.zone):
                    guard.commanded = share
                    if share is None:
                        guard.in_a_row = 0

    def availability(self, since_s: float = 0.0) -> float:
        answers = [useful for at, useful, _ in self.users if at >= self.start + since_s]
        return sum(answers) / max(1, len(answers))

    def _boot(self, process: Process) -> None:
        process.guards = {
            "aurora": Guard("llm.primary", "aurora"),
            "borealis": Guard("llm.light", "borealis"),
            "orders": Guard("orders", "orders", deadline_s=2.0),
        }

    def _at(self, when: float, event: object) -> None:
        heapq.heappush(self._events, (when, next(self._numbers), event))

    def _gap(self) -> float:
        return self.rng.expovariate(self.rate) if self.rate > 0 else 0.25

    def _arrive(self) -> None:
        if self.rate > 0:
            self._spawn(self._user())
        self._at(self.now + self._gap(), self._arrive)

    def _spawn(self, steps: Step) -> None:
        try:
            wait_s = next(steps)
        except StopIteration:
            return
        self._at(self.now + max(0.0, wait_s), lambda: self._spawn(steps))

    # Requests

    def _user(self) -> Step:
        began, front = self.now, self.processes["front"]
        try:
            yield from self._route(front)
            useful, error = True, ""
        except CallFailed as failed:
            useful, error = False, "502" if failed.kind != "timeout" else "504"
        self._span(front, "POST /chat", "server", began, error=error)
        self.users.append((began, useful and self.now - began <= 10.0, self.now - began))

    def _route(self, front: Process) -> Step:
        zones = ["eu-1a", "eu-1b"]
        self._turn += 1
        order = zones[self._turn % 2 :] + zones[: self._turn % 2]
        error = "502"
        for zone in order:
            guard = front.guards[zone]
            probe = not self.router_tells and self._draws_probe(guard)
            if not self.router_tells and guard.is_shut(self.now) and not probe:
                continue
            try:
                return (yield from self._guarded(front, guard, self._ask_bot(zone), probe=probe))
            except CallFailed as failed:
                error = failed.kind
        raise CallFailed(error)

    def _draws_probe(self, guard: Guard) -> bool:
        return guard.commanded is not None and not guard.probing and self.rng.random() < guard.commanded

    def _ask_bot(self, zone: str) -> Step:
        process, began = self.processes[zone], self.now
        if not process.alive:
            yield 0.002
            raise CallFailed("ConnectError")
        epoch = process.started_at
        cold = 1.2 if 0 < began - process.started_at < 1.5 and process.started_at > self.start else 0.0
        steps = self._answer(process)
        error = ""
        yield cold + 0.01
        try:
            wait_s = next(steps)
            while True:
                ends = self.now + wait_s
                while self.now < ends:
                    yield min(0.1, ends - self.now) if not process.alive else min(0.5, ends - self.now)
                    if not process.alive or process.started_at != epoch:
                        raise CallFailed("ReadError")
                wait_s = next(steps)
        except StopIteration:
            pass
        except CallFailed as failed:
            if failed.kind == "ReadError":
                raise
            error = "500"
        self._span(process, "POST /chat", "server", began, error=error)
        if error:
            raise CallFailed(error)

    def _answer(self, process: Process) -> Step:
        if self.rng.random() < 0.35:
            with contextlib.suppress(CallFailed):
                yield from self._guarded(process, process.guards["orders"], self._order())
        for peer, model in (("aurora", "aurora-large"), ("borealis", "borealis-light")):
            try:
                return (yield from self._guarded(process, process.guards[peer], self._model(peer), model=model))
            except CallFailed:
                continue
        raise CallFailed("500")

    def _order(self) -> Step:
        began = self.now
        yield self._duration("orders", self.rng.lognormvariate(math.log(0.012), 0.5))
        error = self._outcome("orders")
        self._span(self.processes["orders"], "GET /orders/{id}", "server", began, error=error)
        if error:
            raise CallFailed(error)
        return None

    def _model(self, peer: str) -> Step:
        fault = self.faults.get(peer)
        if fault and fault.kind == "outage" and self.rng.random() < fault.share:
            if self.rng.random() < 0.5:
                yield 0.05
                raise CallFailed("503")
            yield 60.0
        if fault and fault.kind in ("rate_limit", "auth", "errors") and self.rng.random() < fault.share:
            yield 0.02
            raise CallFailed({"rate_limit": "429", "auth": "401", "errors": "500"}[fault.kind])
        yield self._duration(peer, self.rng.lognormvariate(math.log(0.8 if peer == "aurora" else 0.5), 0.4))
        if fault and fault.kind == "empty" and self.rng.random() < fault.share:
            return "empty"
        if self.rng.random() < 0.001:
            raise CallFailed("500")  # even a healthy provider fails now and then
        return None

    def _duration(self, peer: str, usual_s: float) -> float:
        fault = self.faults.get(peer)
        return usual_s * fault.factor if fault and fault.kind == "slow" else usual_s

    def _outcome(self, peer: str) -> str:
        fault = self.faults.get(peer)
        return "500" if fault and fault.kind == "errors" and self.rng.random() < fault.share else ""

    def _guarded(self, process: Process, guard: Guard, call: Step, *, model: str = "", probe: bool = False) -> Step:
        by, probe = ("", True) if probe else guard.refusal(self.now, self.rng)
        if by:
            self._span(process, guard.name, "client", self.now, guard=guard, refused=by)
            raise CallFailed("refused")
        began, number = self.now, next(self._numbers)
        guard.running[number] = began
        guard.probing = guard.probing or probe
        error, result = "", None
        try:
            result = yield from self._bounded(call, began + guard.deadline_s)
        except CallFailed as failed:
            error = failed.kind
        finally:
            guard.running.pop(number, None)
            guard.probing = guard.probing and not probe
        guard.ended(not error and not result, self.now)
        if process.alive:
            self._span(
                process, guard.name, "client", began, guard=guard, error=error, probe=probe, model=model,
                useless=str(result or ""),
            )  # fmt: skip
        if error or result:
            raise CallFailed(error or "useless")
        return None

    def _bounded(self, call: Step, deadline: float) -> Step:
        try:
            wait_s = next(call)
            while True:
                if self.now + wait_s >= deadline:
                    yield deadline - self.now
                    call.close()
                    raise CallFailed("timeout")
                yield wait_s
                wait_s = next(call)
        except StopIteration as stop:
            return stop.value

    # Telemetry

    def _span(self, process: Process, operation: str, kind: str, began: float, **facts: object) -> None:
        process.spans.append({"operation": operation, "kind": kind, "began": began, "ended": self.now, **facts})

    def _export(self, process: Process) -> None:
        if process.alive:
            arrives = self.now + self.rng.uniform(0.5, 1.5) * WIRE_S
            spans, process.spans = process.spans, []
            gauges = [
                (guard, len(guard.running), max((self.now - at for at in guard.running.values()), default=0.0))
                for guard in process.guards.values()
            ]
            second = int(self.now)
            self._at(arrives, lambda: self._receive(process, spans, gauges, second))
        self._at(self.now + EXPORT_S, lambda: self._export(process))

    def _receive(
        self, process: Process, spans: list[dict[str, object]], gauges: list[tuple[Guard, int, float]], second: int
    ) -> None:
        for span in spans:
            guard = span.get("guard")
            peer = guard.peer if isinstance(guard, Guard) else ""
            op = (process.service, span["operation"], span["kind"], peer, process.zone, span.get("model", ""), "1.0")
            self._arrived.append(("op", {**_row("op", op), **_facts(span)}))
            if isinstance(guard, Guard):
                edge = (process.service, guard.peer, guard.zone)
                self._arrived.append(("edge", {**_row("edge", edge), **_facts(span)}))
                self._arrived.append(("callee", {**_row("callee", edge[1:]), **_facts(span)}))
        for guard, running, oldest_s in gauges:
            level = {"ts": second, "in_flight": running, "oldest_s": oldest_s}
            for family, key in (
                ("edge", (process.service, guard.peer, guard.zone)),
                ("callee", (guard.peer, guard.zone)),
            ):
                self._arrived.append((family, {**_row(family, key), **level}))

    def _publish(self) -> None:
        rows: dict[str, dict[tuple[object, ...], dict[str, object]]] = defaultdict(dict)
        for family, row in self._arrived:
            place = (row["ts"], *(row[name] for name in KEYS[family]))
            rows[family][place] = _merged(rows[family].get(place), row)
        self._arrived = []
        tables = {
            family: pa.RecordBatch.from_pylist(list(found.values()), schema=SCHEMAS[family])
            for family, found in rows.items()
        }
        self._batches.append(WindowBatch("test", self._sequence, int(self.now) - 2, tables))
        self._sequence += 1
        self._at(self.now + PUBLISH_S, self._publish)


def _row(family: str, key: tuple[object, ...]) -> dict[str, object]:
    empty: dict[str, object] = dict.fromkeys([name for name, _ in VALUES[family]])
    for name, kind in VALUES[family]:
        if pa.types.is_integer(kind) and name != "in_flight":
            empty[name] = 0
        elif pa.types.is_list(kind):
            empty[name] = []
    return {**empty, **dict(zip(KEYS[family], key, strict=True))}


def _facts(span: dict[str, object]) -> dict[str, object]:
    ended, began = float(span["ended"]), float(span["began"])  # type: ignore[arg-type]
    if span.get("refused"):
        return {"ts": int(ended), "refused": [{"key": span["refused"], "count": 1}]}
    error, probe = span.get("error") or "", bool(span.get("probe"))
    return {
        "ts": int(ended),
        "count": 1,
        "errors": [{"key": error, "count": 1}] if error else [],
        "useless": [{"key": span["useless"], "count": 1}] if span.get("useless") else [],
        "probes": int(probe),
        "probe_errors": int(probe and bool(error)),
        "duration": histogram(ended - began),
    }


def histogram(*seconds: float) -> dict[str, object]:
    counts: dict[int, int] = defaultdict(int)
    for value in seconds:
        if value > 0:
            counts[math.ceil(math.log2(value) * 2**SCALE) - 1] += 1
    index = sorted(counts)
    zero = sum(value <= 0 for value in seconds)
    return {"scale": SCALE, "zero": zero, "sum": sum(seconds), "index": index, "count": [counts[i] for i in index]}


def _merged(one: dict[str, object] | None, other: dict[str, object]) -> dict[str, object]:
    if one is None:
        return dict(other)
    for name, value in other.items():
        if value is None or name in ("ts", "caller", "callee", "zone") or isinstance(value, str):
            continue
        if isinstance(value, list):
            one[name] = _counts(one[name], value) if value else one[name]
        elif isinstance(value, dict):
            one[name] = value if one[name] is None else _histograms(one[name], value)
        elif name == "oldest_s":
            one[name] = value if one[name] is None else max(one[name], value)  # type: ignore[type-var]
        else:
            one[name] = value if one[name] is None else one[name] + value  # type: ignore[operator]
    return one


def _counts(one: object, other: list[dict[str, object]]) -> list[dict[str, object]]:
    found: dict[object, int] = defaultdict(int)
    for entry in (*one, *other):  # type: ignore[misc]
        found[entry["key"]] += entry["count"]
    return [{"key": key, "count": found[key]} for key in sorted(found)]  # type: ignore[type-var]


def _histograms(one: object, other: dict[str, object]) -> dict[str, object]:
    counts: dict[int, int] = defaultdict(int)
    for part in (one, other):
        for index, count in zip(part["index"], part["count"], strict=True):  # type: ignore[index]
            counts[index] += count
    index = sorted(counts)
    return {
        "scale": SCALE,
        "zero": one["zero"] + other["zero"],  # type: ignore[index]
        "sum": one["sum"] + other["sum"],  # type: ignore[index]
        "index": index,
        "count": [counts[i] for i in index],
    }
