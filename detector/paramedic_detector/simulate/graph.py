"""What a simulated system is made of: services with their operations, and what they call. Plain values.

    users --rate--> entry operation --steps--> calls behind guards --> services, providers, stores

A step is one call and its fallbacks, asked in order. Everything that a run can break has a name here.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

USERS: Final = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a service, as its guard makes it.

    Attributes:
        guard: Name of the client span.
        peer: Whom it calls, as all callers name it.
        operation: Of the peer; empty for providers and stores, which tell nothing about themselves.
        retries: Attempts after the first that failed.
        most_in_flight: Calls of one process from which its bulkhead refuses; 0 for any number.
        routed: Each zone of the peer is a member with a guard of its own; a failed one is followed by another.
    """

    guard: str
    peer: str
    operation: str = ""
    deadline_s: float = 5.0
    breaker: bool = True
    retries: int = 0
    most_in_flight: int = 0
    routed: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """Part of an operation: the first call, and its fallbacks while one fails.

    Attributes:
        chance: Share of the operation's calls that come to this step.
        needed: Whether the operation fails when all of its calls do.
        tool: Name of the tool whose span lies around the calls; empty for none.
        loops: Whether an agent that does not find its end goes through this step again.
        ends: Whether a useless answer ends the operation here (a message that nobody understands goes to a person).
    """

    calls: tuple[Call, ...]
    chance: float = 1.0
    needed: bool = False
    tool: str = ""
    loops: bool = False
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """What a service does when it is asked: its own work, and steps one after the other.

    Attributes:
        own_s, spread: Median and sigma of the lognormal time that it spends itself.
        errors: Share of its calls that fail by themselves on a good day.
    """

    name: str
    own_s: float
    spread: float = 0.4
    errors: float = 0.0002
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Service:
    """Something of our own that tells about itself, in one or more zones, one process each.

    Attributes:
        workers: Calls of one process that can be worked on at once; more wait.
        queue_s: Longest wait in that queue; what comes then is turned away with a 503.
    """

    name: str
    operations: tuple[Operation, ...]
    zones: tuple[str, ...] = ("",)
    version: str = "1.0"
    workers: float = 8.0
    queue_s: float = 6.0
    memory_bytes: float = 2.5e8
    pool: int = 0  # connections to its stores; 0 for none


@dataclass(frozen=True, slots=True)
class Provider:
    """A model behind an API.

    Attributes:
        first_s, first_spread: Median and sigma of the lognormal time to the first token.
        tokens_in, tokens_out: Median of the lognormal number of tokens, and sigma of each.
    """

    name: str
    model: str
    first_s: float = 0.25
    first_spread: float = 0.35
    tokens_per_s: float = 80.0
    tokens_in: float = 110.0
    tokens_in_spread: float = 0.35
    tokens_out: float = 52.0
    tokens_out_spread: float = 0.12
    usd_per_million_in: float = 2.5
    usd_per_million_out: float = 10.0
    errors: float = 0.0005


@dataclass(frozen=True, slots=True)
class Store:
    """A database, cache, queue or model within the process: called, and silent about itself."""

    name: str
    own_s: float = 0.004
    spread: float = 0.4
    errors: float = 0.0001
    useless: str = ""  # what some of its answers are: "low_confidence"
    useless_share: float = 0.0


@dataclass(frozen=True)
class Graph:
    """A whole system.

    Attributes:
        entries: Operations that users call: service, operation, how often compared with the others.
        rate_per_s: Users' calls a second on an average day.
    """

    name: str
    services: tuple[Service, ...]
    providers: tuple[Provider, ...] = ()
    stores: tuple[Store, ...] = ()
    entries: tuple[tuple[str, str, float], ...] = ()
    rate_per_s: float = 10.0
    network_s: float = 0.0015  # median time of a call on its way, both ways together
    by_name: dict[str, Service | Provider | Store] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts: tuple[Service | Provider | Store, ...] = (*self.services, *self.providers, *self.stores)
        object.__setattr__(self, "by_name", {part.name: part for part in parts})

    @cached_property
    def service(self) -> dict[str, Service]:
        return {service.name: service for service in self.services}

    @cached_property
    def provider(self) -> dict[str, Provider]:
        return {provider.name: provider for provider in self.providers}

    @cached_property
    def store(self) -> dict[str, Store]:
        return {store.name: store for store in self.stores}

    @cached_property
    def operation(self) -> dict[tuple[str, str], Operation]:
        return {(service.name, one.name): one for service in self.services for one in service.operations}

    @cached_property
    def calls(self) -> tuple[tuple[Service, Operation, Step, Call], ...]:
        """Every call that can be made, with who makes it."""
        return tuple(
            (service, operation, step, call)
            for service in self.services
            for operation in service.operations
            for step in operation.steps
            for call in step.calls
        )

    @cached_property
    def zones(self) -> tuple[str, ...]:
        """All zones, sorted, the nameless one first."""
        return tuple(sorted({"", *(zone for service in self.services for zone in service.zones)}))

    def kind(self, name: str) -> str:
        """ "service", "provider" or "store"; raises KeyError for what is not there."""
        part = self.by_name[name]
        return "service" if isinstance(part, Service) else "provider" if isinstance(part, Provider) else "store"

    def callers(self, name: str) -> tuple[str, ...]:
        return tuple(sorted({service.name for service, _, _, call in self.calls if call.peer == name}))

    def agents(self) -> tuple[str, ...]:
        """Services with a step that may loop."""
        return tuple(sorted({service.name for service, _, step, _ in self.calls if step.loops}))
