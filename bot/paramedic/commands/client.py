"""Listens to the platform and answers it, on two threads of its own.

    hear:  stream: snapshot, commands ...  three tries in vain--> poll every 2 s: snapshot    (`turns` decides)
    say:   what became of each command, and leases that ended --POST--> platform, until it has them    (`outbox`)

Platform dead, slow or lying: leases run out on this bot's clock, and the bot goes on as without it.
"""

import functools
import http.client
import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from paramedic.commands.ledger import Ledger
from paramedic.commands.line import Line
from paramedic.commands.outbox import Outbox
from paramedic.commands.reading import listed
from paramedic.commands.sse import StreamError
from paramedic.commands.telling import tell
from paramedic.commands.turns import POLL_S, STREAM_AGAIN_S, WAITS_S, Turns, Way
from paramedic.contract.command import Ack
from paramedic.contract.credentials import Platform
from paramedic.contract.keys import command_key
from paramedic.guards.registry import Registry, registry
from paramedic.telemetry.runtime import dropped

if TYPE_CHECKING:
    from paramedic.guards.obeying import Obeying

log = logging.getLogger("paramedic")

SILENCE_S = 8.0  # the platform says `: alive` every 2 s
SWEEP_S = 0.5
SAY_AGAIN_S = 30.0  # the least between two lines about the same platform coming and going
BROKEN = (OSError, http.client.HTTPException, StreamError, ValueError)


class CommandClient:
    """The connection of one process to its platform.

    Args:
        platform: Where it is, and the secret shared with it.
        service: Whose bot this is.
        instance: Gives this instance's id; asked again in a forked child.
        guards: Whom commands reach.
        clock: Seconds that never run backwards; leases are counted on it.
        wall: Unix seconds.
        draw: Numbers from 0 to 1, for the waits.
        silence_s: Seconds without a line after which the connection is taken for dead.
        waits_s: The shortest and the longest wait before the next try.
        poll_s: Seconds between two polls, on average, where streams are blocked.
        stream_again_s: Seconds of polling after which the stream is tried again.
    """

    def __init__(
        self,
        platform: Platform,
        service: str,
        instance: Callable[[], str],
        *,
        guards: Registry = registry,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
        silence_s: float = SILENCE_S,
        waits_s: tuple[float, float] = WAITS_S,
        poll_s: float = POLL_S,
        stream_again_s: float = STREAM_AGAIN_S,
    ) -> None:
        self._platform, self._service, self._instance, self._guards = platform, service, instance, guards
        self._draw, self._silence_s = draw, silence_s
        self._turns = functools.partial(Turns, waits_s, poll_s=poll_s, stream_again_s=stream_again_s)
        secrets = [secret for secret in (platform.secret, platform.other_secret) if secret]
        keys = [command_key(secret) for secret in secrets]
        self.ledger = Ledger(service, instance(), keys, guards, clock=clock, wall=wall, say=tell)
        self._pid = 0
        self._starting = threading.Lock()
        self._stopped = threading.Event()
        _clients.add(self)

    def start(self) -> None:
        """Start listening; in a forked child, start anew as an instance of its own."""
        with self._starting:
            if self._pid == os.getpid():
                return
            if self._pid:
                self.ledger.after_fork(self._instance())
            self._pid = os.getpid()
            self._connected, self._said_at, self._polled = False, float("-inf"), ""
            self._line = Line(self._platform, self._service, self.ledger.instance, self._silence_s)
            self._stopped, self._wake, self._outbox_lock = threading.Event(), threading.Event(), threading.Lock()
            self._outbox = Outbox()
            self._guards.on_new_guards(self._greet)
            for name, work in (("paramedic-commands", self._listen), ("paramedic-acks", self._answer)):
                threading.Thread(target=work, name=name, daemon=True).start()

    def stop(self) -> None:
        """Stop listening. Guards keep what they were told until its lease ends."""
        self._guards.off_new_guards(self._greet)
        if self._pid != os.getpid():  # never started here: what is open is the parent's
            return
        self._stopped.set()
        self._wake.set()
        self._line.hang_up()

    @property
    def connected(self) -> bool:
        return self._pid == os.getpid() and self._connected

    # Hearing

    def _listen(self) -> None:
        turns, stopped = self._turns(), self._stopped
        while not stopped.is_set():
            why = ""
            way = turns.next(time.monotonic())
            try:
                why = self._stream(turns) if way is Way.STREAM else self._poll(turns)
            except Exception as error:  # ours: the bot must not lose its ears for it
                dropped.add("stream")
                why = repr(error)
                turns.streamed(False, time.monotonic())
            if stopped.is_set():
                return
            if why:
                self._note(False, why)
            stopped.wait(turns.wait_s(self._draw()))

    def _stream(self, turns: Turns) -> str:
        """Hear the stream until it ends; why it did."""
        why, began, self._polled = "the platform closed the stream", False, ""
        try:
            for event in self._line.stream():
                if event.name == "snapshot":
                    began = True
                    self._say(self.ledger.snapshot(event.data))
                    self._platform_is_there()
                elif event.name == "command":
                    self._say(self.ledger.receive(event.data))
        except BROKEN as error:
            why = str(error) or type(error).__name__
        turns.streamed(began, time.monotonic())
        return why

    def _poll(self, turns: Turns) -> str:
        """Ask once what is in force; why that failed, or nothing."""
        why = ""
        try:
            snapshot = self._line.poll()
            if snapshot != self._polled:  # else nothing is new, and nothing is to be answered
                listed(snapshot)  # or it is some other page, and no platform
                self._say(self.ledger.snapshot(snapshot))
                self._polled = snapshot
            self._platform_is_there()
        except BROKEN as error:
            why = str(error) or type(error).__name__
        turns.polled(not why, time.monotonic())
        return why

    def _platform_is_there(self) -> None:
        with self._outbox_lock:
            self._outbox.platform_is_back()
        self._wake.set()
        self._note(True, "")

    def _note(self, connected: bool, why: str) -> None:
        if connected == self._connected and self._said_at > float("-inf"):
            return
        self._connected = connected
        if time.monotonic() - self._said_at < SAY_AGAIN_S:
            return
        self._said_at = time.monotonic()
        if connected:
            log.info("commands come from %s", self._platform.url)
        else:
            log.warning("no commands from %s: %s; guards work alone until it is back", self._platform.url, why)

    # Saying

    def _greet(self, guards: "Sequence[Obeying]") -> None:
        """Runs where the team makes a guard, and must let it."""
        try:
            self.start()  # does something in a forked child only
            self._say(self.ledger.greet(guards))
        except Exception as error:
            dropped.add("commands")
            log.warning("new guards do not hear commands: %r", error)

    def _say(self, acks: Iterable[Ack]) -> None:
        """Have them posted, and the other thread look when the next lease ends."""
        with self._outbox_lock:
            lost = self._outbox.put(acks)
        if lost:
            dropped.add("acks", lost)
        self._wake.set()

    def _answer(self) -> None:
        stopped = self._stopped
        while not stopped.is_set():
            try:
                self._wake.wait(self._next_in_s())
                self._wake.clear()
                if not stopped.is_set():
                    self._say_what_ended()
                    self._post()
            except Exception as error:
                dropped.add("acks")
                log.debug("acks: %r", error)
                stopped.wait(SWEEP_S)

    def _next_in_s(self) -> float:
        with self._outbox_lock:
            due_in_s = self._outbox.due_in_s(time.monotonic())
        waits_s = [30.0 if due_in_s is None else due_in_s, SWEEP_S if self.ledger.holds_any else 30.0]
        return min(waits_s)

    def _say_what_ended(self) -> None:
        ended = self.ledger.sweep()
        if ended:
            self._say(ended)

    def _post(self) -> None:
        with self._outbox_lock:
            if self._outbox.due_in_s(time.monotonic()) != 0:
                return
            batch = self._outbox.batch()
        arrived = self._line.post(batch)
        with self._outbox_lock:
            if arrived:
                self._outbox.posted(batch)
            else:
                self._outbox.failed(time.monotonic(), self._draw())


_clients: "weakref.WeakSet[CommandClient]" = weakref.WeakSet()


def _after_fork() -> None:
    """In a forked child: a thread of the parent may have held these."""
    for client in list(_clients):
        client._starting = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
