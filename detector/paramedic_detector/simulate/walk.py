"""From users' calls to spans: every operation for all of its calls at once, step by step down the graph.

    users' calls --serve--> own work, then each step --Guards--> --Callees--> the next service's serve ... --> spans

Consequences are not written down but follow: a slow callee makes its callers slow and not their own work, a failed
call leads to its fallback, a hung call lasts until its guard's deadline, work that comes faster than it is done waits.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from paramedic_detector.simulate.calling import Guards
from paramedic_detector.simulate.effects import LEAK_SLOWS, Effects, parameter
from paramedic_detector.simulate.graph import Graph, Operation, Service, Step
from paramedic_detector.simulate.loads import Loads
from paramedic_detector.simulate.plan import Happening
from paramedic_detector.simulate.spans import NONE, Spans

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Small = NDArray[np.int16]
PAUSE_S = 0.9  # how long a process stands still when it does
TOOL_S = 0.0004  # what a tool spends itself, around its calls


@dataclass(slots=True)
class Callers:
    """Calls that begin: when, in which zone, of which trace."""

    at: Floats
    zone: Small
    trace: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.at)

    def pick(self, which: NDArray[np.generic]) -> "Callers":
        return Callers(self.at[which], self.zone[which], self.trace[which])


@dataclass(slots=True)
class Answers:
    """How calls ended: when (never: infinity), with which error and which kind of useless answer, as words' numbers."""

    end: Floats
    error: Small
    useless: Small

    @classmethod
    def at(cls, moments: Floats) -> "Answers":
        zeros = np.zeros(len(moments), np.int16)
        return cls(moments.copy(), zeros, zeros.copy())

    @property
    def worked(self) -> Flags:
        return np.asarray((self.error == 0) & (self.useless == 0) & np.isfinite(self.end))


@dataclass(slots=True)
class Backlog:
    """Work that waits for the workers of one process."""

    debt_s: float = 0.0  # how long the work that is there will take, at the beginning of the stretch
    demand_s: float = 0.0  # what came in this stretch

    def waits(self, at: Floats, demand_s: Floats, begin: float) -> Floats:
        """How long each call waits until a worker is free; `at` in any order."""
        order = np.argsort(at, kind="stable")
        moments, demand = at[order], demand_s[order]
        before = np.cumsum(demand) - demand
        starts = before + np.maximum.accumulate(np.maximum(moments, begin + self.debt_s) - before)
        waits = np.empty(len(at))
        waits[order] = np.maximum(0.0, starts - moments)
        self.demand_s += float(demand.sum())
        return waits

    def passed(self, seconds: float, most_s: float) -> None:
        self.debt_s = float(np.clip(self.debt_s + self.demand_s - seconds, 0.0, most_s))
        self.demand_s = 0.0


@dataclass
class Walk:
    """Walks the graph for one stretch of time after the other; see the module."""

    graph: Graph
    effects: Effects
    spans: Spans
    rng: np.random.Generator
    begin: float = 0.0  # of the stretch
    end: float = 0.0
    backlogs: dict[tuple[str, int], Backlog] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.guards, self.loads = Guards(self), Loads.of(self.graph)
        self._silences = {one.name: self.effects.silences(one.name, one.zones) for one in self.graph.services}
        for name in (*self.graph.provider, *self.graph.store):
            self._silences[name] = self.effects.silences(name, ("",))

    def zone_number(self, zone: str) -> int:
        return self.spans.zones[zone]

    @property
    def calm(self) -> bool:
        """Whether nothing waits and no guard has reason to refuse."""
        return self.guards.calm and all(one.debt_s < 0.5 for one in self.backlogs.values())

    def passed(self) -> None:
        """The stretch is over."""
        for (name, _), backlog in self.backlogs.items():
            backlog.passed(self.end - self.begin, self.graph.service[name].queue_s + 1.0)

    def silent(self, name: str, zone: Small, at: Floats) -> Flags:
        """Whether the process that is called is not there."""
        gone = np.zeros(len(at), bool)
        for since, until, where in self._silences[name]:
            if since < self.end + 30 and until > self.begin - 1:
                gone |= (at >= since) & (at < until) & (zone == self.zone_number(where))
        return gone

    def dies_at(self, name: str, zone: Small, begin: Floats, end: Floats) -> Floats:
        """When the process dies that works on these calls; infinity when it lives."""
        moment = np.full(len(begin), np.inf)
        for since, until, where in self._silences[name]:
            if since < self.end + 30 and until > self.begin - 1:
                hit = (begin < since) & (end > since) & (zone == self.zone_number(where))
                moment[hit] = np.minimum(moment[hit], since)
        return moment

    def lost(self) -> Flags:
        """Which of the kept spans were never told, because their process died first."""
        table = self.spans.all
        lost = np.zeros(len(table), bool)
        names = np.array([base[0] for base in self.spans.bases.names], object)
        for name, silences in self._silences.items():
            mine: Flags | None = None
            for since, until, where in silences:
                if since < self.end + 30 and until > self.begin - 30 and len(names):
                    mine = (names == name)[table["base"]] if mine is None else mine
                    here = mine & (table["zone"] == self.zone_number(where))
                    lost |= here & (table["end"] >= since - 0.3) & (table["end"] < until)
        return lost

    # One operation

    def serve(self, service: Service, operation: Operation, callers: Callers) -> Answers:
        """What becomes of calls to an operation; writes their server spans."""
        if not len(callers):
            return Answers.at(callers.at)
        version = self.versions(service, callers.zone, callers.at)
        own, wait, error, work = self._own(service, operation, callers)
        hung = self._break(service, callers, error)
        began_work = callers.at + wait + 0.5 * own
        going = Callers(began_work, callers.zone, callers.trace)
        alive = (error == 0) & ~hung
        self._steps(service, operation, going, alive, error, version)
        end = np.where(alive, going.at, callers.at + wait) + np.where(alive, 0.5 * own, 0.002)
        answers = Answers(np.where(hung, np.inf, end), error, np.zeros(len(error), np.int16))
        told = ~hung
        base = self.spans.bases[service.name, operation.name, "server", "", ""]
        self.spans.add(
            int(told.sum()), begin=callers.at[told], end=end[told], own=(wait + np.where(alive, own, 0.002))[told],
            work=work[told],
            trace=callers.trace[told], base=base, zone=callers.zone[told], version=version[told], error=error[told],
        )  # fmt: skip
        return answers

    def versions(self, service: Service, zone: Small, at: Floats) -> Small:
        """The version that runs where and when each call is made."""
        found = np.full(len(at), self.spans.versions[service.version], np.int16)
        for one in self.effects.of(service.name, "deploy"):
            number = self.spans.versions[next_version(service.version, one.name)]
            found[self._rolled(service, one, zone, at)] = number
        return found

    def _rolled(self, service: Service, one: Happening, zone: Small, at: Floats) -> Flags:
        """Which calls a deploy's new version gets: zone by zone, taken back at its end."""
        numbers = [self.zone_number(name) for name in service.zones]
        place = np.zeros(len(at))
        for turn, number in enumerate(numbers):
            place[zone == number] = turn
        begins = self.effects.at(one) + place * parameter(one, "roll_s")
        return np.asarray((at >= begins) & (at < self.effects.until(one)))

    def _own(self, service: Service, operation: Operation, callers: Callers) -> tuple[Floats, Floats, Small, Floats]:
        """Own time, waiting, what was turned away, and the work in it, of each call."""
        count = len(callers)
        own = operation.own_s * self.rng.lognormal(0.0, operation.spread, count)
        error = np.zeros(count, np.int16)
        error[self.rng.random(count) < operation.errors] = self.spans.words["500"]
        workers, slower = np.full(count, float(service.workers)), np.zeros(count)
        for one in self.effects.of(service.name, "slow"):
            hit = self.effects.struck(one, callers.at, callers.zone, self.rng)
            delay_s = parameter(one, "delay_s")
            jitter = self.rng.lognormal(0.0, 0.15, count)
            slower += np.where(hit, delay_s * jitter if delay_s else own * (parameter(one, "factor") - 1), 0.0)
        for one in self.effects.of(service.name, "deploy"):
            new = self._rolled(service, one, callers.zone, callers.at)
            own[new] *= parameter(one, "factor")
            slower[new] += parameter(one, "delay_s") * self.rng.lognormal(0.0, 0.3, count)[new]
            failing = new & (self.rng.random(count) < parameter(one, "failing"))
            error[failing] = self.spans.words["500"]
        for one in self.effects.of(service.name, "leak"):
            full = self.effects.fullness(one, callers.at) * self._in_zone(one.zone, callers.zone)
            late = np.clip((full - LEAK_SLOWS) / (1 - LEAK_SLOWS), 0, 1)
            slower += np.where(self.rng.random(count) < late, self.rng.exponential(0.8, count) * late, 0.0)
        for one in self.effects.of(service.name, "saturate"):
            hit = self.effects.during(one, callers.at, callers.zone)
            workers[hit] = self.loads.demand[service.name] / parameter(one, "load")
        for one in self.effects.of(service.name, "pause"):
            left = self.effects.at(one) + PAUSE_S - callers.at
            slower += np.where(self.effects.during(one, callers.at, callers.zone) & (left > 0), left, 0.0)
        wait = self._waits(service, callers, own / workers)
        turned_away = wait > service.queue_s
        error[turned_away] = self.spans.words["503"]
        return own + slower, np.where(turned_away, 0.01, wait), error, np.where(turned_away, 0.0, own)

    def _in_zone(self, zone: str, zones: Small) -> NDArray[np.float64]:
        return np.asarray((zones == self.zone_number(zone)) if zone else np.ones(len(zones)), np.float64)

    def _waits(self, service: Service, callers: Callers, demand_s: Floats) -> Floats:
        wait = np.zeros(len(callers))
        for zone in np.unique(callers.zone).tolist():
            mine = callers.zone == zone
            backlog = self.backlogs.setdefault((service.name, zone), Backlog())
            wait[mine] = backlog.waits(callers.at[mine], demand_s[mine], self.begin)
        return wait

    def _break(self, service: Service, callers: Callers, error: Small) -> Flags:
        """Faults of the service itself; returns which calls hang."""
        hung = np.zeros(len(callers), bool)
        for one in self.effects.of(service.name, "errors", "hang", "outage", "auth", "retries"):
            hit = self.effects.struck(one, callers.at, callers.zone, self.rng)
            hanging, failing = self.split(one.kind, hit)
            if one.kind == "retries":
                failing = hit & (self.rng.random(len(hit)) < parameter(one, "failing"))
            hung |= hanging
            error[failing] = self.statuses(one, int(failing.sum()))
        return np.asarray(hung & (error == 0))

    def split(self, kind: str, hit: Flags) -> tuple[Flags, Flags]:
        """Which of the struck calls hang, and which fail."""
        hangs = hit & (self.rng.random(len(hit)) < {"hang": 1.0, "outage": 0.5}.get(kind, 0.0))
        return hangs, hit & ~hangs

    def statuses(self, one: Happening, count: int) -> Small:
        """The error.type of failed calls."""
        words = self.spans.words
        if one.kind == "auth":
            return np.full(count, words[str(int(parameter(one, "status")))], np.int16)
        status = int(parameter(one, "status")) if one.kind in ("errors", "outage") else 0
        if status:
            return np.full(count, words[str(status)], np.int16)
        return np.where(np.arange(count) % 2 == 0, words["500"], words["503"]).astype(np.int16)

    # Its steps

    def _steps(
        self, service: Service, operation: Operation, going: Callers, alive: Flags, error: Small, version: Small
    ) -> None:
        """Go through the steps; moves `going.at`, and writes failures of needed steps to `error`."""
        active = alive.copy()
        looping = [step for step in operation.steps if step.loops]
        for step in operation.steps:
            if step.loops:
                if step is looping[0]:
                    active &= ~self._loop(service, looping, going, active, error, version)
                continue
            chosen = active & (self.rng.random(len(active)) < step.chance) if step.chance < 1 else active.copy()
            active &= ~self._step(service, step, going, chosen, error, version)

    def _loop(
        self, service: Service, steps: list[Step], going: Callers, active: Flags, error: Small, version: Small
    ) -> Flags:
        """An agent: its steps, once; in a loop again and again. Returns for which the operation ends here."""
        chosen = active & (self.rng.random(len(active)) < steps[0].chance)
        rounds = np.ones(len(active))
        for one in self.effects.of(service.name, "loop"):
            hit = self.effects.struck(one, going.at, going.zone, self.rng)
            rounds[hit] = np.maximum(1, self.rng.poisson(parameter(one, "factor"), len(rounds)))[hit]
        for turn in range(int(rounds[chosen].max()) if chosen.any() else 0):
            for step in steps:
                self._step(service, step, going, chosen & (rounds > turn) & (error == 0), error, version)
        return chosen if steps[-1].ends else chosen & (error != 0)

    def _step(self, service: Service, step: Step, going: Callers, chosen: Flags, error: Small, version: Small) -> Flags:
        """One step for the chosen calls; returns for which the operation ends here."""
        over = np.zeros(len(chosen), bool)
        places = np.flatnonzero(chosen)
        if not len(places):
            return over
        began, asked = going.at[places], places
        useless = np.zeros(len(chosen), bool)
        for call in step.calls:
            answers = self.guards.make(service, call, going.pick(asked), version[asked])
            going.at[asked] = answers.end
            useless[asked] = answers.useless > 0
            asked = asked[~answers.worked]
            if not len(asked):
                break
        if step.needed and len(asked):
            error[asked] = self.spans.words["500"]
            over[asked] = True
        if step.ends:
            over |= useless
        if step.tool:
            self._tool(service, step.tool, began, going.pick(places), version[places], np.isin(places, asked))
        return over

    def _tool(self, service: Service, tool: str, began: Floats, going: Callers, version: Small, failed: Flags) -> None:
        base = self.spans.bases[service.name, f"execute_tool {tool}", "internal", "", ""]
        self.spans.add(
            len(going), begin=began - TOOL_S, end=going.at, own=TOOL_S * self.rng.lognormal(0, 0.3, len(going)),
            trace=going.trace, base=base, edge=NONE, zone=going.zone, version=version,
            error=np.where(failed, self.spans.words["_OTHER"], 0),
        )  # fmt: skip


def next_version(version: str, name: str) -> str:
    """The version that a deploy brings: the next one, another for each deploy."""
    head, _, tail = version.rpartition(".")
    number = int(tail) + 1 if tail.isdigit() else 1
    return f"{head or version}.{number}.{sum(map(ord, name)) % 100}"
