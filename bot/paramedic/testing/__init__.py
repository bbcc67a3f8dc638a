"""For a team's own tests: a clock moved by hand, a sink that keeps what guards send, and faults on demand."""

from paramedic.testing.clock import Clock
from paramedic.testing.faults import FaultInjector
from paramedic.testing.sink import MemorySink

__all__ = ["Clock", "FaultInjector", "MemorySink"]
