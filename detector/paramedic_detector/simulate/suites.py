"""Runs by seed: random systems with faults of every class, one after the other and sometimes two at once, and oddities.

seed --> random_graph --> kinds and targets that it has --> Plan       training seeds, and seeds held out from it
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from paramedic.contract.command import Target
from paramedic_detector.simulate.demo_world import demo_graph
from paramedic_detector.simulate.graph import Graph
from paramedic_detector.simulate.loads import Loads
from paramedic_detector.simulate.plan import START, Happening, Plan
from paramedic_detector.simulate.random_world import random_graph

HELD_OUT: Final = 1_000_000  # seeds from here on are never trained on
WARM_S: Final = 300.0
REST_S: Final = (170.0, 260.0)  # after a fault, until the next
LASTS_S: Final = (60.0, 150.0)
LEAKS_S: Final = (900.0, 1500.0)
BOTH: Final = 0.12  # share of faults that have company
ODD: Final = 0.5  # share of the rests with an oddity in them
BUSY_PER_S: Final = 0.7  # calls a second that a target must get
Range = tuple[float, float]
Draw = Callable[["Drawer"], "Happening | None"]


@dataclass
class Drawer:
    """Draws happenings that a graph can have."""

    graph: Graph
    rng: np.random.Generator

    def __post_init__(self) -> None:
        self.loads = Loads.of(self.graph)
        self._count = 0

    def one(self, names: Sequence[str]) -> str:
        """One of the names that get enough calls; empty when none does."""
        busy = [name for name in names if self.loads.rate.get(name, 0.0) >= BUSY_PER_S]
        return str(self.rng.choice(busy)) if busy else ""

    def between(self, least: float, most: float) -> float:
        return round(float(self.rng.uniform(least, most)), 3)

    def make(
        self,
        kind: str,
        target: str,
        fault_class: str,
        *,
        zone: str = "",
        severity: Range = (1.0, 1.0),
        **parameters: float,
    ) -> Happening:
        """A happening without a date yet."""
        self._count += 1
        where = f"{target} in {zone}" if zone else target or "users"
        return Happening(
            f"{self._count}: {kind} of {where}", 0.0, 0.0, kind, target, zone, self.between(*severity), parameters,
            fault_class, Target(target or self.graph.entries[0][0], zone) if fault_class else Target(),
        )  # fmt: skip

    @property
    def providers(self) -> list[str]:
        return [one.name for one in self.graph.providers]

    @property
    def services(self) -> list[str]:
        return [one.name for one in self.graph.services]

    @property
    def backends(self) -> list[str]:
        """Services and stores that answer services, but no bot, gateway or NLU."""
        outer = {service for service, *_ in self.graph.entries} | set(self.graph.agents())
        stores = [one.name for one in self.graph.stores if not one.useless]
        return [name for name in self.services if name not in outer] + stores

    @property
    def backend_services(self) -> list[str]:
        return [name for name in self.backends if self.graph.kind(name) == "service"]


def _provider(*kinds: tuple[str, Range, dict[str, Range]], fault_class: str) -> Draw:
    return _on(lambda drawer: drawer.providers, kinds, fault_class)


def _on(
    names: Callable[[Drawer], Sequence[str]], kinds: Sequence[tuple[str, Range, dict[str, Range]]], fault_class: str
) -> Draw:
    def draw(drawer: Drawer) -> Happening | None:
        kind, severity, ranges = kinds[int(drawer.rng.integers(len(kinds)))]
        target = drawer.one(names(drawer))
        if not target:
            return None
        parameters = {name: drawer.between(*around) for name, around in ranges.items()}
        return replace(drawer.make(kind, target, fault_class, severity=severity), parameters=parameters)

    return draw


def _zone_outage(drawer: Drawer) -> Happening | None:
    routed = {call.peer for *_, call in drawer.graph.calls if call.routed}
    target = drawer.one([one.name for one in drawer.graph.services if one.name in routed])
    if not target:
        return None
    kind = str(drawer.rng.choice(["kill", "kill", "errors", "hang"]))
    zone = str(drawer.rng.choice(drawer.graph.service[target].zones))
    return drawer.make(kind, target, "zone_outage", zone=zone, severity=(1, 1) if kind == "kill" else (0.5, 1))


def _surge(drawer: Drawer) -> Happening:
    factor = drawer.between(1.3, 2.0) / max(1e-3, drawer.loads.busiest(drawer.graph))
    return drawer.make("surge", "", "traffic_surge", factor=round(min(40.0, max(4.0, factor)), 2))


def _deploy(drawer: Drawer) -> Happening | None:
    target = drawer.one(drawer.services)
    if not target:
        return None
    if drawer.rng.random() < 0.6:
        return drawer.make("deploy", target, "deploy_regression", failing=drawer.between(0.2, 0.9))
    return drawer.make("deploy", target, "deploy_regression", failing=0.0, delay_s=drawer.between(0.5, 2.5))


def _leak(drawer: Drawer) -> Happening | None:
    target = drawer.one(drawer.services)
    if not target:
        return None
    zones = drawer.graph.service[target].zones
    return drawer.make("leak", target, "resource_leak", zone=str(drawer.rng.choice(zones)) if len(zones) > 1 else "")


def _loop(drawer: Drawer) -> Happening | None:
    target = drawer.one(drawer.graph.agents())
    return drawer.make("loop", target, "tool_loop", severity=(0.6, 1), factor=drawer.between(4, 8)) if target else None


def _nlu(drawer: Drawer) -> Happening | None:
    target = drawer.one([one.name for one in drawer.graph.stores if one.useless])
    return drawer.make("nlu", target, "nlu_degradation", share=drawer.between(0.4, 0.9)) if target else None


CLASSES: Final[dict[str, Draw]] = {
    "provider_outage": _provider(
        ("errors", (0.3, 1), {}), ("hang", (0.4, 1), {}), ("outage", (0.4, 1), {}), ("kill", (1, 1), {}),
        fault_class="provider_outage",
    ),
    "provider_rate_limited": _provider(("rate_limit", (0.4, 1), {}), fault_class="provider_rate_limited"),
    "provider_slow": _provider(("slow", (0.7, 1), {"factor": (3, 8)}), fault_class="provider_slow"),
    "auth_failure": _on(
        lambda drawer: drawer.providers + drawer.backends, [("auth", (0.4, 1), {})], "auth_failure"
    ),
    "dependency_errors": _on(
        lambda drawer: drawer.backends,
        [("errors", (0.3, 1), {}), ("hang", (0.4, 1), {}), ("outage", (0.4, 1), {}), ("kill", (1, 1), {})],
        "dependency_errors",
    ),
    "dependency_slow": _on(
        lambda drawer: drawer.backends, [("slow", (0.7, 1), {"delay_s": (0.6, 3)})], "dependency_slow"
    ),
    "zone_outage": _zone_outage,
    "network_degraded": _on(
        lambda drawer: drawer.backend_services,
        [("delay", (0.7, 1), {"delay_s": (0.4, 2)}), ("loss", (1, 1), {"share": (0.5, 0.75)})],
        "network_degraded",
    ),
    "deploy_regression": _deploy,
    "traffic_surge": _surge,
    "retry_storm": _on(
        lambda drawer: drawer.backend_services + drawer.providers,
        [("retries", (1, 1), {"failing": (0.65, 0.85), "factor": (5, 10)})],
        "retry_storm",
    ),
    "resource_leak": _leak,
    "saturation": _on(
        lambda drawer: drawer.backend_services, [("saturate", (1, 1), {"load": (1.25, 2.5)})], "saturation"
    ),
    "cost_runaway": _provider(
        ("verbose", (0.7, 1), {"factor": (5, 20), "answer": (0, 0.2)}), fault_class="cost_runaway"
    ),
    "quality_degradation": _provider(
        ("empty", (0.3, 1), {}), ("cut", (0.3, 1), {}), ("garbage", (0.4, 1), {}), fault_class="quality_degradation"
    ),
    "nlu_degradation": _nlu,
    "tool_loop": _loop,
}  # fmt: skip


def _load_test(drawer: Drawer) -> Happening:
    most = min(3.0, 0.55 / max(1e-3, drawer.loads.busiest(drawer.graph)))
    return drawer.make("surge", "", "", factor=drawer.between(1.3, max(1.4, most)))


def _batch(drawer: Drawer) -> Happening | None:
    target = drawer.one(drawer.backend_services)
    rate = 0.5 * drawer.loads.rate.get(target, 0.0)
    return drawer.make("batch", target, "", rate_per_s=round(rate, 2)) if target else None


def _flush(drawer: Drawer) -> Happening | None:
    target = drawer.one([one.name for one in drawer.graph.stores if not one.useless])
    return drawer.make("cache_flush", target, "", factor=drawer.between(1.2, 1.8)) if target else None


def _fine_deploy(drawer: Drawer) -> Happening | None:
    target = drawer.one(drawer.services)
    return drawer.make("deploy", target, "", failing=0.0, factor=drawer.between(0.8, 1.3)) if target else None


def _brief(kind: str) -> Draw:
    def draw(drawer: Drawer) -> Happening | None:
        target = drawer.one(drawer.providers + drawer.backends)
        return drawer.make(kind, target, "", severity=(0.3, 0.8)) if target else None

    return draw


def _pause(drawer: Drawer) -> Happening | None:
    target = drawer.one(drawer.services)
    return (
        drawer.make("pause", target, "", zone=str(drawer.rng.choice(drawer.graph.service[target].zones)))
        if target
        else None
    )


# Oddities: how to draw one, and how long it lasts at least and at most.
ODDITIES: Final[dict[str, tuple[Draw, Range]]] = {
    "load_test": (_load_test, (60, 180)),
    "batch_job": (_batch, (60, 240)),
    "cache_flush": (_flush, (20, 90)),
    "fine_deploy": (_fine_deploy, (1e6, 1e6)),
    "blip": (_brief("errors"), (1, 2)),
    "failover": (_brief("outage"), (2, 3)),
    "pause": (_pause, (1, 1)),
    "quiet": (lambda drawer: drawer.make("surge", "", "", factor=drawer.between(0.1, 0.4)), (120, 400)),
}


def clean_plan(seed: int, duration_s: float, *, graph: Graph | None = None, odd: bool = True) -> Plan:
    """A run without faults, with oddities; long ones have a day and a night."""
    graph = graph or random_graph(seed)
    drawer = Drawer(graph, np.random.default_rng([seed, 5]))
    happenings, at = [], WARM_S
    while odd and at < duration_s - 300:
        happenings += list(_odd(drawer, at, duration_s))
        at += drawer.between(600, 2400)
    return Plan(f"clean-{seed}", graph, duration_s, tuple(happenings), graph.rate_per_s, daily=0.6, start=START)


def faulty_plan(seed: int, *, classes: Sequence[str] = (), graph: Graph | None = None, faults: int = 8) -> Plan:
    """A run with faults, rests between them, and oddities in some of the rests.

    Args:
        classes: Which classes, in which order; as many of all as `faults` says, at random, when not given.
        graph: The system; a random one of this seed when not given.
    """
    rng = np.random.default_rng([seed, 9])
    graph = graph or (demo_graph(nlu=True, tools=True) if seed % 5 == 0 else random_graph(seed))
    drawer = Drawer(graph, rng)
    wanted = list(classes) or [str(one) for one in rng.choice(list(CLASSES), faults, replace=faults > len(CLASSES))]
    happenings: list[Happening] = []
    at = WARM_S + drawer.between(0, 60)
    for name in wanted:
        fault = CLASSES[name](drawer)
        if fault is None:
            continue
        lasts_s = drawer.between(*(LEAKS_S if fault.kind == "leak" else LASTS_S))
        happenings.append(replace(fault, at_s=at, until_s=at + lasts_s))
        if rng.random() < BOTH:
            happenings += _company(drawer, happenings[-1])
        at += lasts_s + drawer.between(*REST_S)
        if rng.random() < ODD:
            happenings += list(_odd(drawer, at - 60, at + 1e6))
            at = max([at, *(one.until_s + 100 for one in happenings if one.until_s < 1e6)])
    end = at + 60
    happenings = [replace(one, until_s=min(one.until_s, end)) for one in happenings]
    hour_s = float(rng.integers(0, 24)) * 3600
    return Plan(f"faulty-{seed}", graph, round(end), tuple(happenings), graph.rate_per_s, start=START + hour_s)


def _company(drawer: Drawer, fault: Happening) -> Iterator[Happening]:
    """A second fault at the same time, of something that has nothing to do with the first one."""
    for _ in range(5):
        other = CLASSES[
            str(drawer.rng.choice(["provider_rate_limited", "dependency_errors", "provider_slow", "auth_failure"]))
        ](drawer)
        if other and other.target and fault.target and not _related(drawer.graph, other.target, fault.target):
            at = fault.at_s + drawer.between(2, 25)
            yield replace(other, at_s=at, until_s=at + drawer.between(50, 100))
            return


def _related(graph: Graph, one: str, other: str) -> bool:
    return one == other or _reaches(graph, one, other) or _reaches(graph, other, one)


def _reaches(graph: Graph, above: str, below: str) -> bool:
    todo, seen = [above], {above}
    while todo:
        name = todo.pop()
        for service, _, _, call in graph.calls:
            if service.name == name and call.peer not in seen:
                seen.add(call.peer)
                todo.append(call.peer)
    return below in seen


def _odd(drawer: Drawer, at_s: float, end_s: float) -> Iterator[Happening]:
    name = str(drawer.rng.choice(list(ODDITIES)))
    draw, lasts_s = ODDITIES[name]
    odd = draw(drawer)
    if odd is not None:
        yield replace(odd, name=f"{odd.name} ({name})", at_s=at_s, until_s=min(end_s, at_s + drawer.between(*lasts_s)))
