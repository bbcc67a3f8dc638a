"""How much each part of a graph has to do on an average day: expected calls a second, and work for its processes."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from paramedic_detector.simulate.graph import Call, Graph, Operation, Service


@dataclass(frozen=True)
class Loads:
    """Expected figures of a healthy graph; fallbacks and retries are not in them.

    Attributes:
        rate: Calls a second to each service, provider and store, by name.
        edge: Likewise of each caller to each callee.
        demand: Seconds of work a second for each process of a service; below 1 for each worker is healthy.
        paths: Ways from a user down to an operation; what a step of the simulation costs.
    """

    rate: dict[str, float]
    edge: dict[tuple[str, str], float]
    demand: dict[str, float]
    paths: int

    @classmethod
    def of(cls, graph: Graph) -> "Loads":
        rate: dict[str, float] = defaultdict(float)
        edge: dict[tuple[str, str], float] = defaultdict(float)
        demand: dict[str, float] = defaultdict(float)
        count = 0

        def visit(service: Service, operation: Operation, per_s: float) -> None:
            nonlocal count
            count += 1
            rate[service.name] += per_s
            own_s = operation.own_s * float(np.exp(operation.spread**2 / 2))
            demand[service.name] += per_s * own_s / len(service.zones)
            looping = [step for step in operation.steps if step.loops]
            left = per_s
            for step in operation.steps:
                chosen = left * (looping[0].chance if step.loops else step.chance)
                called(service, step.calls[0], chosen)
                if step.loops and step is looping[-1] and step.ends:
                    left -= chosen

        def called(caller: Service, call: Call, per_s: float) -> None:
            edge[caller.name, call.peer] += per_s
            if graph.kind(call.peer) == "service":
                visit(graph.service[call.peer], graph.operation[call.peer, call.operation], per_s)
            else:
                rate[call.peer] += per_s

        total = sum(weight for *_, weight in graph.entries)
        for service, operation, weight in graph.entries:
            visit(graph.service[service], graph.operation[service, operation], graph.rate_per_s * weight / total)
        return cls(dict(rate), dict(edge), dict(demand), count)

    def busiest(self, graph: Graph) -> float:
        """The highest share of its workers that any service needs."""
        return max((self.demand.get(one.name, 0.0) / one.workers for one in graph.services), default=0.0)
