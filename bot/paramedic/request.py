"""What a request is about, for every guard below it: whose conversation, how critical, where its data may go.

    with paramedic.request(conversation="c-12", tenant="acme", criticality="low", residency={"eu"}):
        answer = await ask_model(question)

What an inner request does not say is inherited. Its regions are those that the outer one allows too: an inner
request can only narrow where data may go. Criticality and regions travel on in headers; ids do not.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType

from paramedic.contract.attributes import CRITICALITY, GENAI_CONVERSATION, TENANT
from paramedic.guards.budget import Block, frame
from paramedic.ids import safe_id
from paramedic.policy.shedding import CLASSES, check_criticality
from paramedic.telemetry.runtime import dropped

CRITICALITY_HEADER = "paramedic-criticality"
RESIDENCY_HEADER = "paramedic-residency"
NOWHERE = "none"  # in the header: no region is allowed
MOST_REGIONS = 64
_REGION = re.compile(r"[A-Za-z0-9._:-]{1,64}")


@dataclass(frozen=True)
class Request:
    """Facts about the request that is being served.

    Attributes:
        conversation: Its id.
        tenant: Whose it is; sent only as `safe_id` makes it.
        criticality: "critical", "high", "medium", "low", or empty when nobody said.
        residency: Regions where its data may go; None for anywhere, none at all for nowhere.
    """

    conversation: str = ""
    tenant: str = ""
    criticality: str = ""
    residency: frozenset[str] | None = None

    @cached_property
    def attributes(self) -> Mapping[str, str]:
        """What every span of this request carries."""
        told = {
            GENAI_CONVERSATION: self.conversation,
            TENANT: safe_id(self.tenant),
            CRITICALITY: self.criticality,
        }
        return {name: value for name, value in told.items() if value}

    def inside(self, outer: "Request | None") -> "Request":
        """This request when it is part of `outer`."""
        if outer is None:
            return self
        return Request(
            self.conversation or outer.conversation,
            self.tenant or outer.tenant,
            self.criticality or outer.criticality,
            both(self.residency, outer.residency),
        )

    def to_headers(self) -> dict[str, str]:
        """What the next service must know of it."""
        headers = {CRITICALITY_HEADER: self.criticality} if self.criticality else {}
        if self.residency is not None:
            headers[RESIDENCY_HEADER] = ",".join(sorted(self.residency)) or NOWHERE
        return headers

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> "Request":
        """What the service before said.

        A criticality that nobody knows is dropped. Regions are read as they stand, since one that no member has
        allows nothing: what cannot be read never widens where data may go.

        Args:
            headers: By name in lower case.
        """
        criticality = headers.get(CRITICALITY_HEADER, "").strip().lower()
        if criticality and criticality not in CLASSES:
            dropped.add("criticality header")
            criticality = ""
        told = headers.get(RESIDENCY_HEADER)
        if told is None:
            return cls(criticality=criticality)
        regions = [region.strip() for region in told.split(",")]
        known = frozenset(region for region in regions[:MOST_REGIONS] if _REGION.fullmatch(region))
        return cls(criticality=criticality, residency=known - {NOWHERE})


class request:
    """Says what is served in the block, with ``with`` or ``async with``; gives the `Request` that holds there.

    >>> with paramedic.request(conversation="c-12", residency={"eu", "us"}):
    ...     with paramedic.request(residency={"eu"}) as inner:
    ...         inner.conversation, inner.residency
    ('c-12', frozenset({'eu'}))

    Args:
        conversation: Its id, on every span of a guard as ``gen_ai.conversation.id``.
        tenant: Whose it is; sent only under a salted hash.
        criticality: "critical", "high", "medium" or "low": what is least critical is turned away first.
        residency: Regions where its data may go: a router asks no other member, whatever fails. An empty
            collection allows none; None says nothing.

    Raises:
        ValueError: A criticality or a region that there is not.
        TypeError: One text instead of a collection of regions.
    """

    def __init__(
        self,
        conversation: str = "",
        tenant: str = "",
        criticality: str = "",
        residency: Iterable[str] | None = None,
    ) -> None:
        check_criticality("a request", criticality)
        self.said = Request(conversation, tenant, criticality, regions(residency, "residency of a request"))

    @classmethod
    def of(cls, said: Request) -> "request":
        """A block that serves `said`, which may come from `Request.from_headers`."""
        block = cls()
        block.said = said
        return block

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> "request":
        """A block that serves what the headers of a request (names in lower case) say."""
        return cls.of(Request.from_headers(headers))

    @staticmethod
    def current() -> Request:
        """What is being served here; a request that says nothing outside of one."""
        return current_request() or NO_REQUEST

    def __enter__(self) -> Request:
        here = self.said.inside(current_request())
        self._block = Block()
        self._block.__enter__()
        inner = frame.get()
        assert inner is not None
        inner.request = here
        return here

    def __exit__(self, *_: object) -> None:
        self._block.__exit__()

    async def __aenter__(self) -> Request:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.__exit__()


NO_REQUEST = Request()


def current_request() -> Request | None:
    now_in = frame.get()
    return None if now_in is None else now_in.request


def both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    """Regions that both allow; None allows all."""
    if one is None or other is None:
        return other if one is None else one
    return one & other


def regions(told: Iterable[str] | None, whose: str) -> frozenset[str] | None:
    """A team's list of regions.

    Raises:
        ValueError: One of them is no name of a region.
        TypeError: One text instead of a collection.
    """
    if told is None:
        return None
    if isinstance(told, str):
        raise TypeError(f"{whose} must be a collection of regions, got the text {told!r}; write {{{told!r}}}")
    allowed = frozenset(told)
    for region in allowed:
        if not (isinstance(region, str) and _REGION.fullmatch(region) and region != NOWHERE):
            raise ValueError(f"{whose} must name regions in letters, digits and . _ : -, got {region!r}")
    if len(allowed) > MOST_REGIONS:
        raise ValueError(f"{whose} must name at most {MOST_REGIONS} regions, got {len(allowed)}")
    return allowed
