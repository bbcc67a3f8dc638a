"""What the store keeps. A change of state is dated when it happened; moments are unix seconds.

    incident 1--n alert | diagnosis | action 1--n ack | event | notification | label
    desk (one row: the version counter, the global stop) · checkpoint · audit

The same tables on SQLite and PostgreSQL. `version` of an incident or action grows with every change of its
state; a write names the version it saw and is refused when the row has moved on.
"""

from typing import Any, ClassVar

from sqlalchemy import JSON, Column, Index, LargeBinary, MetaData, UniqueConstraint
from sqlalchemy.orm import declared_attr
from sqlmodel import Field, SQLModel

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(SQLModel):
    metadata: ClassVar[MetaData] = MetaData(naming_convention=NAMING)


class Versioned:
    """Every UPDATE names the version that was read; `version` itself grows only where the code says so."""

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:
        return {"version_id_col": cls.__table__.c.version, "version_id_generator": False}  # type: ignore[attr-defined]


def _json(nullable: bool = False) -> Any:
    return Column(JSON(none_as_null=True), nullable=nullable)


class DeskRow(Base, table=True):
    """One row: what everybody shares."""

    __tablename__ = "desk"

    id: int = Field(default=1, primary_key=True)
    version: int = 0  # grows whenever anything that a page shows has changed
    raw_alerts: int = 0  # firing transitions of the published rule set
    raw_alerts_at_once: int = 0  # the same with `for: 0s`
    alerts: int = 0  # series found abnormal, each once an incident
    stopped: bool = False  # the global stop
    stopped_by: str = ""
    stopped_at: float | None = None


class IncidentRow(Versioned, Base, table=True):
    __tablename__ = "incident"
    __table_args__ = (Index("ix_incident_state", "state"), {"sqlite_autoincrement": True})

    number: int | None = Field(default=None, primary_key=True)  # 12 is INC-12
    version: int = 1
    state: str
    severity: int = 4
    worst_severity: int = 4
    title: str = ""
    cause: str = ""
    done: str = ""
    you: str = ""
    needs_you: bool = False
    verification: str = ""
    fault_class: str = "unknown"
    probability: float = 0.0
    peer: str = ""  # the target, as its callers name it
    zone: str = ""
    guard: str = ""
    decision_mode: str = ""
    decision_reason: str = ""
    decision_rule: str = ""
    decision_sentence: str = ""
    onset_at: float
    opened_at: float
    acknowledged_at: float | None = None
    acted_at: float | None = None
    verified_at: float | None = None
    mitigated_at: float | None = None
    resolved_at: float | None = None
    last_alert_at: float
    owner: str = ""
    calls: int = 0
    bad_calls: int = 0
    callers_hurt: list[str] = Field(default_factory=list, sa_column=_json())
    merged_into: int | None = None  # the number of the incident that took it in
    changes: list[dict[str, Any]] = Field(default_factory=list, sa_column=_json())  # deploys and settings before it
    traces: list[dict[str, Any]] = Field(default_factory=list, sa_column=_json())
    evidence: dict[str, Any] | None = Field(
        default=None, sa_column=_json(nullable=True)
    )  # kept last of all, at the end
    changed_at: float  # the last change of `version`: when, by whom, what
    changed_by: str = "paramedic"
    changed_how: str = "opened it"

    @property
    def id(self) -> str:
        return f"INC-{self.number}"


class AlertRow(Base, table=True):
    __tablename__ = "alert"
    __table_args__ = (UniqueConstraint("incident", "fingerprint"),)

    id: int | None = Field(default=None, primary_key=True)
    incident: int = Field(foreign_key="incident.number", index=True)
    fingerprint: str
    family: str
    parts: list[str] = Field(sa_column=_json())
    signal: str
    onset_at: float
    first_at: float
    last_at: float
    score: float  # the highest so far
    value: float
    usual: float
    unit: str
    calls: int
    hurt: float
    explanation: str
    error_types: dict[str, int] = Field(default_factory=dict, sa_column=_json())


class DiagnosisRow(Base, table=True):
    """One for each time that the diagnosis changed; the newest counts."""

    __tablename__ = "diagnosis"

    id: int | None = Field(default=None, primary_key=True)
    incident: int = Field(foreign_key="incident.number", index=True)
    at: float
    fault_class: str
    probability: float
    classes: dict[str, float] = Field(sa_column=_json())
    suspects: list[dict[str, Any]] = Field(sa_column=_json())
    summary: str
    told: list[float] | None = Field(default=None, sa_column=_json(nullable=True))  # see `Diagnosis.told`
    model: str = ""


class LabelRow(Base, table=True):
    """What a person said was wrong; the newest of an incident counts, and rows are only ever added."""

    __tablename__ = "label"

    id: int | None = Field(default=None, primary_key=True)
    incident: int = Field(foreign_key="incident.number", index=True)
    at: float
    by: str
    fault_class: str
    peer: str = ""  # the target; all empty: the one that was diagnosed, or not said
    zone: str = ""
    right: bool  # whether that is what the diagnosis had said
    note: str = ""


class ActionRow(Versioned, Base, table=True):
    __tablename__ = "action"
    __table_args__ = (Index("ix_action_state", "state"), {"sqlite_autoincrement": True})

    number: int | None = Field(default=None, primary_key=True)  # 7 is ACT-7
    incident: int = Field(foreign_key="incident.number", index=True)
    version: int = 1
    state: str
    kind: str
    service: str  # whose bots get the command
    spec: dict[str, Any] = Field(sa_column=_json())  # the whole ActionSpec
    treatment: str  # actions that were decided together share it
    rule: str = ""
    automatic: bool
    by: str = ""  # "policy", or the person who approved
    reason: str = ""
    result: str = ""
    before: float | None = None
    after: float | None = None
    probing: float | None = None
    created_at: float
    approved_at: float | None = None
    sent_at: float | None = None
    applied_at: float | None = None
    judged_from: float | None = None  # verification counts from here: applied, or applied again after a restart
    verifying_at: float | None = None
    ended_at: float | None = None
    rolled_back_at: float | None = None
    recovered_at: float | None = None  # rolled back because the fault was over
    lease_ends_at: float | None = None
    command_id: str = Field(unique=True)
    command_version: int = 0
    changed_at: float
    changed_by: str = "paramedic"
    changed_how: str = "proposed it"

    @property
    def id(self) -> str:
        return f"ACT-{self.number}"


class AckRow(Base, table=True):
    """What an instance said of an action: when first, and in answer to which version last."""

    __tablename__ = "ack"
    __table_args__ = (UniqueConstraint("action", "instance", "state"),)

    id: int | None = Field(default=None, primary_key=True)
    action: int = Field(foreign_key="action.number", index=True)
    instance: str
    state: str
    reason: str = ""
    guards: list[str] = Field(default_factory=list, sa_column=_json())
    command_version: int
    at: float
    last_at: float


class EventRow(Base, table=True):
    """One line of an incident's timeline."""

    __tablename__ = "event"

    id: int | None = Field(default=None, primary_key=True)
    incident: int = Field(foreign_key="incident.number", index=True)
    at: float
    kind: str
    text: str


class NotificationRow(Base, table=True):
    """A message on its way to people: pending -> sending -> sent, or dead after the last try."""

    __tablename__ = "notification"
    __table_args__ = (Index("ix_notification_state_next_try_at", "state", "next_try_at"),)

    id: int | None = Field(default=None, primary_key=True)
    incident: int = Field(foreign_key="incident.number", index=True)
    key: str = Field(unique=True)  # "INC-12/closed/slack": the same message is never written twice
    reason: str
    endpoint: str  # name of the channel; its address is a secret and stays in the settings
    body: dict[str, Any] = Field(sa_column=_json())
    state: str = "pending"
    tries: int = 0
    uncertain: bool = False  # a try may have arrived without our knowing
    created_at: float
    next_try_at: float
    sent_at: float | None = None
    message_ts: str = ""  # Slack's name of the message, where the channel tells it
    last_error: str = ""


class CheckpointRow(Base, table=True):
    __tablename__ = "checkpoint"

    name: str = Field(primary_key=True)
    at: float
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class OutsideAlertRow(Base, table=True):
    """An alert that another system sent in; it fires until that system says otherwise, or falls silent."""

    __tablename__ = "outside_alert"

    fingerprint: str = Field(primary_key=True)
    name: str
    service: str = ""
    peer: str = ""
    kind: str = ""
    severity: str = ""  # as it was said
    summary: str = ""
    labels: dict[str, str] = Field(default_factory=dict, sa_column=_json())
    starts_at: float
    seen_at: float  # when it was last said to fire
    ends_at: float | None = None  # None while it fires


class ChangeRow(Base, table=True):
    """Something that was changed on purpose: a deploy, a setting, a flag. Context for incidents, never their cause."""

    __tablename__ = "change"

    id: int | None = Field(default=None, primary_key=True)
    at: float = Field(index=True)
    kind: str
    service: str = ""  # "" is everywhere
    version: str = ""
    text: str
    by: str = ""


class PauseRow(Base, table=True):
    """How alerts of one class ended so far: what mostly heals itself is waited for before it opens an incident."""

    __tablename__ = "pause"

    name: str = Field(primary_key=True)  # of the class
    ends: list[list[float]] = Field(
        default_factory=list, sa_column=_json()
    )  # newest last: [ended at, lasted s, healed]


class AuditRow(Base, table=True):
    """Who changed what, and when; rows are only ever added."""

    __tablename__ = "audit"

    id: int | None = Field(default=None, primary_key=True)
    at: float
    by: str
    what: str
    subject: str
    note: str = ""
