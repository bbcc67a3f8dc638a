"""A command: one change inside a bot, signed by the platform, undone by the bot when its lease ends.

    detector --SignedCommand--> bot: verify, apply, acknowledge ... lease ends --> bot reverts by itself

The wire form is JSON. What is signed is the exact text of ``command``, so that no two JSON libraries
need to agree on how a number is written. Inside it stand the id of the key, a nonce, and when it expires.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from paramedic.contract.keys import key_id, sign, signature_is_right

SKEW_S = 30.0  # how far the clocks of a bot and its platform may lie apart
LONGEST_LEASE_S = 3600.0
LONGEST_NAME = 200  # characters of an id, a service, an owner, ...
LONGEST_REASON = 500
PLATFORM = "paramedic"  # the owner of what the platform does by itself


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
    DISABLE_TOOL = "disable_tool"  # leave the tool alone, and out of what `paramedic.available` lists
    CAP_TOKENS = "cap_tokens"  # at most `max_tokens` an answer
    FLUSH_CACHE = "flush_cache"  # empty the caches that it means, once
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
    owner: str = PLATFORM  # who holds the lease, and alone may renew or clear it: "paramedic", "operator:anna"
    # Written by `SignedCommand.seal`:
    key_id: str = ""  # of the key that it is signed with
    nonce: str = ""  # of this sealing
    expires_at: float = 0.0  # unix seconds

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
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise CommandError(f"not a command: {error}") from None
        _check(command)
        return command


@dataclass(frozen=True, slots=True)
class SignedCommand:
    """A command as it travels: its exact JSON text and the HMAC of that text under the service's command key."""

    text: str
    signature: str

    @classmethod
    def seal(cls, command: Command, key: bytes) -> "SignedCommand":
        """Sign a command that expires when the lease would, had it arrived at once."""
        expires_at = command.issued_at + command.lease.ttl_s
        sealed = replace(command, key_id=key_id(key), nonce=secrets.token_hex(8), expires_at=expires_at)
        text = sealed.to_json()
        return cls(text, sign(key, text))

    def open(self, *keys: bytes, service: str, now: float) -> Command:
        """The command inside, when it is genuine, for this service and fresh.

        Args:
            keys: The command keys of `service`; more than one while they are changed.
            service: Who is reading it.
            now: Unix seconds on the reader's clock.

        Raises:
            CommandError: Forged, for somebody else, or expired; the message says which.
        """
        right = [key for key in keys if signature_is_right(key, self.text, self.signature)]
        if not right:
            raise CommandError("the signature is wrong: not from this bot's platform")
        command = Command.from_json(self.text)
        if not (command.key_id and command.nonce and command.expires_at):
            raise CommandError("it has no key_id, nonce or expires_at: the platform is older than this SDK, upgrade it")
        if command.key_id != key_id(right[0]):
            raise CommandError(f"it names key {command.key_id!r} and is signed with {key_id(right[0])!r}")
        if command.service != service:
            raise CommandError(f"the command is for {command.service!r}, this is {service!r}")
        age_s = now - command.issued_at
        if now > command.expires_at + SKEW_S or age_s > command.lease.ttl_s + SKEW_S or age_s < -SKEW_S:
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
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise CommandError(f"not a signed command: {error}") from None


def _check(command: Command) -> None:
    """Raise CommandError when a field has not the type or the size of its kind: JSON promises neither."""
    target, lease = command.target, command.lease
    names = {n: getattr(command, n) for n in ("id", "service", "instance", "incident", "owner", "key_id", "nonce")}
    names |= {"target.peer": target.peer, "target.zone": target.zone, "target.guard": target.guard}
    for name, value in (names | {"lease.id": lease.id}).items():
        _check_text(name, value, LONGEST_NAME)
    _check_text("reason", command.reason, LONGEST_REASON)
    if isinstance(command.version, bool) or not isinstance(command.version, int) or not 0 <= command.version <= 2**53:
        raise CommandError(f"version must be a whole number from 0, got {_shown(command.version)}")
    if not _is_number(lease.ttl_s) or not 0 < lease.ttl_s <= LONGEST_LEASE_S:
        longest = f"{LONGEST_LEASE_S:.0f} seconds"
        raise CommandError(f"lease.ttl_s must be above 0 and at most {longest}, got {_shown(lease.ttl_s)}")
    if not _is_number(lease.probe_share) or not 0 <= lease.probe_share <= 1:
        raise CommandError(f"lease.probe_share must be between 0 and 1, got {_shown(lease.probe_share)}")
    for name, value in (("issued_at", command.issued_at), ("expires_at", command.expires_at)):
        if not _is_number(value) or not 0 <= value <= 1e11:
            raise CommandError(f"{name} must be unix seconds, got {_shown(value)}")
    parameters = command.parameters
    if not isinstance(parameters, dict) or not all(isinstance(v, str | int | float) for v in parameters.values()):
        raise CommandError(f"parameters must be names with a text, a number or a truth each, got {_shown(parameters)}")


def _check_text(name: str, value: object, longest: int) -> None:
    if not isinstance(value, str) or len(value) > longest:
        raise CommandError(f"{name} must be a text of at most {longest} characters, got {_shown(value)}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: object) -> str:
    text = repr(value) if not isinstance(value, int) or value.bit_length() < 64 else "a huge number"
    return text if len(text) <= 80 else f"{text[:80]}..."


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
