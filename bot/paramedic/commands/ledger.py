"""The commands that this bot has seen, which of them hold, and until when.

    signed text --genuine? fresh? for us? newer than what we saw?--> guards obey --lease ends--> guards are free
                            |
                            no --> one line in the log, `rejected`, and nothing else happens

Decides without I/O: time comes in through the clocks, and what is to be answered comes back as acks.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from paramedic.commands.memory import Memory, Told
from paramedic.commands.news import News
from paramedic.commands.reading import id_of, listed, version_of
from paramedic.contract.command import SKEW_S, Ack, AckState, ActionKind, Command, CommandError, SignedCommand
from paramedic.guards.registry import Applied, Registry
from paramedic.policy.effects import LEAST_PROBE_SHARE, with_a_share_left
from paramedic.telemetry.runtime import dropped

if TYPE_CHECKING:
    from paramedic.guards.obeying import Obeying

log = logging.getLogger("paramedic")

NOBODY_AFTER_S = 2.0  # how long a command may wait for its guard before it is reported as meant for nobody
MOST_HELD = 1000  # commands in force at once

Say = Callable[[Ack, Command | None], None]


@dataclass(slots=True)
class Held:
    """A command in force here, whether or not a guard that it means exists yet."""

    command: Command
    received_at: float
    ends_at: float
    guards: tuple[str, ...] = ()
    reported: bool = False


def nobody_listens(ack: Ack, command: Command | None) -> None:
    return


class Ledger:
    """Safe to share between threads.

    Args:
        service: Whose bot this is.
        instance: Which of its instances.
        keys: The service's command key; two of them while the platform's key is being changed.
        registry: The guards of this process.
        clock: Seconds that never run backwards, the same clock as the guards'.
        wall: Unix seconds.
        say: Hears each new word on a command, once, without a lock held.
        least_probe_share: Of the calls that goes through however a command is written; see `with_a_share_left`.
    """

    def __init__(
        self,
        service: str,
        instance: str,
        keys: bytes | Sequence[bytes],
        registry: Registry,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        say: Say = nobody_listens,
        least_probe_share: float = LEAST_PROBE_SHARE,
    ) -> None:
        self.service, self.instance = service, instance
        self._keys = (keys,) if isinstance(keys, bytes) else tuple(keys)
        self._registry, self._clock, self._wall = registry, clock, wall
        self._say, self._least_probe_share = say, least_probe_share
        self._lock = threading.RLock()
        self._held: dict[str, Held] = {}
        self._memory = Memory()
        self._news = News(clock)

    # What comes in

    def snapshot(self, data: str) -> list[Ack]:
        """Take all commands in force; what is held and does not stand in it is dropped.

        A snapshot that cannot be read changes nothing.
        """
        try:
            texts = listed(data)
        except ValueError as error:
            with self._turn():
                self._news.line_once("snapshot", f"a snapshot of commands cannot be read and is ignored: {error}")
            return []
        acks = [ack for text in texts for ack in self.receive(text)]
        named = {id_of(text) for text in texts}
        with self._turn():
            gone = [held for held in self._held.values() if held.command.id not in named]
            return acks + [self._withdraw(held, AckState.REVERTED, "no longer in force") for held in gone]

    def receive(self, data: str) -> list[Ack]:
        """Take one signed command."""
        try:
            command = SignedCommand.from_json(data).open(*self._keys, service=self.service, now=self._wall())
            if command.instance and command.instance != self.instance:
                raise CommandError(f"the command is for instance {command.instance!r}, this is {self.instance!r}")
        except CommandError as error:
            with self._turn():
                return [self._reject(id_of(data), version_of(data), str(error))]
        try:
            return self._flush(command) if command.kind is ActionKind.FLUSH_CACHE else self._take(command)
        except Exception as error:  # ours; the commands after this one must still be heard
            dropped.add("commands")
            with self._turn():
                return [self._reject(command.id, command.version, f"the SDK failed on it: {error!r}", command)]

    def sweep(self) -> list[Ack]:
        """Say what has expired, and which commands have found no guard."""
        now = self._clock()
        with self._turn():
            over = [held for held in self._held.values() if now >= held.ends_at]
            acks = [self._withdraw(held, AckState.EXPIRED, "its lease ended") for held in over]
            for held in self._held.values():
                if not held.guards and not held.reported and now - held.received_at >= NOBODY_AFTER_S:
                    held.reported = True
                    acks.append(self._ack(held.command, AckState.REJECTED, "no guard matches"))
            return acks

    def greet(self, guards: "Sequence[Obeying]") -> list[Ack]:
        """Have guards that are new obey what is in force."""
        with self._turn():
            acks = []
            for held in self._held.values():
                applied = self._registry.apply(held.command, held.ends_at, only=guards)
                if applied.guards and not held.guards:
                    held.guards = applied.guards
                    acks.append(self._ack(held.command, AckState.APPLIED, "", applied.guards))
            return acks

    def after_fork(self, instance: str) -> None:
        """In a forked child: it is an instance of its own, with the parent's commands until their leases end."""
        self._lock, self.instance = threading.RLock(), instance
        self._news.forget()
        with self._lock:
            for held in list(self._held.values()):
                if held.command.instance not in ("", instance):
                    self._held.pop(held.command.id)
                    self._registry.withdraw(held.command.id)

    @property
    def holds_any(self) -> bool:
        return bool(self._held)

    def in_force(self) -> list[Command]:
        with self._lock:
            return [held.command for held in self._held.values()]

    # What is decided

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Alone for the block; what it has to say is said after it, when a slow listener keeps nobody waiting."""
        with self._lock:
            yield
            lines, words = self._news.taken()
        for line in lines:
            log.warning("%s", line)
        for ack, command in words:
            self._say(ack, command)

    def _take(self, command: Command) -> list[Ack]:
        with self._turn():
            try:
                told = self._memory.seen(command)
                if told is not None:
                    return self._again(told, command.version)
                self._mind_owner(command)
                return self._clear(command) if command.kind is ActionKind.CLEAR else self._apply(command)
            except CommandError as error:
                return [self._reject(command.id, command.version, str(error), command)]

    def _again(self, told: Told, version: int) -> list[Ack]:
        """What was said already; a forked child says it in its own name."""
        if told.ack is None or version != told.version:
            return []
        return [replace(told.ack, instance=self.instance)]

    def _mind_owner(self, command: Command) -> None:
        about = _cleared_by(command) if command.kind is ActionKind.CLEAR else command.id
        held = self._held.get(about)
        if held is not None and held.command.owner != command.owner and self._clock() < held.ends_at:
            raise CommandError(f"the lease of {about!r} is held by {held.command.owner!r}, not by {command.owner!r}")

    def _apply(self, command: Command) -> list[Ack]:
        command = with_a_share_left(command, self._least_probe_share)
        now, before = self._clock(), self._held.get(command.id)
        left_s = min(command.lease.ttl_s, command.expires_at + SKEW_S - self._wall())
        if before is None and len(self._held) >= MOST_HELD:
            return [self._ack(command, AckState.REJECTED, f"{MOST_HELD} commands are in force already")]
        try:
            applied = self._registry.apply(command, now + left_s)
        except CommandError as error:
            return [self._ack(command, AckState.REJECTED, str(error))]
        if applied.reasons and not applied.guards:
            if before is not None:
                self._withdraw(before, AckState.REVERTED, "")
            return [self._ack(command, AckState.REJECTED, "; ".join(applied.reasons))]
        self._held[command.id] = Held(command, now, now + left_s, applied.guards)
        if not applied.guards:
            self._memory.remember(command, None)  # its guard may not exist yet
            return []
        if before is None:
            self._news.line(_told(command, applied))
        return [self._ack(command, AckState.APPLIED, "; ".join(applied.reasons), applied.guards)]

    def _clear(self, command: Command) -> list[Ack]:
        cleared = _cleared_by(command)
        held = self._held.get(cleared)
        if held is None:
            ack = self._ack(command, AckState.APPLIED, f"{cleared or 'nothing'} was not in force")
            if cleared:  # what the clear has overtaken must not hold when it comes
                last = self._memory.last(cleared)
                late = replace(ack, command_id=cleared, state=AckState.REVERTED, reason="it was cleared before it came")
                self._memory.note(cleared, command.version, command.issued_at, last.ack if last else late)
            return [ack]
        done = self._withdraw(held, AckState.REVERTED, command.reason)
        self._memory.note(cleared, command.version, command.issued_at, done)  # nor may what was overtaken
        return [done, self._ack(command, AckState.APPLIED, "", done.guards)]

    def _flush(self, command: Command) -> list[Ack]:
        """Empty caches, once a command: its renewals are acknowledged and do nothing.

        The team's own code runs here, and so without the lock.
        """
        with self._turn():
            try:
                told = self._memory.seen(command)
            except CommandError as error:
                return [self._reject(command.id, command.version, str(error), command)]
            if told is not None:
                return self._again(told, command.version)
            last = self._memory.last(command.id)
            if last is not None and last.ack is not None and last.ack.state is AckState.APPLIED:
                return [self._ack(command, AckState.APPLIED, "was flushed already", last.ack.guards)]
        applied = self._registry.flush(command.target)
        reason = "; ".join(applied.reasons) if applied.guards or applied.reasons else "no cache matches"
        with self._turn():
            state = AckState.APPLIED if applied.guards else AckState.REJECTED
            return [self._ack(command, state, reason, applied.guards)]

    def _withdraw(self, held: Held, state: AckState, reason: str) -> Ack:
        command = held.command
        self._held.pop(command.id, None)
        self._registry.withdraw(command.id)
        if held.guards:
            self._news.line(f"{command.kind} of {command.target} ended: {reason or state}")
        return self._ack(command, state, reason, held.guards)

    # What is said

    def _reject(self, command_id: str, version: int, reason: str, command: Command | None = None) -> Ack:
        """Say no to what may be nobody's; it is not remembered, so that it cannot stand in a genuine one's way."""
        ack = Ack(command_id, version, self.service, self.instance, AckState.REJECTED, self._wall(), reason)
        if self._news.line_once(f"{command_id}/{reason}", f"command {command_id!r} is rejected: {reason}"):
            self._news.word(ack, command)
        return ack

    def _ack(self, command: Command, state: AckState, reason: str, guards: tuple[str, ...] = ()) -> Ack:
        if state is AckState.REJECTED:
            self._news.line_once(f"{command.id}/{reason}", f"command {command.id!r} is rejected: {reason}")
        ack = Ack(command.id, command.version, self.service, self.instance, state, self._wall(), reason, guards)
        self._memory.remember(command, ack)
        self._news.word(ack, command)
        return ack


def _told(command: Command, applied: Applied) -> str:
    why = f" ({command.reason})" if command.reason else ""
    return (
        f"{command.kind} of {command.target} for {command.lease.ttl_s:.0f} s by command {command.id}, "
        f"guards {', '.join(applied.guards)}{why}"
    )


def _cleared_by(command: Command) -> str:
    return str(command.parameters.get("command_id", ""))
