"""What this process records with right now; the one thing that guards look at.

`paramedic.init` and `paramedic.testing.MemorySink` set it. Nothing set: guards decide and record nothing.
"""

import logging
import os
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.trace import Span, Tracer

if TYPE_CHECKING:
    from paramedic.guards.attempts import Attempts
    from paramedic.guards.calls import Call

log = logging.getLogger("paramedic")


class Recorder(Protocol):
    """Makes metrics of calls."""

    def ended(self, guard: "Attempts", call: "Call", outcome: str, error_type: str | None, seconds: float) -> None:
        """Hear of a call that was made, once, after its breaker did.

        Args:
            guard: Whose call it was.
            call: What was said about it.
            outcome: "worked", "failed", "useless", "cancelled" or "abandoned".
            error_type: As on its span.
            seconds: From its begin to its end.
        """

    def feedback(self, kind: str) -> None:
        """Count what a user said or did about an answer."""


class Events(Protocol):
    """Sends things that happened."""

    def emit(
        self,
        name: str,
        attributes: Mapping[str, Any],
        *,
        severity: int = 9,
        body: str = "",
        span: Span | None = None,
    ) -> None:
        """Send one, in the trace of `span` or else of the current one; never raises."""


class Runtime:
    """Attributes:
    tracer: Makes the spans of guards; None when nobody records.
    recorder: Makes their metrics.
    events: Sends what happened.
    criticality: Class of this service's calls when nobody says otherwise, as its resource states it.
    forked: True in a forked child until its threads have been started anew.
    """

    def __init__(self) -> None:
        self.tracer: Tracer | None = None
        self.recorder: Recorder | None = None
        self.events: Events | None = None
        self.criticality = ""
        self.forked = False
        self._revive: list[Callable[[], None]] = []

    def on_revival(self, start: Callable[[], None]) -> None:
        """Have `start` called in a forked child before its first guarded call."""
        self._revive.append(start)

    def forget(self, start: Callable[[], None]) -> None:
        self._revive = [kept for kept in self._revive if kept != start]

    def revive(self) -> None:
        self.forked = False
        for start in self._revive:
            try:
                start()
            except Exception as error:
                dropped.add("revival")
                log.warning("after a fork, %s could not be started: %s", start, error)

    def _after_fork(self) -> None:
        self.forked = True


class Dropped:
    """Counts what of ours failed and was dropped, by what it was. Safe to share between threads."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._lock = threading.Lock()

    def add(self, what: str, count: int = 1) -> None:
        with self._lock:
            self.counts[what] = self.counts.get(what, 0) + count

    def _after_fork(self) -> None:
        self._lock = threading.Lock()


runtime = Runtime()
dropped = Dropped()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=runtime._after_fork)
    os.register_at_fork(after_in_child=dropped._after_fork)
