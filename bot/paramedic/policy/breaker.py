"""Circuit breaker: leave a failing dependency alone for a while, then try it with a few calls.

    closed --`failures` in a row--> open --`rest_s` later--> at most `trials` calls --all worked--> closed
                                      ^                                |
                                      +------------one failed----------+

A value that decides, without a lock, a thread or a timer: time comes in with each question, and the
guard that owns a breaker keeps others out while it asks.
"""

from enum import Enum, IntEnum


class Verdict(Enum):
    """What a call that has ended says about the dependency."""

    WORKED = "worked"
    FAILED = "failed"
    SAYS_NOTHING = "says nothing"  # the caller gave up, or its own request was wrong


class State(IntEnum):
    """As in the gauge ``paramedic.breaker.state``."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2
    OPEN_BY_COMMAND = 3


WORKED, FAILED, SAYS_NOTHING = Verdict


class Breaker:
    """Decides for one dependency.

    A round of trials lasts `rest_s`: a trial that hangs cannot block the next round, and what it says
    when its round is over is not heard. A trial that says nothing gives its place back.

    Args:
        failures: Failures in a row that open it.
        rest_s: Seconds to leave the dependency alone, and the length of a round of trials.
        trials: Calls let through after a rest; all must work to close it.

    Attributes:
        until: End of the rest, or of the round of trials; None while closed.
        row: Failures in a row, while closed.
        era: Grows with every change of state and every round, so that late verdicts are known as such.

    Raises:
        ValueError: A number is out of range; the message names it and shows it.
    """

    __slots__ = ("_passed", "_trials_left", "era", "failures", "rest_s", "row", "trials", "until")

    def __init__(self, *, failures: int = 5, rest_s: float = 10.0, trials: int = 1) -> None:
        if failures < 1:
            raise ValueError(f"failures must be at least 1, got {failures!r}")
        if not rest_s > 0:  # this way round it refuses NaN too
            raise ValueError(f"rest_s must be above 0 seconds, got {rest_s!r}")
        if trials < 1:
            raise ValueError(f"trials must be at least 1 call, got {trials!r}")
        self.failures, self.rest_s, self.trials = failures, rest_s, trials
        self.era = 0
        self.reset()

    def reset(self) -> None:
        """Start closed."""
        self.era += 1
        self.until: float | None = None
        self.row = self._passed = 0  # failures in a row; trials of this round that worked
        self._trials_left: int | None = None  # None outside a round

    def wait_s(self, now: float) -> float:
        """Seconds until a call may be let through; 0 when one may go now. Changes nothing."""
        if self.until is None or now >= self.until or self._trials_left:
            return 0.0
        return self.until - now

    def enter(self, now: float) -> int:
        """Let a call through, after `wait_s` said 0. Give what comes back to `leave`."""
        if self.until is None:
            return self.era
        if now >= self.until:
            self.era += 1
            self.until, self._trials_left, self._passed = now + self.rest_s, self.trials, 0
        self._trials_left = (self._trials_left or 0) - 1
        return self.era

    def leave(self, era: int, verdict: Verdict, now: float) -> None:
        """Hear what a call said that `enter` let through in `era`."""
        if era != self.era:
            return  # about a state that is over
        if self._trials_left is not None:
            self._end_trial(verdict, now)
        elif verdict is WORKED:
            self.row = 0
        elif verdict is FAILED:
            self.row += 1
            if self.row >= self.failures:
                self._open(now)

    def _end_trial(self, verdict: Verdict, now: float) -> None:
        if verdict is FAILED:
            self._open(now)
        elif verdict is SAYS_NOTHING:
            self._trials_left = (self._trials_left or 0) + 1
        else:
            self._passed += 1
            if self._passed >= self.trials:
                self.reset()

    def _open(self, now: float) -> None:
        self.era += 1
        self.until, self._trials_left = now + self.rest_s, None

    @property
    def state(self) -> State:
        if self.until is None:
            return State.CLOSED
        return State.OPEN if self._trials_left is None else State.HALF_OPEN
