"""An event loop whose time is a clock of the test: waiting moves it at once, and waiting for nothing fails."""

from paramedic.testing.virtual import VirtualLoop, run_virtually

__all__ = ["VirtualLoop", "run_virtually"]
