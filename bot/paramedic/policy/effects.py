"""What the commands in force ask of one guard, and until when.

    trip_breaker, limit_concurrency, ... each with the end of its lease --> Effects: one value that a call obeys

Commands that ask for the same thing add up to the stricter one. A lease ends by the clock of the caller
of `at`: no timer is needed, and a dead platform cannot keep a bot waiting.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from paramedic.contract.command import ActionKind, Command, CommandError

CLOSES_PATH = frozenset(
    {ActionKind.TRIP_BREAKER, ActionKind.FAILOVER, ActionKind.DEGRADE, ActionKind.DISABLE_TOOL}
)  # fmt: skip
LEAST_PROBE_SHARE = 0.01  # of the calls that goes through, so that recovery can be seen


@dataclass(frozen=True, slots=True)
class Effect:
    """One command, read: only the field of its own kind is set."""

    kind: ActionKind
    lease_id: str
    probe_share: float
    level: int = 1  # of the fallback that answers while the path is closed
    shed_share: float = 0.0
    limit: int | None = None
    deadline_s: float | None = None
    max_tokens: int | None = None
    abandon_after_s: float | None = None  # age from which calls in flight are let go; None lets none go

    @property
    def closes_path(self) -> bool:
        return self.kind in CLOSES_PATH


@dataclass(frozen=True, slots=True)
class Effects:
    """All effects for one guard together."""

    until: float  # when the first of their leases ends
    closed_until: float | None = None  # when the path opens again; None while it is open
    probe_share: float = 0.0
    lease_id: str = ""
    level: int = 1
    shed_share: float = 0.0
    limit: int | None = None
    deadline_s: float | None = None
    max_tokens: int | None = None


def with_a_share_left(command: Command, least: float = LEAST_PROBE_SHARE) -> Command:
    """The command, changed where it would keep every call away: nobody could then see the recovery.

    A tool may be switched off altogether, since a tool that misleads must not be tried on users.
    """
    share = command.parameters.get("share")
    if command.kind is ActionKind.SHED_LOAD and isinstance(share, int | float) and share > 1 - least:
        return replace(command, parameters={**command.parameters, "share": 1 - least}) if share <= 1 else command
    wholly = command.kind is ActionKind.DISABLE_TOOL and command.lease.probe_share == 0
    if command.kind not in CLOSES_PATH or wholly or command.lease.probe_share >= least:
        return command
    return replace(command, lease=replace(command.lease, probe_share=least))


def read_effect(command: Command) -> Effect:
    """What a command asks for.

    Raises:
        CommandError: This SDK cannot do it, or a parameter is missing or out of range; the message says which.
    """
    kind, parameters = command.kind, command.parameters
    lease_id, share = command.lease.id, command.lease.probe_share
    if kind in CLOSES_PATH:
        level = _whole(parameters, "level") if kind is ActionKind.DEGRADE else 1
        return Effect(kind, lease_id, share, level=level, abandon_after_s=_abandon_after(parameters))
    if kind is ActionKind.SHED_LOAD:
        return Effect(kind, lease_id, 0.0, shed_share=_number(parameters, "share", 0, 1))
    if kind is ActionKind.LIMIT_CONCURRENCY:
        return Effect(kind, lease_id, 0.0, limit=_whole(parameters, "limit"))
    if kind is ActionKind.SET_DEADLINE:
        return Effect(kind, lease_id, 0.0, deadline_s=_number(parameters, "deadline_s", 0.001, 86400))
    if kind is ActionKind.CAP_TOKENS:
        return Effect(kind, lease_id, 0.0, max_tokens=_whole(parameters, "max_tokens"))
    raise CommandError(f"{kind} asks nothing of a guard")


def _abandon_after(parameters: Mapping[str, str | int | float | bool]) -> float | None:
    return _number(parameters, "abandon_after_s", 0, 86400) if "abandon_after_s" in parameters else None


def _whole(parameters: Mapping[str, str | int | float | bool], name: str) -> int:
    value = _number(parameters, name, 1, 1e9)
    if value != int(value):
        raise CommandError(f"parameters.{name} must be a whole number, got {value!r}")
    return int(value)


def _number(parameters: Mapping[str, str | int | float | bool], name: str, least: float, most: float) -> float:
    value = parameters.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise CommandError(f"parameters.{name} must be a number from {least} to {most}, got {value!r}")
    return float(value)


class Standing:
    """The effects in force for one guard, by command id."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: dict[str, tuple[Effect, float]] = {}

    def put(self, command_id: str, effect: Effect, ends_at: float) -> None:
        self._held[command_id] = effect, ends_at

    def drop(self, command_id: str) -> None:
        self._held.pop(command_id, None)

    def at(self, now: float) -> Effects | None:
        """What is in force now; None when nothing is. Forgets what has ended."""
        self._held = {key: held for key, held in self._held.items() if now < held[1]}
        if not self._held:
            return None
        effects = [effect for effect, _ in self._held.values()]
        closing = [(effect, ends_at) for effect, ends_at in self._held.values() if effect.closes_path]
        newest = closing[-1][0] if closing else None
        return Effects(
            until=min(ends_at for _, ends_at in self._held.values()),
            closed_until=max((ends_at for _, ends_at in closing), default=None),
            probe_share=min((effect.probe_share for effect, _ in closing), default=0.0),
            lease_id=newest.lease_id if newest else "",
            level=newest.level if newest else 1,
            shed_share=max(effect.shed_share for effect in effects),
            limit=min((e.limit for e in effects if e.limit is not None), default=None),
            deadline_s=min((e.deadline_s for e in effects if e.deadline_s is not None), default=None),
            max_tokens=min((e.max_tokens for e in effects if e.max_tokens is not None), default=None),
        )
