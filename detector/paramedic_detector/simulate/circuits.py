"""The guards of simulated processes: who refuses a call, and what a breaker makes of how calls end.

    calls of one process, in the order in which they begin --admit--> made or refused (breaker, bulkhead)
    their ends --feed--> failures in a row, or half of the last twenty --> open 10 s --> one trial

The settings are the SDK's own defaults and the demo's: five failures in a row, or half of the last 20 calls once there
are 10; 10 s of rest; one trial. A healthy guard costs nothing: it is looked at call by call only after a failure.
"""

import heapq
from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
IN_A_ROW: Final = 5
LAST, AT_LEAST, FAILURE_RATE = 20, 10, 0.5
REST_S: Final = 10.0
TOKENS: Final = 10.0  # of a retry budget; none is made at half of them and below
TOKENS_BACK: Final = 0.1  # for each call that worked
CLOSED, HALF_OPEN, OPEN = 0, 1, 2


class Circuit:
    """One guard of one process."""

    def __init__(self) -> None:
        self.calm = True  # nothing failed lately: every call is admitted
        self.row = 0
        self.rests_until: float | None = None  # None while closed
        self._trial_until: float | None = None  # a trial is under way, or its round is over then
        self._window: deque[bool] = deque(maxlen=LAST)
        self._pending: list[tuple[float, int, bool]] = []  # end, number, worked
        self._count = 0
        self._flights: Floats = np.empty((2, 0))  # begin and end of calls that may still be in flight
        self._usual_s = 0.0

    @property
    def tense(self) -> bool:
        """Whether a few more failures would open it, or it is open."""
        failures = len(self._window) - sum(self._window) + sum(not good for *_, good in self._pending)
        return not self.calm and (self.rests_until is not None or failures > IN_A_ROW // 2)

    def state(self, now: float) -> int:
        if self.rests_until is None:
            return CLOSED
        return OPEN if now < self.rests_until else HALF_OPEN

    def admit(self, begins: Floats) -> Flags:
        """Which calls are made.

        Args:
            begins: Unix seconds, ascending.
        """
        if self.calm:
            return np.ones(len(begins), bool)
        return np.fromiter((self._admits(begin) for begin in begins.tolist()), bool, len(begins))

    def full(self, begins: Floats, most: int) -> Flags:
        """Which calls a bulkhead of `most` calls would refuse.

        Those of `begins` that came within the usual time of a call count as in flight: how they end is not known yet.
        """
        self._flights = self._flights[:, self._flights[1] > (begins[0] if len(begins) else 0.0)]
        if self._flights.shape[1] + len(begins) <= most:
            return np.zeros(len(begins), bool)
        taken_off, landed = np.sort(self._flights)
        known = np.searchsorted(taken_off, begins, side="right") - np.searchsorted(landed, begins, side="right")
        lately = np.arange(len(begins)) - np.searchsorted(begins, begins - self._usual_s)
        return np.asarray(known + lately >= most)

    def feed(self, begins: Floats, ends: Floats, worked: Flags, *, breaker: bool, bulkhead: bool) -> None:
        """How the calls that were made will end, for who looks at it."""
        if bulkhead and len(ends):
            self._usual_s += 0.3 * (float(np.minimum(ends - begins, 60.0).mean()) - self._usual_s)
            self._flights = np.concatenate((self._flights, (begins, ends)), axis=1)
        if not breaker or (self.calm and worked.all()):
            return
        if self.calm:
            self.calm = False
            self._window.extend([True] * LAST)
        for end, good in zip(ends.tolist(), worked.tolist(), strict=True):
            self._count += 1
            heapq.heappush(self._pending, (end, self._count, good))

    def _admits(self, begin: float) -> bool:
        while self._pending and self._pending[0][0] <= begin:
            end, _, good = heapq.heappop(self._pending)
            self._hear(end, good)
        if self.rests_until is None:
            self.calm = self.row == 0 and all(self._window) and all(good for *_, good in self._pending)
            if self.calm:
                self._pending.clear()
            return True
        if begin < self.rests_until or (self._trial_until is not None and begin < self._trial_until):
            return False
        self._trial_until = begin + REST_S
        return True

    def _hear(self, end: float, good: bool) -> None:
        if self.rests_until is not None:
            if self._trial_until is None or end < self.rests_until:
                return  # a verdict from before the rest
            self._trial_until = None
            self.rests_until = None if good else end + REST_S
            self.row = 0
            self._window.clear()
            return
        self.row = 0 if good else self.row + 1
        self._window.append(good)
        failures = len(self._window) - sum(self._window)
        if self.row >= IN_A_ROW or (len(self._window) >= AT_LEAST and failures >= FAILURE_RATE * len(self._window)):
            self.rests_until, self._trial_until = end + REST_S, None


class Budget:
    """Retries towards one peer, of one process: each failure takes a token, each call that works gives a tenth."""

    def __init__(self) -> None:
        self.tokens = TOKENS

    def allows(self, wanted: int) -> int:
        """How many of the wanted retries are made."""
        return min(wanted, max(0, int(self.tokens - TOKENS / 2)))

    def feed(self, worked: int, failed: int) -> None:
        self.tokens = float(np.clip(self.tokens - failed + TOKENS_BACK * worked, 0.0, TOKENS))
