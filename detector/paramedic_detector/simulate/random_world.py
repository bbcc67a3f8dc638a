"""Random systems: 5 to 40 services in layers, 1 to 4 providers, 1 to 3 zones; no two seeds alike.

users --> gateways --> bots --> providers (with fallbacks), tools
                          '--> services --> services --> stores
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from paramedic_detector.simulate.graph import Call, Graph, Operation, Provider, Service, Step, Store
from paramedic_detector.simulate.loads import Loads

MOST_PATHS: Final = 120  # from users down: what a step of the simulation costs
MOST_CALLS: Final = 40.0  # that one user's call leads to, on average
_SERVICES: Final = (
    "accounts", "addresses", "alerts-out", "assets", "basket", "billing", "bookings", "calendar", "catalog", "claims",
    "contacts", "coupons", "customers", "delivery", "files", "exports", "fares", "feedback", "forms", "fraud",
    "geo", "history", "identity", "inventory", "invoices", "knowledge", "ledger", "loyalty", "mail", "media", "menu",
    "notes", "offers", "parcels", "payments", "people", "plans", "policies", "prices", "profiles", "quotes", "ratings",
    "recommend", "refunds", "reports", "reservations", "returns", "search", "seats", "sessions", "settings",
    "stations", "stock", "tasks", "taxes", "tickets", "translate", "warranty", "weather",
)  # fmt: skip
_GATEWAYS: Final = ("gateway", "edge", "web", "api", "portal", "front")
_BOTS: Final = ("assistant", "concierge", "helper", "chat", "agent", "copilot", "dialog")
_PROVIDERS: Final = ("altair", "boreas", "cygnus", "deneb", "electra", "fornax", "gemma-cloud", "hadar")
_STORES: Final = ("postgres", "redis", "mysql", "mongo", "kafka", "elastic", "vectors", "memcached")
_NLUS: Final = ("nlu", "intents", "understanding")
_ZONES: Final = (("a", "b", "c"), ("eu-1", "eu-2", "eu-3"), ("north", "south", "west"), ("z1", "z2", "z3"))
_VERBS: Final = ("GET /{}", "POST /{}", "GET /{}/{{id}}", "PUT /{}/{{id}}")


@dataclass
class _Parts:
    """What a system is put together from."""

    rng: np.random.Generator
    zones: tuple[str, ...]
    providers: tuple[Provider, ...]
    stores: tuple[Store, ...]
    nlu: Store
    deep: list[Service]  # lowest layer first


def random_graph(seed: int, *, services: tuple[int, int] = (5, 16)) -> Graph:
    """A system by its seed.

    Args:
        services: How many there are at least and at most.
    """
    rng = np.random.default_rng([seed, 77])
    for _ in range(50):
        graph = _reached(_draw(rng, int(rng.integers(services[0], services[1] + 1)), f"random-{seed}"))
        if len(graph.services) < services[0]:
            continue
        loads = Loads.of(graph)
        if loads.paths <= MOST_PATHS and sum(loads.rate.values()) <= MOST_CALLS * graph.rate_per_s:
            return _sized(graph, loads, rng)
    raise ValueError(f"no system of seed {seed} with {services[0]} to {services[1]} services is small enough")


def _draw(rng: np.random.Generator, count: int, name: str) -> Graph:
    zones = _ZONES[int(rng.integers(len(_ZONES)))][: int(rng.integers(1, 4))]
    parts = _Parts(rng, zones, _providers(rng), _stores(rng), _nlu(rng), [])
    names = list(rng.permutation(_SERVICES)[: max(2, count - 2)])
    layers = max(1, min(3, len(names) // 3))
    for place, service in enumerate(names):
        parts.deep.append(_backend(parts, str(service), place * layers // len(names)))
    bots = [_bot(parts, str(one)) for one in rng.permutation(_BOTS)[: 1 + int(rng.random() < 0.2)]]
    gateway = _gateway(parts, str(rng.choice(_GATEWAYS)), bots)
    entries = tuple((gateway.name, one.name, float(rng.uniform(0.5, 2))) for one in gateway.operations)
    return Graph(
        name, (gateway, *bots, *parts.deep), parts.providers, (*parts.stores, parts.nlu), entries,
        rate_per_s=float(np.exp(rng.uniform(np.log(8), np.log(40)))), network_s=float(rng.uniform(0.0005, 0.004)),
    )  # fmt: skip


def _reached(graph: Graph) -> Graph:
    """Without what no user's call leads to."""
    todo = [(service, operation) for service, operation, _ in graph.entries]
    seen, called = set(todo), set()
    while todo:
        for step in graph.operation[todo.pop()].steps:
            for call in step.calls:
                called.add(call.peer)
                if call.operation and (call.peer, call.operation) not in seen:
                    seen.add((call.peer, call.operation))
                    todo.append((call.peer, call.operation))
    services = [
        replace(one, operations=kept)
        for one in graph.services
        if (kept := tuple(op for op in one.operations if (one.name, op.name) in seen))
    ]
    providers = tuple(one for one in graph.providers if one.name in called)
    stores = tuple(one for one in graph.stores if one.name in called)
    return replace(graph, services=tuple(services), providers=providers, stores=stores)


def _providers(rng: np.random.Generator) -> tuple[Provider, ...]:
    names = rng.permutation(_PROVIDERS)[: int(rng.integers(1, 5))]
    return tuple(
        Provider(
            str(name), f"{name}-{rng.choice(['large', 'small', 'mini', 'pro', '2', '4o'])}",
            first_s=float(np.exp(rng.uniform(np.log(0.12), np.log(0.8)))), first_spread=float(rng.uniform(0.25, 0.5)),
            tokens_per_s=float(rng.uniform(50, 180)), tokens_in=float(np.exp(rng.uniform(np.log(120), np.log(2500)))),
            tokens_in_spread=float(rng.uniform(0.3, 0.6)), tokens_out=float(rng.uniform(35, 160)),
            tokens_out_spread=float(rng.uniform(0.15, 0.5)), usd_per_million_in=float(rng.uniform(0.1, 3)),
            usd_per_million_out=float(rng.uniform(0.4, 12)), errors=float(rng.choice([0.0, 0.0005, 0.002])),
        )
        for name in names
    )  # fmt: skip


def _stores(rng: np.random.Generator) -> tuple[Store, ...]:
    names = rng.permutation(_STORES)[: int(rng.integers(1, 5))]
    return tuple(
        Store(
            str(name),
            own_s=float(np.exp(rng.uniform(np.log(0.0008), np.log(0.012)))),
            spread=float(rng.uniform(0.3, 0.6)),
        )
        for name in names
    )


def _nlu(rng: np.random.Generator) -> Store:
    own_s = float(rng.uniform(0.003, 0.03))
    return Store(str(rng.choice(_NLUS)), own_s, useless="low_confidence", useless_share=float(rng.uniform(0.005, 0.05)))


def _backend(parts: _Parts, name: str, layer: int) -> Service:
    """A service that may call those below it, and stores."""
    rng = parts.rng
    zones = parts.zones if rng.random() < 0.6 else (parts.zones[0],)
    below = parts.deep[: len(parts.deep)] if layer else []
    operations = []
    for verb in rng.permutation(_VERBS)[: int(rng.integers(1, 3))]:
        steps: list[Step] = []
        if below:
            for other in rng.choice(len(below), size=min(len(below), int(rng.integers(1, 3))), replace=False):
                steps.append(
                    Step(
                        (_to(parts, below[int(other)]),), float(rng.uniform(0.3, 1.0)), needed=bool(rng.random() < 0.7)
                    )
                )
        if rng.random() < 0.8:
            store = parts.stores[int(rng.integers(len(parts.stores)))]
            call = Call(store.name, store.name, deadline_s=float(rng.uniform(1, 3)), breaker=bool(rng.random() < 0.5))
            steps.append(Step((call,), float(rng.uniform(0.6, 1.0)), needed=bool(rng.random() < 0.8)))
        operations.append(
            Operation(
                str(verb).format(name), _own(rng, 0.002, 0.06), float(rng.uniform(0.3, 0.6)), 0.0002, tuple(steps)
            )
        )
    return Service(
        name, tuple(operations), zones, f"{rng.integers(1, 5)}.{rng.integers(0, 20)}", 
        pool=int(rng.choice([0, 10, 20, 50])),        memory_bytes=float(np.exp(rng.uniform(np.log(5e7), np.log(2e9)))),
    )  # fmt: skip


def _bot(parts: _Parts, name: str) -> Service:
    rng = parts.rng
    order = [parts.providers[int(place)] for place in rng.permutation(len(parts.providers))]
    chain = tuple(
        Call(
            f"llm.{one.name}",
            one.name,
            deadline_s=float(rng.uniform(6, 20)),
            most_in_flight=int(rng.choice([0, 128, 256])),
        )
        for one in order[: int(rng.integers(1, 4))]
    )
    helpers = [parts.deep[int(place)] for place in rng.permutation(len(parts.deep))[: int(rng.integers(1, 4))]]
    tools = [parts.deep[int(place)] for place in rng.permutation(len(parts.deep))[: int(rng.integers(1, 3))]]
    steps = [Step((Call(f"nlu.{parts.nlu.name}", parts.nlu.name, deadline_s=1.0, breaker=False),), ends=True)]
    steps += [Step((_to(parts, one),), float(rng.uniform(0.2, 0.8))) for one in helpers]
    agents = float(rng.uniform(0.1, 0.4))
    steps.append(Step(chain, agents, loops=True))
    steps += [Step((_to(parts, one),), tool=f"find_{one.name.replace('-', '_')}", loops=True) for one in tools]
    steps.append(Step(chain, loops=True, ends=True))
    steps.append(Step(chain, float(rng.uniform(0.5, 0.9)), needed=bool(rng.random() < 0.5)))
    zones = parts.zones
    operation = Operation("POST /turn", _own(rng, 0.004, 0.03), 0.4, 0.0001, tuple(steps))
    return Service(
        name,
        (operation,),
        zones,
        f"{rng.integers(1, 5)}.{rng.integers(0, 20)}",
        memory_bytes=float(rng.uniform(1e8, 8e8)),
    )


def _gateway(parts: _Parts, name: str, bots: list[Service]) -> Service:
    rng = parts.rng
    operations = [
        Operation(f"POST /{bot.name}", _own(rng, 0.001, 0.01), 0.4, 0.0, (Step((_to(parts, bot),), needed=True),))
        for bot in bots
    ]
    called = {
        call.peer
        for service in (*parts.deep, *bots)
        for one in service.operations
        for step in one.steps
        for call in step.calls
    }
    alone = [service for service in parts.deep if service.name not in called] or parts.deep[-1:]
    for service in alone:
        step = Step((_to(parts, service),), needed=True)
        operations.append(Operation(f"GET /{service.name}", _own(rng, 0.001, 0.01), 0.4, 0.0, (step,)))
    zones = parts.zones if rng.random() < 0.5 else (parts.zones[0],)
    return Service(name, tuple(operations), zones, "7.1", memory_bytes=1.5e8)


def _to(parts: _Parts, service: Service) -> Call:
    rng = parts.rng
    operation = service.operations[int(rng.integers(len(service.operations)))]
    many = len(service.zones) > 1
    return Call(
        f"{service.name}" if rng.random() < 0.7 else f"{service.name}.{operation.name.split()[0].lower()}",
        service.name, operation.name, deadline_s=float(rng.uniform(2, 10)) if not _is_bot(service) else 30.0,
        breaker=bool(rng.random() < 0.8), retries=int(rng.choice([0, 0, 1, 2])) if not many else 0,
        most_in_flight=int(rng.choice([0, 0, 32])), routed=many and bool(rng.random() < 0.8),
    )  # fmt: skip


def _is_bot(service: Service) -> bool:
    return any(step.loops for one in service.operations for step in one.steps)


def _own(rng: np.random.Generator, least_s: float, most_s: float) -> float:
    return float(np.exp(rng.uniform(np.log(least_s), np.log(most_s))))


def _sized(graph: Graph, loads: Loads, rng: np.random.Generator) -> Graph:
    """Workers for each service: a tenth or so is busy, at most half in a usual burst, and no call waits behind one."""
    services = []
    for one in graph.services:
        busy = float(rng.uniform(0.05, 0.2))
        services.append(replace(one, workers=max(2.0, loads.demand.get(one.name, 0.01) / busy)))
    return replace(graph, services=tuple(services))
