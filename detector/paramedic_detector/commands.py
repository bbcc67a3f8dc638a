"""The way of commands to the bots: what is in force for each service, and who is listening.

    engine --put, renew, clear--> CommandHub --queue of each connection--> GET /commands/stream --> bot
                                             --what is in force----------> GET /commands ---------> bot behind a proxy
    engine <--acks taken out----- CommandHub <------------------------ POST /commands/acks <------- bot

The hub holds nothing that the store does not: the engine brings it in line with the store each tick, so a
new process is soon where the old one was. Safe to share between the engine's thread and the event loop.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from paramedic.contract.command import LONGEST_REASON, Ack, ActionKind, Command, Lease, SignedCommand
from paramedic.contract.keys import command_key, service_secret

ALIVE_S = 2.0  # a quiet stream says so this often
POLLS_S = 10.0  # a bot that polls counts as listening for so long
BACKLOG = 1000  # events a connection may be behind before it is dropped; it then starts over with a snapshot
ACKS = 10_000  # kept for the engine; the oldest go first


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event; `name` is "snapshot" or "command"."""

    name: str
    data: str


class Connection:
    """One bot instance that listens. Events are put in from any thread and read on its event loop."""

    def __init__(self, service: str, instance: str, loop: asyncio.AbstractEventLoop) -> None:
        self.service, self.instance = service, instance
        self._loop = loop
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue()

    def put(self, event: Event | None) -> None:
        """Hand over an event; None ends the stream."""
        try:
            self._loop.call_soon_threadsafe(self._put, event)
        except RuntimeError:  # the loop is closed: the connection is gone, and `leave` follows
            return

    async def next(self, timeout_s: float = ALIVE_S) -> Event | None:
        """The next event; None at the end.

        Raises:
            TimeoutError: Nothing happened for `timeout_s`.
        """
        return await asyncio.wait_for(self._queue.get(), timeout_s)

    def _put(self, event: Event | None) -> None:
        if self._queue.qsize() >= BACKLOG:
            event = None  # it comes back and starts over with a snapshot
        self._queue.put_nowait(event)


@dataclass(frozen=True, slots=True)
class Live:
    """A command in force."""

    command: Command
    sealed: SignedCommand
    issued_at: float

    @property
    def lease_ends_at(self) -> float:
        return self.issued_at + self.command.lease.ttl_s


class CommandHub:
    """Commands in force, by id, and the connections of the bots.

    Args:
        master: The platform's master key, from which each service's command key is derived.
        clock: Unix seconds.
    """

    def __init__(self, master: str, clock: Callable[[], float]) -> None:
        self._master, self._clock = master, clock
        self._lock = threading.Lock()
        self._live: dict[str, Live] = {}
        self._connections: set[Connection] = set()
        self._polls: dict[tuple[str, str], float] = {}  # by service and instance, when each polled last
        self._acks: deque[Ack] = deque(maxlen=ACKS)
        self.stopped = False  # the global stop: nothing is in force and nothing is taken
        self.closed = False

    def put(self, command: Command) -> bool:
        """Send a command, or a higher version of one; False when the global stop is on."""
        with self._lock:
            if self.stopped:
                return False
            live = Live(command, self._seal(command), self._clock())
            self._live[command.id] = live
            self._send(command, live.sealed)
            return True

    def renew(self, command_id: str) -> Live | None:
        """Give the command a fresh lease under the next version; None when it is not in force."""
        with self._lock:
            live = self._live.get(command_id)
            if live is None:
                return None
            now = self._clock()
            command = replace(live.command, version=live.command.version + 1, issued_at=now)
            self._live[command_id] = renewed = Live(command, self._seal(command), now)
            self._send(command, renewed.sealed)
            return renewed

    def clear(self, command_id: str, reason: str = "") -> bool:
        """Take a command back; False when it was not in force."""
        with self._lock:
            live = self._live.pop(command_id, None)
            if live is None:
                return False
            self._send(live.command, self._clearing(live, reason))
            return True

    def stop(self, on: bool) -> None:
        """The global stop: take everything back and accept nothing until it is off."""
        with self._lock:
            self.stopped = on
            taken_back, self._live = (self._live, {}) if on else ({}, self._live)
            for live in taken_back.values():
                self._send(live.command, self._clearing(live, "the global stop is on"))

    def live(self) -> dict[str, Live]:
        with self._lock:
            return dict(self._live)

    def join(self, service: str, instance: str) -> Connection:
        """Begin to listen, on the running event loop: the first event is the snapshot."""
        connection = Connection(service, instance, asyncio.get_running_loop())
        with self._lock:
            connection.put(Event("snapshot", self._snapshot(service, instance)))
            if self.closed:
                connection.put(None)
            self._connections.add(connection)
        return connection

    def leave(self, connection: Connection) -> None:
        with self._lock:
            self._connections.discard(connection)

    def poll(self, service: str, instance: str) -> str:
        """The snapshot for a bot that cannot hold a stream open; it counts as listening for a while."""
        with self._lock:
            self._polls[service, instance] = self._clock()
            return self._snapshot(service, instance)

    def commandable(self) -> frozenset[str]:
        """Services of which at least one bot is listening."""
        return frozenset(self.connected())

    def connected(self) -> dict[str, set[str]]:
        """Instances that are listening, by service."""
        with self._lock:
            now = self._clock()
            self._polls = {bot: at for bot, at in self._polls.items() if now - at <= POLLS_S}
            found: dict[str, set[str]] = {}
            for service, instance in [*((c.service, c.instance) for c in self._connections), *self._polls]:
                found.setdefault(service, set()).add(instance)
            return found

    def take_acks(self, acks: Iterable[Ack]) -> None:
        with self._lock:
            self._acks.extend(acks)

    def acks(self) -> list[Ack]:
        """The acknowledgements that came in since the last call."""
        with self._lock:
            taken = list(self._acks)
            self._acks.clear()
            return taken

    def close(self) -> None:
        """End all streams, so that the server can stop; leases go on in the bots."""
        with self._lock:
            self.closed = True
            for connection in self._connections:
                connection.put(None)

    def _send(self, command: Command, sealed: SignedCommand) -> None:
        event = Event("command", sealed.to_json())
        for connection in self._connections:
            if _is_for(command, connection.service, connection.instance):
                connection.put(event)

    def _snapshot(self, service: str, instance: str) -> str:
        meant = [live for live in self._live.values() if _is_for(live.command, service, instance)]
        return "[" + ",".join(live.sealed.to_json() for live in meant) + "]"

    def _clearing(self, live: Live, reason: str) -> SignedCommand:
        command = live.command
        return self._seal(
            replace(
                command,
                id=f"{command.id}-clear",
                version=command.version,
                kind=ActionKind.CLEAR,
                lease=Lease(id=f"{command.lease.id}-clear", ttl_s=command.lease.ttl_s),
                issued_at=self._clock(),
                parameters={"command_id": command.id},
                reason=reason or "no longer needed",
            )
        )

    def _seal(self, command: Command) -> SignedCommand:
        brief = replace(command, reason=command.reason[:LONGEST_REASON])
        return SignedCommand.seal(brief, command_key(service_secret(self._master, command.service)))


def _is_for(command: Command, service: str, instance: str) -> bool:
    return command.service == service and command.instance in ("", instance)
