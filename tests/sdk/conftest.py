"""Fixtures of the SDK's tests: a clock moved by hand, a sink, and commands as the platform signs them."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from sdk_platform_stub import KEY, PlatformStub

from paramedic.commands.client import CommandClient
from paramedic.commands.ledger import Ledger
from paramedic.contract.command import ActionKind, Command, Lease, Target
from paramedic.guards.registry import registry
from paramedic.testing import Clock, MemorySink

SERVICE = "support-bot"
NOW = 1_700_000_000.0  # on the wall, where commands are concerned
_ids = itertools.count(1)


@pytest.fixture(autouse=True)
def own_guards() -> None:
    """Commands of one test must not find the guards of another."""
    registry.clear()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sink() -> Any:
    with MemorySink() as sink:
        yield sink


@pytest.fixture
def command() -> Callable[..., Command]:
    """Makes commands; what is not said is plain."""

    def make(kind: str, **changes: Any) -> Command:
        target = Target(peer=changes.pop("peer", ""), zone=changes.pop("zone", ""), guard=changes.pop("guard", ""))
        ttl_s, share = changes.pop("ttl_s", 30.0), changes.pop("probe_share", 0.0)
        known = {"id": f"cmd-{next(_ids)}", "version": 1, "service": SERVICE, "issued_at": NOW}
        parameters = changes.pop("parameters", {})
        lease = Lease("lease-1", ttl_s, share)
        return Command(**{**known, **changes}, kind=ActionKind(kind), target=target, lease=lease, parameters=parameters)

    return make


@pytest.fixture
def obey(clock: Clock) -> Callable[[Command], Any]:
    """Applies a command at once, as the command client would."""
    return lambda command: registry.apply(command, clock() + command.lease.ttl_s)


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    return asyncio.run


@pytest.fixture
def stub() -> Iterator[PlatformStub]:
    stub = PlatformStub()
    yield stub
    stub.close()


@pytest.fixture
def listen(clock: Clock) -> Iterator[Callable[..., CommandClient]]:
    """Starts command clients that hurry, and stops them in the end."""
    clients = []

    def start(platform: Any, **options: Any) -> CommandClient:
        known = {"clock": clock, "wall": lambda: NOW, "waits_s": (0.01, 0.05)}
        client = CommandClient(platform, SERVICE, lambda: "me-1", **{**known, **options})
        clients.append(client)
        client.start()
        return client

    yield start
    for client in clients:
        client.stop()


@pytest.fixture
def ledger(clock: Clock) -> Ledger:
    return Ledger(SERVICE, "me-1", KEY, registry, clock=clock, wall=lambda: NOW)
