"""For a team's own tests: a clock moved by hand, a sink that keeps what guards send, faults, and commands."""

from paramedic.testing.clock import Clock
from paramedic.testing.faults import FaultInjector, StatusError
from paramedic.testing.fresh import fresh_guards
from paramedic.testing.platform import FakePlatform, commands
from paramedic.testing.sink import MemorySink
from paramedic.testing.virtual import run_virtually
from paramedic.testing.waiting import no_wait

__all__ = [
    "Clock",
    "FakePlatform",
    "FaultInjector",
    "MemorySink",
    "StatusError",
    "commands",
    "fresh_guards",
    "no_wait",
    "run_virtually",
]
