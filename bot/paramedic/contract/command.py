"""A command: one change inside a bot, signed by the platform, undone by the bot when its lease ends.

    detector --SignedCommand--> bot: verify, apply, acknowledge ... lease ends --> bot reverts by itself

The wire form is JSON. What is signed is the exact text of ``command``, so that no two JSON libraries
need to agree on how a number is written.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from paramedic.contract.keys import sign, signature_is_right

SKEW_S = 30.0  # how far the clocks of a bot and its platform may lie apart
LONGEST_LEASE_S = 3600.0


class CommandError(ValueError):
    """A command that must not be applied; the message says why."""


class ActionKind(StrEnum):
    """What a command asks of a bot."""

    TRIP_BREAKER = "trip_breaker"  # leave the target alone, except for a probing share
    FAILOVER = "failover"  # send the target's traffic to the other members or fallbacks, except a probing share
    SHED_LOAD = "shed_load"  # refuse `share` of the calls
    LIMIT_CONCURRENCY = "limit_concurrency"  # at most `limit` calls at once
    SET_DEADLINE = "set_deadline"  # `deadline_s` instead of the guard's own
    DEGRADE = "degrade"  # answer from fallback `level`
    DISABLE_TOOL = "disable_tool"
    CAP_TOKENS = "cap_tokens"
    FLUSH_CACHE = "flush_cache"
    CLEAR = "clear"  # drop the command whose id stands in `parameters["command_id"]`


@dataclass(frozen=True, slots=True)
class Target:
    """What an action is about, as the callers name it; an empty field matches anything."""

    peer: str = ""  # the callee: service, provider, database
    zone: str = ""  # zone of the callee
    guard: str = ""

    def matches(self, *, peer: str, zone: str, guard: str) -> bool:
        """Whether a guard for this callee is meant. A target without any field matches nothing."""
        wanted = ((self.peer, peer), (self.zone, zone), (self.guard, guard))
        return any(w for w, _ in wanted) and all(not w or w == has for w, has in wanted)

    def __str__(self) -> str:
        name = self.peer or self.guard
        return f"{name} in {self.zone}" if self.zone and name else name or self.zone


@dataclass(frozen=True, slots=True)
class Lease:
    """How long a command holds without renewal. The bot counts `ttl_s` on its own clock from receipt."""

    id: str
    ttl_s: float
    probe_share: float = 0.1  # at most this share of calls, 0 to 1, still goes to the target, to see its recovery


@dataclass(frozen=True, slots=True)
class Command:
    """One change inside every instance of one service.

    A renewal is the same `id` with a higher `version` and a fresh `issued_at`; of two commands with one
    id the higher version wins, and a version that was already seen is acknowledged again, not applied again.
    """

    id: str
    version: int
    service: str  # whose bots shall apply it
    kind: ActionKind
    target: Target
    lease: Lease
    issued_at: float  # unix seconds
    parameters: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    instance: str = ""  # one instance only; empty for all
    incident: str = ""  # "INC-12"
    reason: str = ""  # one sentence for people

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Command":
        """Read a command.

        Raises:
            CommandError: The text is not a command, or a field is missing or out of range.
        """
        try:
            raw: dict[str, Any] = json.loads(text)
            command = cls(
                **{
                    **raw,
                    "kind": ActionKind(raw["kind"]),
                    "target": Target(**raw["target"]),
                    "lease": Lease(**raw["lease"]),
                }
            )
        except (ValueError, TypeError, KeyError) as error:
            raise CommandError(f"not a command: {error}") from None
        ttl_s, share = command.lease.ttl_s, command.lease.probe_share
        if not 0 < ttl_s <= LONGEST_LEASE_S:
            raise CommandError(f"lease.ttl_s must be above 0 and at most {LONGEST_LEASE_S:.0f} seconds, got {ttl_s!r}")
        if not 0 <= share <= 1:
            raise CommandError(f"lease.probe_share must be between 0 and 1, got {share!r}")
        return command


@dataclass(frozen=True, slots=True)
class SignedCommand:
    """A command as it travels: its exact JSON text and the HMAC of that text under the service's command key."""

    text: str
    signature: str

    @classmethod
    def seal(cls, command: Command, key: bytes) -> "SignedCommand":
        text = command.to_json()
        return cls(text, sign(key, text))

    def open(self, key: bytes, *, service: str, now: float) -> Command:
        """The command inside, when it is genuine, for this service and fresh.

        Args:
            key: The command key of `service`.
            service: Who is reading it.
            now: Unix seconds on the reader's clock.

        Raises:
            CommandError: Forged, for somebody else, or expired; the message says which.
        """
        if not signature_is_right(key, self.text, self.signature):
            raise CommandError("the signature is wrong: not from this bot's platform")
        command = Command.from_json(self.text)
        if command.service != service:
            raise CommandError(f"the command is for {command.service!r}, this is {service!r}")
        age_s = now - command.issued_at
        if age_s > command.lease.ttl_s + SKEW_S or age_s < -SKEW_S:
            raise CommandError(
                f"the command was issued {age_s:.0f} s ago and its lease is {command.lease.ttl_s:.0f} s; "
                "it is expired, or the clocks of bot and platform differ"
            )
        return command

    def to_json(self) -> str:
        return json.dumps({"command": self.text, "signature": self.signature})

    @classmethod
    def from_json(cls, text: str) -> "SignedCommand":
        try:
            raw = json.loads(text)
            return cls(str(raw["command"]), str(raw["signature"]))
        except (ValueError, TypeError, KeyError) as error:
            raise CommandError(f"not a signed command: {error}") from None


class AckState(StrEnum):
    """What became of a command in one bot instance."""

    APPLIED = "applied"
    REJECTED = "rejected"  # `reason` says why: forged, expired, no guard matches, no fallback, overridden by operator
    REVERTED = "reverted"  # cleared by the platform
    EXPIRED = "expired"  # its lease ended


@dataclass(frozen=True, slots=True)
class Ack:
    """What one bot instance says about one version of one command."""

    command_id: str
    version: int
    service: str
    instance: str
    state: AckState
    at: float  # unix seconds
    reason: str = ""
    guards: tuple[str, ...] = ()  # names of the guards and routers that it changed
