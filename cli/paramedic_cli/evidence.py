"""What a run leaves behind, as plain values: faults with their truth, what users got, what the platform said.

    Injection (truth)   Request (users)   IncidentSeen, Counts (platform)   Spend (providers)
           \\__________________|__________________/______________________________/
                                   one Run: one arm, one scenario, one seed

Moments are unix seconds.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class Arm(StrEnum):
    """What protects the bot in a run."""

    BARE = "bare"  # the bot as most are written: a client timeout, nothing else
    SDK = "sdk"  # guards with breakers, deadlines and fallbacks; no platform
    PLATFORM = "platform"  # the same guards, and paramedic


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault that was really there, and what is true of it."""

    name: str
    fault_class: str
    target: str  # the root cause as incidents name it: "aurora", "support-bot in eu-1b"
    injected_at: float  # when the command to inject it was given
    healed_at: float  # when the command to heal it was given


@dataclass(frozen=True, slots=True)
class Request:
    """What one user got for one message."""

    at: float  # when it was sent
    seconds: float
    useful: bool  # a useful answer within the user's deadline


@dataclass(frozen=True, slots=True)
class ActionSeen:
    """One action of an incident, as the API told of it."""

    kind: str
    service: str
    target: str
    automatic: bool  # policy did it alone
    state: str
    applied_at: float | None
    ended_at: float | None

    def __str__(self) -> str:
        return f"{self.kind} {self.service} -> {self.target}"


@dataclass(frozen=True, slots=True)
class IncidentSeen:
    """One incident, with the diagnosis that it had while its fault was still injected."""

    id: str
    opened_at: float
    fault_class: str
    probability: float
    target: str
    suspects: tuple[str, ...] = ()  # most likely first
    actions: tuple[ActionSeen, ...] = ()
    person_at: float | None = None  # when a human first did something about it


@dataclass(frozen=True, slots=True)
class Counts:
    """What the platform counted in the run."""

    raw_alerts: int = 0  # firing transitions of the published rules, with their own `for:`
    raw_alerts_at_once: int = 0  # the same with `for: 0s`
    alerts: int = 0
    notifications: int = 0  # messages that arrived where Slack would have been


@dataclass(frozen=True, slots=True)
class Spend:
    """What the providers counted in the run."""

    calls: int = 0
    failed: int = 0  # calls that a provider took and failed: wasted
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Run:
    """One arm through one scenario."""

    arm: Arm
    scenario: str
    seed: int
    began_at: float  # first message of a user
    ended_at: float
    injections: tuple[Injection, ...]
    requests: tuple[Request, ...]
    incidents: tuple[IncidentSeen, ...] = ()
    counts: Counts = field(default_factory=Counts)
    spend: Spend = field(default_factory=Spend)


def requests_of(lines: Iterable[str]) -> tuple[Request, ...]:
    """The requests that the load generator wrote, one JSON object a line; a last line cut short is left out."""
    found = []
    for line in lines:
        try:
            raw = json.loads(line)
        except ValueError:
            continue
        found.append(Request(float(raw["at"]), float(raw["seconds"]), bool(raw["useful"])))
    return tuple(sorted(found, key=lambda r: r.at))
