"""Which commands this bot has seen, and its last word on each, so that nothing old can be played again. Pure.

id -> highest version seen, last ack          nonce -> id and version that came with it
forgotten ------ issued_at of the youngest id that had to be forgotten: what is unknown and older is refused
"""

from collections import OrderedDict
from dataclasses import dataclass

from paramedic.contract.command import Ack, Command, CommandError

REMEMBERED = 4096


@dataclass(slots=True)
class Told:
    """The last word on a command id."""

    version: int  # the highest that was seen
    issued_at: float
    ack: Ack | None = None  # None while its guard may still come


class Memory:
    """The ledger that owns it holds the lock."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._told: OrderedDict[str, Told] = OrderedDict()
        self._nonces: OrderedDict[str, tuple[str, int]] = OrderedDict()
        self._forgotten = float("-inf")

    def seen(self, command: Command) -> Told | None:
        """The last word on it, when this version or a higher one was seen before; None when it is news.

        Raises:
            CommandError: It may be a replay.
        """
        used = self._nonces.get(command.nonce)
        if used is not None and used != (command.id, command.version):
            raise CommandError(f"its nonce {command.nonce!r} came with {used[0]!r} before")
        told = self._told.get(command.id)
        if told is None and command.issued_at <= self._forgotten:
            raise CommandError("it was issued so long ago that nobody knows whether it was seen before")
        return told if told is not None and command.version <= told.version else None

    def last(self, command_id: str) -> Told | None:
        return self._told.get(command_id)

    def remember(self, command: Command, ack: Ack | None) -> None:
        """Keep the last word on a command; versions only grow."""
        self.note(command.id, command.version, command.issued_at, ack)
        if command.nonce:
            self._nonces[command.nonce] = command.id, command.version
        while len(self._nonces) > self._remembered:
            self._nonces.popitem(last=False)

    def note(self, command_id: str, version: int, issued_at: float, ack: Ack | None) -> None:
        """As `remember`, for a command that is known by its id alone."""
        before = self._told.pop(command_id, None)
        if before is not None:
            version, issued_at = max(version, before.version), max(issued_at, before.issued_at)
        self._told[command_id] = Told(version, issued_at, ack)
        while len(self._told) > self._remembered:
            _, gone = self._told.popitem(last=False)
            self._forgotten = max(self._forgotten, gone.issued_at)
