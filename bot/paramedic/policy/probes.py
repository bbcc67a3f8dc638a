"""Which calls of a closed path go through all the same, to see whether it has recovered.

    a share of the calls, one at a time --failed--> a pause, twice as long each time --worked--> the share again

So a path that stays sick costs ever fewer calls, and one that recovers is soon seen often enough to be believed.
"""

from collections.abc import Callable

from paramedic.policy.breaker import FAILED, WORKED, Verdict

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 4.0
PROMISE_S = 60.0  # how long what was offered as a probe may take until it is called


class Probes:
    """Decides for one guard; the gate that owns it holds the lock and reads the clock."""

    __slots__ = ("_pause_ends", "_pause_s", "_promised_until", "_running")

    def __init__(self) -> None:
        self._running = False
        self.forget()

    def forget(self) -> None:
        """The treatment is over: the next one begins without a pause."""
        self._pause_s = self._pause_ends = self._promised_until = 0.0

    @property
    def running(self) -> bool:
        return self._running

    def due(self, now: float, share: float, draw: Callable[[], float]) -> bool:
        """Whether the next call shall be a probe."""
        if self._running or share <= 0:
            return False
        return now < self._promised_until or self._drawn(now, share, draw)

    def offered(self, now: float, share: float, draw: Callable[[], float]) -> bool:
        """Whether a tool shall stand in a list all the same; then the next call is a probe, if it comes soon."""
        if self._running or not self._drawn(now, share, draw):
            return False
        self._promised_until = now + PROMISE_S
        return True

    def _drawn(self, now: float, share: float, draw: Callable[[], float]) -> bool:
        return share > 0 and now >= self._pause_ends and draw() < share

    def begin(self) -> None:
        self._running, self._promised_until = True, 0.0

    def end(self, verdict: Verdict, now: float) -> None:
        self._running = False
        if verdict is WORKED:
            self.forget()
        elif verdict is FAILED:
            self._pause_s = min(max(FIRST_PAUSE_S, 2 * self._pause_s), LONGEST_PAUSE_S)
            self._pause_ends = now + self._pause_s
