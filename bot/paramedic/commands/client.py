"""Listens to the platform and answers it, on two threads of its own.

    stream: connect -> snapshot, commands ... silence or error -> wait (0.5 to 10 s, at random) -> connect
    acks:   what became of each command, and leases that ended --POST--> platform

Platform dead, slow or lying: leases run out on this bot's clock, and the bot goes on as without it.
"""

import http.client
import json
import logging
import os
import queue
import random
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, quote, urlsplit

from paramedic.commands.ledger import Ledger
from paramedic.commands.sse import StreamError, events
from paramedic.contract.command import Ack
from paramedic.contract.credentials import Platform
from paramedic.contract.keys import bearer, command_key
from paramedic.registry import Registry, registry
from paramedic.telemetry.runtime import dropped

if TYPE_CHECKING:
    from paramedic.obeying import Obeying

log = logging.getLogger("paramedic")

SILENCE_S = 8.0  # the platform says `: alive` every 2 s
ACKS_KEPT = 256
WAITS_S = (0.5, 10.0)
SWEEP_S = 0.5
SAY_AGAIN_S = 30.0  # the least between two lines about the same platform coming and going


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
    ) -> None:
        self._platform, self._service, self._instance, self._guards = platform, service, instance, guards
        self._clock, self._draw, self._silence_s, self._waits_s = clock, draw, silence_s, waits_s
        self.ledger = Ledger(service, instance(), command_key(platform.secret), guards, clock=clock, wall=wall)
        self._headers = {"Authorization": f"Bearer pmb.{service}.{bearer(platform.secret)}"}
        self._pid = 0
        self._tries = 0
        self._said_at = float("-inf")
        self._connected = False

    def start(self) -> None:
        """Start listening; in a forked child, start anew as an instance of its own."""
        if self._pid == os.getpid():
            return
        if self._pid:
            self.ledger.after_fork(self._instance())
        self._pid, self._connected, self._tries = os.getpid(), False, 0
        self._acks: queue.Queue[Ack | None] = queue.Queue(ACKS_KEPT)
        self._stopped = threading.Event()
        self._connection: http.client.HTTPConnection | None = None
        self._guards.on_new_guards(self._greet)
        for name, work in (("paramedic-commands", self._listen), ("paramedic-acks", self._answer)):
            threading.Thread(target=work, name=name, daemon=True).start()

    def stop(self) -> None:
        """Stop listening. Guards keep what they were told until its lease ends."""
        self._guards.off_new_guards(self._greet)
        self._stopped.set()
        self._say([None])
        connection = self._connection
        if connection is not None and connection.sock is not None:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                dropped.add("stream")

    @property
    def connected(self) -> bool:
        return self._connected

    # Listening

    def _listen(self) -> None:
        while not self._stopped.is_set():
            why = "the platform closed the stream"
            try:
                self._read_stream()
            except (OSError, http.client.HTTPException, StreamError, ValueError) as error:
                why = str(error) or type(error).__name__
            except Exception as error:
                dropped.add("stream")
                why = repr(error)
            if self._stopped.is_set():
                return
            self._note(False, why)
            self._stopped.wait(self._wait_s())

    def _read_stream(self) -> None:
        path = f"/api/v1/commands/stream?service={quote(self._service)}&instance={quote(self.ledger.instance)}"
        connection = self._connection = _connect(urlsplit(self._platform.url), self._silence_s)
        try:
            connection.request("GET", self._path(path), headers={**self._headers, "Accept": "text/event-stream"})
            response = connection.getresponse()
            if response.status != 200:
                raise StreamError(_told_status(response.status, self._platform.url))
            for event in events(response.readline):
                if event.name == "snapshot":
                    self._say(self.ledger.snapshot(event.data) or [None])
                    self._note(True, "")
                elif event.name == "command":
                    self._say(self.ledger.receive(event.data) or [None])
        finally:
            connection.close()

    def _path(self, path: str) -> str:
        return urlsplit(self._platform.url).path.rstrip("/") + path

    def _wait_s(self) -> float:
        """Full jitter: a fleet that lost its platform together does not come back together."""
        least, most = self._waits_s
        self._tries = min(self._tries + 1, 16)
        return least + self._draw() * (min(most, least * 2.0**self._tries) - least)

    def _note(self, connected: bool, why: str) -> None:
        if connected:
            self._tries = 0
        if connected == self._connected and self._said_at > float("-inf"):
            return
        self._connected = connected
        if self._clock() - self._said_at < SAY_AGAIN_S:
            return
        self._said_at = self._clock()
        if connected:
            log.info("commands come from %s", self._platform.url)
        else:
            log.warning("no commands from %s: %s; guards work alone until it is back", self._platform.url, why)

    # Answering

    def _greet(self, guards: "Sequence[Obeying]") -> None:
        self.start()  # does something in a forked child only
        self._say(self.ledger.greet(guards))

    def _say(self, acks: "Iterable[Ack | None]") -> None:
        """Queue what is to be answered; None only wakes the thread that answers."""
        for ack in acks:
            try:
                self._acks.put_nowait(ack)
            except queue.Full:
                dropped.add("acks")

    def _answer(self) -> None:
        while not self._stopped.is_set():
            batch = self._batch(SWEEP_S if self.ledger.holds_any else 30.0)
            batch += self.ledger.sweep()
            if batch:
                self._post(batch)

    def _batch(self, within_s: float) -> list[Ack]:
        """The acks that wait, or after `within_s` none."""
        try:
            waiting = [self._acks.get(timeout=within_s)]
            while not self._acks.empty():
                waiting.append(self._acks.get_nowait())
        except queue.Empty:
            return []
        return [ack for ack in waiting if ack is not None]

    def _post(self, acks: list[Ack]) -> None:
        body = json.dumps([asdict(ack) for ack in acks])
        connection = _connect(urlsplit(self._platform.url), 2.0)
        try:
            headers = {**self._headers, "Content-Type": "application/json"}
            connection.request("POST", self._path("/api/v1/commands/acks"), body, headers)
            if connection.getresponse().status >= 300:
                dropped.add("acks", len(acks))
        except (OSError, http.client.HTTPException, ValueError) as error:
            dropped.add("acks", len(acks))
            log.debug("%d acks were lost: %r", len(acks), error)
        finally:
            connection.close()


def _connect(url: SplitResult, timeout_s: float) -> http.client.HTTPConnection:
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    return kind(url.hostname or "localhost", url.port, timeout=timeout_s)


def _told_status(status: int, url: str) -> str:
    if status in (401, 403):
        return f"it refuses this bot's token with {status}; `paramedic token SERVICE` prints the right PARAMEDIC_TOKEN"
    return f"it answers {status}; is {url} the address of the platform's API?"
