"""What the API answers, as the pages use it: frozen values, read from JSON and checked on the way in.

    bytes --read(kind, bytes)--> Overview, Incident, Action, ...

Unknown fields are ignored, so that an older dashboard reads a newer API; a field of the wrong type is an
error at the door and not a riddle on a page. Moments are aware UTC. None is "no data", never 0.
"""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


class BadAnswer(ValueError):
    """The API answered something that this dashboard cannot read."""


@dataclass(frozen=True)
class Version:
    version: int
    data_at: datetime | None  # end of the newest window; None before the first


@dataclass(frozen=True)
class Impact:
    calls: int
    bad_calls: int
    callers_hurt: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One incident, as lists and cards show it."""

    id: str
    version: int  # goes back with every write
    state: str
    severity: int
    title: str
    fault_class: str
    probability: float
    target: str
    cause: str
    done: str
    verification: str
    you: str
    needs_you: bool
    onset_at: datetime
    opened_at: datetime
    alerts: int
    impact: Impact
    acknowledged_at: datetime | None = None
    acted_at: datetime | None = None
    verified_at: datetime | None = None
    mitigated_at: datetime | None = None
    resolved_at: datetime | None = None
    owner: str = ""


@dataclass(frozen=True)
class Suspect:
    name: str
    kind: str
    probability: float
    evidence: tuple[str, ...]


@dataclass(frozen=True)
class Alert:
    series: str
    signal: str
    onset_at: datetime
    last_at: datetime
    score: float
    explanation: str


@dataclass(frozen=True)
class Ack:
    instance: str
    state: str
    reason: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Action:
    id: str
    incident: str
    version: int
    kind: str
    service: str
    target: str
    state: str
    rule: str
    automatic: bool
    by: str
    reason: str
    result: str
    before: float | None
    after: float | None
    probing: float | None
    created_at: datetime
    in_force: bool
    probe_share: float
    sent_at: datetime | None = None
    applied_at: datetime | None = None
    ended_at: datetime | None = None
    rolled_back_at: datetime | None = None
    lease_ends_at: datetime | None = None
    acks: tuple[Ack, ...] = ()

    @property
    def waits(self) -> bool:
        """Whether a person must say yes or no to it."""
        return self.state == "proposed"


@dataclass(frozen=True)
class Event:
    at: datetime
    kind: str
    text: str


@dataclass(frozen=True)
class Line:
    name: str
    points: tuple[tuple[float, float | None], ...]  # unix seconds, value


@dataclass(frozen=True)
class Panel:
    title: str
    unit: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Mark:
    at: datetime
    text: str


@dataclass(frozen=True)
class Evidence:
    panels: tuple[Panel, ...] = ()
    fault_from: datetime | None = None
    fault_to: datetime | None = None
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class Span:
    span_id: str
    parent_id: str
    service: str
    name: str
    kind: str
    start_ms: float
    duration_ms: float
    status: str
    error: str = ""
    refused_by: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Trace:
    trace_id: str
    note: str
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Similar:
    id: str
    title: str
    opened_at: datetime
    match: float
    ended_by: str


@dataclass(frozen=True, kw_only=True)
class Incident(Summary):
    """One incident with everything that its own page shows."""

    suspects: tuple[Suspect, ...]
    alert_list: tuple[Alert, ...]
    actions: tuple[Action, ...]
    timeline: tuple[Event, ...]
    evidence: Evidence
    traces: tuple[Trace, ...]
    similar: tuple[Similar, ...]

    @property
    def waiting(self) -> Action | None:
        """The action that waits for a person."""
        return next((action for action in self.actions if action.waits), None)


@dataclass(frozen=True)
class Noise:
    raw_alerts: int
    alerts: int
    incidents: int
    notifications: int


@dataclass(frozen=True)
class Users:
    success: float | None
    p95_s: float | None
    calls_per_s: float | None
    sentence: str


@dataclass(frozen=True)
class Overview:
    version: int
    data_at: datetime | None
    now: datetime
    stopped: bool  # the global stop is on: paramedic only watches
    users: Users
    needs_you: tuple[Summary, ...]
    in_hand: tuple[Summary, ...]
    resolved: tuple[Summary, ...]
    in_force: tuple[Action, ...]
    noise: Noise
    success_line: Line

    @property
    def unresolved(self) -> tuple[Summary, ...]:
        return self.needs_you + self.in_hand


@dataclass(frozen=True)
class IncidentList:
    items: tuple[Summary, ...]
    next: str | None = None


@dataclass(frozen=True)
class ActionList:
    items: tuple[Action, ...]
    next: str | None = None


@dataclass(frozen=True)
class Problem:
    """An error of the API, RFC 9457."""

    title: str = ""
    detail: str = ""


def read(kind: type[T], body: bytes) -> T:
    """The answer as a value.

    Raises:
        BadAnswer: Not JSON, or not of this kind; the message names the first field that is wrong.
    """
    try:
        return cast(T, _adapter(cast(Any, kind)).validate_json(body))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the answer"
        raise BadAnswer(f"the API's {kind.__name__} cannot be read: {where}: {first['msg']}") from None


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
