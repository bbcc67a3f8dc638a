"""A simulated system in virtual time: batches of windows as collectors give them out, one a second.

    Plan, seed --> Traffic --> Walk --> Spans --> Fold, Gauges --> WindowBatch, WindowBatch, ...

Time goes in stretches: a minute while all is calm, a second while how calls end changes what calls are made.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_collector.windows import WindowBatch
from paramedic_detector.simulate.effects import Effects, parameter
from paramedic_detector.simulate.fold import SAID_AT, Cut, Fold, Levels
from paramedic_detector.simulate.gauges import Gauges
from paramedic_detector.simulate.graph import Service
from paramedic_detector.simulate.plan import Happening, Plan
from paramedic_detector.simulate.spans import NONE, Spans, Table
from paramedic_detector.simulate.traffic import Traffic
from paramedic_detector.simulate.walk import Callers, Walk

BLOCK_S: Final = 60
TENSE_S: Final = 1
LONGEST_S: Final = 12.0  # of what a user's call leads to
COLLECTOR: Final = "simulation"


class World:
    """One run of one plan.

    Args:
        plan: What happens.
        seed: Of all randomness: the same plan and seed give the same windows.
    """

    def __init__(self, plan: Plan, seed: int) -> None:
        self.plan = plan
        self._rng = np.random.default_rng([seed, 20260101])
        self.spans = Spans(plan.graph.zones)
        self.effects = Effects(plan, plan.graph.zones)
        self.walk = Walk(plan.graph, self.effects, self.spans, self._rng)
        self._traffic = Traffic(plan, self._rng)
        self._fold, self._gauges = Fold(self.spans), Gauges(plan.graph, self.walk, self._rng)
        self._edges = self.effects.edges()
        self._guarded = self._known_edges()
        self._trace = 1

    def batches(self) -> Iterator[WindowBatch]:
        """The windows of the run, one batch a second; its watermark says that the second is over."""
        now, end, sequence = int(self.plan.start), int(self.plan.start + self.plan.duration_s), 0
        while now < end:
            until = min(end, now + BLOCK_S)
            self._live(now, until)
            tables = self._told(now, until)
            for second in range(now, until):
                sequence += 1
                found = {family: rows for family, cut in tables.items() if len(rows := cut.of(second))}
                yield WindowBatch(COLLECTOR, sequence, second + 1, found)
            now = until

    def _live(self, begin: int, end: int) -> None:
        """Let users call, in stretches as long as what calls are made does not depend on how others end."""
        walk, now = self.walk, begin
        while now < end:
            until = min(end, self._stretch(now))
            walk.begin, walk.end = float(now), float(until)
            self.effects.look(now, until + LONGEST_S)
            self._users(now, until)
            self._jobs(now, until)
            walk.passed()
            self._gauges.remember(now, until)
            now = until

    def _stretch(self, now: int) -> int:
        """Where the stretch ends that begins now."""
        if not self.walk.calm or self.effects.feeds_back(now, now + TENSE_S):
            return now + TENSE_S
        return min([now + BLOCK_S, *(int(edge) for edge in self._edges if int(edge) > now)])

    def _told(self, begin: int, end: int) -> dict[str, Cut]:
        """What the processes tell of a block of time."""
        self.walk.begin, self.walk.end = float(begin), float(end)
        self.effects.look(begin, end + LONGEST_S)
        lost = self.walk.lost()
        if lost.any():
            self.spans.forget(lost)
        levels = self._levels(begin, end)
        gauges = self._gauges.windows(self.spans.all, begin, end)
        return {**self._fold.windows(self.spans.take(float(end)), levels, end), **gauges}

    def _users(self, begin: int, end: int) -> None:
        at = self._traffic.arrivals(begin, end, self.effects)
        entries = self.plan.graph.entries
        weights = np.array([weight for *_, weight in entries])
        drawn = self._rng.choice(len(entries), len(at), p=weights / weights.sum())
        for place, (service, operation, _) in enumerate(entries):
            self._enter(self.plan.graph.service[service], operation, at[drawn == place])

    def _enter(self, service: Service, operation: str, at: NDArray[np.float64]) -> None:
        """Users' calls to an operation, over the zones that are there."""
        numbers = np.array([self.walk.zone_number(zone) for zone in service.zones], np.int16)
        zone = numbers[self._rng.integers(0, len(numbers), len(at))]
        trace = np.arange(self._trace, self._trace + len(at))
        self._trace += len(at)
        there = ~self.walk.silent(service.name, zone, at)
        callers = Callers(at, zone, trace).pick(there)
        self.walk.serve(service, self.plan.graph.operation[service.name, operation], callers)

    def _jobs(self, begin: int, end: int) -> None:
        """Batch jobs of our own, which call what users' calls lead to, too."""
        for one in self._batch_jobs():
            service = self.plan.graph.service[one.target]
            count = int(self._rng.poisson(parameter(one, "rate_per_s") * (end - begin)))
            at = np.sort(begin + (end - begin) * self._rng.random(count))
            self._enter(service, service.operations[0].name, at[self.effects.during(one, at)])

    def _batch_jobs(self) -> list[Happening]:
        return [one for service in self.plan.graph.services for one in self.effects.of(service.name, "batch")]

    # Calls in flight

    def _known_edges(self) -> list[int]:
        """Every (edge, zone) whose guard says each second how many calls are in flight."""
        found: dict[int, None] = {}
        zones = len(self.spans.zones)
        for service, _, _, call in self.plan.graph.calls:
            edge = self.spans.edges[service.name, call.peer]
            part = self.plan.graph.by_name[call.peer]
            names = part.zones if call.routed and isinstance(part, Service) else ("",)
            found |= dict.fromkeys(edge * zones + self.spans.zones[zone] for zone in names)
        return list(found)

    def _levels(self, begin: int, end: int) -> Levels:
        known, seconds, zones = np.array(self._guarded, np.int64), end - begin, len(self.spans.zones)
        place = np.full(len(self.spans.edges) * zones, -1, np.int64)
        place[known] = np.arange(len(known))
        table = self._outward()
        first = np.maximum(0, np.ceil(table["begin"] - SAID_AT - begin)).astype(np.int64)
        last = np.minimum(seconds - 1, np.floor(np.minimum(table["end"], end + 1.0) - SAID_AT - begin)).astype(np.int64)
        times = np.maximum(0, last - first + 1)
        call = np.repeat(np.arange(len(table)), times)
        second = np.repeat(first - np.cumsum(times) + times, times) + np.arange(times.sum())
        series = table["edge"].astype(np.int64) * zones + table["callee_zone"]
        at = place[series[call]] * seconds + second
        said = begin + second + SAID_AT
        flying = np.bincount(at, minlength=len(known) * seconds).astype(np.int64)
        oldest = np.zeros(len(known) * seconds)
        np.maximum.at(oldest, at, said - table["begin"][call])
        ts = np.tile(np.arange(begin, end), len(known))
        return Levels(ts, np.repeat(known, seconds), flying, oldest)

    def _outward(self) -> Table:
        table = self.spans.all
        return np.asarray(table[(table["edge"] != NONE) & (table["refused"] == 0)])
