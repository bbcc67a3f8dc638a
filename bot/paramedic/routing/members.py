"""What a router or a cascade chooses from: functions that can stand in for each other, and what tells them apart.

{"eu-1a": ask}                                        the key is the zone
{"fast": Member(ask, peer="aurora", model="small")}   two providers, two models, two zones, ...
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, ParamSpec, TypedDict, TypeVar

from paramedic.contract.attributes import GENAI_REQUEST_MODEL, PEER_REGION
from paramedic.guards.attempts import Check
from paramedic.guards.callables import is_async_stream, is_sync_stream
from paramedic.guards.calls import Value
from paramedic.policy.breaker import Breaker
from paramedic.request import regions

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class GuardOptions(TypedDict, total=False):
    """Arguments that a router or a cascade hands on to the `Guard` of each member."""

    max_concurrent: int | None
    breaker: Breaker | None
    ignore: tuple[type[Exception], ...]
    criticality: str
    clock: Callable[[], float]
    draw: Callable[[], float]


class RouterOptions(GuardOptions, total=False):
    """Those that only a router hands on."""

    check: Check | None
    idempotency_key: Callable[..., str] | bool | None
    first_token_s: float | None
    idle_s: float | None
    useful: Callable[[Any], bool] | None
    ends: Callable[[Any], bool] | None


@dataclass(frozen=True)
class Member(Generic[P, R_co]):
    """One of those that can stand in for each other.

    >>> paramedic.Member(str.upper, peer="aurora", region="eu", weight=3).region
    'eu'

    Args:
        call: The function that calls it: async, sync, or an (async) generator function.
        peer: Whom it calls, as all callers name it: "aurora". That of the router when not given.
        zone: Zone of the callee, when known.
        region: Where the callee keeps what it is sent, as `residency` names it. A member without a region
            is never asked on behalf of a request whose regions are limited.
        model: The model that it asks.
        weight: How often it is asked first, compared with the others of its priority.
        priority: The lowest number is asked first; the others only when none of that priority is ready.
        cost: Of one answer, in any unit; for a `Cascade`.

    Raises:
        ValueError: A number is out of range; the message names it and shows it.
    """

    call: Callable[P, R_co]
    peer: str = field(default="", kw_only=True)
    zone: str = field(default="", kw_only=True)
    region: str = field(default="", kw_only=True)
    model: str = field(default="", kw_only=True)
    weight: float = field(default=1.0, kw_only=True)
    priority: int = field(default=0, kw_only=True)
    cost: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        if not callable(self.call):
            raise TypeError(f"a member needs a function that calls it, got {self.call!r}")
        if not 0 < self.weight < float("inf"):
            raise ValueError(f"weight of a member must be above 0, got {self.weight!r}")
        if not 0 <= self.cost < float("inf"):
            raise ValueError(f"cost of a member must be 0 or more, got {self.cost!r}")
        if self.region:
            regions([self.region], "region of a member")

    @property
    def attributes(self) -> dict[str, Value]:
        """What every span of its guard carries beside peer and zone."""
        told: dict[str, Value] = {PEER_REGION: self.region, GENAI_REQUEST_MODEL: self.model}
        return {name: value for name, value in told.items() if value}

    def allowed(self, residency: frozenset[str] | None) -> bool:
        """Whether data that must stay in these regions may go to it."""
        return residency is None or self.region in residency

    def guard_name(self, owner: str) -> str:
        """Of its guard: the owner's, and the model's after it."""
        return f"{owner}.{self.model}" if self.model else owner


def members_of(
    owner: str, told: Mapping[str, "Callable[P, R_co] | Member[P, R_co]"], weights: Mapping[str, float] | None = None
) -> "dict[str, Member[P, R_co]]":
    """The members of a router by their keys; one that says neither peer, zone nor model has its key as its zone.

    Raises:
        ValueError: There are none, one is weighted that is none, or two cannot be told apart.
        TypeError: Functions and generator functions are mixed.
    """
    if not told:
        raise ValueError(f"{owner} needs at least one member")
    members: dict[str, Member[P, R_co]] = {}
    for key, call in told.items():
        member = call if isinstance(call, Member) else Member(call)
        if not (member.peer or member.zone or member.model):
            member = replace(member, zone=key)
        members[key] = member
    for key, weight in (weights or {}).items():
        if key not in members:
            raise ValueError(f"weights[{key!r}] of {owner} is of no member; they are {', '.join(members)}")
        if not 0 < weight < float("inf"):
            raise ValueError(f"weights[{key!r}] of {owner} must be above 0, got {weight!r}")
        members[key] = replace(members[key], weight=weight)
    _tell_apart(owner, members)
    return members


def _tell_apart(owner: str, members: "Mapping[str, Member[P, R_co]]") -> None:
    seen: dict[tuple[str, str, str], str] = {}
    for key, member in members.items():
        facts = (member.peer, member.zone, member.model)
        if facts in seen:
            raise ValueError(
                f"members {seen[facts]!r} and {key!r} of {owner} have the same peer, zone and model; "
                "commands and pages could not tell them apart, so give one of them another zone"
            )
        seen[facts] = key
    kinds = {is_stream(member.call) for member in members.values()}
    if len(kinds) > 1:
        raise TypeError(f"the members of {owner} must all be functions, or all be generator functions")


def is_stream(call: Callable[..., Any]) -> bool:
    """Whether calling it gives a stream."""
    return is_async_stream(call) or is_sync_stream(call)
