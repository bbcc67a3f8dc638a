"""Commands without a platform: signed, checked and obeyed as those of a real one.

with commands(clock) as platform:
    platform.send("trip_breaker", peer="aurora")
    assert answer(question) == "from the fallback"
"""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from paramedic.commands.ledger import Ledger
from paramedic.contract.command import Ack, AckState, ActionKind, Command, Lease, SignedCommand, Target
from paramedic.guards.registry import registry

_KEY = b"paramedic.testing"
_SERVICE, _INSTANCE = "a-test", "test-1"


class FakePlatform:
    """Sends commands to the guards of this process.

    Attributes:
        acks: What the bot answered so far, oldest first.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = Ledger(_SERVICE, _INSTANCE, _KEY, registry, clock=clock, least_probe_share=0.0)
        self._ids = itertools.count(1)
        self.acks: list[Ack] = []

    def send(
        self,
        kind: str,
        *,
        peer: str = "",
        zone: str = "",
        guard: str = "",
        ttl_s: float = 30.0,
        probe_share: float = 0.0,
        **parameters: str | int | float | bool,
    ) -> Ack:
        """Have every guard that is meant obey one more command.

        Args:
            kind: "trip_breaker", "failover", "shed_load", ...
            peer: Callee whose guards are meant; `zone` and `guard` narrow it down. At least one is needed.
            zone: Zone of the callee.
            guard: Name of the guard.
            ttl_s: Length of the lease.
            probe_share: Share of the calls that still goes to the callee; none unless said, so that a test
                knows what happens. A real platform's command always leaves one call in a hundred.
            **parameters: Of this kind of command: ``share=0.5``, ``limit=3``, ``level=2``, ...

        Returns:
            "applied" with the names of the guards, or "rejected" with the reason.

        Raises:
            ValueError: There is no such kind.
        """
        command_id = f"test-{next(self._ids)}"
        return self._send(
            Command(
                id=command_id,
                version=1,
                service=_SERVICE,
                kind=ActionKind(kind),
                target=Target(peer, zone, guard),
                lease=Lease(f"lease-{command_id}", ttl_s, probe_share),
                issued_at=time.time(),
                parameters=parameters,
            )
        )

    def clear(self, ack: Ack) -> Ack:
        """End the command of this answer."""
        return self.send(ActionKind.CLEAR, guard="*", command_id=ack.command_id)

    def clear_all(self) -> None:
        """End every command."""
        self._heard(self._ledger.snapshot("[]"))

    def sweep(self) -> None:
        """Take note of leases that have ended; guards do so by themselves."""
        self._heard(self._ledger.sweep())

    def _send(self, command: Command) -> Ack:
        signed = SignedCommand.seal(command, _KEY)
        acks = self._ledger.receive(signed.to_json())
        if not acks:  # its guard may not exist yet, says the ledger; in a test it should
            acks = [self._nobody(command)]
        self._heard(acks)
        return acks[-1]

    def _nobody(self, command: Command) -> Ack:
        return Ack(command.id, command.version, _SERVICE, _INSTANCE, AckState.REJECTED, time.time(), "no guard matches")

    def _heard(self, acks: list[Ack]) -> None:
        self.acks.extend(acks)


@contextmanager
def commands(clock: Callable[[], float] = time.monotonic) -> Iterator[FakePlatform]:
    """A platform for the block; its commands end with it.

    >>> guard = paramedic.Guard("llm", peer="aurora", fallbacks=[lambda: "fallback"])
    >>> with paramedic.testing.commands() as platform:
    ...     ack = platform.send("trip_breaker", peer="aurora")
    ...     ack.state.value, guard.run_sync(lambda: "answer")
    ('applied', 'fallback')

    Args:
        clock: On which leases end: the one that the guards under test were given.
    """
    platform = FakePlatform(clock)
    try:
        yield platform
    finally:
        platform.clear_all()
