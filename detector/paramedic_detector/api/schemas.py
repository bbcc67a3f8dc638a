"""The JSON of /api/v1: what the dashboard, the command line and other tools read. Moments are aware UTC."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Severity = Literal[1, 2, 3, 4]


class Version(BaseModel):
    """A number that grows whenever anything a page shows has changed; cheap to poll."""

    version: int
    data_at: datetime | None = Field(description="end of the newest window; None before the first")


class Impact(BaseModel):
    calls: int = Field(description="entry calls since onset")
    bad_calls: int = Field(description="of them, failed or useless")
    callers_hurt: list[str] = []


class IncidentSummary(BaseModel):
    id: str = Field(examples=["INC-12"])
    version: int = Field(description="send it back with a write; a write on an older one is refused with 409")
    state: Literal["open", "acknowledged", "mitigated", "resolved"]
    severity: Severity
    title: str = Field(examples=["aurora fails: provider outage"])
    fault_class: str
    probability: float = Field(description="of the class together with its target; not calibrated yet")
    target: str = Field(examples=["aurora", "support-bot in eu-1b"])
    cause: str = Field(description="one sentence: what is wrong")
    done: str = Field(description="one sentence: what paramedic has done; empty when nothing")
    verification: Literal["", "verifying", "verified", "no_effect", "harmful"]
    you: str = Field(description="one sentence: what the reader should do next")
    needs_you: bool
    onset_at: datetime
    opened_at: datetime
    acknowledged_at: datetime | None = None
    acted_at: datetime | None = None
    verified_at: datetime | None = None
    mitigated_at: datetime | None = None
    resolved_at: datetime | None = None
    owner: str = ""
    alerts: int
    impact: Impact


class SuspectOut(BaseModel):
    name: str
    kind: str
    probability: float
    evidence: list[str]


class AlertOut(BaseModel):
    series: str
    signal: str
    onset_at: datetime
    last_at: datetime
    score: float
    explanation: str


class AckOut(BaseModel):
    instance: str
    state: str
    reason: str
    at: datetime


class ActionOut(BaseModel):
    id: str = Field(examples=["ACT-7"])
    incident: str
    version: int
    kind: str
    service: str = Field(description="whose bots got the command")
    target: str
    state: str
    rule: str
    automatic: bool
    by: str = Field(description="'policy', or the person who approved")
    reason: str
    result: str = Field(description="one sentence: what came of it")
    before: float | None = Field(description="success ratio of the callers before, 0 to 1")
    after: float | None = Field(description="success ratio of treated traffic")
    probing: float | None = Field(description="success ratio of the probing share")
    created_at: datetime
    sent_at: datetime | None = None
    applied_at: datetime | None = None
    ended_at: datetime | None = None
    rolled_back_at: datetime | None = None
    lease_ends_at: datetime | None = None
    in_force: bool = Field(description="sent, and neither rolled back nor expired")
    probe_share: float
    acks: list[AckOut] = []


class TimelineEvent(BaseModel):
    at: datetime
    kind: Literal["detect", "group", "diagnose", "act", "verify", "recover", "notify", "person"]
    text: str


class Line(BaseModel):
    name: str
    points: list[tuple[float, float | None]] = Field(description="unix seconds, value; None is no data, never 0")


class Panel(BaseModel):
    title: str
    unit: str
    lines: list[Line]


class Mark(BaseModel):
    at: datetime
    text: str


class Evidence(BaseModel):
    """Charts of the same series that the verdict and the verification were computed from."""

    panels: list[Panel] = []
    fault_from: datetime | None = None
    fault_to: datetime | None = None
    marks: list[Mark] = []


class SpanOut(BaseModel):
    span_id: str
    parent_id: str
    service: str
    name: str
    kind: str
    start_ms: float = Field(description="since the first span of the trace")
    duration_ms: float
    status: Literal["ok", "error"]
    error: str = ""
    refused_by: str = ""
    attributes: dict[str, str] = {}


class TraceOut(BaseModel):
    trace_id: str
    note: str
    spans: list[SpanOut]


class SimilarOut(BaseModel):
    id: str
    title: str
    opened_at: datetime
    match: float
    ended_by: str


class ChangeNote(BaseModel):
    """Something that was changed on purpose before an incident, at a service that it concerns."""

    at: datetime
    kind: str
    service: str
    version: str
    text: str
    by: str


class IncidentDetail(IncidentSummary):
    suspects: list[SuspectOut]
    alert_list: list[AlertOut]
    actions: list[ActionOut]
    timeline: list[TimelineEvent]
    evidence: Evidence
    traces: list[TraceOut]
    similar: list[SimilarOut]
    changes: list[ChangeNote] = []
    merged_into: str = Field(default="", description="the incident that took this one in")


class Noise(BaseModel):
    raw_alerts: int = Field(description="firing transitions of the published rule set, each with its own `for`")
    raw_alerts_at_once: int = Field(default=0, description="the same with `for: 0s`")
    alerts: int
    incidents: int
    notifications: int


class Users(BaseModel):
    success: float | None = Field(description="of entry calls in the last 30 s, 0 to 1; None without data")
    p95_s: float | None
    calls_per_s: float | None
    sentence: str


class Overview(BaseModel):
    version: int
    data_at: datetime | None
    now: datetime
    stopped: bool = Field(description="the global stop is on: paramedic only watches")
    users: Users
    needs_you: list[IncidentSummary]
    in_hand: list[IncidentSummary]
    resolved: list[IncidentSummary]
    in_force: list[ActionOut]
    noise: Noise
    success_line: Line = Field(description="entry success of the last 15 minutes, at most 400 points")


class Merge(BaseModel):
    """A write that puts one incident into another."""

    version: int
    by: str = Field(min_length=1, max_length=100)
    into: str = Field(examples=["INC-12"])


class Split(BaseModel):
    """A write that makes an incident of its own of some alerts of another."""

    version: int
    by: str = Field(min_length=1, max_length=100)
    series: list[str] = Field(min_length=1, max_length=1000, description="as in `alert_list`; all their alerts go")


class Write(BaseModel):
    """A write by a person: the version of what they saw, and who they are."""

    version: int
    by: str = Field(min_length=1, max_length=100)
    note: str = Field(default="", max_length=2000)


class Feedback(BaseModel):
    """What a person says was wrong: either that the diagnosis was right, or what would have been right."""

    by: str = Field(min_length=1, max_length=100)
    right: bool = Field(default=False, description="the diagnosis is right as it stands; nothing else is needed then")
    fault_class: str = Field(
        default="", alias="class", max_length=100, description="a class of the taxonomy; empty: as it was diagnosed"
    )
    target: str = Field(
        default="",
        max_length=300,
        examples=["aurora", "support-bot in eu-1b"],
        description="empty: as it was diagnosed",
    )
    note: str = Field(default="", max_length=2000)

    model_config = ConfigDict(populate_by_name=True)


class FeedbackOut(BaseModel):
    at: datetime
    by: str
    fault_class: str
    target: str
    right: bool
    note: str


class Problem(BaseModel):
    """RFC 9457 problem+json; every error of the API has this body."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
