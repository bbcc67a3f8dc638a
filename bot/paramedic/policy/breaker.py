"""Circuit breaker: leave a failing dependency alone for a while, then try it with a few calls.

    closed --too many failed or slow--> open --`rest_s` later--> at most `trials` calls --all worked--> closed
                                         ^                                |
                                         +------------one failed----------+

`Breaker` is what a team sets, `Circuit` the state. A circuit is a value that decides, without a lock, a
thread or a timer: time comes in with each question, and the guard that owns it keeps others out while it asks.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum

from paramedic.policy.window import CountWindow, TimeWindow, Window

INF = float("inf")


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


@dataclass(frozen=True, slots=True)
class Breaker:
    """When a guard leaves its dependency alone, and for how long.

    >>> guard = paramedic.Guard("orders", breaker=paramedic.Breaker(failure_rate=0.3, within_s=60, slow_s=2.0))

    Args:
        failure_rate: Share of failures in the window from which it opens; None switches this rule off.
        last: The window: so many calls. It forgets after five minutes without a call.
        within_s: The window in seconds instead, in ten slices.
        at_least: Calls that the window must hold before a share means anything.
        slow_s: A call that takes longer is slow, whether it fails or not; None when none is.
        slow_rate: Share of slow calls in the window from which it opens.
        in_a_row: Failures in a row that open it too, however few calls there were; None switches this rule off.
        rest_s: Seconds to leave the dependency alone, and the length of a round of trials.
        trials: Calls let through after a rest; all must work, and none be slow, to close it.

    Raises:
        ValueError: A number is out of range; the message names it and shows it.
    """

    failure_rate: float | None = 0.5
    last: int = 20
    within_s: float | None = None
    at_least: int = 10
    slow_s: float | None = None
    slow_rate: float = 1.0
    in_a_row: int | None = None
    rest_s: float = 10.0
    trials: int = 1

    def __post_init__(self) -> None:
        _share("failure_rate", self.failure_rate)
        _share("slow_rate", self.slow_rate)
        for name, unit in (("last", "call"), ("at_least", "call"), ("in_a_row", "failure"), ("trials", "call")):
            _whole(name, unit, getattr(self, name))
        for name in ("within_s", "slow_s", "rest_s"):
            _seconds(name, getattr(self, name))
        if self.within_s is None and self.at_least > self.last:
            raise ValueError(f"at_least must be at most last, which is {self.last}, got {self.at_least!r}")


def _share(name: str, value: float | None) -> None:
    if value is not None and not 0 < value <= 1:
        raise ValueError(f"{name} must be above 0 and at most 1, got {value!r}")


def _whole(name: str, unit: str, value: int | None) -> None:
    if value is not None and (value < 1 or value != int(value)):
        raise ValueError(f"{name} must be a whole number of at least 1 {unit}, got {value!r}")


def _seconds(name: str, value: float | None) -> None:
    if value is not None and not value > 0:  # this way round it refuses NaN too
        raise ValueError(f"{name} must be above 0 seconds, got {value!r}")


NEVER = Breaker(failure_rate=None)


class Circuit:
    """Decides for one dependency.

    A round of trials lasts `rest_s`: a trial that hangs cannot block the next round, and what it says
    when its round is over is not heard. A trial that says nothing gives its place back.

    Args:
        settings: Of the team; None never opens.

    Attributes:
        until: End of the rest, or of the round of trials; None while closed.
        row: Failures in a row, while closed.
        era: Grows with every change of state and every round, so that late verdicts are known as such.
        closed_at: When it last closed after having been open; None when it never was.
        calm: Whether one more good and quick call would change nothing but `heard_at`.
        heard_at: When the last verdict came.
        slow_s: Seconds from which a call is slow; infinity when none is.
    """

    __slots__ = (
        "_passed",
        "_trials_left",
        "_watches",
        "_window",
        "calm",
        "closed_at",
        "era",
        "heard_at",
        "row",
        "settings",
        "slow_s",
        "until"
    )  # fmt: skip

    def __init__(self, settings: Breaker | None = None) -> None:
        self.settings = settings = settings or NEVER
        self._watches = settings.failure_rate is not None or settings.slow_s is not None
        self._window: Window = (
            CountWindow(settings.last) if settings.within_s is None else TimeWindow(settings.within_s)
        )
        self.slow_s = INF if settings.slow_s is None else settings.slow_s
        self.era = 0
        self.closed_at: float | None = None
        self.heard_at = 0.0
        self.reset()

    def reset(self, now: float | None = None) -> None:
        """Start closed; at `now`, when it may have been open until then."""
        self.era += 1
        if now is not None:
            self.closed_at = now
        self.until: float | None = None
        self.row = self._passed = 0  # failures in a row; trials of this round that worked
        self._trials_left: int | None = None  # None outside a round
        self._window.clear()
        self._note_calm()

    def wait_s(self, now: float) -> float:
        """Seconds until a call may be let through; 0 when one may go now. Changes nothing."""
        if self.until is None or now >= self.until or self._trials_left:
            return 0.0
        return self.until - now

    def enter(self, now: float) -> int:
        """Let a call through, after `wait_s` said 0. Give what comes back to `leave`.

        When it did not say 0, a round of trials begins before its time, with this call.
        """
        if self.until is None:
            return self.era
        if now >= self.until or not self._trials_left:
            self.era += 1
            self.until, self._trials_left, self._passed = now + self.settings.rest_s, self.settings.trials, 0
        self._trials_left = (self._trials_left or 0) - 1
        return self.era

    def leave(self, era: int, verdict: Verdict, now: float, seconds: float = 0.0) -> None:
        """Hear what a call said that `enter` let through in `era`, and how many seconds it took."""
        if era != self.era:
            return  # about a state that is over
        if self._trials_left is not None:
            self._end_trial(FAILED if verdict is WORKED and seconds > self.slow_s else verdict, now)
        elif verdict is not SAYS_NOTHING:
            self._hear(verdict is FAILED, seconds > self.slow_s, now)

    def _hear(self, failed: bool, slow: bool, now: float) -> None:
        if now - self.heard_at > self._window.forgets_s:
            self._window.clear()
        self.heard_at = now
        self.row = self.row + 1 if failed else 0
        if self._watches:
            self._window.add(failed, slow, now)
        self._note_calm()
        if self._is_too_much():
            self._open(now)

    def _note_calm(self) -> None:
        self.calm = not self.row and (not self._watches or self._window.unmoved_by_good)

    def _is_too_much(self) -> bool:
        settings, window = self.settings, self._window
        if settings.in_a_row is not None and self.row >= settings.in_a_row:
            return True
        if window.count < settings.at_least:
            return False
        if settings.failure_rate is not None and window.failed / window.count >= settings.failure_rate:
            return True
        return settings.slow_s is not None and window.slow / window.count >= settings.slow_rate

    def _end_trial(self, verdict: Verdict, now: float) -> None:
        if verdict is FAILED:
            self._open(now)
        elif verdict is SAYS_NOTHING:
            self._trials_left = (self._trials_left or 0) + 1
        else:
            self._passed += 1
            if self._passed >= self.settings.trials:
                self.reset(now)

    def _open(self, now: float) -> None:
        self.era += 1
        self.until, self._trials_left, self.calm = now + self.settings.rest_s, None, False

    @property
    def state(self) -> State:
        if self.until is None:
            return State.CLOSED
        return State.OPEN if self._trials_left is None else State.HALF_OPEN
