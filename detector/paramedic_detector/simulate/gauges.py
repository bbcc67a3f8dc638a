"""What processes say of themselves: memory, processor, connections, and the metrics that the SDK sends.

    process.memory.usage, process.cpu.utilization, db.client.connection.*    each 5 s
    paramedic.breaker.state, paramedic.retry_budget, paramedic.calls.*       each second
    paramedic.call.duration.*, gen_ai.client.*, paramedic.cost               each 5 s, what came since

Levels follow from what goes on: a processor is busy with the work of its calls, a pool is used by the calls within.
"""

from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from paramedic_collector.windows import HISTOGRAM, SCHEMAS
from paramedic_detector.simulate.effects import parameter
from paramedic_detector.simulate.fold import SAID_AT, Cut
from paramedic_detector.simulate.graph import Graph, Service
from paramedic_detector.simulate.spans import Table
from paramedic_detector.simulate.walk import Walk

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
EACH_S: Final = 5  # of what is not said each second
FULL: Final = 4.0  # memory at which a process dies, of what it usually has
MEMORY_WOBBLE: Final = 0.01
IDLE_CPU: Final = 0.02


class Line(NamedTuple):
    """Some values of one series."""

    service: str
    instance: str
    metric: str
    ts: Ints
    values: Floats


class Gauges:
    """The gauges of all processes, stretch after stretch."""

    def __init__(self, graph: Graph, walk: Walk, rng: np.random.Generator) -> None:
        self._graph, self._walk, self._rng = graph, walk, rng
        self._processes = [(service, zone) for service in graph.services for zone in service.zones]
        self._drift = np.zeros(len(self._processes))  # of memory, a slow wander
        self._since: dict[tuple[str, str, str], float] = {}  # what came since it was last said
        self._states: dict[tuple[str, str, int], list[tuple[int, int, int]]] = {}
        self._guards = sorted(
            {(service.name, call.guard, call.routed, call.peer) for service, _, _, call in graph.calls}
        )
        self._budgets = sorted({(service.name, call.peer) for service, _, _, call in graph.calls if call.retries})

    def remember(self, begin: int, end: int) -> None:
        """How the breakers stand at the end of a stretch; asked for before the block's `windows`."""
        for (name, guard, zone, _), circuit in self._walk.guards.circuits.items():
            if not circuit.calm and (state := circuit.state(float(end))):
                self._states.setdefault((name, guard, zone), []).append((begin, end, state))

    def windows(self, spans: Table, begin: int, end: int) -> dict[str, Cut]:
        """The rows of the family gauge in a stretch.

        Args:
            spans: Those that ended in it or have not ended.
        """
        lines = self._processes_say(spans, begin, end) + self._guards_say(begin, end) + self._counts(spans, begin, end)
        lines = [line for line in lines if len(line.ts)]
        if not lines:
            return {}
        ts = np.concatenate([line.ts for line in lines])
        order = np.argsort(ts, kind="stable")
        values = np.concatenate([line.values for line in lines])[order]
        which = np.repeat(np.arange(len(lines)), [len(line.ts) for line in lines])[order]
        index = pa.array(which)
        names = [
            pa.array(texts).take(index) for texts in zip(*((line[0], line[1], line[2]) for line in lines), strict=True)
        ]
        same = pa.array(values)
        one = pa.array(np.ones(len(ts), np.int64))
        rows = [pa.array(ts[order]), *names, one, same, same, same, pa.nulls(len(ts), HISTOGRAM)]
        return {"gauge": Cut(ts[order], pa.RecordBatch.from_arrays(rows, schema=SCHEMAS["gauge"]))}

    def _alive(self, service: str, zone: str, ts: Ints) -> NDArray[np.bool_]:
        number = np.full(len(ts), self._walk.zone_number(zone), np.int16)
        return np.asarray(~self._walk.silent(service, number, np.asarray(ts + SAID_AT, np.float64)))

    # Processes

    def _processes_say(self, spans: Table, begin: int, end: int) -> list[Line]:
        ts = np.arange(-(-begin // EACH_S) * EACH_S, end, EACH_S, dtype=np.int64)
        if not len(ts):
            return []
        lines: list[Line] = []
        bases = self._walk.spans.bases.names
        serving = np.array([base[2] == "server" for base in bases] or [False])[spans["base"]] if len(bases) else []
        server = spans[serving] if len(bases) else spans
        owner = np.array([base[0] for base in bases] or [""], object)
        for place, (service, zone) in enumerate(self._processes):
            here = ts[self._alive(service.name, zone, ts)]
            names = service.name, instance_of(service, zone)
            mine = server[(owner[server["base"]] == service.name) & (server["zone"] == self._walk.zone_number(zone))]
            lines.append(Line(*names, "process.memory.usage", here, self._memory(place, service, zone, here)))
            lines.append(Line(*names, "process.cpu.utilization", here, self._cpu(service, mine, here)))
            if service.pool:
                busy = in_flight(mine, np.asarray(here + SAID_AT, np.float64))
                lines.append(Line(*names, "db.client.connection.count{used}", here, np.minimum(busy, service.pool)))
                waiting = np.maximum(0.0, busy - service.pool)
                lines.append(Line(*names, "db.client.connection.pending_requests", here, waiting))
        return lines

    def _memory(self, place: int, service: Service, zone: str, ts: Ints) -> Floats:
        self._drift[place] = 0.98 * self._drift[place] + self._rng.normal(0, 0.004)
        share = 1.0 + self._drift[place] + self._rng.normal(0, MEMORY_WOBBLE, len(ts))
        for one in self._walk.effects.of(service.name, "leak"):
            if one.zone in ("", zone):
                share = share + (FULL - 1.0) * self._walk.effects.fullness(one, ts.astype(np.float64))
        return np.asarray(service.memory_bytes * share)

    def _cpu(self, service: Service, mine: Table, ts: Ints) -> Floats:
        work, workers = mine["work"], np.full(len(ts), float(service.workers))
        for one in self._walk.effects.of(service.name, "saturate"):
            left = self._walk.loads.demand[service.name] / parameter(one, "load")
            workers[self._walk.effects.during(one, ts.astype(np.float64))] = left
        place = np.searchsorted(ts, np.floor(mine["end"]), side="left")
        inside = place < len(ts)
        busy_s = np.bincount(place[inside], work[inside], minlength=len(ts))[: len(ts)]
        return np.asarray(np.clip(busy_s / EACH_S / workers + IDLE_CPU + self._rng.exponential(0.01, len(ts)), 0, 1))

    # Guards

    def _guards_say(self, begin: int, end: int) -> list[Line]:
        ts, lines = np.arange(begin, end, dtype=np.int64), []
        for name, guard, _, _ in self._guards:
            service = self._graph.service[name]
            for zone in service.zones:
                alive = self._alive(name, zone, ts)
                states = np.zeros(len(ts))
                for since, until, state in self._states.pop((name, guard, self._walk.zone_number(zone)), ()):
                    states[since - begin : until - begin] = np.maximum(states[since - begin : until - begin], state)
                metric = f"paramedic.breaker.state{{{guard}}}"
                lines.append(Line(name, instance_of(service, zone), metric, ts[alive], states[alive]))
        for name, peer in self._budgets:
            service = self._graph.service[name]
            tokens = self._walk.guards.budgets[name, peer].tokens
            for zone in service.zones:
                here = ts[self._alive(name, zone, ts)]
                metric = f"paramedic.retry_budget{{{peer}}}"
                lines.append(Line(name, instance_of(service, zone), metric, here, np.full(len(here), tokens)))
        return lines

    # What came since

    def _counts(self, spans: Table, begin: int, end: int) -> list[Line]:
        """The SDK's histograms and counters, of calls that ended."""
        names, zones = self._walk.spans.bases.names, self._walk.spans.zones.names
        if not names:
            return []
        outward = np.array([base[2] == "client" for base in names])
        ended = spans[(spans["end"] < end) & outward[spans["base"]] & (spans["refused"] == 0)]
        key = ended["base"].astype(np.int64) * len(zones) + ended["zone"]
        due = np.arange(-(-begin // EACH_S) * EACH_S, end, EACH_S, dtype=np.int64)
        slot = np.searchsorted(due, np.floor(ended["end"]), side="left")
        lines: list[Line] = []
        for number in np.unique(key).tolist():
            mine = key == number
            service, guard, _, peer, model = names[number // len(zones)]
            zone = zones[number % len(zones)]
            for metric, values in _amounts(ended[mine], guard, peer, model):
                lines.append(self._since_last(service, zone, metric, due, slot[mine], values))
        return lines

    def _since_last(self, service: str, zone: str, metric: str, due: Ints, slot: Ints, values: Floats) -> Line:
        sums = np.bincount(slot, values, minlength=len(due) + 1).astype(np.float64)
        name = (service, zone, metric)
        sums[0] += self._since.get(name, 0.0)
        self._since[name] = float(sums[-1])
        said = sums[:-1] > 0
        return Line(service, instance_of(self._graph.service[service], zone), metric, due[said], sums[:-1][said])


def _amounts(spans: Table, guard: str, peer: str, model: str) -> list[tuple[str, Floats]]:
    """What each call adds to which metric."""
    one, duration = np.ones(len(spans)), spans["end"] - spans["begin"]
    found = [(f"paramedic.call.duration.count{{{guard}}}", one), (f"paramedic.call.duration.sum{{{guard}}}", duration)]
    if model:
        found += [
            (f"gen_ai.client.operation.duration.count{{{peer}/{model}}}", one),
            (f"gen_ai.client.operation.duration.sum{{{peer}/{model}}}", duration),
            ("gen_ai.client.token.usage.sum{input}", spans["tokens_in"].astype(np.float64)),
            ("gen_ai.client.token.usage.sum{output}", spans["tokens_out"].astype(np.float64)),
            (f"paramedic.cost{{{peer}/{model}}}", spans["cost"]),
        ]
    return found


def in_flight(spans: Table, at: Floats) -> Floats:
    """How many of the spans run at each moment."""
    begun = np.searchsorted(np.sort(spans["begin"]), at, side="right")
    ended = np.searchsorted(np.sort(spans["end"]), at, side="right")
    return np.asarray(begun - ended, np.float64)


def instance_of(service: Service, zone: str) -> str:
    return f"{service.name}-{zone}" if zone else f"{service.name}-1"
