"""The commands that this bot has seen, which of them hold, and until when.

    signed text --genuine? fresh? for us? newer than what we saw?--> guards obey --lease ends--> guards are free
                            |
                            no --> one line in the log, `rejected`, and nothing else happens

Decides without I/O: time comes in through the clocks, and what is to be answered comes back as acks.
"""

import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from paramedic.contract.command import Ack, AckState, ActionKind, Command, CommandError, SignedCommand
from paramedic.registry import Applied, Registry

if TYPE_CHECKING:
    from paramedic.obeying import Obeying

log = logging.getLogger("paramedic")

REMEMBERED = 4096  # command ids, so that an old version cannot be played again
NOBODY_AFTER_S = 2.0  # how long a command may wait for its guard before it is reported as meant for nobody


@dataclass(slots=True)
class Held:
    """A command in force here, whether or not a guard that it means exists yet."""

    command: Command
    received_at: float
    ends_at: float
    guards: tuple[str, ...] = ()
    reported: bool = False


@dataclass(slots=True)
class _Told:
    """The last that was said about a command id."""

    version: int
    ack: Ack | None = field(default=None)


class Ledger:
    """Safe to share between threads.

    Args:
        service: Whose bot this is.
        instance: Which of its instances.
        key: The service's command key.
        registry: The guards of this process.
        clock: Seconds that never run backwards, the same clock as the guards'.
        wall: Unix seconds.
    """

    def __init__(
        self,
        service: str,
        instance: str,
        key: bytes,
        registry: Registry,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.service, self.instance = service, instance
        self._key, self._registry, self._clock, self._wall = key, registry, clock, wall
        self._lock = threading.RLock()
        self._held: dict[str, Held] = {}
        self._told: OrderedDict[str, _Told] = OrderedDict()
        self._logged: OrderedDict[str, None] = OrderedDict()

    def snapshot(self, data: str) -> list[Ack]:
        """Take all commands in force; what is held and does not stand in it is dropped.

        A snapshot that cannot be read changes nothing.
        """
        try:
            texts = [json.dumps(signed) for signed in _listed(data)]
        except ValueError as error:
            self._log_once("snapshot", f"a snapshot of commands cannot be read and is ignored: {error}")
            return []
        with self._lock:
            acks = [ack for text in texts for ack in self.receive(text)]
            named = {_id_of(text) for text in texts}
            gone = [held for held in self._held.values() if held.command.id not in named]
            return acks + [self._withdraw(h, AckState.REVERTED, "no longer in force") for h in gone]

    def receive(self, data: str) -> list[Ack]:
        """Take one signed command."""
        try:
            command = SignedCommand.from_json(data).open(self._key, service=self.service, now=self._wall())
            if command.instance and command.instance != self.instance:
                raise CommandError(f"the command is for instance {command.instance!r}, this is {self.instance!r}")
        except CommandError as error:
            return [self._reject(_id_of(data), _version_of(data), str(error))]
        with self._lock:
            told = self._told.get(command.id)
            if told is not None and command.version <= told.version:
                return [told.ack] if told.ack is not None and command.version == told.version else []
            return self._clear(command) if command.kind is ActionKind.CLEAR else self._apply(command)

    def sweep(self) -> list[Ack]:
        """Say what has expired, and which commands have found no guard."""
        now = self._clock()
        with self._lock:
            over = [held for held in self._held.values() if now >= held.ends_at]
            acks = [self._withdraw(held, AckState.EXPIRED, "its lease ended") for held in over]
            for held in self._held.values():
                if not held.guards and not held.reported and now - held.received_at >= NOBODY_AFTER_S:
                    held.reported = True
                    acks.append(self._ack(held.command, AckState.REJECTED, "no guard matches"))
            return acks

    def greet(self, guards: "Sequence[Obeying]") -> list[Ack]:
        """Have guards that are new obey what is in force."""
        with self._lock:
            acks = []
            for held in self._held.values():
                applied = self._registry.apply(held.command, held.ends_at, only=guards)
                if applied.guards and not held.guards:
                    held.guards = applied.guards
                    acks.append(self._ack(held.command, AckState.APPLIED, "", applied.guards))
            return acks

    @property
    def holds_any(self) -> bool:
        return bool(self._held)

    def in_force(self) -> list[Command]:
        with self._lock:
            return [held.command for held in self._held.values()]

    def after_fork(self, instance: str) -> None:
        """In a forked child: it is an instance of its own, with the parent's commands until their leases end."""
        self._lock, self.instance = threading.RLock(), instance

    def _apply(self, command: Command) -> list[Ack]:
        now = self._clock()
        held = Held(command, now, now + command.lease.ttl_s)
        try:
            applied = self._registry.apply(command, held.ends_at)
        except CommandError as error:
            return [self._ack(command, AckState.REJECTED, str(error))]
        if applied.reasons and not applied.guards:
            if command.id not in self._held:
                return [self._ack(command, AckState.REJECTED, "; ".join(applied.reasons))]
            self._withdraw(self._held[command.id], AckState.REVERTED, "")
            return [self._ack(command, AckState.REJECTED, "; ".join(applied.reasons))]
        is_new = command.id not in self._held
        held.guards = applied.guards
        self._held[command.id] = held
        if not applied.guards:
            self._remember(command, None)  # its guard may not exist yet
            return []
        if is_new:
            log.warning("%s", _told(command, applied))
        return [self._ack(command, AckState.APPLIED, "; ".join(applied.reasons), applied.guards)]

    def _clear(self, command: Command) -> list[Ack]:
        cleared = str(command.parameters.get("command_id", ""))
        held = self._held.get(cleared)
        if held is None:
            return [self._ack(command, AckState.APPLIED, f"{cleared or 'nothing'} was not in force")]
        done = self._withdraw(held, AckState.REVERTED, command.reason)
        return [done, self._ack(command, AckState.APPLIED, "", done.guards)]

    def _withdraw(self, held: Held, state: AckState, reason: str) -> Ack:
        command = held.command
        self._held.pop(command.id, None)
        self._registry.withdraw(command.id)
        if held.guards:
            log.warning("%s of %s ended: %s", command.kind, command.target, reason or state)
        return self._ack(command, state, reason, held.guards)

    def _reject(self, command_id: str, version: int, reason: str) -> Ack:
        self._log_once(f"{command_id}/{reason}", f"command {command_id!r} is rejected: {reason}")
        return Ack(command_id, version, self.service, self.instance, AckState.REJECTED, self._wall(), reason)

    def _ack(self, command: Command, state: AckState, reason: str, guards: tuple[str, ...] = ()) -> Ack:
        if state is AckState.REJECTED:
            self._log_once(f"{command.id}/{reason}", f"command {command.id!r} is rejected: {reason}")
        ack = Ack(command.id, command.version, self.service, self.instance, state, self._wall(), reason, guards)
        self._remember(command, ack)
        return ack

    def _remember(self, command: Command, ack: Ack | None) -> None:
        self._told[command.id] = _Told(command.version, ack)
        self._told.move_to_end(command.id)
        while len(self._told) > REMEMBERED:
            self._told.popitem(last=False)

    def _log_once(self, key: str, line: str) -> None:
        if key not in self._logged:
            log.warning("%s", line)
        self._logged[key] = None
        while len(self._logged) > 256:
            self._logged.popitem(last=False)


def _told(command: Command, applied: Applied) -> str:
    why = f" ({command.reason})" if command.reason else ""
    return (
        f"{command.kind} of {command.target} for {command.lease.ttl_s:.0f} s by command {command.id}, "
        f"guards {', '.join(applied.guards)}{why}"
    )


def _listed(data: str) -> Iterable[Any]:
    listed = json.loads(data)
    if not isinstance(listed, list):
        raise ValueError(f"a list is expected, got {type(listed).__name__}")
    return listed


def _inside(data: str) -> dict[str, Any]:
    """The command in a signed text, unproved: for the log, for answers, and for what a snapshot names."""
    try:
        inside = json.loads(json.loads(data)["command"])
    except (ValueError, TypeError, KeyError):
        return {}
    return inside if isinstance(inside, dict) else {}


def _id_of(data: str) -> str:
    return str(_inside(data).get("id", "unknown"))[:80]


def _version_of(data: str) -> int:
    version = _inside(data).get("version", 0)
    return version if isinstance(version, int) else 0
