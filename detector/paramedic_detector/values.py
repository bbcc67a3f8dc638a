"""The values that go from stage to stage of the detector: score, alert, incident, diagnosis, decision, verdict.

    SeriesTable -> [Alert] -> incident -> Diagnosis -> Decision -> action -> Verdict

All frozen, all plain: a stage takes values and gives values, and what it decides it gives with a reason.
Moments are unix seconds (float); the API shows them as aware UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from paramedic.contract.command import ActionKind, Target
from paramedic_collector.windows import SeriesKey


class Signal(StrEnum):
    """In which way a series is abnormal."""

    ERRORS = "errors"
    RATE_LIMITED = "rate_limited"  # errors of type 429
    AUTH = "auth"  # errors of type 401 or 403
    SLOW = "slow"  # whole calls
    OWN_TIME = "own_time"  # slow inside the callee: self-time of an `op` series
    GAP = "gap"  # slow on the way: client duration less server duration
    FIRST_TOKEN = "first_token"  # streams that begin late
    HANG = "hang"  # calls begun that do not end
    USELESS = "useless"  # empty, cut or refused answers
    MISSING = "missing"  # traffic that stopped
    DROP = "drop"  # far fewer calls than usual, but some
    SURGE = "surge"
    FANOUT = "fanout"  # more calls for each request of the caller: retries, an agent that goes round and round
    TOKENS = "tokens"  # tokens a call, far above usual
    COST = "cost"  # money a second or a call, far above usual
    REFUSED = "refused"  # calls that guards would not make
    GAUGE = "gauge"  # a level far from its usual range
    DRIFT = "drift"  # a level that grows for hours towards its limit
    LOG = "log"  # a template that is new, or far more or less frequent than usual
    FLOW = "flow"  # lines of a log that follow each other in another order
    SHAPE = "shape"  # nothing alone, but all features of a service together
    SLO = "slo"  # an error budget burns too fast
    OUTSIDE = "outside"  # sent in by another system


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A span that shows what an alert means."""

    trace_id: str
    span_id: str
    duration_s: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Alert:
    """One series found abnormal in one way, with its evidence."""

    key: SeriesKey
    signal: Signal
    at: float  # when it was scored
    onset: float  # since when, by the series itself
    score: float  # -log10 of the chance of seeing this in healthy traffic
    value: float  # what was seen, in `unit`
    usual: float  # what is usual, in `unit`
    unit: str  # "ratio", "s", "1/s", "calls", "USD/s"
    calls: int  # how many calls the value rests on
    hurt: float  # share of the series' calls that are hurt, 0 to 1
    explanation: str  # "38 % of 42 calls failed (usual 0.1 %), mostly 503, since 12:05:31"
    error_types: Mapping[str, int] = field(default_factory=dict)
    exemplars: tuple[Exemplar, ...] = ()

    @property
    def fingerprint(self) -> str:
        return f"{self.key}#{self.signal}"


@dataclass(frozen=True, slots=True)
class Suspect:
    """A possible root cause."""

    target: Target  # as callers name it: peer and zone of the callee
    kind: str  # "provider", "dependency", "service", "zone", "version", ...
    probability: float
    evidence: tuple[str, ...]  # plain sentences, the most telling first
    detail: str = ""  # what is narrower than the target, where it is told: "version 2.4.1", "operation GET /orders"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is wrong and where, and how sure."""

    fault_class: str  # of taxonomy.yaml; "unknown" is honest and never treated automatically
    probability: float  # that class and target are both right, calibrated on cases that were held out
    classes: Mapping[str, float]  # probability of each class
    suspects: tuple[Suspect, ...]  # most likely first; empty only for "unknown"
    summary: str  # one sentence: "aurora answers 503 to 48 % of calls and lets the rest hang"
    told: tuple[float, ...] = ()  # what the class of the first suspect was told by, in the order of `features.COLUMNS`
    model: str = ""  # version of the model that said so; "" for the weights of the taxonomy


class Mode(StrEnum):
    """What policy lets paramedic do for a diagnosis."""

    ACT = "act"
    ASK = "ask"
    TELL = "tell"


class Reason(StrEnum):
    """Why policy decided so."""

    CONFIDENT = "confident"  # at or above the act gate, and a rule says auto
    NEEDS_APPROVAL = "needs_approval"  # between the gates, or the rule says approve
    NOT_SURE = "not_sure"  # below the ask gate
    UNKNOWN_CLASS = "unknown_class"
    NO_RULE = "no_rule"
    SHADOW = "shadow"  # the rule only logs what it would do
    ALREADY_TREATED = "already_treated"  # one treatment at a time a target
    NO_CALLER = "no_caller"  # nobody who calls the target takes commands
    LAST_HEALTHY = "last_healthy"  # the target is the last healthy member: leaving it would hurt more
    EXHAUSTED = "exhausted"  # every action of the rule was tried
    STOPPED = "stopped"  # the global stop is on


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """One action that a policy proposes: everything of a command but its id and date."""

    kind: ActionKind
    service: str  # whose bots get the command: a caller of the target
    target: Target
    ttl_s: float = 30.0
    probe_share: float = 0.1
    parameters: Mapping[str, str | int | float | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """What policy says to do now for one incident."""

    mode: Mode
    reason: Reason
    rule: str  # name of the rule in policy.yaml; "" without one
    actions: tuple[ActionSpec, ...] = ()  # all are one treatment, sent together
    sentence: str = ""  # for people: "failover of support-bot away from aurora, because ..."


class ActionState(StrEnum):
    """proposed -> approved -> sent -> applied -> verifying, then one of the six ends."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    SENT = "sent"
    APPLIED = "applied"
    VERIFYING = "verifying"
    VERIFIED = "verified"
    NO_EFFECT = "no_effect"
    HARMFUL = "harmful"
    REJECTED = "rejected"
    EXPIRED = "expired"
    FAILED = "failed"


class IncidentState(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    MITIGATED = "mitigated"
    RESOLVED = "resolved"


class Outcome(StrEnum):
    """What verification found."""

    UNDECIDED = "undecided"
    VERIFIED = "verified"
    NO_EFFECT = "no_effect"
    HARMFUL = "harmful"


@dataclass(frozen=True, slots=True)
class Ratio:
    """Good calls of all calls; `value` is None without calls."""

    good: int
    total: int

    @property
    def value(self) -> float | None:
        return self.good / self.total if self.total else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a treatment worked: treated traffic against probes of the faulty path and against before."""

    outcome: Outcome
    at: float
    before: Ratio  # the callers' success between onset and treatment
    treated: Ratio  # the callers' success since it was applied
    probing: Ratio  # the share still sent to the faulty path
    sentence: str
    recovered: bool = False  # the probes are good again: the fault itself is over
